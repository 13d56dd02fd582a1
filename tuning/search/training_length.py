"""How long a search trains: counted in updates of the weights, for data of any size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dropout_zoo.training.defaults import BATCH_SIZE
from dropout_zoo.training.settings import TrainSettings
from dropout_zoo.tuning.defaults import MAX_UPDATES, PATIENCE_UPDATES

# What trains for few updates on much data, or for many epochs on little, is kept within reason.
MIN_EPOCHS, MAX_EPOCHS = 20, 2000
MIN_PATIENCE, MAX_PATIENCE = 5, 100

TYPICAL_PATIENCES = 3
"""Length of a typical training run that patience ends, in patiences. Means over searches of the
digits and of three small tables were 2.1 to 2.9; networks that learn slowly train for longer."""


def typical_epochs(training: TrainSettings) -> int:
    """Return the number of epochs after which training typically ends.

    Args:
        training: how each model is trained.

    Returns:
        Three times the patience, but at most the maximum number of epochs; that number where there
        is no patience.
    """
    if training.patience is None:
        return training.epochs
    return min(training.epochs, TYPICAL_PATIENCES * training.patience)


def with_default_length(options: Mapping[str, Any], examples: int) -> dict[str, Any]:
    """Add the number of epochs and the patience to settings that do not name them.

    Training ends when the objective has not improved for about 1,000 updates of the weights (5 to
    100 epochs), and after about 8,000 updates at the latest (20 to 2,000 epochs).

    Args:
        options: settings of `TrainSettings` by name.
        examples: number of training examples.

    Returns:
        The settings, with ``epochs`` and ``patience``.

    Example:
        >>> with_default_length({"batch_size": 32}, examples=1257)
        {'epochs': 200, 'patience': 25, 'batch_size': 32}
        >>> with_default_length({"epochs": 10}, examples=1257)
        {'epochs': 10, 'patience': 25}
    """
    batch_size = options.get("batch_size", BATCH_SIZE)
    steps = (
        max(1, math.ceil(examples / batch_size))
        if isinstance(batch_size, int) and batch_size > 0
        else 1
    )
    return {
        "epochs": min(MAX_EPOCHS, max(MIN_EPOCHS, math.ceil(MAX_UPDATES / steps))),
        "patience": min(MAX_PATIENCE, max(MIN_PATIENCE, math.ceil(PATIENCE_UPDATES / steps))),
        **options,
    }
