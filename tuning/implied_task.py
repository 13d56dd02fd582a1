"""The task that the loss of a model implies, where the type of the labels says another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from dropout_zoo.models.factory import ModelLike, builder_arguments, resolve_model
from dropout_zoo.training.data.array_checks import Array
from dropout_zoo.training.data.loaders import NAMED_SETS, read_examples
from dropout_zoo.training.data.tables.columns import ColumnOptions
from dropout_zoo.training.data.targets import task_of_loss
from dropout_zoo.training.defaults import Task

NO_OPTIONS = ColumnOptions.of(None, (), ())


def with_known_loss(model: ModelLike) -> ModelLike:
    """Build the model of a function that needs no data, so that its loss is known.

    Args:
        model: as for `tune`.

    Returns:
        The model that a function without the argument `adapt_to` returns; any other as it is.

    Raises:
        ValueError: the function fails, or there is no such function.
    """
    by_function = ":" in model if isinstance(model, str) else not isinstance(model, keras.Model)
    if not by_function or "adapt_to" in builder_arguments(model):
        return model
    return resolve_model(model)


def implied_task(model: Any, x: Any, y: Any, columns: ColumnOptions = NO_OPTIONS) -> Task | None:
    """Return the task of labels that a model takes for something else than `as_dataset` does.

    Args:
        model: the model; nothing is known of names and functions (see `with_known_loss`).
        x: the inputs; a pair ``(x, y)``; a data frame with the target column; or the path of a
            file, which is read if it may matter.
        y: the labels, or None.
        columns: what is said about the columns of a table.

    Returns:
        ``"regression"`` for integers other than 0 and 1 if the model has one output unit and a loss
        that is not for classes; ``"classification"`` for floats if the loss takes class numbers;
        otherwise None.
    """
    task = task_of_loss(model) if isinstance(model, keras.Model) else None
    labels = None if task is None else _labels(x, y, columns)
    if labels is None:
        return None
    if labels.dtype.kind == "f" and task == "classification":
        return task
    quantities = labels.dtype.kind in "iu" and not np.isin(labels, (0, 1)).all()
    return task if quantities and task == "regression" else None


def _labels(x: Any, y: Any, columns: ColumnOptions) -> Array | None:
    """Return what could be one label for each example."""
    target = columns.target
    if isinstance(x, str | Path):
        if y is not None or x in NAMED_SETS or Path(x).is_dir():  # known to be classes
            return None
        y = read_examples(x, options=columns).parts[0].y
    elif target is not None and isinstance(x, pd.DataFrame) and target in x.columns:
        y = x[target]
    elif y is None and isinstance(x, tuple) and len(x) == 2:
        y = x[0][1] if isinstance(x[0], tuple) and len(x[0]) == 2 else x[1]
    if y is x or not isinstance(y, list | np.ndarray | pd.Series | pd.DataFrame):
        return None
    try:
        labels = np.asarray(y)
    except ValueError:  # lists of different lengths
        return None
    return labels if labels.ndim == 1 or labels.shape[1:] == (1,) else None
