"""Data sets: loading, checking and splitting them."""
