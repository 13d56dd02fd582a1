"""Variants of a dataset: augmented, corrupted, or smaller."""
