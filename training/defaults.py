"""Choices and defaults of data and training.

The command line shows them, so nothing large is imported here.
"""

from typing import Literal

Task = Literal["classification", "regression", "reconstruction", "custom"]
"""What a model predicts; a custom task gives the targets to the loss as they are."""

EPOCHS = 20
BATCH_SIZE = 32
OBJECTIVE = "val_loss"
INITIAL_WEIGHTS = ("fresh", "keep")
"""The choices, the default first."""
SPLIT = (0.70, 0.15, 0.15)
"""Fractions of training, validation and test set."""
