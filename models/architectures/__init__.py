"""The models of Dropout Zoo: one module per family, each with a builder function."""
