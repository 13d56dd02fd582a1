"""Names of metrics, and how they are displayed."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


def accuracy_names(columns: Iterable[object]) -> list[str]:
    """Find the accuracies among the columns of learning curves.

    Args:
        columns: names of columns, with the prefixes ``train_`` and ``val_``.

    Returns:
        Their names without prefix; several for a model with several outputs.
    """
    names = [str(column) for column in columns]
    # Keras names accuracies by their kind: binary_accuracy, sparse_categorical_accuracy.
    return [name for name in names if name.endswith(("accuracy", "acc")) and f"val_{name}" in names]


def accuracy_name(columns: Iterable[object]) -> str | None:
    """Find the first accuracy among the columns of learning curves; None where there is none."""
    return next(iter(accuracy_names(columns)), None)


def display_names(metric: str) -> tuple[str, str]:
    """Describe how a metric is displayed: an accuracy as its error in percent, others unchanged.

    Args:
        metric: a column, such as ``"val_accuracy"``.

    Returns:
        Label of the axis, and name of what is displayed without prefix, such as ``"error"``.
    """
    part, name = split_part(metric)
    where = {"val_": "validation ", "train_": "training ", "": ""}[part]
    if name.endswith(("accuracy", "acc")):
        return f"{where}error (%)", "error"
    return f"{where}{name.replace('_', ' ')}", name


def drawn_values(values: pd.Series, metric: str) -> pd.Series:
    """Convert the values of a metric to those displayed: an accuracy to its error in percent."""
    if split_part(metric)[1].endswith(("accuracy", "acc")):
        return 100 * (1 - values)
    return values


def rate_text(rate: float) -> str:
    """Format a rate with two decimal places, or with more where it has them."""
    return f"{rate:.2f}" if rate == round(rate, 2) else f"{rate:g}"


AFTER_TRAINING = {
    "clean_accuracy": "error (%) on correct labels after the last epoch",
    "memorized": "share of the wrong labels memorized",
    "rare_recall": "recall of the rare class",
    "corrupted_accuracy": "error (%) on corrupted inputs",
    "corrupted_loss": "cross-entropy (nats) on corrupted inputs",
    "ece": "expected calibration error",
    "entropy": "mean entropy of the prediction (nats)",
    "mutual_information": "mean mutual information (nats)",
    "gap": "gap after the last epoch (percentage points)",
}
"""Axis labels of what studies measure after training."""

MEASURED_AFTER_TRAINING = {
    "clean_accuracy": "accuracy on correct labels",
    "rare_recall": "recall of the rare class",
    "corrupted_accuracy": "accuracy on corrupted inputs",
}
"""Their names in sentences, which give them as they were measured."""


def axis_label(metric: str) -> str:
    """Return the label of an axis that shows a metric of trained models.

    Args:
        metric: a column of the scores.

    Returns:
        The label.
    """
    return AFTER_TRAINING.get(metric) or f"{display_names(metric)[0]} at the best epoch"


def split_part(metric: str) -> tuple[str, str]:
    """Split the name of a column into its prefix (``"val_"``, ``"train_"``, or none) and metric."""
    for part in ("val_", "train_"):
        if metric.startswith(part):
            return part, metric.removeprefix(part)
    return "", metric
