"""Reader of tables of comma-separated values (`.csv`)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from dropout_zoo.training.data.array_checks import DataError
from dropout_zoo.training.data.readers.size_limits import check_columns, check_size
from dropout_zoo.training.data.tables.columns import check_names


def read_csv(path: Path, *, max_bytes: int) -> pd.DataFrame:
    """Read a table of comma-separated values, whose first line names the columns.

    Args:
        path: the file, in UTF-8.
        max_bytes: largest size of the file, in bytes.

    Returns:
        One row per example.

    Raises:
        DataError: the file is too large or is no such table, or a row has more or fewer fields
            than there are columns.
    """
    try:
        check_size(str(path), path.stat().st_size, max_bytes)
        with path.open(encoding="utf-8-sig", newline="") as file, _fields_of_any_length():
            _check_rows(path, csv.reader(file))
        # Read as one block: in several, a column could get a mixture of types.
        return pd.read_csv(path, low_memory=False, index_col=False)
    except DataError:
        raise
    except UnicodeDecodeError:
        raise DataError(
            f"{path}: expected text in UTF-8, received other bytes; save it in UTF-8"
        ) from None
    except OSError as error:
        raise DataError(
            f"{path}: expected a readable file, received {error.strerror or error}"
        ) from None
    except (ValueError, csv.Error, OverflowError) as error:  # errors of pandas are ValueErrors
        raise DataError(
            f"{path}: expected comma-separated values, received something else: {error}; save the "
            "table again"
        ) from None


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    """Lift the limit on the length of a field, which the size of the file limits already."""
    usual = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(usual)


def _check_rows(path: Path, rows: Iterator[list[str]]) -> None:
    """Check that each row has as many fields as the first.

    pandas fills short rows with missing values, and drops an empty field at the end of each row.
    """
    header = next((row for row in rows if not _is_blank(row)), None)
    if header is None:
        raise DataError(
            f"{path}: expected a header and rows, received an empty file; save the table again"
        )
    check_columns(str(path), len(header))
    check_names(str(path), header)
    number = 0
    for row in rows:
        if _is_blank(row):
            continue
        number += 1
        if len(row) != len(header):
            raise DataError(
                f"{path}: expected as many fields in a row as in the header, {len(header):,}, "
                f"received {len(row):,} in row {number:,}; correct the row, and put values that "
                "contain commas in quotes"
            )


def _is_blank(row: list[str]) -> bool:
    """Whether pandas skips a line."""
    return len(row) < 2 and not "".join(row).strip()
