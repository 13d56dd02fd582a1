"""Readers of array archives (`.npz`) and tables (`.csv`, `.parquet`)."""

from __future__ import annotations

import lzma
import math
import struct
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib import format as npy

from dropout_zoo.training.data.array_checks import (
    Array,
    DataError,
    RawExamples,
    RawPart,
    Task,
    check_size,
)

TRAIN, VALIDATION, TEST = ("x_train", "y_train"), ("x_val", "y_val"), ("x_test", "y_test")
# The first that a file has is read. Keras lays out its datasets like the third.
LAYOUTS = (
    (*TRAIN, *VALIDATION, *TEST), (*TRAIN, *VALIDATION), (*TRAIN, *TEST), ("x", "y")
)  # fmt: skip
LISTED_COLUMNS = 20


def read_npz(path: Path, *, max_bytes: int) -> RawExamples:
    """Read an array archive; pickled objects are never loaded.

    Args:
        path: A `.npz` file with `x_train`, `y_train`, `x_test` and `y_test`, as Keras lays out
            its datasets, with `x_val` and `y_val` besides or instead of the last two, or with `x`
            and `y`. Other arrays in it are not read.
        max_bytes: Largest size of the arrays, uncompressed, in bytes.

    Returns:
        One part, or those of the file.

    Raises:
        DataError: The file is damaged, pickled or too large, or has another layout.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = [name.removesuffix(".npy") for name in archive.namelist()]
            layout = next((names for names in LAYOUTS if set(names) <= set(found)), None)
            if layout is None:
                raise DataError(
                    f"{path}: expected arrays {', '.join(TRAIN)} with {', '.join(VALIDATION)} or "
                    f"{', '.join(TEST)} or both, or x, y, received "
                    f"{', '.join(found[:LISTED_COLUMNS]) or 'no arrays'}"
                )
            declared = sum(archive.getinfo(f"{name}.npy").file_size for name in layout)
            check_size(str(path), declared, max_bytes)
            arrays = [_read_member(archive, path, name, max_bytes) for name in layout]
    except DataError:
        raise
    except OSError as error:
        raise DataError(
            f"{path}: expected a readable file, received {error.strerror or error}"
        ) from None
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise DataError(f"{path}: {_why_no_archive(path, error)}") from None
    names = [f"{path}: {name}" for name in layout]
    return RawExamples(
        tuple(
            RawPart(names[i], arrays[i], names[i + 1], arrays[i + 1])
            for i in range(0, len(names), 2)
        ),
        validation=VALIDATION[0] in layout,
    )


def _read_member(archive: zipfile.ZipFile, path: Path, name: str, max_bytes: int) -> Array:
    member = f"{name}.npy"
    try:
        with archive.open(member) as file:
            shape, dtype = _read_header(file)
        if dtype.hasobject:
            raise DataError(
                f"{path}: {name}: expected an array of numbers, received pickled Python objects, "
                "which are refused because loading them can run code; save numbers or strings"
            )
        count = math.prod(shape)
        # NumPy allocates what the header declares before it reads, so the header is checked first.
        if min(shape, default=0) < 0 or count * dtype.itemsize > archive.getinfo(member).file_size:
            raise DataError(
                f"{path}: {name}: expected {count * dtype.itemsize:,} bytes for shape {shape}, "
                f"received {archive.getinfo(member).file_size:,}; the file is truncated"
            )
        check_size(f"{path}: {name}", 4 * count, max_bytes)
        with archive.open(member) as file:
            array: Array = npy.read_array(file, allow_pickle=False)
        return array
    except DataError:
        raise
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        struct.error,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
    ) as error:
        raise DataError(
            f"{path}: {name}: expected an intact array, received a truncated or damaged one: "
            f"{error}"
        ) from None


def _read_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(file)
    else:
        raise ValueError(f"array format {version} is not supported")
    return shape, dtype


def _why_no_archive(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(6)
    if not start:
        return "expected a .npz archive, received an empty file"
    if start.startswith(b"\x80"):
        return (
            "expected a .npz archive, received a pickle, which is refused because loading it can "
            "run code; save the arrays with numpy.savez"
        )
    if start == b"\x93NUMPY":
        return "expected a .npz archive, received one .npy array; save x and y with numpy.savez"
    if start.startswith(b"PK"):
        return f"expected an intact .npz archive, received a truncated or damaged one: {error}"
    return "expected a .npz archive, received a file of another kind"


def read_table(path: Path, *, target: str | None, max_bytes: int) -> RawExamples:
    """Read a table: one row per example, one column the target, all others numbers.

    Args:
        path: A `.csv` file with a header line, or a `.parquet` file.
        target: Name of the target column.
        max_bytes: Largest size of the table, uncompressed, in bytes.

    Returns:
        One part. Integer targets name classes: gaps between them are closed.

    Raises:
        DataError: The table is damaged, too large or empty, or a column does not fit.
    """
    if path.suffix.lower() == ".csv":
        frame = _read_csv(path, max_bytes)
    else:
        frame = _read_parquet(path, max_bytes)
    part, task = table_part(str(path), frame, target)
    return RawExamples((part,), numbered=False, task=task)


def table_part(name: str, frame: pd.DataFrame, target: str | None) -> tuple[RawPart, Task | None]:
    """Separate the target of a table from its features.

    Args:
        name: Name of the table, for messages.
        frame: One row per example.
        target: Name of the target column.

    Returns:
        Features and target, and the task, if the type of the target implies one.

    Raises:
        DataError: There is no such column, or one does not fit.
    """
    columns = ", ".join(map(str, frame.columns[:LISTED_COLUMNS]))
    if len(frame.columns) > LISTED_COLUMNS:
        columns += f" and {len(frame.columns) - LISTED_COLUMNS} more"
    if target is None or target not in frame.columns:
        received = "no target" if target is None else repr(target)
        raise DataError(
            f"{name}: expected the target to be one of the columns {columns}, received {received}; "
            "name it with target (--target)"
        )
    if len(frame.columns) < 2:
        raise DataError(
            f"{name}: expected columns besides the target {target!r}, received none; "
            "a model needs at least one input"
        )
    if frame.empty:
        raise DataError(f"{name}: expected rows below the header, received none")
    y, task = target_column(name, frame[target])
    x = feature_columns(name, frame.drop(columns=target))
    return RawPart(f"{name}: columns", x, f"{name}: column {target!r}", y), task


def _read_csv(path: Path, max_bytes: int) -> pd.DataFrame:
    try:
        check_size(str(path), path.stat().st_size, max_bytes)
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
        _check_names(str(path), [str(name) for name in header.iloc[0]])
        # Read as one block: in several, a column could get a mixture of types.
        with warnings.catch_warnings():
            # pandas drops surplus fields with a warning, or takes them for row labels.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, low_memory=False, index_col=False)
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: expected a header and rows, received an empty file") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: expected text in UTF-8, received other bytes") from None
    except pd.errors.ParserWarning:
        raise DataError(
            f"{path}: expected as many fields in a row as in the header, received more"
        ) from None
    except pd.errors.ParserError as error:
        raise DataError(
            f"{path}: expected comma-separated values, received something else: {error}"
        ) from None
    except OSError as error:
        raise DataError(
            f"{path}: expected a readable file, received {error.strerror or error}"
        ) from None


def _read_parquet(path: Path, max_bytes: int) -> pd.DataFrame:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise DataError(
            f"{path}: reading .parquet files needs pyarrow, which is not installed; run pip "
            "install pyarrow, or save the table as .csv"
        ) from None
    try:
        with ParquetFile(path) as file:
            layout = file.metadata
            declared = sum(
                layout.row_group(i).total_byte_size for i in range(layout.num_row_groups)
            )
            # Repeated values take hardly any space in the file, but all of it in memory.
            unfolded = 8 * layout.num_rows * layout.num_columns
            check_size(str(path), max(declared, unfolded), max_bytes)
            _check_names(str(path), file.schema_arrow.names)
            return file.read().to_pandas()
    except DataError:
        raise
    except Exception as error:
        # With damaged metadata, parsers may raise anything: Arrow, JSON, Unicode or key errors.
        raise DataError(
            f"{path}: expected a .parquet file, received a damaged file or another format: {error}"
        ) from None


def _check_names(source: str, names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise DataError(
            f"{source}: column {twice[0]!r}: expected different names, received it twice"
        )
    if not all(names):
        # Most often the row numbers, from which a model would learn.
        raise DataError(
            f"{source}: column {names.index('') + 1}: expected a name, received none; name it, or "
            "leave out the row numbers (in pandas: index=False)"
        )


def target_column(source: str, column: pd.Series) -> tuple[Array, Task | None]:
    """Return a column of a table as labels or targets.

    Args:
        source: Name of the table, for messages.
        column: The column.

    Returns:
        The values, and the task, if the type of the column implies one.

    Raises:
        DataError: A value is missing.
    """
    missing = column.isna()
    if missing.any():
        raise DataError(
            f"{source}: column {column.name!r}: expected a target in every row, received none (NaN "
            f"or empty) in {missing.sum():,} rows, the first in row {missing.argmax() + 1}"
        )
    task: Task | None = None
    if isinstance(column.dtype, pd.CategoricalDtype):
        column, task = column.astype(column.cat.categories.dtype), "classification"
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=object), task
    return column.to_numpy(dtype=column.dtype.name.lower()), task


def feature_columns(source: str, frame: pd.DataFrame) -> Array:
    """Return the columns of a table as float32 inputs of shape `(rows, columns)`.

    Args:
        source: Name of the table, for messages.
        frame: The columns, all numbers.

    Returns:
        The inputs.

    Raises:
        DataError: A column has no unique name, or holds anything but finite numbers.
    """
    _check_names(source, [str(name) for name in frame.columns])
    x = np.empty(frame.shape, dtype=np.float32)
    for i, name in enumerate(frame.columns):
        column = frame[name]
        where = f"{source}: column {name!r}"
        if not pd.api.types.is_numeric_dtype(column.dtype) or column.dtype.kind == "c":
            broken = pd.to_numeric(column.astype(object), errors="coerce").isna() & column.notna()
            row = int(broken.argmax())
            raise DataError(
                f"{where}: expected numbers, received {str(column.iloc[row])[:40]!r} in row "
                f"{row + 1}; encode the column as numbers or leave it out"
            )
        with np.errstate(over="ignore"):
            x[:, i] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        bad = ~np.isfinite(x[:, i])
        if bad.any():
            raise DataError(
                f"{where}: expected finite float32 numbers, received NaN, infinite or empty values "
                f"in {bad.sum():,} rows, the first in row {bad.argmax() + 1}; fill or remove them"
            )
    return x
