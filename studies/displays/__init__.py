"""Plots of study results, one display class each."""
