"""The command line: what it takes and what it answers. TensorFlow is imported only when needed."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from dropout_zoo.tuning.audit_cli import make_audit_command
from dropout_zoo.tuning.starting import start_keras

if TYPE_CHECKING:
    from dropout_zoo.training.dataset import Dataset
    from dropout_zoo.tuning.search import Search

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dropout-zoo")
def main() -> None:
    """Dropout in Keras: documented models, and a search for the rates that shows its evidence."""


@main.command("list")
@click.argument("pattern", default="*")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(pattern: str, as_json: bool) -> None:
    """List the registered models whose names match PATTERN (wildcards; default: all)."""
    from dropout_zoo.models.registry import list_models, model_entry

    entries = [model_entry(name) for name in list_models(pattern)]
    if as_json:
        shown = [
            {
                "name": entry.name,
                "family": entry.family,
                "parameters": entry.parameters,
                "sites": dict(entry.sites),
                "source": entry.source,
            }
            for entry in entries
        ]
        click.echo(json.dumps(shown, indent=2))
        return
    if not entries:
        click.echo(
            f"No registered model matches {pattern!r}; there are {', '.join(list_models())}."
        )
        return
    _print_table(
        ["name", "family", "parameters", "sites and rates", "source"],
        [
            [
                entry.name,
                entry.family,
                f"{entry.parameters:,}",
                "\n".join(f"{path} {rate:.2f}" for path, rate in entry.sites.items()),
                entry.source,
            ]
            for entry in entries
        ],
    )


@main.command("show")
@click.argument("model")
def show_command(model: str) -> None:
    """Show MODEL: its layers, its dropout sites, their placements, and the guidance.

    MODEL is a registered name or package.module:function.
    """
    with _answering_errors():
        start_keras()
        from dropout_zoo.models.guidance import GUIDANCE
        from dropout_zoo.models.resolving import resolve_model
        from dropout_zoo.models.sites import dropout_sites

        shown = resolve_model(model)
        sites = dropout_sites(shown)
        shown.summary(print_fn=click.echo)
        rows = [
            [
                site.path,
                site.placement,
                f"{site.rate:.2f}",
                str(GUIDANCE.get(site.placement, "-")),
            ]
            for site in sites
        ]
        _print_table(["dropout site", "placement", "rate", "guidance"], rows)
        for placement in dict.fromkeys(site.placement for site in sites):
            if placement in GUIDANCE:
                click.echo(f"{placement}: {GUIDANCE[placement].source}")


def data_options(command: Command) -> Command:
    """The options that say what data to use."""
    for option in (
        click.option("--split", metavar="A,B,C", help="Fractions of train, validation and test."),
        click.option(
            "--task", type=click.Choice(["classification", "regression"]), help="What y means."
        ),
        click.option("--image-size", metavar="N or H,W", help="Resize the images of a folder."),
        click.option("--target", metavar="COLUMN", help="Target column of a .csv or .parquet."),
        click.option(
            "--data",
            default="digits",
            show_default=True,
            help="digits, mnist, fashion_mnist, cifar10; a .npz, .csv or .parquet file; or a "
            "folder of images with one sub-folder a class.",
        ),
    ):
        command = option(command)
    return command


@main.command("tune")
@click.argument("model", default="mlp")
@data_options
@click.option(
    "--oracle",
    type=click.Choice(["grid", "random", "bayesian", "hyperband"]),
    default="grid",
    show_default=True,
    help="What chooses the trials.",
)
@click.option("--rates", metavar="R,R,...", help="Rates to try at every searched site.")
@click.option(
    "--placements",
    metavar="P,P,...",
    help="Search these placements: input, hidden, convolutional, recurrent, output. Registered "
    "models gain dropout where they lack it.",
)
@click.option("--trials", type=int, help="Trials at most.  [default: the whole grid, or 20]")
@click.option("--epochs", type=int, default=20, show_default=True, help="Epochs of a training.")
@click.option("--batch-size", type=int, default=32, show_default=True, help="Examples a step.")
@click.option(
    "--objective",
    default="val_loss",
    show_default=True,
    help="What decides: a column of the curves, with :min or :max behind it if need be.",
)
@click.option("--patience", type=int, help="Stop a training after so many epochs without gain.")
@click.option(
    "--initial-weights",
    type=click.Choice(["fresh", "keep"]),
    default="fresh",
    show_default=True,
    help="Draw them from each seed, or keep those of the model.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides all that is drawn.")
@click.option(
    "--finalists", type=int, default=5, show_default=True, help="Settings to train again."
)
@click.option(
    "--seeds", type=int, default=5, show_default=True, help="Fresh seeds for each finalist."
)
@click.option("--out", type=click.Path(path_type=Path), help="New folder for the run.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, if there is one.")
@click.option("--overwrite", is_flag=True, help="Remove the run in --out first.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and how long it takes.")
def tune_command(
    model: str,
    data: str,
    target: str | None,
    image_size: str | None,
    task: str | None,
    split: str | None,
    oracle: str,
    rates: str | None,
    placements: str | None,
    trials: int | None,
    epochs: int,
    batch_size: int,
    objective: str,
    patience: int | None,
    initial_weights: str,
    seed: int,
    finalists: int,
    seeds: int,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Search the dropout rates of MODEL (default: mlp).

    MODEL is a registered name (see `dropout-zoo list`), or package.module:function, a function
    without required arguments that returns a compiled Keras model.

    Exit status: 0 done, 1 every trial failed, 2 wrong use or bad data, 130 interrupted.
    """
    with _answering_errors():
        if out is None and (resume or overwrite):
            raise ValueError("expected --out with --resume or --overwrite: the folder of the run")
        if resume and overwrite:
            raise ValueError("expected --resume or --overwrite, received both")
        dataset = _load(data, target, image_size, task, split, seed)
        start_keras()
        from dropout_zoo.tuning.search import Search, TuningSettings

        settings = TuningSettings(
            oracle=oracle,
            rates=None if rates is None else _numbers(rates, "--rates"),
            placements=None if placements is None else placements.split(","),
            trials=trials,
            epochs=epochs,
            batch_size=batch_size,
            objective=objective,
            patience=patience,
            initial_weights=initial_weights,
            seed=seed,
            finalists=finalists,
            seeds=seeds,
        )
        search = Search(model, dataset, settings)
        if dry_run:
            _print_dry_run(search, as_json)
            return
        folder = out or _default_folder(search.model.name, dataset.source)
        try:
            result = search.run(folder, resume=resume, overwrite=overwrite)
        except KeyboardInterrupt:
            click.echo(f"To go on: the same command with --resume --out {folder}", err=True)
            raise
    if as_json:
        click.echo(json.dumps(result.outcome(), indent=2, allow_nan=False))
        return
    click.echo(result.summary())
    click.echo(
        f"\n{result.trainings} trainings in "
        f"{result.search_seconds + result.finalist_seconds:.0f} s; everything is in {folder}"
    )


def _load(
    data: str,
    target: str | None,
    image_size: str | None,
    task: Any,
    split: str | None,
    seed: int,
) -> Dataset:
    from dropout_zoo.training.sources import load_dataset

    size = None if image_size is None else [int(n) for n in _numbers(image_size, "--image-size")]
    fractions = (0.70, 0.15, 0.15) if split is None else _numbers(split, "--split")
    return load_dataset(
        data,
        target=target,
        image_size=size[0] if size is not None and len(size) == 1 else size,
        task=task,
        seed=seed,
        split=fractions,
    )


def _print_dry_run(search: Search, as_json: bool) -> None:
    seconds = search.estimate_seconds()
    description = search.describe() | {
        "trainings": search.trainings,
        "estimated_seconds": round(seconds, 1),
    }
    if as_json:
        click.echo(json.dumps(description, indent=2))
        return
    from dropout_zoo.tuning.progress import duration

    _print_table(
        ["searched site", "rates to try"],
        [
            [", ".join(search.space.sites[name]), " ".join(f"{rate:.2f}" for rate in rates)]
            for name, rates in search.space.choices.items()
        ],
    )
    settings = search.settings
    click.echo(
        f"{search.trials} trials and 2 controls, then up to {settings.finalists} finalists and 2 "
        f"controls on {settings.seeds} seeds: up to {search.trainings} trainings of "
        f"{settings.epochs} epochs, about {duration(seconds)}. Nothing was written."
    )


def _print_table(columns: list[str], rows: list[list[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _default_folder(model: str, data: str) -> Path:
    return Path("runs") / f"{model}-{Path(data).stem}-{datetime.now():%Y%m%d-%H%M%S}"


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"expected {option} to be numbers with commas between, received {text!r}"
        ) from None


@contextmanager
def _answering_errors() -> Iterator[None]:
    """Turn what a person can mend into a line and an exit status."""

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except (ValueError, TypeError) as error:
        _leave(f"Error: {error}", WRONG_USE)
    except RuntimeError as error:
        _leave(f"Error: {error}", FAILED)
    except OSError as error:
        _leave(f"Error: cannot use {error.filename or 'a file'}: {error.strerror}", FAILED)
    except KeyboardInterrupt:
        _leave("Interrupted.", INTERRUPTED)


def _leave(message: str, status: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(status)


main.add_command(make_audit_command(data_options))
