"""Diagrams of the dropout in Keras models, as text and as SVG."""
