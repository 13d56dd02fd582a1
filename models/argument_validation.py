"""Validation of arguments that several builders and functions share."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any


def check_choice(value: object, choices: Sequence[object], name: str) -> None:
    """Raise an error if a value is not among the choices.

    Args:
        value: the value.
        choices: the allowed values.
        name: name of the argument in the message.

    Raises:
        ValueError: the value is not among the choices.
    """
    if value not in choices:
        near = did_you_mean(value, map(str, choices)) if isinstance(value, str) else ""
        raise ValueError(
            f"expected {name} to be one of ({', '.join(map(repr, choices))}), received "
            f"{value!r}{near}"
        )


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return a hint naming the known name closest to a wrong one, whatever their case.

    Args:
        name: the wrong name.
        known: the right names.
        cutoff: how similar a name has to be, from 0 to 1; see `difflib.get_close_matches`.

    Returns:
        ``"; did you mean 'val_loss'?"``, or an empty string if none is similar.
    """
    by_lower_case = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=cutoff)
    return f"; did you mean {by_lower_case[near[0]]!r}?" if near else ""


def check_count(value: object, name: str, minimum: int = 1) -> None:
    """Raise an error if a value is not a whole number, or is too small.

    Args:
        value: the value.
        name: name of the argument in the message.
        minimum: the smallest allowed number.

    Raises:
        ValueError: the value is not a whole number, or is too small.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or int(value) < minimum:  # type: ignore[call-overload]
        raise ValueError(
            f"expected {name} to be a whole number of at least {minimum}, received {value!r}"
        )


def check_fraction(value: Any, name: str) -> float:
    """Validate a fraction.

    Args:
        value: a number in [0, 1].
        name: name of the argument in the message.

    Returns:
        The fraction as a float.

    Raises:
        ValueError: the value is not a number in [0, 1].
    """
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"expected {name} to be a number in [0, 1], received {value!r}")
    return float(value)


def percent_hint(value: Any, above: float = 0.0) -> str:
    """Return a hint for a fraction that was given in percent.

    Args:
        value: the wrong fraction.
        above: what the fraction has to exceed.

    Returns:
        ``"; for 20% write 0.2"``, or an empty string if the value is no percentage.
    """
    percent = _is_number(value) and max(1, 100 * above) < value < 100
    return f"; for {value:g}% write {value / 100:g}" if percent else ""


def check_level(value: Any, name: str = "level", above: float = 0.0) -> float:
    """Validate a confidence level.

    Args:
        value: a number in (`above`, 1).
        name: name of the argument in the message.
        above: what the level has to exceed.

    Returns:
        The level as a float.

    Raises:
        ValueError: the value is not a number in (`above`, 1).
    """
    if not _is_number(value) or not above < value < 1:
        raise ValueError(
            f"expected {name} to be a number in ({above:g}, 1), received {value!r}"
            f"{percent_hint(value, above)}"
        )
    return float(value)


def check_positive(value: Any, name: str) -> float:
    """Validate a positive number.

    Args:
        value: a finite number above 0.
        name: name of the argument in the message.

    Returns:
        The number as a float.

    Raises:
        ValueError: the value is not a finite number above 0.
    """
    if not _is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"expected {name} to be a number above 0, received {value!r}")
    return float(value)


def check_not_negative(value: Any, name: str) -> float:
    """Validate a number that is 0 or larger.

    Args:
        value: a finite number of at least 0.
        name: name of the argument in the message.

    Returns:
        The number as a float.

    Raises:
        ValueError: the value is not a finite number of at least 0.
    """
    if not _is_number(value) or not 0 <= value < math.inf:
        raise ValueError(f"expected {name} to be a number of at least 0, received {value!r}")
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def check_sizes(sizes: Any, name: str, example: str, min_length: int = 0) -> tuple[int, ...]:
    """Validate a sequence of positive whole numbers.

    Args:
        sizes: the sequence, such as the widths of layers or the shape of an example.
        name: name of the argument in the message.
        example: a valid value, for the message.
        min_length: the smallest allowed length.

    Returns:
        The sizes as a tuple of Python integers.

    Raises:
        ValueError: an entry is not a positive whole number, the sequence is too short, or the value
            is not a sequence.
    """
    values = plain_values(sizes)
    whole = isinstance(values, Sequence) and all(
        isinstance(size, Integral) and not isinstance(size, bool) and int(size) > 0
        for size in values
    )
    if not whole or len(values) < min_length:
        raise ValueError(
            f"expected {name} to be a sequence of positive whole numbers (such as {example}), "
            f"received {sizes!r}"
        )
    return tuple(int(size) for size in values)


def as_names(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names that an argument holds, where one may be given without a list around it.

    Args:
        given: one name or several.

    Returns:
        The names.

    Example:
        >>> as_names("hidden"), as_names(["input", "hidden"])
        (('hidden',), ('input', 'hidden'))
    """
    return (given,) if isinstance(given, str) else tuple(given)


def plain_values(values: Any) -> Any:
    """Convert NumPy arrays and numbers to Python's; return anything else unchanged."""
    return values.tolist() if hasattr(values, "tolist") else values


def finite_or_none(value: Any) -> Any:
    """Convert a NumPy number to Python's, and one that JSON cannot represent to None."""
    value = plain_values(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
