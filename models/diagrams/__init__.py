"""Diagrams that show where dropout sits in a Keras model, as text and as SVG."""
