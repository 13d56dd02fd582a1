"""Tables: what their columns are, their values, and the encoder of a model's inputs."""
