"""The engine on TensorFlow: one training loop per core, inside the graph."""
