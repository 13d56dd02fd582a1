"""Variants of a data set: augmented, corrupted, or smaller."""
