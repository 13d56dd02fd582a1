"""Objectives: the metric by which training runs are compared, and the best epoch by it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from dropout_zoo.models.argument_validation import did_you_mean
from dropout_zoo.models.wording import object_of

# Ends of metric names, as Keras spells them.
_LARGER_IS_BETTER = (
    "accuracy", "acc", "auc", "precision", "recall", "f1_score", "fbeta_score", "r2_score",
    "true_positives", "true_negatives", "cosine_similarity", "iou", "mean_io_u",
    "sensitivity_at_specificity", "specificity_at_sensitivity", "precision_at_recall",
    "recall_at_precision", "concordance_correlation", "pearson_correlation",
)  # fmt: skip
_COUNTED = ("true_positives", "true_negatives")  # of those above, the ones that can exceed 1
_SMALLER_IS_BETTER = (
    "loss", "error", "mse", "mae", "mape", "msle", "rmse", "crossentropy", "hinge", "logcosh",
    "log_cosh", "poisson", "divergence", "false_positives", "false_negatives",
)  # fmt: skip


_LONG_NAMES = {
    "acc": "accuracy",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
    "rmse": "root_mean_squared_error",
}
"""Common abbreviations of the names that Keras gives metrics."""

_COMMON_METRICS = ("loss", "accuracy", "auc", "precision", "recall", "mse", "mae")


class Objective(NamedTuple):
    """A metric by which training runs are compared, and its direction.

    Attributes:
        name: a column of the learning curves, such as ``"val_loss"`` or ``"val_accuracy"``.
        direction: ``"min"`` or ``"max"``.

    Example:
        >>> from dropout_zoo.training import Objective
        >>> objective = Objective("val_accuracy", "max")
        >>> objective.is_better(0.9, than=0.8)
        True
    """

    name: str
    direction: str

    @property
    def worst(self) -> float:
        """The value on which every measured one improves."""
        return math.inf if self.direction == "min" else -math.inf

    def is_better(self, value: float, than: float) -> bool:
        """Return whether a value improves on another; NaN never does."""
        return value < than if self.direction == "min" else value > than

    def gain(self, value: float, over: float) -> float:
        """Return by how much a value improves on another; negative if it is worse."""
        return over - value if self.direction == "min" else value - over

    def largest_gain(self, over: float) -> float:
        """Return by how much any value can improve on another; infinity if it is not known."""
        bounded = self.direction == "max" and self.name.endswith(_LARGER_IS_BETTER)
        if not bounded or self.name.endswith(_COUNTED) or over > 1:  # such as percentages
            return math.inf
        return 1 - over


class NamedObjective(Protocol):
    """An objective with a name and a direction, such as a `keras_tuner.Objective`."""

    @property
    def name(self) -> str:
        """A column of the learning curves."""

    @property
    def direction(self) -> str:
        """``"min"`` or ``"max"``."""


def parse_objective(text: str | NamedObjective) -> Objective:
    """Parse an objective such as ``"val_loss"`` or ``"val_my_score:max"``.

    Args:
        text: a column of the learning curves, followed by ``":min"`` or ``":max"`` if the name
            does not imply the direction; or an `Objective`, or a `keras_tuner.Objective`.

    Returns:
        The objective.

    Raises:
        ValueError: the direction is neither given nor implied.
        TypeError: it is none of these, such as a list.

    Example:
        >>> from dropout_zoo.training import parse_objective
        >>> parse_objective("val_accuracy")
        Objective(name='val_accuracy', direction='max')
        >>> parse_objective("val_my_score:min")
        Objective(name='val_my_score', direction='min')
    """
    if not isinstance(text, str):
        # KerasTuner's combination of several has a name and a direction, too.
        if not hasattr(text, "direction") or hasattr(text, "objectives"):
            raise TypeError(
                "expected objective to be one metric, such as 'val_loss', received "
                f"{object_of(text)}; training runs are compared by one number"
            )
        return Objective(text.name, text.direction)
    name, colon, direction = text.partition(":")
    if not colon:
        if name.endswith(_LARGER_IS_BETTER):
            direction = "max"
        elif name.endswith(_SMALLER_IS_BETTER):
            direction = "min"
    if not name or direction not in ("min", "max"):
        hint = "" if colon else did_you_mean_objective(name, _COMMON_METRICS)
        raise ValueError(
            "expected an objective whose direction is known, such as 'val_loss', or given, such "
            f"as 'val_score:max', received {text!r}{hint}"
        )
    return Objective(name, direction)


def did_you_mean_objective(name: str, metrics: Iterable[str]) -> str:
    """Return a hint naming the objective closest to a wrong one.

    Args:
        name: the wrong objective, with or without the prefix ``val_``.
        metrics: the names of the metrics, without a prefix.

    Returns:
        ``"; did you mean 'val_loss'?"``, or an empty string if none is similar. It is always a
        metric on the validation set, because those of training favor a lower rate.
    """
    bare = name.removeprefix("val_").removeprefix("train_")
    long = _LONG_NAMES.get(bare, bare)
    known = {_LONG_NAMES.get(metric, metric): f"val_{metric}" for metric in metrics}
    if long in known:
        return f"; did you mean {known[long]!r}?"
    if long in _LONG_NAMES.values() and long != "accuracy":
        return ""  # the name of another metric, however similar
    # The prefix alone makes short names similar.
    return did_you_mean(f"val_{bare}", known.values(), cutoff=0.7)


def check_validation_objective(objective: Objective) -> None:
    """Check that an objective can tell how much dropout helps.

    Args:
        objective: the objective of a search.

    Raises:
        ValueError: it is measured on the training examples.
    """
    if objective.name.startswith("val_"):
        return
    off = objective.name.startswith("train_")
    reason = "" if off else ", measured with dropout on"
    raise ValueError(
        "expected a metric of the validation set as the objective, whose name begins with 'val_', "
        f"such as 'val_loss', received {objective.name!r}, a metric of the training "
        f"examples{reason}, by which less dropout always looks better"
    )


def training_objective_fault(objective: Any) -> str | None:
    """Say what is wrong with an objective of KerasTuner that is measured on training examples.

    Args:
        objective: a `keras_tuner.Objective`, or several together.

    Returns:
        The message; None for objectives of the validation set.
    """
    for each in getattr(objective, "objectives", [objective]):
        try:
            check_validation_objective(Objective(each.name, each.direction))
        except ValueError as error:
            return str(error)
    return None


def as_columns(measured: Mapping[str, Any]) -> dict[str, float]:
    """Split array-valued metrics into columns of numbers.

    Args:
        measured: values by metric; some, such as a score per class, are arrays.

    Returns:
        Numbers by name; those of an array are ``<name>_0``, ``<name>_1`` and so on.
    """
    columns: dict[str, float] = {}
    for name, value in measured.items():
        numbers = np.ravel(value)
        many = np.ndim(value) > 0
        columns |= {f"{name}_{i}" if many else name: float(n) for i, n in enumerate(numbers)}
    return columns


@dataclass
class BestEpoch:
    """The best epoch of a training run so far, and whether to stop.

    Attributes:
        objective: the objective.
        patience: epochs without improvement after which to stop; None for never.
        epoch: the best epoch so far, from 1; 0 before the first.
        value: the objective at that epoch.
    """

    objective: Objective
    patience: int | None = None
    epoch: int = 0
    value: float = math.nan

    def improves(self, epoch: int, value: float) -> bool:
        """Record an epoch, and return whether it is the best so far."""
        if self.epoch and not self.objective.is_better(value, self.value):
            return False
        self.epoch, self.value = epoch, value
        return True

    def out_of_patience(self, epoch: int) -> bool:
        """Return whether the last improvement is at least `patience` epochs ago."""
        return self.patience is not None and epoch - self.epoch >= self.patience
