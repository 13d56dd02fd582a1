"""Checks of arrays before they are given to a model."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dropout_zoo.models.wording import one_line
from dropout_zoo.training.defaults import Task

Array = NDArray[Any]
_LARGEST_EXACT = 2**24
Pair = tuple[Any, Any]  # (x, y): arrays, or for a custom task structures of arrays; y may be None
Kind = Literal["numbers", "categories", "text"]
IF_QUANTITIES = (
    "if the integers are quantities, pass floats, as in y.astype(float), or set the task to "
    "regression"
)
"""What to do where integers were taken for classes; the end of messages."""


class DataError(ValueError):
    """Data that cannot be used; the message, one line, says what is wrong and where.

    Args:
        message: what is wrong and where; line breaks become spaces, and characters that a terminal
            would act on become their codes.

    Example:
        >>> from dropout_zoo.training import DataError, load_dataset
        >>> try:
        ...     load_dataset("missing.csv")
        ... except DataError as error:
        ...     print(str(error).split(",")[0])
        missing.csv: expected digits
    """

    def __init__(self, message: str) -> None:
        # Names of files, columns and classes may contain line breaks and terminal escapes.
        super().__init__(one_line(message))


Pixels: TypeAlias = Literal["scaled", "unscaled"]
"""Whether pixels were scaled to [0, 1] when they were read."""


class RawPart(NamedTuple):
    """Inputs and targets as they were read, with their names for error messages.

    For a custom task, `x` and `y` may be structures of arrays, and `y` may be None. The inputs of a
    table are a structured array with one field per column; see `tables.columns`.
    """

    x_name: str
    x: Any
    y_name: str
    y: Any


class Columns(NamedTuple):
    """The columns of a table that are inputs.

    Attributes:
        kinds: what each is taken for, by name.
        dropped: names of those that are left out.
    """

    kinds: dict[str, Kind]
    dropped: tuple[str, ...] = ()


class RawExamples(NamedTuple):
    """What was read: one part, or several if the source is already split.

    The second of several parts is the validation set if `validation` is True, and the third, if
    there is one, the test set; otherwise there are two, and the second is the test set.

    `pixels` is True if they are images or `uint8` arrays that `load_dataset` read: such arrays are
    scaled to [0, 1], as images have been. `streamed` is True if a model receives inputs in the
    type that they have, because batches of a source follow them.

    `numbered` is False if integers only name classes (a column of a table), so that gaps between
    them are closed. `task` is the task, if the reader knows it. `columns` are those of a table.
    """

    parts: tuple[RawPart, ...]
    class_names: list[str] | None = None
    numbered: bool = True
    task: Task | None = None
    validation: bool = False
    columns: Columns | None = None
    pixels: bool = False
    streamed: bool = False


def check_features(name: str, x: Array, *, pixels: bool = False) -> Array:
    """Convert the inputs of a model to finite float32 numbers, or to strings.

    Args:
        name: name of the array, for the message.
        x: numbers or strings of shape ``(examples, ...)`` or ``(examples,)``.
        pixels: whether `uint8` values are scaled to [0, 1]; all other numbers are left as they are.

    Returns:
        A contiguous array of the same shape: float32, or Python strings.

    Raises:
        DataError: `x` is empty, a single number, or contains anything but finite numbers, or
            strings that are all present.
    """
    if holds_strings(x):
        if _are_numbers(x):
            raise DataError(
                f"{name}: expected numbers, received numbers stored as {describe_dtype(x)}; "
                "convert them with x.astype(float), or give them in a dict, as in {'ids': x}"
            )
        return check_strings(name, x)
    if x.dtype.kind not in "biuf":
        raise DataError(f"{name}: expected numbers, received {describe_dtype(x)}")
    if x.ndim == 0:
        raise DataError(
            f"{name}: expected shape (examples, features, ...), received {x.shape}; "
            "one feature has shape (examples, 1)"
        )
    if x.size == 0:
        raise DataError(
            f"{name}: expected at least one value, received an empty array of shape {x.shape}"
        )
    if pixels and x.dtype == np.uint8:
        return np.divide(x, np.float32(255), dtype=np.float32, order="C")
    features = as_finite_floats(name, x)
    if x.dtype.kind in "iu" and max(abs(int(x.min())), abs(int(x.max()))) > _LARGEST_EXACT:
        raise DataError(
            f"{name}: expected integers up to {_LARGEST_EXACT:,}, which are exact in float32, "
            "received larger ones; number them from 0, or give them in a dict, as in {'ids': x}"
        )
    return features


def holds_strings(array: Array) -> bool:
    """Return whether an array has strings or byte strings, perhaps with values missing.

    Args:
        array: any array.

    Returns:
        True for NumPy's types of strings, and for objects of which the first that is not missing
        is a string.
    """
    if array.dtype.kind != "O":
        return array.dtype.kind in "UST"
    present = (value for value in array.flat if not _is_missing(value))
    return isinstance(next(present, None), (str, bytes))


def check_strings(name: str, array: Array) -> Array:
    """Convert strings to an array of Python strings, which may be of any length.

    Args:
        name: name of the array, for the message.
        array: strings, or byte strings in UTF-8, of shape ``(examples, ...)``.

    Returns:
        A new array of objects of the same shape.

    Raises:
        DataError: a value is missing or not a string, or there is none.
    """
    if array.ndim == 0 or array.size == 0:
        raise DataError(
            f"{name}: expected examples, received an empty array of shape {array.shape}"
        )
    strings = np.empty(array.shape, dtype=object)
    flat = strings.reshape(-1)  # a view
    for place, value in enumerate(array.flat):
        try:
            flat[place] = value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError as error:
            example = place // (array.size // len(array))
            raise DataError(
                f"{name}: expected strings in UTF-8, received others in example {example}: {error}"
            ) from None
        if not isinstance(flat[place], str):
            example = place // (array.size // len(array))
            what = "a missing value" if _is_missing(value) else repr(value)
            raise DataError(
                f"{name}: expected strings, received {what} in example {example}; replace it by a "
                "string, such as ''"
            )
    return strings


def _are_numbers(strings: Array) -> bool:
    try:
        strings.astype(float)
    except (ValueError, TypeError):
        return False
    return True


def content_of(array: Array) -> bytes:
    """Return the values of a checked array as bytes, for fingerprints.

    Args:
        array: numbers or strings.

    Returns:
        The same bytes for the same values of the same type.
    """
    if array.dtype.kind != "O":
        return array.tobytes()
    # Strings are elsewhere in memory.
    text = "".join(f"{len(value)}:{value}" for value in array.flat)
    return text.encode(errors="surrogatepass")


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def as_finite_floats(name: str, values: Array) -> NDArray[np.float32]:
    """Convert numbers to float32, and check that there are no NaN and infinite values.

    Args:
        name: name of the array, for the message.
        values: numbers of shape ``(examples, ...)``.

    Returns:
        The numbers, contiguous; the array itself if it already is.

    Raises:
        DataError: a value is NaN or infinite; the message names the first such example.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a NaN can be one that signals
        floats = np.ascontiguousarray(values, dtype=np.float32)
    finite: Array = np.isfinite(floats)
    if not finite.all():
        bad = (~finite).reshape(len(floats), -1).any(axis=1)
        raise DataError(
            f"{name}: expected finite float32 numbers, received NaN or infinite values in "
            f"{bad.sum():,} of {len(floats):,} examples, the first in example {bad.argmax()}; "
            "fill or remove them"
        )
    return floats


def copy_if_shared(array: Array, given: Array) -> Array:
    """Return a copy of an array if it shares memory with one that was given, else the array."""
    return array.copy() if np.may_share_memory(array, given) else array


def describe_dtype(array: Array) -> str:
    """Describe the kind of values of an array.

    Args:
        array: any array.

    Returns:
        Words for a message, such as ``strings (<U3)``.
    """
    words = {"U": "strings", "S": "byte strings", "O": "Python objects", "c": "complex numbers"}
    word = words.get(array.dtype.kind)
    return f"{word} ({array.dtype})" if word else f"values of type {array.dtype}"


def check_sample_size(size: object, name: str) -> None:
    """Check a number of training examples to measure.

    Args:
        size: a positive integer, ``"all"``, or None for the size of the validation set.
        name: name of the argument in the message.

    Raises:
        ValueError: it is something else.
    """
    if size not in (None, "all") and (not is_integer(size) or int(size) < 1):  # type: ignore[call-overload]
        raise ValueError(
            f"expected {name} to be a whole number of at least 1, 'all' or None, received {size!r}"
        )


def is_integer(value: object) -> bool:
    """Return whether a value is an integer of Python or NumPy, and not a boolean.

    Args:
        value: any value.

    Returns:
        True for an integer.
    """
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
