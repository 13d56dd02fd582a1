"""Tables as CSV files that are safe to open in a spreadsheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "'")
"""Beginnings that a spreadsheet reads as a formula, and the mark that prevents it."""


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, with a mark before text that a spreadsheet would read as a formula.

    Args:
        table: the table, without its index.
        path: the file.
    """
    _in_texts(table, lambda text: f"'{text}" if text.startswith(_FORMULAS) else text).to_csv(
        path, index=False
    )


def read_csv(path: Path, dtype: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read a table that `write_csv` wrote, without the marks.

    Args:
        path: the file.
        dtype: types of columns by name; None to infer them.

    Returns:
        The table.
    """
    return _in_texts(pd.read_csv(path, dtype=dtype), lambda text: text.removeprefix("'"))


def _in_texts(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Return a table with every text changed, including the names of columns."""

    def changed(value: Any) -> Any:
        return change(value) if isinstance(value, str) else value

    table = table.rename(columns=changed)
    return table.assign(
        **{
            name: table[name].map(changed).astype(table[name].dtype)
            for name in table.columns
            if not pd.api.types.is_numeric_dtype(table[name])
        }
    )
