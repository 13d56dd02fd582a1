"""What a training is judged by: a metric, its direction, and the best epoch so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

# Ends of metric names, as Keras spells them.
_LARGER_IS_BETTER = (
    "accuracy", "acc", "auc", "precision", "recall", "f1_score", "fbeta_score", "r2_score",
    "true_positives", "true_negatives", "cosine_similarity", "iou", "mean_io_u",
    "sensitivity_at_specificity", "specificity_at_sensitivity", "precision_at_recall",
    "recall_at_precision", "concordance_correlation", "pearson_correlation",
)  # fmt: skip
_SMALLER_IS_BETTER = (
    "loss", "error", "mse", "mae", "mape", "msle", "rmse", "crossentropy", "hinge", "logcosh",
    "log_cosh", "poisson", "divergence", "false_positives", "false_negatives",
)  # fmt: skip


class Objective(NamedTuple):
    """A metric to judge by, and its direction.

    Attributes:
        name: a column of the learning curves, such as ``"val_loss"`` or ``"val_accuracy"``.
        direction: ``"min"`` or ``"max"``.
    """

    name: str
    direction: str

    @property
    def worst(self) -> float:
        """The value that every measured one improves on."""
        return math.inf if self.direction == "min" else -math.inf

    def is_better(self, value: float, than: float) -> bool:
        """Whether a value improves on another; not-a-number improves on nothing."""
        return value < than if self.direction == "min" else value > than

    def gain(self, value: float, over: float) -> float:
        """By how much a value improves on another; negative where it is worse."""
        return over - value if self.direction == "min" else value - over


def parse_objective(text: str | Objective) -> Objective:
    """Read an objective such as ``"val_loss"``, or ``"val_my_score:max"`` with its direction.

    Args:
        text: name of a column of the learning curves, with ``:min`` or ``:max`` behind it where
            the name does not tell.

    Returns:
        The objective.

    Raises:
        ValueError: the direction is neither given nor known.
    """
    if isinstance(text, Objective):
        return text
    name, _, direction = text.partition(":")
    if not direction:
        if name.endswith(_LARGER_IS_BETTER):
            direction = "max"
        elif name.endswith(_SMALLER_IS_BETTER):
            direction = "min"
    if not name or direction not in ("min", "max"):
        raise ValueError(
            "expected an objective whose direction is known, such as 'val_loss', or one with it, "
            f"such as 'val_score:max'; received {text!r}"
        )
    return Objective(name, direction)


def as_columns(measured: Mapping[str, Any]) -> dict[str, float]:
    """Give each number a column of its own.

    Args:
        measured: values of metrics; some, such as a score by class, are arrays.

    Returns:
        Numbers by name; those of an array as ``<name>_0``, ``<name>_1`` and so on.
    """
    columns: dict[str, float] = {}
    for name, value in measured.items():
        numbers = np.ravel(value)
        many = np.ndim(value) > 0
        columns |= {f"{name}_{i}" if many else name: float(n) for i, n in enumerate(numbers)}
    return columns


@dataclass
class BestEpoch:
    """Follows a training: its best epoch so far, and whether to stop.

    Attributes:
        objective: what decides.
        patience: epochs without improvement after which to stop, or None for never.
        epoch: the best epoch so far, counted from 1; 0 before the first.
        value: the objective at that epoch.
    """

    objective: Objective
    patience: int | None = None
    epoch: int = 0
    value: float = math.nan

    def improves(self, epoch: int, value: float) -> bool:
        """Take note of an epoch; whether it is the best so far."""
        if self.epoch and not self.objective.is_better(value, self.value):
            return False
        self.epoch, self.value = epoch, value
        return True

    def out_of_patience(self, epoch: int) -> bool:
        """Whether the last improvement is longer ago than the patience."""
        return self.patience is not None and epoch - self.epoch >= self.patience
