"""A fingerprint of arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from dropout_zoo.training.data.array_checks import Array, content_of


def arrays_fingerprint(arrays: Iterable[Array], notes: Iterable[str] = ()) -> str:
    """Return a fingerprint of the shapes, types and values of arrays.

    Args:
        arrays: arrays of numbers or strings.
        notes: what distinguishes them besides.

    Returns:
        Sixteen hexadecimal digits of a SHA-256.
    """
    digest = hashlib.sha256()
    for note in notes:
        digest.update(note.encode())
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        digest.update(content_of(array))
    return digest.hexdigest()[:16]
