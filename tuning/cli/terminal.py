"""Output of the commands: names from files reach the terminal without what it would act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dropout_zoo.models.wording import printable

if TYPE_CHECKING:
    from rich.text import Text


def echo(text: str, *, err: bool = False) -> None:
    """Print text in which names from models and data may occur.

    Args:
        text: one or several lines.
        err: whether to print to standard error.
    """
    click.echo(printable(text), err=err)


def plain(text: str, style: str = "") -> Text:
    """Return text for rich, in which nothing is taken for markup or a terminal escape.

    Args:
        text: the text.
        style: a style of rich.
    """
    from rich.text import Text

    return Text(printable(text), style)
