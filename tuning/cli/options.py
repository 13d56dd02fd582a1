"""What the commands share: options, tables, exit statuses. TensorFlow is not imported here."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

import click

if TYPE_CHECKING:
    from dropout_zoo.training.data.dataset import Dataset

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

Command = TypeVar("Command", bound=Callable[..., Any])


def data_options(command: Command) -> Command:
    """The options that say what data to use."""
    for option in (
        click.option("--split", metavar="A,B,C", help="Fractions of train, validation and test."),
        click.option(
            "--task",
            type=click.Choice(["classification", "regression", "reconstruction"]),
            help="What y means; reconstruction: the input itself is what a model shall put out.",
        ),
        click.option("--image-size", metavar="N or H,W", help="Resize the images of a folder."),
        click.option("--target", metavar="COLUMN", help="Target column of a .csv or .parquet."),
        click.option(
            "--data",
            default="digits",
            show_default=True,
            help="digits, topics (generated text), mnist, fashion_mnist, cifar10; a .npz, .csv or "
            ".parquet file; or a folder of images with one sub-folder a class.",
        ),
    ):
        command = option(command)
    return command


def load_data(
    data: str,
    target: str | None,
    image_size: str | None,
    task: Any,
    split: str | None,
    seed: int,
) -> Dataset:
    """Load the data that the options say."""
    from dropout_zoo.training.data.loaders import load_dataset

    size = None if image_size is None else whole_numbers_in(image_size, "--image-size")
    fractions = (0.70, 0.15, 0.15) if split is None else numbers_in(split, "--split")
    return load_dataset(
        data,
        target=target,
        image_size=size[0] if size is not None and len(size) == 1 else size,
        task=task,
        seed=seed,
        split=fractions,
    )


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print a table that fits the terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def default_folder(model: str, data: str) -> Path:
    """Name a new folder for a run."""
    return Path("runs") / f"{model}-{Path(data).stem}-{datetime.now():%Y%m%d-%H%M%S}"


def numbers_in(text: str, option: str) -> list[float]:
    """Read numbers with commas between.

    Raises:
        ValueError: it is something else.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"expected {option} to be numbers with commas between, received {text!r}"
        ) from None


def whole_numbers_in(text: str, option: str) -> list[int]:
    """Read whole numbers with commas between.

    Raises:
        ValueError: it is something else.
    """
    numbers = numbers_in(text, option)
    if not all(number.is_integer() for number in numbers):
        raise ValueError(f"expected {option} to be whole numbers, received {text!r}")
    return [int(number) for number in numbers]


@contextmanager
def answering_errors() -> Iterator[None]:
    """Turn what a person can mend into a line and an exit status."""
    from dropout_zoo.training.engine.interrupts import interruptible

    try:
        with warnings.catch_warnings(), interruptible():
            warnings.showwarning = _show_plainly
            yield
    except (ValueError, TypeError) as error:
        _leave(f"Error: {error}", WRONG_USE)
    except RuntimeError as error:
        _leave(f"Error: {error}", FAILED)
    except OSError as error:
        _leave(f"Error: cannot use {error.filename or 'a file'}: {error.strerror}", FAILED)
    except KeyboardInterrupt:
        _leave("Interrupted.", INTERRUPTED)


def _show_plainly(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Warn without the line of code that Python names, which is ours."""
    click.echo(f"Warning: {message}", err=True)


def _leave(message: str, status: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(status)
