"""The command `tune`: searches the dropout rates of a model."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropout_zoo.models.guidance import SEARCHED_RATES
from dropout_zoo.models.placements import PLACEMENTS
from dropout_zoo.training.defaults import INITIAL_WEIGHTS, OBJECTIVE
from dropout_zoo.training.startup import start_keras
from dropout_zoo.tuning.budget import Budget
from dropout_zoo.tuning.cli.comma_lists import names, numbers
from dropout_zoo.tuning.cli.long_run import LONG, confirm_long_run
from dropout_zoo.tuning.cli.model_argument import ModelArgument
from dropout_zoo.tuning.cli.options import (
    ESTIMATING,
    NOTHING_WRITTEN,
    check_run_options,
    data_options,
    default_directory,
    default_model,
    how_to_continue,
    load_data,
    print_table,
    reporting_errors,
    run_options,
    training_options,
    what_was_run,
)
from dropout_zoo.tuning.cli.terminal import echo
from dropout_zoo.tuning.defaults import (
    DEFAULT_MAX_TRIALS,
    LARGEST_FULL_GRID,
    LARGEST_GRID,
    NUM_FINALISTS,
    NUM_SEEDS,
    ORACLES,
    PATIENCE_UPDATES,
    SEED,
)

if TYPE_CHECKING:
    from dropout_zoo.tuning.search.search import Search


@click.command("tune")
@click.argument("model", required=False)
@data_options(default=None, in_words="digits; noisy_digits without MODEL")
@click.option(
    "--oracle",
    type=click.Choice(ORACLES),
    help="How trials are chosen, and whether some end early (halving, hyperband).  [default: grid "
    f"for up to {LARGEST_FULL_GRID} settings, otherwise halving]",
)
@click.option(
    "--rates",
    type=numbers,
    metavar="R,R,...",
    help="Rates to try at every searched site."
    f"  [default: {','.join(f'{rate:g}' for rate in SEARCHED_RATES)}, and more where the best lies "
    "on the edge]",
)
@click.option(
    "--placements",
    metavar="P,P,...",
    type=names,
    help=f"Search only these placements: {', '.join(PLACEMENTS)}. A registered "
    "model gets dropout layers where it has none.",
)
@click.option(
    "--max-trials",
    type=int,
    help="Maximum number of trials; not with hyperband.  [default: the whole grid with grid, "
    f"{DEFAULT_MAX_TRIALS} with random and bayesian, {LARGEST_GRID} with halving]",
)
@training_options(epochs=None, patience_default=f"about {PATIENCE_UPDATES:,} updates")
@click.option(
    "--objective",
    default=OBJECTIVE,
    show_default=True,
    help="Metric of the validation set to optimize, such as val_accuracy, followed by :min or :max "
    "if its direction is not known.",
)
@click.option(
    "--initial-weights",
    type=click.Choice(INITIAL_WEIGHTS),
    default=INITIAL_WEIGHTS[0],
    show_default=True,
    help="Draw new weights from each seed, or keep those of the model.",
)
@click.option(
    "--seed",
    type=int,
    default=SEED,
    show_default=True,
    help="Random seed of the data split, the search and the trials.",
)
@click.option(
    "--num-finalists",
    type=int,
    default=NUM_FINALISTS,
    show_default=True,
    help="Number of settings that race against no dropout.",
)
@click.option(
    "--num-seeds",
    type=int,
    default=NUM_SEEDS,
    show_default=True,
    help="Maximum number of new seeds for each finalist and no dropout; fewer than 10 are all "
    "trained on the given split.",
)
@click.option(
    "--resplit/--fixed-split",
    default=None,
    help="Spread the new seeds over several splits of the training and validation examples."
    "  [default: --resplit, or --fixed-split if the data come with a validation set]",
)
@click.option(
    "--budget",
    metavar="TIME",
    help="Time limit, such as 10m, 90s, 1h30m or a number of seconds. The best answer found by "
    "then is reported; --resume continues the search.  [default: no limit]",
)
@run_options("run")
@click.option(
    "--yes", is_flag=True, help=f"Start without asking, even if it takes over {LONG // 60} minutes."
)
def tune_command(
    model: str | None,
    data: str | None,
    target: str | None,
    drop: tuple[str, ...],
    text: tuple[str, ...],
    image_size: list[int] | None,
    task: str | None,
    split: list[float] | None,
    placements: list[str] | None,
    learning_rate: float | None,
    seed: int,
    budget: str | None,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    cluster: str | None,
    dry_run: bool,
    yes: bool,
    **options: Any,
) -> None:
    """Search the dropout rates of MODEL.

    MODEL is a registered model (see `dropout-zoo list`); package.module:function, a function
    without required arguments that returns a compiled Keras model; or a .keras file of a compiled
    model. If the function takes KerasTuner's `hp`, its hyperparameters are searched together with
    the rates. Without MODEL, tabular_mlp is trained on a table, and mlp on other data, with dropout
    on its input too. Without MODEL and --data, tune runs an example: mlp on noisy_digits, at a
    learning rate of 0.002.

    Exit status: 0 success, 1 no training run was completed, 2 invalid usage or data, 130
    interrupted.
    """
    if model is None:
        if data is None:  # the example of the README
            data = "noisy_digits"
            learning_rate = 0.002 if learning_rate is None else learning_rate
        model = default_model(data)
        placements = placements or (["input", "hidden"] if model == "mlp" else None)
    started = time.monotonic()
    with reporting_errors():
        check_run_options(out, resume, overwrite, cluster)
        limit = None if budget is None else Budget.parse(budget)
        given_model = ModelArgument(model)
        dataset = load_data(
            data or "digits",
            target=target,
            drop=drop,
            text=text,
            image_size=image_size,
            task=task,
            split=split,
            seed=seed,
            model=given_model,
        )
        start_keras(model=model)
        from dropout_zoo.tuning.search.search import Search, TuningSettings
        from dropout_zoo.tuning.search.search_run import run_search

        options |= {"placements": placements, "learning_rate": learning_rate, "seed": seed}
        given = {name: value for name, value in options.items() if value is not None}
        settings = TuningSettings.from_options(dataset, given)
        search = Search(given_model.compiled(), dataset, settings, limit, cluster)
        if dry_run:
            _print_dry_run(search, as_json)
            return
        if not yes and not resume:
            confirm_long_run(search)
        directory = out or default_directory(search.model.name, dataset.source)
        if limit is not None:  # starting Keras and the estimate take seconds
            search.budget = replace(limit, spent=time.monotonic() - started)
        try:
            result = run_search(search, directory, resume=resume, overwrite=overwrite)
        except KeyboardInterrupt:
            echo(how_to_continue(directory), err=True)
            raise
    if as_json:
        echo(json.dumps(result.outcome(), indent=2, allow_nan=False))
    else:
        seconds = result.search_seconds + result.race_seconds
        echo(result.summary())
        echo(what_was_run(result.num_runs, seconds, directory))
    if result.ended_by_budget:
        echo(how_to_continue(directory), err=True)


def _print_dry_run(search: Search, as_json: bool) -> None:
    from dropout_zoo.tuning.search.audit_errors import audit_errors

    for error in audit_errors(search.model):
        echo(error, err=True)
    echo(ESTIMATING, err=True)
    time_needed = search.estimate()
    description = search.describe() | {
        "num_runs": search.num_runs,
        "estimated_seconds": round(time_needed.typical, 1),
        "longest_seconds": round(time_needed.longest, 1),
        "budget_seconds": None if search.budget is None else search.budget.seconds,
    }
    if as_json:
        echo(json.dumps(description, indent=2))
        return
    print_table(
        ["searched site", "rates to try"],
        [
            [", ".join(search.space.sites[name]), " ".join(f"{rate:.2f}" for rate in rates)]
            for name, rates in search.space.choices.items()
        ],
    )
    size = search.space.size
    if search.joint is not None:
        note = search.joint.note
        echo(f"Other hyperparameters: {', '.join(search.joint.names)}.{note and ' ' + note}")
    elif search.space.note:
        echo(search.space.note)
    if search.joint is None and search.oracle != "hyperband" and search.max_trials < size:
        echo(f"The oracle {search.oracle!r} tries {search.max_trials} of {size:,} settings.")
    echo(f"{search.summary()} They take {time_needed}. {NOTHING_WRITTEN}")
