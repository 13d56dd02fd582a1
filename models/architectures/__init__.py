"""The nets of the zoo: one module per family, each with a builder function."""
