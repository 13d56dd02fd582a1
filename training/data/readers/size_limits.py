"""Limits on the memory that data from a file take, checked before they are unpacked."""

from __future__ import annotations

from dropout_zoo.training.data.array_checks import DataError

MAX_EXPANSION = 500
"""How many times the size of a file its content may take in memory, above `SMALL`."""

SMALL = 256 * 1024**2
"""Size in bytes up to which any content is unpacked, however small the file."""

STRING_BYTES = 64
"""Memory that a short Python string takes, with the reference to it, in bytes."""

MAX_COLUMNS = 10_000
"""Largest number of columns of a table in a file; each is examined by itself, 0.3 ms or more."""


def check_columns(name: str, columns: int) -> None:
    """Check that a table has not too many columns.

    Args:
        name: name of the table, for the message.
        columns: their number.

    Raises:
        DataError: there are more than `MAX_COLUMNS`.
    """
    if columns > MAX_COLUMNS:
        raise DataError(
            f"{name}: expected at most {MAX_COLUMNS:,} columns, received {columns:,}; save the "
            "numbers as an array in a .npz file, or fewer columns"
        )


def check_size(name: str, size: int, max_bytes: int) -> None:
    """Check that data are not too large.

    Args:
        name: name of the data, for the message.
        size: size in bytes, uncompressed.
        max_bytes: largest size allowed, in bytes.

    Raises:
        DataError: `size` is larger than `max_bytes`.
    """
    if size > max_bytes:
        raise DataError(
            f"{name}: expected at most {max_bytes:,} bytes uncompressed, received {size:,}; "
            "use less data or raise max_bytes"
        )


def check_expansion(name: str, size: int, stored: int, most: int = MAX_EXPANSION) -> None:
    """Check that a small file does not take a lot of memory, as only repeated values can.

    Args:
        name: name of the data, for the message.
        size: size in memory, in bytes.
        stored: size in the file, in bytes.
        most: how many times that size it may have, above `SMALL`.

    Raises:
        DataError: `size` is larger than `SMALL`, and than `most` times `stored`.
    """
    if size > max(SMALL, most * stored):
        raise DataError(
            f"{name}: expected at most {most:,} times its size in the file, {stored:,} "
            f"bytes, in memory, received {size:,}; save it without compression if that is intended"
        )
