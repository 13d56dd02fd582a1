"""Values of options that are lists, with commas between their items."""

from __future__ import annotations

import math
from collections.abc import Sequence

import click


def numbers(value: str | Sequence[float]) -> list[float]:
    """Read numbers.

    Args:
        value: the text; click also passes a default, which is a sequence already.
    """
    if not isinstance(value, str):
        return list(value)
    try:
        return [float(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"expected numbers separated by commas, received {value!r}"
        ) from None


def integers(value: str | Sequence[int]) -> list[int]:
    """Read integers.

    Args:
        value: as in `numbers`.
    """
    found = numbers(value)
    if not all(math.isfinite(number) and number == int(number) for number in found):
        raise click.BadParameter(f"expected integers separated by commas, received {value!r}")
    return [int(number) for number in found]


def names(value: str) -> list[str]:
    """Read names."""
    return [each.strip() for each in value.split(",")]


def widths(value: str) -> list[list[int]]:
    """Read widths of hidden layers: models are separated by commas, their layers by hyphens."""
    return [integers(model.replace("-", ",")) for model in value.split(",")]
