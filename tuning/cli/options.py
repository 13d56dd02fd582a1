"""What the commands share: options, tables, exit statuses. TensorFlow is not imported here."""

from __future__ import annotations

import errno
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar, get_args

import click

from dropout_zoo.models.wording import one_line
from dropout_zoo.training.defaults import BATCH_SIZE, SPLIT, Task
from dropout_zoo.training.engine.cluster_address import check_address
from dropout_zoo.tuning.cli.comma_lists import integers, numbers
from dropout_zoo.tuning.cli.terminal import discard_output, echo, plain
from dropout_zoo.tuning.defaults import MAX_UPDATES

if TYPE_CHECKING:
    from dropout_zoo.training.data.dataset import Dataset
    from dropout_zoo.tuning.cli.model_argument import ModelArgument

NOTHING_WRITTEN = "Nothing was written."
ESTIMATING = "Training for a few epochs to estimate the time ..."

FAILED, INVALID_USAGE, INTERRUPTED = 1, 2, 130
"""Exit statuses; 0 is success."""

_NAME_SHOWN = 60  # characters in the name of a directory, of which systems allow 255

Command = TypeVar("Command", bound=Callable[..., Any])


class NamedDirectory(click.Path):
    """A directory, which has a name."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Read the name."""
        if value == "":  # which `Path` takes for the working directory
            self.fail("expected the name of a directory, received an empty one", param, ctx)
        return super().convert(value, param, ctx)


def data_options(
    default: str | None, *, in_words: str | None = None
) -> Callable[[Command], Command]:
    """Return a decorator that adds the options that specify the data.

    Args:
        default: the data if there is no ``--data``; None for none.
        in_words: the default in words, where the command itself chooses it.
    """
    options = (
        click.option(
            "--data",
            default=default,
            show_default=in_words is None,
            help="digits or noisy_digits; topics (generated text) or synthetic_table; mnist, "
            "fashion_mnist or cifar10; a .npz, .csv or .parquet file; or a directory of images "
            "with one subdirectory per class." + (f"  [default: {in_words}]" if in_words else ""),
        ),
        click.option(
            "--target", metavar="COLUMN", help="Target column of a .csv or .parquet file."
        ),
        click.option(
            "--drop",
            multiple=True,
            metavar="COLUMN",
            help="Column of a table that is left out; may be given several times.",
        ),
        click.option(
            "--text",
            multiple=True,
            metavar="COLUMN",
            help="Column of a table that holds free text; may be given several times.",
        ),
        click.option(
            "--image-size",
            type=integers,
            metavar="N or H,W",
            help="Resize the images of a directory.",
        ),
        click.option(
            "--task",
            type=click.Choice([task for task in get_args(Task) if task != "custom"]),
            help="What the model predicts; in reconstruction, the input is also the target.",
        ),
        click.option(
            "--split",
            type=numbers,
            metavar="A,B[,C]",
            help="Fractions for the training, validation and test sets; give two to have no test "
            f"set.  [default: {','.join(map(str, SPLIT))}]",
        ),
    )
    return _all_of(options)


def training_options(epochs: int | None, patience_default: str) -> Callable[[Command], Command]:
    """Return a decorator that adds the options that specify how a model is trained.

    Args:
        epochs: default number of epochs; None where it depends on the data.
        patience_default: the default patience in words.
    """
    options = (
        click.option(
            "--epochs",
            type=int,
            default=epochs,
            help="Maximum number of epochs of each training run."
            f"  [default: {epochs or f'about {MAX_UPDATES:,} updates'}]",
        ),
        click.option(
            "--batch-size", type=int, default=BATCH_SIZE, show_default=True, help="Batch size."
        ),
        click.option(
            "--learning-rate",
            type=float,
            help="Learning rate of the optimizer.  [default: that of the model]",
        ),
        click.option(
            "--patience",
            type=int,
            metavar="N",
            help="Stop a training run after N epochs without improvement."
            f"  [default: {patience_default}]",
        ),
    )
    return _all_of(options)


def run_options(noun: str) -> Callable[[Command], Command]:
    """Return a decorator that adds the options that specify where and how a command runs.

    Args:
        noun: what the command runs, such as ``"sweep"``.
    """
    options = (
        click.option("--out", type=NamedDirectory(), help=f"New directory for the {noun}."),
        click.option(
            "--resume", is_flag=True, help=f"Continue the {noun} in --out, if there is one."
        ),
        click.option("--overwrite", is_flag=True, help=f"Remove the {noun} in --out first."),
        click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON."),
        click.option(
            "--cluster",
            metavar="auto|ADDRESS|local:N",
            help="Train on the nodes of a Ray cluster: the one that this machine is part of, that "
            "of a head at host:port, or N nodes started here. Not part of the run: it can be "
            "resumed with another one, or without.",
        ),
        click.option(
            "--dry-run", is_flag=True, help="Describe the plan and estimate how long it takes."
        ),
    )
    return _all_of(options)


def _all_of(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """Return a decorator that adds options, in the order of the help text."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def check_run_options(out: Path | None, resume: bool, overwrite: bool, cluster: str | None) -> None:
    """Check the options of `run_options`, and let a cluster say who joins and leaves it.

    Raises:
        ValueError: they do not fit together, or Ray is not installed.
    """
    if cluster is not None:
        check_address(cluster)
        show_messages_of_cluster()
    if out is None and (resume or overwrite):
        option = "--resume" if resume else "--overwrite"
        raise ValueError(f"expected --out with {option}, received {option} alone")
    if resume and overwrite:
        raise ValueError("expected --resume or --overwrite, received both")


def show_messages_of_cluster() -> None:
    """Show the lines about nodes that join and leave a cluster on standard error."""

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            echo(record.getMessage(), err=True)

    messages = logging.getLogger("dropout_zoo.cluster")
    messages.setLevel(logging.INFO)
    messages.handlers, messages.propagate = [Lines()], False


def check_output_file(path: Path, option: str, suffix: str, overwrite: bool | None = None) -> None:
    """Check that a file can be written, before the work whose result it takes.

    Args:
        path: the file.
        option: the option that names it.
        suffix: what its name ends in.
        overwrite: whether a file that exists is replaced; None where no option allows that.

    Raises:
        ValueError: the name has another ending, the file exists, or its directory does not.
    """
    if path.suffix != suffix:
        raise ValueError(f"expected {option} to name a {suffix} file, received {path}")
    if path.exists() and not overwrite:
        way_out = "choose another name" if overwrite is None else "--overwrite replaces it"
        raise ValueError(
            f"expected {option} to name a new file, received {path}, which exists; {way_out}"
        )
    if not path.absolute().parent.is_dir():
        raise ValueError(
            f"expected {option} in an existing directory, received {path}; create "
            f"{path.absolute().parent}"
        )


def load_data(
    data: str,
    *,
    target: str | None,
    drop: Sequence[str],
    text: Sequence[str],
    image_size: Sequence[int] | None,
    task: Any,
    split: Sequence[float] | None,
    seed: int,
    model: ModelArgument,
) -> Dataset:
    """Load the data that the options of `data_options` specify.

    For a table, which Keras may have to encode, and for numbers that the loss of a model may take
    for something else, Keras is started between reading and splitting, so that mistakes in the file
    or the options are reported at once.

    Args:
        data: value of ``--data``.
        target: value of ``--target``.
        drop: values of ``--drop``.
        text: values of ``--text``.
        image_size: value of ``--image-size``.
        task: value of ``--task``.
        split: value of ``--split``.
        seed: seed of the split.
        model: the model, whose loss may imply the task.

    Returns:
        The data.
    """
    from dropout_zoo.training.data.loaders import name_of, read_examples
    from dropout_zoo.training.data.partition import partition
    from dropout_zoo.training.data.tables.columns import ColumnOptions
    from dropout_zoo.training.startup import start_keras

    examples = read_examples(
        data,
        options=ColumnOptions.of(target, drop, text),
        image_size=image_size[0] if image_size and len(image_size) == 1 else image_size,
    )
    labels = None if task or examples.class_names else _numbers_of(examples.parts[0].y)
    if not model.has_loss:
        labels = None
    if examples.columns is not None or labels is not None:
        start_keras(model=model.text)
    if labels is not None:
        task = model.task_of(labels)
    return partition(
        examples, split=SPLIT if split is None else split, seed=seed, task=task,
        source=name_of(data),
    )  # fmt: skip


def _numbers_of(labels: Any) -> Any:
    """Return labels if they are an array of numbers; None otherwise."""
    dtype = getattr(labels, "dtype", None)
    return labels if dtype is not None and dtype.kind in "iuf" else None


def default_model(data: str) -> str:
    """Return the name of the model that a command takes for data if none is given."""
    from dropout_zoo.training.data.loaders import names_table

    return "tabular_mlp" if names_table(data) else "mlp"


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print a table that fits into the terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    Console().print(table)


def how_to_continue(directory: Path) -> str:
    """Say how a run that was interrupted, or that its budget ended, is continued."""
    return f"To continue, run the same command with --resume --out {directory}"


def what_was_run(num_runs: int, seconds: float, directory: Path) -> str:
    """Say how many models were trained, how long it took, and where the results are."""
    return f"\n{num_runs} training runs in {seconds:.0f} s; all results are in {directory}"


def default_directory(model: str, data: str) -> Path:
    """Return the path of a new directory for a run."""
    names = f"{model[:_NAME_SHOWN]}-{Path(data).stem[:_NAME_SHOWN]}"
    return Path("runs") / f"{names}-{datetime.now():%Y%m%d-%H%M%S}"


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Turn errors that users can fix into a message and an exit status."""
    from dropout_zoo.training.engine.interrupts import interruptible

    try:
        with warnings.catch_warnings(), interruptible():
            warnings.showwarning = _shown_once()
            yield
    except (ValueError, TypeError) as error:
        exit_with(one_line(f"Error: {error}"), INVALID_USAGE)
    except RuntimeError as error:
        exit_with(one_line(f"Error: {error}"), FAILED)
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EPIPE):
            raise  # the error of the output, which the program itself reports
        status = INVALID_USAGE if error.errno == errno.ENAMETOOLONG else FAILED
        message = f"Error: cannot use {error.filename or 'a file'}: {error.strerror}"
        exit_with(one_line(message), status)
    except KeyboardInterrupt:
        exit_with("Interrupted.", INTERRUPTED)


def _shown_once() -> Callable[..., None]:
    """Return a function that prints each warning once, without the line of code behind it."""
    shown: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            echo(f"Warning: {message}", err=True)

    return show


def exit_with(message: str, status: int) -> NoReturn:
    """End the program with a message, whose exit status holds even if it cannot be written.

    Args:
        message: the message.
        status: the exit status.
    """
    try:
        echo(message, err=True)
    except OSError:
        discard_output(sys.stderr)
    sys.exit(status)
