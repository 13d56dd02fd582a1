"""Limits on the memory that data from a file take, checked before they are unpacked."""

from __future__ import annotations

from dropout_zoo.training.data.array_checks import DataError

MAX_EXPANSION = 500
"""How many times the size of a file its content may take in memory, above `SMALL`."""

SMALL = 256 * 1024**2
"""Size in bytes up to which any content is unpacked, however small the file."""

STRING_BYTES = 64
"""Memory that a short Python string takes, with the reference to it, in bytes."""


def check_size(name: str, size: int, max_bytes: int) -> None:
    """Check that data are not too large.

    Args:
        name: Name of the data, for the message.
        size: Size in bytes, uncompressed.
        max_bytes: Largest size allowed, in bytes.

    Raises:
        DataError: `size` is larger than `max_bytes`.
    """
    if size > max_bytes:
        raise DataError(
            f"{name}: expected at most {max_bytes:,} bytes uncompressed, received {size:,}; "
            "use less data or raise max_bytes"
        )


def check_expansion(name: str, size: int, stored: int) -> None:
    """Check that a small file does not take a lot of memory, as only repeated values can.

    Args:
        name: Name of the data, for the message.
        size: Size in memory, in bytes.
        stored: Size in the file, in bytes.

    Raises:
        DataError: `size` is larger than `SMALL`, and than `MAX_EXPANSION` times `stored`.
    """
    if size > max(SMALL, MAX_EXPANSION * stored):
        raise DataError(
            f"{name}: expected at most {MAX_EXPANSION} times its size in the file, {stored:,} "
            f"bytes, in memory, received {size:,}; save it without compression if that is intended"
        )
