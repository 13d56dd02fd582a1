"""Defaults of data and training. The command line shows them, so nothing is imported here."""

EPOCHS = 20
BATCH_SIZE = 32
OBJECTIVE = "val_loss"
INITIAL_WEIGHTS = ("fresh", "keep")
"""The choices, the default first."""
SPLIT = (0.70, 0.15, 0.15)
"""Fractions of training, validation and test set."""
