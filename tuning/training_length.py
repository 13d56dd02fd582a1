"""How long a search trains: counted in updates of the weights, for data of any size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dropout_zoo.training.members import TrainedMember

MAX_UPDATES = 8000
PATIENCE_UPDATES = 1000
# What trains for few updates on much data, or for many epochs on little, is kept within reason.
MIN_EPOCHS, MAX_EPOCHS = 20, 500
MIN_PATIENCE, MAX_PATIENCE = 5, 100

LAST_TENTH = 0.9
TOLERATED_SHARE = 0.25


def with_length(options: Mapping[str, Any], examples: int) -> dict[str, Any]:
    """Add the number of epochs and the patience to settings that do not name them.

    Training ends when the objective has not improved for about 1,000 updates of the weights (5 to
    100 epochs), and after about 8,000 updates at the latest (20 to 500 epochs).

    Args:
        options: settings of `TrainSettings` by name.
        examples: number of training examples.

    Returns:
        The settings, with ``epochs`` and ``patience``.

    Example:
        >>> with_length({"batch_size": 32}, examples=1257)
        {'epochs': 200, 'patience': 25, 'batch_size': 32}
        >>> with_length({"epochs": 10}, examples=1257)
        {'epochs': 10, 'patience': 25}
    """
    batch_size = options.get("batch_size", 32)
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


def has_ended(trained: TrainedMember, max_epochs: int) -> bool:
    """Return whether a training was long enough to tell its best epoch.

    Args:
        trained: the training.
        max_epochs: the epoch after which it was stopped at the latest.

    Returns:
        False if it was stopped there although its best epoch lies in the last tenth.
    """
    cut_off = len(trained.curves) >= max_epochs
    return not (cut_off and trained.best_epoch > LAST_TENTH * max_epochs)


def share_not_ended(trainings: Sequence[TrainedMember], max_epochs: int) -> float:
    """Return the share of training runs that were stopped before they had ended."""
    return sum(not has_ended(each, max_epochs) for each in trainings) / len(trainings)
