"""The audit, which checks Keras models for misused dropout."""
