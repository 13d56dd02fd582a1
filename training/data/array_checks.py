"""What an array must be before a model may see it."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[Array, Array]
Task = Literal["classification", "regression", "reconstruction"]


class DataError(ValueError):
    """Data that cannot be used; the message is one line that names the place and the fault."""

    def __init__(self, message: str) -> None:
        # File, column and class names come from outside and may hold line breaks.
        super().__init__(" ".join(message.split()))


class Part(NamedTuple):
    """Examples as they were found, with the names that an error calls them by."""

    x_name: str
    x: Array
    y_name: str
    y: Array


class Examples(NamedTuple):
    """What a reader found: one part, or a training and a test part where the source brings both.

    `numbered` is False where integers only name classes (a column of a table), so that gaps
    between them are closed; a reader that knows the task says so in `task`.
    """

    parts: tuple[Part, ...]
    class_names: list[str] | None = None
    numbered: bool = True
    task: Task | None = None


def check_size(name: str, size: int, max_bytes: int) -> None:
    """Refuse data that would not fit.

    Args:
        name: What the size belongs to, for the message.
        size: Size in bytes, uncompressed.
        max_bytes: Largest size allowed, in bytes.

    Raises:
        DataError: If `size` is larger than `max_bytes`.
    """
    if size > max_bytes:
        raise DataError(
            f"{name}: expected at most {max_bytes:,} bytes uncompressed, received {size:,}; "
            "use less data or raise max_bytes"
        )


def check_features(name: str, x: Array) -> NDArray[np.float32]:
    """Turn the inputs of a model into finite float32 numbers.

    Args:
        name: What the array is called, for the message.
        x: Numbers of shape `(examples, ...)`. `uint8` is taken for pixels and scaled to
            [0, 1]; all other numbers are left as they are.

    Returns:
        A contiguous float32 array of the same shape.

    Raises:
        DataError: If `x` is empty, has no feature axis, or holds anything but finite numbers.
    """
    if x.dtype.kind not in "biuf":
        raise DataError(f"{name}: expected numbers, received {describe_dtype(x)}")
    if x.ndim < 2:
        raise DataError(
            f"{name}: expected shape (examples, features, ...), received {x.shape}; "
            "one feature has shape (examples, 1)"
        )
    if x.size == 0:
        raise DataError(f"{name}: expected at least one value, received an empty set {x.shape}")
    if x.dtype == np.uint8:
        return np.divide(x, np.float32(255), dtype=np.float32, order="C")
    with np.errstate(over="ignore"):
        features = np.ascontiguousarray(x, dtype=np.float32)
    check_finite(name, features)
    return features


def check_finite(name: str, values: NDArray[np.float32]) -> None:
    """Refuse NaN and infinite values.

    Args:
        name: What the array is called, for the message.
        values: Float32 numbers of shape `(examples, ...)`.

    Raises:
        DataError: If a value is NaN or infinite, with the first example that has one.
    """
    finite: Array = np.isfinite(values)
    if not finite.all():
        bad = (~finite).reshape(len(values), -1).any(axis=1)
        raise DataError(
            f"{name}: expected finite float32 numbers, received NaN or infinite values in "
            f"{bad.sum():,} of {len(values):,} examples, the first in example {bad.argmax()}; "
            "fill or remove them"
        )


def describe_dtype(array: Array) -> str:
    """Say in words what kind of values an array holds.

    Args:
        array: Any array.

    Returns:
        Words for a message, such as `strings (<U3)`.
    """
    words = {"U": "strings", "S": "byte strings", "O": "Python objects", "c": "complex numbers"}
    word = words.get(array.dtype.kind)
    return f"{word} ({array.dtype})" if word else f"values of type {array.dtype}"


def is_integer(value: object) -> bool:
    """Tell an integer, Python's or NumPy's, from everything else; a boolean is none.

    Args:
        value: Anything.

    Returns:
        True for an integer.
    """
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
