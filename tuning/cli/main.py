"""The command line: what it takes and what it answers. TensorFlow is imported only when needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropout_zoo.training import start_keras
from dropout_zoo.tuning.cli.audit import audit_command
from dropout_zoo.tuning.cli.list import list_command
from dropout_zoo.tuning.cli.options import (
    answering_errors,
    data_options,
    default_folder,
    load_data,
    numbers_in,
    print_table,
)
from dropout_zoo.tuning.cli.show import show_command
from dropout_zoo.tuning.cli.sweep import sweep_command

if TYPE_CHECKING:
    from dropout_zoo.tuning.search import Search


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dropout-zoo")
def main() -> None:
    """Dropout in Keras: documented models, and a search for the rates that shows its evidence."""


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
    with answering_errors():
        if out is None and (resume or overwrite):
            raise ValueError("expected --out with --resume or --overwrite: the folder of the run")
        if resume and overwrite:
            raise ValueError("expected --resume or --overwrite, received both")
        dataset = load_data(data, target, image_size, task, split, seed)
        start_keras(model=model)
        from dropout_zoo.training.settings import TrainSettings
        from dropout_zoo.tuning.search import Search, TuningSettings

        settings = TuningSettings(
            oracle=oracle,
            rates=None if rates is None else numbers_in(rates, "--rates"),
            placements=None if placements is None else placements.split(","),
            trials=trials,
            seed=seed,
            finalists=finalists,
            seeds=seeds,
            training=TrainSettings(
                epochs=epochs,
                batch_size=batch_size,
                objective=objective,
                patience=patience,
                initial_weights=initial_weights,
            ),
        )
        search = Search(model, dataset, settings)
        if dry_run:
            _print_dry_run(search, as_json)
            return
        folder = out or default_folder(search.model.name, dataset.source)
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


def _print_dry_run(search: Search, as_json: bool) -> None:
    click.echo("Training a few epochs to say how long it takes ...", err=True)
    seconds = search.estimate_seconds()
    description = search.describe() | {
        "trainings": search.trainings,
        "estimated_seconds": round(seconds, 1),
    }
    if as_json:
        click.echo(json.dumps(description, indent=2))
        return
    from dropout_zoo.tuning.progress import duration

    print_table(
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
        f"{settings.training.epochs} epochs, about {duration(seconds)}. Nothing was written."
    )


main.add_command(audit_command)
main.add_command(list_command)
main.add_command(show_command)
main.add_command(sweep_command)
