"""Datasets: loading, checking and splitting them."""
