"""Reader of tables in Apache Parquet (`.parquet`)."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dropout_zoo.training.data.array_checks import DataError
from dropout_zoo.training.data.readers.size_limits import (
    SMALL,
    STRING_BYTES,
    check_columns,
    check_expansion,
    check_size,
)
from dropout_zoo.training.data.tables.columns import check_names

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData, ParquetFile

_ROWS = 65_536
"""Rows of a column that are decoded before their size is counted."""


def read_parquet(path: Path, *, drop: Sequence[str] = (), max_bytes: int) -> pd.DataFrame:
    """Read a table in Apache Parquet.

    A value that repeats is in the file once, however long it is, so that sizes are counted while
    the columns are read: strings as references to their different values, a few rows at a time.

    Args:
        path: the file.
        drop: names of columns that are not read.
        max_bytes: largest size of the table in memory, in bytes.

    Returns:
        One row per example. Columns that are not read have no values.

    Raises:
        DataError: the file is damaged or too large, or a column has lists or other nested values.
    """
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise DataError(
            f"{path}: a .parquet file needs the package pyarrow; run pip install pyarrow, or save "
            "the table as .csv"
        ) from None
    try:
        with ParquetFile(path) as file:
            check_columns(str(path), file.metadata.num_columns)
            fields = list(file.schema_arrow)
            check_names(str(path), file.schema_arrow.names)
            kept = [field for field in fields if field.name not in drop]
            _check_types(path, kept)
            _check_declared_size(path, file.metadata, {field.name for field in kept}, max_bytes)
            strings = [field.name for field in kept if _is_text(field.type)]
            with ParquetFile(path, read_dictionary=strings) as folded:
                table = _read_counting(folded, file, kept, _Meter(path, max_bytes))
        # What is not read has a column without values, so that options may name it.
        unread = [field.name for field in fields if field.name in drop]
        return _to_pandas(path, table).assign(**dict.fromkeys(unread))
    except DataError:
        raise
    except Exception as error:
        # With damaged metadata, parsers may raise anything: Arrow, JSON, Unicode or key errors.
        raise DataError(
            f"{path}: expected a .parquet file, received a damaged file or another format: "
            f"{error}; save the table again"
        ) from None


def _to_pandas(path: Path, table: pa.Table) -> pd.DataFrame:
    """Convert a table, or name the column that pandas has no values for, such as some times."""
    try:
        return table.to_pandas()
    except Exception:
        for field, column in zip(table.schema, table.columns, strict=True):
            try:
                column.to_pandas()
            except Exception as error:  # those of Arrow, of datetime and of time zones
                raise DataError(
                    f"{path}: column {field.name!r}: expected numbers or strings, received "
                    f"{field.type}, which pandas cannot read: {error}; convert the column, or "
                    "leave it out with drop (--drop)"
                ) from None
        raise


def _is_text(kind: pa.DataType) -> bool:
    from pyarrow import types

    checks = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return any(getattr(types, f"is_{check}")(kind) for check in checks)


def _values_of(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values that a categorical or an extension type is made of."""
    while True:
        inner = getattr(kind, "storage_type", None) or getattr(kind, "value_type", None)
        if inner is None or _is_nested(kind):
            return kind
        kind = inner


def _is_nested(kind: pa.DataType) -> bool:
    from pyarrow import types

    return types.is_nested(kind)  # type: ignore[no-any-return]


def _check_types(path: Path, fields: Sequence[pa.Field]) -> None:
    for field in fields:
        if _is_nested(_values_of(field.type)):
            raise DataError(
                f"{path}: column {field.name!r}: expected a number or a string in each row, "
                f"received {field.type}; spread it over several columns, or leave it out with drop "
                "(--drop)"
            )


def _check_declared_size(
    path: Path, metadata: FileMetaData, kept: Set[str], max_bytes: int
) -> None:
    """Check what the metadata say before anything is decoded."""
    columns = [
        column for column in map(metadata.schema.column, range(metadata.num_columns))
        if column.path in kept
    ]  # fmt: skip
    declared = sum(_group_sizes(metadata))
    # Repeated values take hardly any space in the file, but all of it in memory.
    unfolded = sum(max(8, column.length) * metadata.num_rows for column in columns)
    check_size(str(path), max(declared, unfolded), max_bytes)
    check_expansion(str(path), max(declared, unfolded), path.stat().st_size)


def _group_sizes(metadata: FileMetaData) -> list[int]:
    """Return the encoded sizes of the groups of rows, in bytes.

    Those of single columns are not asked for: with damaged metadata, pyarrow then ends the process.
    """
    return [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]


class _Meter:
    """The size of what was read so far, in memory; too much is an error."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path, self.max_bytes = path, max_bytes
        self.stored, self.size = path.stat().st_size, 0

    def add(self, chunk: pa.Array, name: str) -> None:
        self.size += _unfolded_size(chunk)
        check_size(f"{self.path}: column {name!r}", self.size, self.max_bytes)
        check_expansion(f"{self.path}: column {name!r}", self.size, self.stored)


def _read_counting(
    folded: ParquetFile, unfolded: ParquetFile, fields: Sequence[pa.Field], meter: _Meter
) -> pa.Table:
    """Read columns one after another, and stop as soon as they are too large in memory.

    Args:
        folded: the file, from which strings are read as references to their different values.
        unfolded: the file, from which they are read as they are.
        fields: the columns.
        meter: counts the size.
    """
    import pyarrow as pa

    longest = max([1, *_group_sizes(unfolded.metadata)])
    columns = {}
    for field in fields:
        before = meter.size
        try:
            chunks = _read_column(folded, field, _ROWS, meter)
        except (pa.ArrowException, OSError):
            # Strings that are stored as what they add to the ones before cannot be read as
            # references, and one may be as long as all of them together.
            meter.size = before
            chunks = _read_column(unfolded, field, max(1, min(_ROWS, SMALL // longest)), meter)
        columns[field.name] = pa.chunked_array(chunks, chunks[0].type if chunks else field.type)
    # The metadata say which column is the index of the rows, if pandas has written the file.
    return pa.table(columns).replace_schema_metadata(unfolded.schema_arrow.metadata)


def _read_column(file: ParquetFile, field: pa.Field, rows: int, meter: _Meter) -> list[pa.Array]:
    chunks = []
    for batch in file.iter_batches(rows, columns=[field.name], use_threads=False):
        chunk = batch[field.name]
        meter.add(chunk, field.name)
        if _is_categorical(chunk.type) and not _is_categorical(field.type):
            chunk = chunk.dictionary_decode().cast(field.type)
        chunks.append(chunk)
    return chunks


def _is_categorical(kind: pa.DataType) -> bool:
    from pyarrow import types

    return types.is_dictionary(kind)  # type: ignore[no-any-return]


def _unfolded_size(array: pa.Array) -> int:
    """Return the size of the values of a column as pandas or Python hold them, in bytes."""
    import pyarrow.compute as pc
    from pyarrow import types

    if _is_categorical(array.type) and _is_text(array.type.value_type):
        lengths = pc.binary_length(array.dictionary).take(array.indices)
        return STRING_BYTES * len(array) + int(pc.sum(lengths).as_py() or 0)
    return int(array.nbytes) + (0 if types.is_primitive(array.type) else STRING_BYTES * len(array))
