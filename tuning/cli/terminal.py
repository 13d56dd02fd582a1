"""Output of the commands: names from files reach the terminal without what it would act on."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

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


def discard_output(stream: TextIO) -> None:
    """Let what cannot be written go nowhere, or the interpreter would try again at its end.

    Args:
        stream: standard output or standard error.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):  # in a test, it is not a real file
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def plain(text: str, style: str = "") -> Text:
    """Return text for rich, in which nothing is taken for markup or a terminal escape.

    Args:
        text: the text.
        style: a style of rich.
    """
    from rich.text import Text

    return Text(printable(text), style)
