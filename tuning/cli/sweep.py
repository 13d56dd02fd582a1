"""The command `sweep`: a study from start to end, its table, its plot and its summary."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropout_zoo.training import start_keras
from dropout_zoo.tuning.cli.options import (
    answering_errors,
    data_options,
    default_folder,
    load_data,
    numbers_in,
    print_table,
    whole_numbers_in,
)

if TYPE_CHECKING:
    from dropout_zoo.studies.plan import StudyPlan
    from dropout_zoo.studies.result import TrainingStudyResult
    from dropout_zoo.training.data.dataset import Dataset

KINDS = ("rate", "data-size", "capacity", "placement", "methods")
_RANGES: dict[str, tuple[str, ...]] = {
    "rate": ("rates", "sites"),
    "data-size": ("rates", "sites", "sizes"),
    "capacity": ("rates", "units"),
    "placement": (),
    "methods": ("methods",),
}


@click.command("sweep")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("model", default="mlp")
@data_options
@click.option("--rates", metavar="R,R,...", help="Rates to train with, beside no dropout.")
@click.option(
    "--sites",
    help="Of rate and data-size: all, a placement, the path of a site; of rate also each.  "
    "[default: hidden]",
)
@click.option("--sizes", metavar="N,N,...", help="Of data-size: numbers of training examples.")
@click.option(
    "--units", metavar="N,N-N,...", help="Of capacity: widths of the hidden layers of each model."
)
@click.option("--methods", metavar="M,M,...", help="Of methods: the methods, beside none.")
@click.option("--epochs", type=int, default=20, show_default=True, help="Epochs of a training.")
@click.option("--batch-size", type=int, default=32, show_default=True, help="Examples a step.")
@click.option(
    "--objective", help="What decides.  [default: val_loss; of methods val_accuracy or val_mae]"
)
@click.option("--patience", type=int, help="Stop a training after so many epochs without gain.")
@click.option("--seeds", type=int, default=5, show_default=True, help="Seeds of each setting.")
@click.option(
    "--data-seed", type=int, default=0, show_default=True, help="Decides the split of the data."
)
@click.option("--out", type=click.Path(path_type=Path), help="New folder for the sweep.")
@click.option("--resume", is_flag=True, help="Go on with the sweep in --out, if there is one.")
@click.option("--overwrite", is_flag=True, help="Remove the sweep in --out first.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and how long it takes.")
def sweep_command(
    kind: str,
    model: str,
    data: str,
    target: str | None,
    image_size: str | None,
    task: str | None,
    split: str | None,
    rates: str | None,
    sites: str | None,
    sizes: str | None,
    units: str | None,
    methods: str | None,
    epochs: int,
    batch_size: int,
    objective: str | None,
    patience: int | None,
    seeds: int,
    data_seed: int,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Train MODEL (default: mlp) over a range of settings on the same seeds, and compare.

    KIND is rate, data-size, capacity, placement or methods. MODEL is a registered name, or
    package.module:function; capacity and methods need a function with the arguments they change.
    methods trains on half of the training examples, so that "more data" has more.

    Exit status: 0 done, 1 every training failed, 2 wrong use or bad data, 130 interrupted.
    """
    with answering_errors():
        if out is None and (resume or overwrite):
            raise ValueError("expected --out with --resume or --overwrite: the folder of the sweep")
        if resume and overwrite:
            raise ValueError("expected --resume or --overwrite, received both")
        ranges = _ranges(kind, rates=rates, sites=sites, sizes=sizes, units=units, methods=methods)
        dataset = load_data(data, target, image_size, task, split, data_seed)
        start_keras(model=model)
        chosen = {} if objective is None else {"objective": objective}
        plan = _plan(
            kind,
            model,
            dataset,
            ranges,
            seeds=seeds,
            epochs=epochs,
            batch_size=batch_size,
            patience=patience,
            **chosen,
        )
        if dry_run:
            _print_dry_run(plan, as_json)
            return
        folder = out or default_folder(f"{kind}-{Path(model).name}", dataset.source)
        try:
            outcome, summary = _run(plan, folder, resume, overwrite)
        except KeyboardInterrupt:
            click.echo(f"To go on: the same command with --resume --out {folder}", err=True)
            raise
    if as_json:
        click.echo(json.dumps(outcome, indent=2, allow_nan=False))
        return
    click.echo(summary)
    click.echo(
        f"\n{outcome['trainings']} trainings in {outcome['seconds']:.0f} s; everything is in "
        f"{folder}"
    )


def _plan(
    kind: str,
    model: str,
    dataset: Dataset,
    ranges: dict[str, Any],
    **settings: Any,
) -> StudyPlan[TrainingStudyResult]:
    import dropout_zoo.studies as studies

    functions: dict[str, Callable[..., StudyPlan[TrainingStudyResult]]] = {
        "rate": studies.plan_rate_sweep,
        "data-size": studies.plan_data_size_sweep,
        "capacity": studies.plan_capacity_sweep,
        "placement": studies.plan_placement_sweep,
        "methods": studies.plan_compare_methods,
    }
    return functions[kind](model, dataset, **ranges, **settings)


def _ranges(kind: str, **given: str | None) -> dict[str, Any]:
    """What a study goes through, as its options say."""
    found: dict[str, Any] = {}
    for name, text in given.items():
        if text is None:
            continue
        if name not in _RANGES[kind]:
            known = ", ".join(f"--{each}" for each in _RANGES[kind]) or "none"
            raise ValueError(
                f"expected of {kind} no range but {known}; received --{name}, which is of "
                f"{' and '.join(each for each, names in _RANGES.items() if name in names)}"
            )
        if name == "sites":
            found[name] = text
        elif name == "methods":
            found[name] = [each.strip() for each in text.split(",")]
        elif name == "units":
            parts = [part.replace("-", ",") for part in text.split(",")]
            found[name] = [whole_numbers_in(part, "--units") for part in parts]
        elif name == "sizes":
            found[name] = whole_numbers_in(text, "--sizes")
        else:
            found[name] = numbers_in(text, f"--{name}")
    return found


def _run(
    plan: StudyPlan[TrainingStudyResult], path: Path, resume: bool, overwrite: bool
) -> tuple[dict[str, Any], str]:
    """Run a study and write its directory.

    Returns:
        The outcome as plain data, and the summary.
    """
    from dropout_zoo.studies.plan import Execution
    from dropout_zoo.studies.run_directory import OUTCOME, STATE, RunDirectory
    from dropout_zoo.training.objective import parse_objective
    from dropout_zoo.training.provenance import versions
    from dropout_zoo.tuning.cli.sweep_output import OUTPUTS, SUMMARY, write_sweep
    from dropout_zoo.tuning.progress import Progress

    description = plan.describe() | {"versions": versions()}
    folder = RunDirectory(path, description, resume=resume, overwrite=overwrite, files=OUTPUTS)
    with folder:
        if folder.complete:
            outcome = json.loads((path / OUTCOME).read_text())
            return outcome, (path / SUMMARY).read_text().rstrip("\n")
        started = time.perf_counter()
        with Progress(plan.trainings, parse_objective(plan.training.objective)) as progress:
            progress.phase(plan.kind.replace("_", " "))
            execution = Execution(
                directory=path / STATE / "trainings",
                on_result=progress.result,
                on_restored=progress.restored,
            )
            result = plan.run(execution)
            return write_sweep(result, folder, progress.done, time.perf_counter() - started)


def _print_dry_run(plan: StudyPlan[TrainingStudyResult], as_json: bool) -> None:
    from dropout_zoo.tuning.progress import duration

    click.echo("Training a few epochs to estimate the time ...", err=True)
    seconds = plan.estimate_seconds()
    if as_json:
        description = plan.describe()
        description |= {"trainings": plan.trainings, "estimated_seconds": round(seconds, 1)}
        click.echo(json.dumps(description, indent=2))
        return
    print_table(
        ["setting", *plan.factors],
        [
            [each.name, *(str(each.factors.get(name, "")) for name in plan.factors)]
            for each in {setting.name: setting for setting in plan.settings}.values()
        ],
    )
    click.echo(f"{plan.trainings} trainings, about {duration(seconds)}. Nothing was written.")
