"""Columns of tables: what each is taken for, and their values as arrays.

A table is a structured array with one field per column: float32 with NaN for missing numbers, or
Python strings, empty where they are missing.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.lib.recfunctions import structured_to_unstructured

from dropout_zoo.models.argument_validation import as_names, did_you_mean
from dropout_zoo.models.wording import first_few
from dropout_zoo.training.data.array_checks import (
    Array,
    Columns,
    DataError,
    Kind,
    RawExamples,
    RawPart,
)
from dropout_zoo.training.data.tables.values import (
    as_numbers,
    numbers_of,
    refuse_dates,
    strings_of,
)
from dropout_zoo.training.defaults import Task

if TYPE_CHECKING:
    import keras

LISTED_COLUMNS = 20
_DATE = re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([T ].*)?")


class ColumnOptions(NamedTuple):
    """What is said about the columns of a table.

    Attributes:
        target: name of the target column; None where the targets are not in the table.
        drop: names of the columns that are left out.
        text: names of the columns of free text, whose words are the features.
    """

    target: str | None = None
    drop: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, target: str | None, drop: str | Sequence[str], text: str | Sequence[str]
    ) -> ColumnOptions:
        """Return the options with one name or several given."""
        return cls(target, as_names(drop), as_names(text))

    def given(self) -> list[str]:
        """Return the names of the options that are given."""
        return [name for name, value in self._asdict().items() if value not in (None, ())]


def table_part(
    name: str, frame: pd.DataFrame, options: ColumnOptions, columns: Columns | None = None
) -> tuple[RawPart, Task | None, Columns]:
    """Separate the target of a table from its features.

    Args:
        name: name of the table, for messages.
        frame: one row per example.
        options: what is said about its columns.
        columns: the columns of the training set, if this is another part; None to find them.

    Returns:
        Features and target; the task, if the type of the target implies one; and the columns.

    Raises:
        DataError: there is no such column, or one does not fit.
    """
    frame = _named(name, frame)
    target = options.target
    if target is None or target not in frame.columns:
        received = "no target" if target is None else repr(target)
        raise DataError(
            f"{name}: expected the target to be one of the columns {_listed(frame.columns)}, "
            f"received {received}; name it with target (--target)"
            f"{did_you_mean(target or '', frame.columns)}"
        )
    if len(frame.columns) < 2:
        raise DataError(
            f"{name}: expected columns besides the target {target!r}, received none; "
            "a model needs at least one input"
        )
    if frame.empty:
        raise DataError(f"{name}: expected rows below the header, received none")
    y, task = target_column(name, frame[target])
    x, columns = feature_columns(name, frame, options, columns)
    return RawPart(f"{name}: columns", x, f"{name}: column {target!r}", y), task, columns


def feature_columns(
    name: str,
    frame: pd.DataFrame,
    options: ColumnOptions,
    columns: Columns | None = None,
) -> tuple[Array, Columns]:
    """Return the columns of a table that are inputs.

    Args:
        name: name of the table, for messages.
        frame: one row per example.
        options: what is said about its columns.
        columns: the columns of the training set, if this is another part; None to find them.

    Returns:
        A structured array of shape ``(rows,)``, and the columns.

    Raises:
        DataError: a column is missing, or its values do not fit.
    """
    frame = _named(name, frame)
    if columns is None:
        columns = _find_columns(name, frame, options)
    fields = [(key, np.float32 if kind == "numbers" else object) for key, kind in
              columns.kinds.items()]  # fmt: skip
    table = np.empty(len(frame), dtype=fields)
    for key, kind in columns.kinds.items():
        _check_column(name, key, frame)
        values = numbers_of if kind == "numbers" else strings_of
        table[key] = values(f"{name}: column {key!r}", frame[key])
    return table, columns


def table_inputs(model: keras.Model, frame: pd.DataFrame) -> dict[str, Array]:
    """Return a data frame as the inputs of a model that predicts from raw columns.

    Args:
        model: a model of `Dataset.model_for_raw_columns` or a loaded ``best.keras``.
        frame: has the columns that the model takes; others are left out.

    Returns:
        One array of shape ``(rows,)`` per input: float32, NaN where a number is missing; or strings
        in an array of objects, empty where they are missing.

    Raises:
        DataError: a column is missing, or its values do not fit.

    Example:
        >>> import keras, pandas as pd
        >>> from dropout_zoo.training import table_inputs
        >>> inputs = [keras.Input((), name="age"), keras.Input((), name="job", dtype="string")]
        >>> model = keras.Model(inputs, inputs)
        >>> frame = pd.DataFrame({"id": [1, 2], "age": [30, None], "job": [None, "nurse"]})
        >>> table_inputs(model, frame)["job"]
        array(['', 'nurse'], dtype=object)
    """
    source = "data frame"
    frame = _named(source, frame)
    columns: dict[str, Array] = {}
    for given in model.inputs:
        _check_column(source, given.name, frame)
        values = strings_of if given.dtype == "string" else numbers_of
        columns[given.name] = values(f"{source}: column {given.name!r}", frame[given.name])
    return columns


def is_table(x: object) -> bool:
    """Return whether inputs are a structured array with one field per column."""
    return isinstance(x, np.ndarray) and x.dtype.names is not None


def with_plain_arrays(examples: RawExamples) -> RawExamples:
    """Return examples with tables as arrays, if no table needs to be encoded.

    Args:
        examples: the examples.

    Returns:
        The same examples. Tables become float32 of shape ``(rows, columns)`` if all of them hold
        nothing but numbers and none is missing, or if another part is an array.

    Raises:
        DataError: a part is a table that needs to be encoded, and another is an array.
    """
    tables = [part for part in examples.parts if is_table(part.x)]
    incomplete = [part for part in tables if not _is_complete(part.x)]
    if incomplete and len(tables) == len(examples.parts):
        return examples
    if incomplete:
        raise DataError(
            f"{incomplete[0].x_name}: expected every part as a data frame, because this one has "
            "strings or missing values, received an array for another part"
        )
    parts = tuple(
        part._replace(x=structured_to_unstructured(part.x)) if is_table(part.x) else part
        for part in examples.parts
    )
    return examples._replace(parts=parts)


def _is_complete(table: Array) -> bool:
    """Whether there are only numbers, and none is missing."""
    names = table.dtype.names or ()
    return all(table.dtype[name].kind == "f" and not np.isnan(table[name]).any() for name in names)


def describe_columns(
    columns: Columns, details: Mapping[str, str] | None = None, constant: Sequence[str] = ()
) -> tuple[str, ...]:
    """Say what the columns of a table are taken for.

    Args:
        columns: the columns.
        details: what to say about some of them, by name.
        constant: names of those that do not vary in the training set.

    Returns:
        One line for the columns of each kind.
    """
    details = details or {}
    groups: dict[str, list[str]] = {"numbers": [], "categories": [], "text": []}
    for name, kind in columns.kinds.items():
        if name not in constant:
            detail = details.get(name)
            groups[kind].append(f"{name} ({detail})" if detail else name)
    groups |= {"constant": list(constant), "dropped": list(columns.dropped)}
    return tuple(f"{group:<10} {_listed(names)}" for group, names in groups.items() if names)


def target_column(source: str, column: pd.Series) -> tuple[Array, Task | None]:
    """Return a column of a table as labels or targets, in the shape that `Model.fit` gives it.

    Args:
        source: name of the table, for messages.
        column: the column.

    Returns:
        The values, of shape ``(rows, 1)``, and the task, if the type of the column implies one.

    Raises:
        DataError: a value is missing.
    """
    missing = column.isna()
    if missing.any():
        raise DataError(
            f"{source}: column {column.name!r}: expected a target in every row, received none (NaN "
            f"or empty) in {missing.sum():,} of {len(column):,} rows, the first in row "
            f"{missing.argmax() + 1}; fill them, or remove the rows"
        )
    task: Task | None = None
    if isinstance(column.dtype, pd.CategoricalDtype):
        column, task = column.astype(column.cat.categories.dtype), "classification"
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=object)[:, None], task
    return column.to_numpy(dtype=column.dtype.name.lower())[:, None], task


def check_names(source: str, names: Sequence[str]) -> None:
    """Check that the columns of a table have names of their own.

    Raises:
        DataError: a name is empty, or there twice.
    """
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise DataError(
            f"{source}: column {twice[0]!r}: expected different names, received it twice"
        )
    if not all(names):
        # Most often the row numbers, from which a model would learn.
        raise DataError(
            f"{source}: column {list(names).index('') + 1}: expected a name, received none; name "
            "it, or leave out the row numbers (in pandas: index=False)"
        )


def _named(source: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns have strings as names."""
    names = [str(name) for name in frame.columns]
    check_names(source, names)
    return frame.set_axis(names, axis=1)


def _check_column(source: str, name: str, frame: pd.DataFrame) -> None:
    if name not in frame.columns:
        raise DataError(
            f"{source}: expected the columns of the training set, received none named {name!r}"
            f"{did_you_mean(name, frame.columns)}"
        )


def _listed(names: Sequence[str]) -> str:
    return first_few(list(names), LISTED_COLUMNS)


def _find_columns(source: str, frame: pd.DataFrame, options: ColumnOptions) -> Columns:
    names = [name for name in frame.columns if name != options.target]
    for option in ("drop", "text"):
        for name in getattr(options, option):
            if name == options.target:
                raise DataError(
                    f"{source}: expected {option} (--{option}) to name inputs, received the target "
                    f"{name!r}"
                )
            if name not in names:
                raise DataError(
                    f"{source}: expected {option} (--{option}) to name one of the columns "
                    f"{_listed(names)}, received {name!r}{did_you_mean(name, names)}"
                )
    both = set(options.drop) & set(options.text)
    if both:
        raise DataError(
            f"{source}: expected columns in drop (--drop) or in text (--text), received "
            f"{min(both)!r} in both"
        )
    kept = [name for name in names if name not in options.drop]
    if not kept:
        raise DataError(f"{source}: expected at least one input, received drop with every column")
    kinds = {
        name: _kind(f"{source}: column {name!r}", name, frame[name], name in options.text)
        for name in kept
    }
    return Columns(kinds, tuple(options.drop))


def _kind(where: str, name: str, column: pd.Series, is_text: bool) -> Kind:
    """Find out what a column of the training set is taken for."""
    values = column.dropna().astype(object)
    option = shlex.quote(name)
    if values.empty:
        raise DataError(
            f"{where}: expected values, received none in any row; leave it out with drop "
            f"(--drop {option})"
        )
    if is_text:
        strings_of(where, column)
        return "text"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "categories"
    if pd.api.types.is_numeric_dtype(column.dtype) and column.dtype.kind != "c":
        return "numbers"
    strings = np.array([isinstance(value, str) for value in values])
    numeric = as_numbers(values).notna()
    if numeric.all() and not strings.any():
        return "numbers"
    if 2 * numeric.sum() > len(values):
        numbers_of(where, column)  # raises for one or a few typing errors
        raise DataError(
            f"{where}: expected numbers, or names of categories, received numbers stored as "
            f"strings ({values.iloc[strings.argmax()]!r}); convert the column with "
            "pandas.to_numeric, or with astype('category') if they name categories"
        )
    strings_of(where, column)
    levels = values.unique()
    if all(map(_DATE.fullmatch, levels)):
        refuse_dates(where, levels[0])
    if 2 * len(levels) > len(values):
        raise DataError(
            f"{where}: expected categories that repeat, received {len(levels):,} different strings "
            f"in {len(values):,} rows; leave it out with drop (--drop {option}) if it identifies "
            f"the rows, or name it in text (--text {option}) if it holds words"
        )
    return "categories"
