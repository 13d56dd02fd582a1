"""The command `sweep`: studies with their tables, plots and summaries, one subcommand each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropout_zoo.studies.defaults import (
    CAPACITY_RATES,
    METHODS,
    NUM_SEEDS,
    SITES,
    SWEPT_RATES,
    WIDTH_FACTORS,
)
from dropout_zoo.training.defaults import EPOCHS, OBJECTIVE
from dropout_zoo.training.startup import start_keras
from dropout_zoo.tuning.cli.comma_lists import integers, names, numbers, widths
from dropout_zoo.tuning.cli.model_argument import SUFFIX, ModelArgument
from dropout_zoo.tuning.cli.options import (
    NOTHING_WRITTEN,
    Command,
    check_run_options,
    data_options,
    default_directory,
    default_model,
    how_to_continue,
    load_data,
    reporting_errors,
    run_options,
    training_options,
    what_was_run,
)
from dropout_zoo.tuning.cli.terminal import echo

if TYPE_CHECKING:
    from dropout_zoo.studies.plan import StudyPlan
    from dropout_zoo.studies.result import TrainingStudyResult

_SEE_GROUP = "MODEL and exit status: see `dropout-zoo sweep --help`."

Plan = Callable[..., "StudyPlan[TrainingStudyResult]"]


def _study_options(objective: str = OBJECTIVE) -> Callable[[Command], Command]:
    """Return a decorator that adds the argument and options of every study.

    Args:
        objective: the default objective, for the help text.
    """

    def add(command: Command) -> Command:
        command = run_options("sweep")(command)
        for option in (
            click.option(
                "--data-seed", type=int, default=0, show_default=True,
                help="Seed of the split of the data.",
            ),
            click.option(
                "--num-seeds", type=int, default=NUM_SEEDS, show_default=True,
                help="Number of seeds of each setting.",
            ),
            click.option(
                "--objective",
                help=f"Metric that selects the best epoch.  [default: {objective}]",
            ),
        ):  # fmt: skip
            command = option(command)
        command = data_options(default="digits")(
            training_options(epochs=EPOCHS, patience_default="none")(command)
        )
        return click.argument("model", required=False)(command)

    return add


def _rates_option(default: str) -> Callable[[Command], Command]:
    return click.option(
        "--rates",
        type=numbers,
        metavar="R,R,...",
        help=f"Rates to train with, in addition to no dropout.  [default: {default}]",
    )


@click.group("sweep")
def sweep_command() -> None:
    """Train a model over a range of settings and compare them.

    Every setting is trained on the same seeds. The result is a table, a plot and a summary with
    confidence intervals.

    MODEL (default: mlp, or tabular_mlp for a table) is a registered model (see `dropout-zoo
    list`); package.module:function, a function that returns a compiled Keras model; or a .keras
    file of a compiled model, for the commands that do not change its layers.

    Exit status: 0 success, 1 every training run failed, 2 invalid usage or data, 130 interrupted.
    """


@sweep_command.command("rate", epilog=_SEE_GROUP)
@_rates_option(",".join(map(str, SWEPT_RATES[1:])))
@click.option(
    "--sites",
    metavar="SITES",
    help="Sites whose rate varies: all, each (one at a time), a placement, or the path of a site."
    f"  [default: {SITES}]",
)
@_study_options()
def rate_command(rates: list[float] | None, sites: str | None, **common: Any) -> None:
    """Vary the dropout rate of MODEL."""
    _sweep("rate", {"rates": rates, "sites": sites}, **common)


@sweep_command.command("data-size", epilog=_SEE_GROUP)
@click.option(
    "--sizes",
    type=integers,
    metavar="N,N,...",
    help="Numbers of training examples.  [default: 100 to all, about a factor of 3 apart]",
)
@_rates_option("those of the model")
@click.option(
    "--sites",
    metavar="SITES",
    help="Sites at which dropout is applied: all, a placement, or the path of a site."
    f"  [default: {SITES}]",
)
@_study_options()
def data_size_command(
    sizes: list[int] | None, rates: list[float] | None, sites: str | None, **common: Any
) -> None:
    """Vary the number of training examples, with and without dropout."""
    _sweep("data-size", {"sizes": sizes, "rates": rates, "sites": sites}, **common)


@sweep_command.command("capacity", epilog=_SEE_GROUP)
@click.option(
    "--units",
    type=widths,
    metavar="N,N-N,...",
    help="Widths of the hidden layers of each model.  [default: the model's own times "
    f"{min(WIDTH_FACTORS):g} to {max(WIDTH_FACTORS):g}, and with half and twice as many layers]",
)
@_rates_option(",".join(map(str, CAPACITY_RATES)))
@_study_options()
def capacity_command(
    units: list[list[int]] | None, rates: list[float] | None, **common: Any
) -> None:
    """Vary the size of MODEL, with and without dropout.

    MODEL must accept the argument `units`.
    """
    _sweep("capacity", {"units": units, "rates": rates}, **common)


@sweep_command.command("placement", epilog=_SEE_GROUP)
@_study_options()
def placement_command(**common: Any) -> None:
    """Vary the placement of dropout in MODEL."""
    _sweep("placement", {}, **common)


@sweep_command.command("methods", epilog=_SEE_GROUP)
@click.option(
    "--methods",
    type=names,
    metavar="M,M,...",
    help=f"Methods to compare, in addition to no method: {', '.join(METHODS)}."
    "  [default: all that MODEL and the data allow]",
)
@_study_options(objective="val_accuracy, or val_mae for regression")
def methods_command(methods: list[str] | None, **common: Any) -> None:
    """Compare dropout with other methods against overfitting.

    MODEL must accept the arguments that the methods change. All methods but "more data" use half
    of the training examples.
    """
    _sweep("methods", {"methods": methods}, **common)


def _sweep(
    kind: str,
    ranges: dict[str, Any],
    *,
    model: str | None,
    data: str,
    target: str | None,
    drop: tuple[str, ...],
    text: tuple[str, ...],
    image_size: list[int] | None,
    task: str | None,
    split: list[float] | None,
    epochs: int,
    batch_size: int,
    learning_rate: float | None,
    patience: int | None,
    objective: str | None,
    num_seeds: int,
    data_seed: int,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    cluster: str | None,
    dry_run: bool,
) -> None:
    """Plan a study and run it, or describe the plan."""
    with reporting_errors():
        check_run_options(out, resume, overwrite, cluster)
        model = model or default_model(data)
        given_model = ModelArgument(model)
        dataset = load_data(
            data, target=target, drop=drop, text=text, image_size=image_size, task=task,
            split=split, seed=data_seed, model=given_model,
        )  # fmt: skip
        start_keras(model=model)
        given = ranges | {"objective": objective, "learning_rate": learning_rate}
        plan = _plan_of(kind)(
            given_model.compiled(),
            dataset,
            num_seeds=num_seeds,
            epochs=epochs,
            batch_size=batch_size,
            patience=patience,
            **{name: value for name, value in given.items() if value is not None},
        )
        if dry_run:
            _print_dry_run(plan, as_json)
            return
        directory = out or default_directory(
            f"{kind}-{Path(model).name.removesuffix(SUFFIX)}", dataset.source
        )
        try:
            outcome, summary = _run(plan, directory, resume, overwrite, cluster)
        except KeyboardInterrupt:
            echo(how_to_continue(directory), err=True)
            raise
    if as_json:
        echo(json.dumps(outcome, indent=2, allow_nan=False))
        return
    echo(summary)
    echo(what_was_run(outcome["num_runs"], outcome["seconds"], directory))


def _plan_of(kind: str) -> Plan:
    import dropout_zoo.studies as studies

    plans: dict[str, Plan] = {
        "rate": studies.plan_rate_sweep,
        "data-size": studies.plan_data_size_sweep,
        "capacity": studies.plan_capacity_sweep,
        "placement": studies.plan_placement_sweep,
        "methods": studies.plan_compare_methods,
    }
    return plans[kind]


def _run(
    plan: StudyPlan[TrainingStudyResult],
    path: Path,
    resume: bool,
    overwrite: bool,
    cluster: str | None,
) -> tuple[dict[str, Any], str]:
    """Run a study and write its directory.

    Returns:
        The outcome as plain data, and the summary.
    """
    from dropout_zoo.tuning.cli.study_run import run_study
    from dropout_zoo.tuning.cli.sweep_output import OUTPUTS, SUMMARY, write_sweep

    outcome = run_study(
        plan, path, name=plan.kind.replace("_", " "), files=OUTPUTS, write=write_sweep,
        resume=resume, overwrite=overwrite, cluster=cluster,
    )  # fmt: skip
    return outcome, (path / SUMMARY).read_text().rstrip("\n")


def _print_dry_run(plan: StudyPlan[TrainingStudyResult], as_json: bool) -> None:
    from dropout_zoo.tuning.cli.dry_run import describe_plan, print_plan

    description = describe_plan(plan)
    if as_json:
        echo(json.dumps(description, indent=2))
    else:
        print_plan(plan, description["estimated_seconds"])
        echo(NOTHING_WRITTEN)
