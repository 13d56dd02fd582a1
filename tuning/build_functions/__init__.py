"""Functions that build a model from hyperparameters, searched together with rates."""
