"""Diagnostics that run or train a model: the measured part of the audit."""
