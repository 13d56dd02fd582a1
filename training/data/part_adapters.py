"""Converts what is given for one part of a dataset, such as `validation_data`, to arrays."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dropout_zoo.models.argument_validation import percent_hint
from dropout_zoo.training.data.array_checks import Array, Columns, DataError, RawPart
from dropout_zoo.training.data.sources.batches import read_batches, source_of
from dropout_zoo.training.data.structures import Structure, is_structure, num_examples, take
from dropout_zoo.training.data.tables.columns import (
    ColumnOptions,
    feature_columns,
    table_part,
    target_column,
)
from dropout_zoo.training.defaults import Task

ARRAYS = "arrays"
"""The name of data that have no name of their own, for messages."""


class GivenPart(NamedTuple):
    """A part as it was given, the task, if its type implies one, and the columns of a table."""

    part: RawPart
    task: Task | None
    columns: Columns | None = None


def adapt_pair(
    name: str, data: Any, options: ColumnOptions, columns: Columns | None
) -> tuple[GivenPart, Any]:
    """Convert a part other than the training set to arrays.

    Args:
        name: name of the part, for messages.
        data: what was given for it: a pair, a triple with weights, inputs alone, a source of
            batches or, with a target column, a data frame.
        options: what is said about the columns of a table.
        columns: the columns of the training set, if it is a table.

    Returns:
        The part, and the weights of its examples or None.

    Raises:
        DataError: it is nothing of that, or its values do not fit.
    """
    target = options.target
    if target is not None and isinstance(data, pd.DataFrame):
        return adapt_part(name, data, None, options, columns), None
    options = options._replace(target=None)
    source = source_of(data)
    if source is not None:
        x, y, weight, _ = read_batches(name, source)
        return adapt_part(name, x, y, options, columns), weight
    given = data if isinstance(data, (tuple, list)) else (data,)
    alone = len(given) == 1 and target is None and _is_data(given[0])
    if len(given) not in (2, 3) and not alone:
        form = "a pair (x, y), a triple with weights, or x alone where there are no targets"
        if target is not None:
            form = "a data frame with the target column"
        raise DataError(f"{name}: expected {form}, received {type(data).__name__}")
    x, y, weight = [*given, None, None][:3]
    return adapt_part(name, x, y, options, columns), weight


def _is_data(value: Any) -> bool:
    return isinstance(value, dict) or hasattr(value, "__array__")


def adapt_test_part(data: Any, options: ColumnOptions, columns: Columns | None) -> GivenPart:
    """Convert the test set, which has no weights, to arrays.

    Args:
        data: as in `adapt_pair`, like the next two arguments.
        options: what is said about the columns of a table.
        columns: the columns of the training set, if it is a table.

    Returns:
        The part.

    Raises:
        DataError: it has weights, or does not fit.
    """
    part, weight = adapt_pair(f"{ARRAYS}: test_data", data, options, columns)
    if weight is not None:
        raise DataError(
            f"{ARRAYS}: test_data: expected a pair (x, y), received weights besides; the test set "
            "has none"
        )
    return part


def adapt_part(
    name: str, x: Any, y: Any, options: ColumnOptions, columns: Columns | None = None
) -> GivenPart:
    """Convert inputs and targets to arrays, or structures of arrays.

    Args:
        name: name of the part, for messages.
        x: the inputs, or a data frame with the target column.
        y: the targets; None where they are in `x`, or there are none.
        options: what is said about the columns of a table.
        columns: the columns of the training set, if this is another part of a table.

    Returns:
        The part.

    Raises:
        DataError: a value does not fit.
        ValueError: options for tables are given with other data.
        TypeError: a type is not supported.
    """
    if options.target is not None:
        if not isinstance(x, pd.DataFrame) or y is not None:
            received = "y with it" if y is not None else type(x).__name__
            raise ValueError(
                f"expected target with a data frame that has this column, received {received}"
            )
        return GivenPart(*table_part(name, x, options, columns))
    x_name, y_name = f"{name} x", f"{name} y"
    task: Task | None = None
    if y is x and not is_structure(x):
        y, task = np.zeros(len(x), np.float32), "reconstruction"  # which has no labels
    elif isinstance(y, pd.Series):
        y, task = target_column(y_name, y)
    if isinstance(x, pd.DataFrame):
        x, columns = feature_columns(x_name, x, options, columns)
    elif options.given() and columns is None:
        raise ValueError(
            f"expected {options.given()[0]} with a data frame, received {type(x).__name__}"
        )
    x, y = _structure(x_name, x, y), None if y is None else _structure(y_name, y, x)
    return GivenPart(RawPart(x_name, x, y_name, y), task, columns)


def split_off_last_rows(given: GivenPart, share: float) -> tuple[GivenPart, GivenPart]:
    """Split off the last rows, rounded as `Model.fit` rounds.

    Args:
        given: the training set.
        share: the fraction to split off.

    Returns:
        The first rows and the last ones.

    Raises:
        ValueError: the fraction is not in (0, 1), or leaves one part without examples.
    """
    if not isinstance(share, (float, np.floating)) or not 0 < share < 1:
        raise ValueError(
            f"expected validation_split to be in (0, 1), received {share!r}"
            f"{percent_hint(share)}; leave it out for a validation set that is drawn at random, or "
            "pass validation_data"
        )
    (x_name, x, y_name, y), task, columns = given
    count = num_examples(x)
    kept = math.floor(count * (1 - share))
    if not 0 < kept < count:
        raise ValueError(
            f"expected validation_split to leave examples for both parts, received {share} of "
            f"{count} examples"
        )
    place = f"the last {count - kept} rows, from validation_split"
    first, last = slice(None, kept), slice(kept, None)
    return (
        GivenPart(RawPart(x_name, take(x, first), y_name, take(y, first)), task, columns),
        GivenPart(
            RawPart(f"{x_name} ({place})", take(x, last), f"{y_name} ({place})", take(y, last)),
            task,
        ),
    )


def _structure(name: str, values: Any, other: Any) -> Structure:
    """Return inputs or targets as an array, or as a structure of arrays.

    A list of arrays is several inputs or outputs, unless each is the row of an example.
    """
    if not is_structure(values) or (isinstance(values, list) and _are_rows(values, other)):
        return _array(name, values)
    if isinstance(values, dict):
        return {key: _structure(f"{name}[{key!r}]", each, other) for key, each in values.items()}
    return type(values)(
        _structure(f"{name}[{number}]", each, other) for number, each in enumerate(values)
    )


def _are_rows(values: list[Any], other: Any) -> bool:
    """Whether the number of examples is that of the arrays, and not their length."""
    if is_structure(other) or isinstance(values[0], (dict, list, tuple)):
        return False
    if not isinstance(other, (list, tuple)) and not getattr(other, "shape", ()):
        return False  # a single number, which has no length
    return len(values) == len(other) != len(values[0])


def _array(name: str, values: Any) -> Array:
    check_type(name, values)
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name}: expected arrays, received nested lists: {error}") from None


def check_type(name: str, values: Any) -> None:
    """Check that values are of a type that converts to arrays.

    Args:
        name: name of the values, for the message.
        values: what was given.

    Raises:
        TypeError: they are not.
    """
    if not isinstance(values, (list, tuple, dict)) and not hasattr(values, "__array__"):
        remedy = "collect batches in one array"
        for method in ("toarray", "to_tensor"):  # of SciPy's sparse arrays, and ragged tensors
            if hasattr(values, method):
                remedy = f"pass {name.rpartition(' ')[2]}.{method}()"
        raise TypeError(
            f"{name}: expected an array, nested lists, a data frame or a dict of these, received "
            f"{type(values).__name__}; {remedy}"
        )
