"""Names of what was measured, and how a person reads them."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


def accuracy_name(columns: Iterable[object]) -> str | None:
    """Find the accuracy among the columns of learning curves.

    Args:
        columns: names of columns; training and validation are told by ``train_`` and ``val_``.

    Returns:
        Its name without ``train_`` or ``val_``; None where none was measured.
    """
    names = [str(column) for column in columns]
    for name in names:
        # Keras names accuracies by their kind: binary_accuracy, sparse_categorical_accuracy.
        if name.endswith(("accuracy", "acc")) and f"val_{name}" in names:
            return name
    return None


def readable(metric: str) -> tuple[str, str]:
    """How a metric is drawn: an accuracy as its error in percent, others as they are.

    Args:
        metric: a column, such as ``"val_accuracy"``.

    Returns:
        Label of the axis, and name of what is drawn without its part (``"error"``).
    """
    part, name = split_part(metric)
    where = {"val_": "validation ", "train_": "training ", "": ""}[part]
    if name.endswith(("accuracy", "acc")):
        return f"{where}error (%)", "error"
    return f"{where}{name.replace('_', ' ')}", name


def drawn_values(values: pd.Series, metric: str) -> pd.Series:
    """The values of a metric as they are drawn: the error in percent for an accuracy."""
    if split_part(metric)[1].endswith(("accuracy", "acc")):
        return 100 * (1 - values)
    return values


def rate_text(rate: float) -> str:
    """Write a rate with two digits behind the point, or with more where it has them."""
    return f"{rate:.2f}" if rate == round(rate, 2) else f"{rate:g}"


AFTER_TRAINING = {
    "clean_accuracy": "error (%) on right labels after the last epoch",
    "memorised": "share of the wrong labels learnt by heart",
    "rare_recall": "recall of the rare class",
    "corrupted_accuracy": "error (%) on corrupted inputs",
    "corrupted_loss": "cross-entropy (nats) on corrupted inputs",
    "ece": "expected calibration error",
    "entropy": "mean entropy of the prediction (nats)",
    "mutual_information": "mean mutual information (nats)",
    "gap": "gap after the last epoch (points of accuracy, dropout off)",
}
"""Labels of what studies measure after a training."""


def axis_label(metric: str) -> str:
    """The label of an axis on which a metric of trained models is drawn.

    Args:
        metric: a column of the scores.

    Returns:
        The label.
    """
    return AFTER_TRAINING.get(metric) or f"{readable(metric)[0]} at the best epoch"


def split_part(metric: str) -> tuple[str, str]:
    """Split a column into ``"val_"``, ``"train_"`` or nothing, and the metric."""
    for part in ("val_", "train_"):
        if metric.startswith(part):
            return part, metric.removeprefix(part)
    return "", metric
