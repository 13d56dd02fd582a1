"""Measurements on a trained model, for the audit."""
