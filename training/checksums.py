"""Checksums of files and of records, by which damage is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SEAL = "sha256"


def file_checksum(path: Path) -> dict[str, Any]:
    """Return the size of a file in bytes and its SHA-256, for a record.

    Args:
        path: the file.

    Returns:
        ``size`` and ``sha256``.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"size": file.tell(), "sha256": digest}


def is_checksum(content: Any) -> bool:
    """Whether something that was read is what `file_checksum` returns.

    Args:
        content: what was read, which may be anything.
    """
    return (
        isinstance(content, dict)
        and isinstance(content.get("size"), int)
        and isinstance(content.get("sha256"), str)
    )


def file_fault(path: Path, expected: Mapping[str, Any]) -> str:
    """Say how a file differs from its checksum.

    Args:
        path: the file.
        expected: what `file_checksum` returned when it was written.

    Returns:
        The difference; empty if there is none.
    """
    if not path.is_file():
        return "missing"
    try:
        found = file_checksum(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if found["size"] != expected.get("size"):
        return f"damaged: expected {expected.get('size')} bytes, received {found['size']}"
    return "" if found == expected else "damaged: its checksum differs"


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its checksum.

    Args:
        record: data that JSON can hold, without the key ``sha256``.

    Returns:
        The record as JSON returns it, and the checksum as ``sha256``.
    """
    plain = json.loads(json.dumps(record))
    return {**plain, _SEAL: _digest(plain)}


def unsealed(content: Any) -> dict[str, Any] | None:
    """Return a record without its checksum.

    Args:
        content: what was read, which may be anything.

    Returns:
        The record that `sealed` was given; None if the checksum is missing or differs.
    """
    if not isinstance(content, dict):
        return None
    record = {key: value for key, value in content.items() if key != _SEAL}
    return record if content.get(_SEAL) == _digest(record) else None


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
