"""Keras layers of the dropout family that Keras itself does not have."""
