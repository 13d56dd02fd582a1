"""Checks of arguments that several builders and trainers share."""

from __future__ import annotations

from collections.abc import Sequence


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
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"expected {name} to be a whole number of at least {least}; received {value!r}"
        )
