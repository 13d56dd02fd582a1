"""The values in the columns of a table: numbers or strings, and what else is refused."""

from __future__ import annotations

import datetime
from typing import NoReturn

import numpy as np
import pandas as pd

from dropout_zoo.training.data.array_checks import Array, DataError


def numbers_of(where: str, column: pd.Series) -> Array:
    """Return a column of numbers as float32, NaN where they are missing.

    Args:
        where: name of the table and the column, for messages.
        column: the column.

    Returns:
        An array of shape ``(rows,)``.

    Raises:
        DataError: a value is no number, or not finite.
    """
    numbers = as_numbers(column)
    broken = numbers.isna() & column.notna()
    if broken.any():
        raise DataError(
            f"{where}: expected numbers, received {_first(column, broken)}, one of "
            f"{broken.sum():,} values that are not numbers; correct them, leave the "
            "fields empty if the values are missing, or leave out the column with drop (--drop)"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        array: Array = numbers.to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32)
    infinite = np.isinf(array)
    if infinite.any():
        raise DataError(
            f"{where}: expected finite float32 numbers, received infinite or too large values in "
            f"{infinite.sum():,} rows, the first in row {infinite.argmax() + 1}; correct them, or "
            "leave the fields empty if the values are missing"
        )
    return array


def strings_of(where: str, column: pd.Series) -> Array:
    """Return a column of strings, empty where they are missing.

    Args:
        where: name of the table and the column, for messages.
        column: the column.

    Returns:
        An array of shape ``(rows,)``.

    Raises:
        DataError: a value is no string.
    """
    missing = column.isna()
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object).where(missing, column.astype(str))
    strings = column.astype(object).where(~missing, "")
    other = pd.Series([not isinstance(value, str) for value in strings])
    if other.any():
        value = strings.iloc[other.argmax()]
        if isinstance(value, datetime.date):
            refuse_dates(where, value)
        raise DataError(
            f"{where}: expected numbers or strings, received {_first(column, other)} of type "
            f"{type(value).__name__}; convert the column, or leave it out with drop (--drop)"
        )
    array: Array = strings.to_numpy(dtype=object)
    return array


def as_numbers(column: pd.Series) -> pd.Series:
    """Return the numbers in a column, and a missing value in place of anything else."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = column
    else:
        numbers = pd.to_numeric(column.astype(object), errors="coerce")
    return numbers if numbers.dtype.kind != "c" else pd.Series(np.nan, index=column.index)


def refuse_dates(where: str, value: object) -> NoReturn:
    """Raise the error about a date in place of a number or a category."""
    raise DataError(
        f"{where}: expected numbers, or names of categories, received dates ('{value}'); turn them "
        "into numbers, such as the year and the month, or leave out the column with drop (--drop)"
    )


def _first(column: pd.Series, chosen: pd.Series) -> str:
    row = int(chosen.argmax())
    return f"{str(column.iloc[row])[:40]!r} in row {row + 1}"
