"""The audit: checks a Keras model for misused dropout."""
