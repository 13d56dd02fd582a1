"""Parts of sentences: numbers, a number with its noun, and lists."""

from __future__ import annotations

from collections.abc import Sequence


def count_of(count: int, noun: str) -> str:
    """Write a number and its noun.

    Args:
        count: the number.
        noun: the noun in the singular, whose plural ends in s.

    Returns:
        Text such as ``"1 seed"`` or ``"5 seeds"``.

    Example:
        >>> count_of(1, "seed"), count_of(5, "seed")
        ('1 seed', '5 seeds')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(items: Sequence[str], word: str = "and") -> str:
    """Join the items of a list as in a sentence.

    Args:
        items: the items, at least one.
        word: what stands before the last one.

    Returns:
        Text such as ``"a, b and c"``.

    Example:
        >>> listed(["a", "b", "c"]), listed(["a", "b"], "or"), listed(["a"])
        ('a, b and c', 'a or b', 'a')
    """
    *first, last = items
    return f"{', '.join(first)} {word} {last}" if first else last


def two_digits(number: float) -> str:
    """Write a number with two significant digits, and all digits of a whole part.

    Args:
        number: the number.

    Returns:
        Text without an exponent for large numbers.

    Example:
        >>> two_digits(0.0216), two_digits(523.7), two_digits(-7.89)
        ('0.022', '524', '-7.9')
    """
    return f"{number:.0f}" if abs(number) >= 99.5 else f"{number:.2g}"
