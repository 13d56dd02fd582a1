"""Parts of sentences: numbers, a number with its noun, lists, and text of unknown content."""

from __future__ import annotations

from collections.abc import Sequence


def count_of(count: int, noun: str) -> str:
    """Write a number and its noun.

    Args:
        count: the number.
        noun: the noun in the singular, whose plural ends in s.

    Returns:
        Text such as ``"1 seed"`` or ``"2,000 seeds"``.

    Example:
        >>> count_of(1, "seed"), count_of(2000, "seed")
        ('1 seed', '2,000 seeds')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


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


def first_few(items: Sequence[str], most: int, separator: str = ", ") -> str:
    """List the first items of a sequence, and say how many more there are.

    Args:
        items: the items.
        most: how many are listed.
        separator: what separates them.

    Returns:
        Text such as ``"a, b and 3 more"``.

    Example:
        >>> first_few(["a", "b", "c"], 2), first_few(["a", "b"], 2)
        ('a, b and 1 more', 'a, b')
    """
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return separator.join(items[:most]) + more


def object_of(value: object) -> str:
    """Describe a value by its type, in a message about a value of the wrong type.

    Args:
        value: any value.

    Returns:
        Text such as ``"an object of type int"``, right for any name of a type.

    Example:
        >>> object_of(3)
        'an object of type int'
    """
    return f"an object of type {type(value).__name__}"


def rounded(number: float, digits: int = 2, *, zero_below: float = 0.0) -> str:
    """Write a number with its significant digits, and all digits of a whole part.

    Args:
        number: the number.
        digits: number of significant digits.
        zero_below: numbers closer to 0 than this differ from it by rounding alone.

    Returns:
        Text without an exponent for large numbers.

    Example:
        >>> rounded(0.0216), rounded(523.7), rounded(-7.89), rounded(-7.891, 3)
        ('0.022', '524', '-7.9', '-7.89')
        >>> rounded(1e-17, zero_below=1e-12)
        '0'
    """
    if abs(number) < zero_below:
        number = 0.0
    whole = abs(number) >= 10**digits - 0.5
    return f"{number:.0f}" if whole else f"{number:.{digits}g}"


LONGEST_LINE = 2000
"""Characters of a message; what is left out of a longer one is in its middle."""


def printable(text: str) -> str:
    r"""Replace the characters that a terminal would act on, such as escapes, by their codes.

    Args:
        text: any text, with names from files of unknown origin in it.

    Returns:
        The text with line breaks and tabs as they are, and with the codes that `repr` shows in
        place of other characters that cannot be printed.

    Example:
        >>> print(printable(chr(27) + "[31mred"))
        \x1b[31mred
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode()
        for each in text
    )


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """Write a message, with names from files of unknown origin in it, as one line.

    Args:
        text: the message.
        longest: number of characters from which on its middle is left out.

    Returns:
        The message as `printable` returns it, with single spaces in place of line breaks. The
        middle of a very long one is left out: its beginning says where, its end what to do.

    Example:
        >>> one_line("two" + chr(10) + "lines"), len(one_line("x" * 10_000))
        ('two lines', 2000)
    """
    line = printable(" ".join(text.split()))
    if len(line) <= longest:
        return line
    cut, end = " ... ", longest // 4
    return line[: longest - end - len(cut)] + cut + line[-end:]
