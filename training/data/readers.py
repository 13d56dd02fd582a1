"""Readers of array archives (`.npz`) and tables (`.csv`, `.parquet`)."""

from __future__ import annotations

import lzma
import math
import struct
import warnings
import zipfile
import zlib
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
    check_size,
)
from dropout_zoo.training.data.table_columns import (
    LISTED_COLUMNS,
    ColumnOptions,
    check_names,
    table_part,
)

TRAIN, VALIDATION, TEST = ("x_train", "y_train"), ("x_val", "y_val"), ("x_test", "y_test")
# The first that a file has is read. Keras lays out its datasets like the third.
LAYOUTS = (
    (*TRAIN, *VALIDATION, *TEST), (*TRAIN, *VALIDATION), (*TRAIN, *TEST), ("x", "y")
)  # fmt: skip


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
        raise ValueError(f"expected array format 1.0 or 2.0, received {version}")
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


def read_table(path: Path, *, options: ColumnOptions, max_bytes: int) -> RawExamples:
    """Read a table: one row per example, one column the target.

    Args:
        path: A `.csv` file with a header line, or a `.parquet` file.
        options: What is said about its columns.
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
    part, task, columns = table_part(str(path), frame, options)
    return RawExamples((part,), numbered=False, task=task, columns=columns)


def _read_csv(path: Path, max_bytes: int) -> pd.DataFrame:
    try:
        check_size(str(path), path.stat().st_size, max_bytes)
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
        check_names(str(path), [str(name) for name in header.iloc[0]])
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
            f"{path}: a .parquet file needs the package pyarrow; run pip install pyarrow, or save "
            "the table as .csv"
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
            check_names(str(path), file.schema_arrow.names)
            return file.read().to_pandas()
    except DataError:
        raise
    except Exception as error:
        # With damaged metadata, parsers may raise anything: Arrow, JSON, Unicode or key errors.
        raise DataError(
            f"{path}: expected a .parquet file, received a damaged file or another format: {error}"
        ) from None
