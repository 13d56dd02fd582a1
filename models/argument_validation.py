"""Checks of arguments that several builders and trainers share."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any


def check_choice(value: object, choices: Sequence[object], name: str) -> None:
    """Refuse a value that is not among the choices.

    Args:
        value: the value.
        choices: what it may be.
        name: the argument's name, for the message.

    Raises:
        ValueError: the value is not among the choices.
    """
    if value not in choices:
        raise ValueError(
            f"expected {name} to be one of {', '.join(map(repr, choices))}; received {value!r}"
        )


def check_count(value: object, name: str, least: int = 1) -> None:
    """Refuse anything but a whole number that is large enough.

    Args:
        value: the value.
        name: the argument's name, for the message.
        least: the smallest number allowed.

    Raises:
        ValueError: the value is no whole number, or too small.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or int(value) < least:  # type: ignore[call-overload]
        raise ValueError(
            f"expected {name} to be a whole number of at least {least}; received {value!r}"
        )


def check_fraction(value: Any, name: str) -> float:
    """Return a fraction as a float, or say what is wrong with it.

    Args:
        value: the fraction, both ends included.
        name: the argument's name, for the message.

    Returns:
        The fraction.

    Raises:
        ValueError: the value is not a number in [0, 1].
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:
        raise ValueError(f"expected {name} to be a number in [0, 1]; received {value!r}")
    return float(value)


def check_sizes(sizes: Any, name: str, example: str, least: int = 0) -> tuple[int, ...]:
    """Return a sequence of positive whole numbers as a tuple, or say what is wrong with it.

    Args:
        sizes: the sequence, such as the widths of layers or the shape of an example.
        name: the argument's name, for the message.
        example: what would be right, for the message.
        least: how many there must be at least.

    Returns:
        The sizes, as plain Python numbers.

    Raises:
        ValueError: an entry is not a positive whole number, or the value is no sequence.
    """
    values = plain_values(sizes)
    whole = isinstance(values, Sequence) and all(
        isinstance(size, Integral) and not isinstance(size, bool) and int(size) > 0
        for size in values
    )
    if not whole or len(values) < least:
        raise ValueError(
            f"expected {name} to be a sequence of positive whole numbers, such as {example}; "
            f"received {sizes!r}"
        )
    return tuple(int(size) for size in values)


def plain_values(values: Any) -> Any:
    """NumPy's arrays and numbers as lists and Python numbers, anything else as it is."""
    return values.tolist() if hasattr(values, "tolist") else values
