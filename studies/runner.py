"""The trainings of a study: settings on shared seeds, handed to the engine bench by bench."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dropout_zoo.studies.plan import (
    Bench,
    Execution,
    Measure,
    Setting,
    StudyPlan,
    training_key,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.run_directory import claim_directory, unused_directory
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.engine.journal import JournaledTrainer
from dropout_zoo.training.engine.timing import Pace, measure_pace
from dropout_zoo.training.engine.trainer import MemberTrainer
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.objective import parse_objective
from dropout_zoo.training.provenance import versions

_PLAN_FILE = "plan.json"
_TIMED_BENCHES = 5  # for an estimate: each takes seconds


def run_plan(
    plan: StudyPlan,
    dataset: Dataset,
    execution: Execution,
    conclude: Callable[[TrainingStudyResult], list[str]],
    measure: Measure | None = None,
) -> TrainingStudyResult:
    """Train all settings of a study and draw the conclusions.

    Args:
        plan: what to train.
        dataset: the data that the study was given, for its record.
        execution: where it runs and who hears of it.
        conclude: draws the conclusions from the result.
        measure: what else to measure of each training, by name of its column.

    Returns:
        The result.

    Raises:
        ValueError: a setting is out of range, model and data do not fit, or the folder holds
            another study.
        RuntimeError: every training failed.
    """
    announce(plan, dataset, execution)
    return result_of(plan, dataset, train_settings(plan, execution, measure), conclude)


def announce(plan: StudyPlan, dataset: Dataset, execution: Execution) -> None:
    """Tell who listens what is going to be trained, and claim the folder for it.

    Raises:
        ValueError: the folder holds another study.
    """
    if execution.on_plan is not None:
        execution.on_plan(plan)
    if execution.directory is not None:
        description = plan.describe(dataset) | {"versions": versions()}
        claim_directory(execution.directory, _PLAN_FILE, description)


def result_of(
    plan: StudyPlan,
    dataset: Dataset,
    data: pd.DataFrame,
    conclude: Callable[[TrainingStudyResult], list[str]],
) -> TrainingStudyResult:
    """Make the result of what was trained, with its conclusions.

    Raises:
        RuntimeError: every training failed.
    """
    if not (data["status"] == "completed").any():
        raise RuntimeError(f"every training failed: {'; '.join(sorted(set(data['reason'])))}")
    result = TrainingStudyResult(
        kind=plan.kind,
        data=data,
        settings=plan.describe(dataset),
        versions=versions(),
        conclusions=(),
        objective=parse_objective(plan.training.objective),
        factors=plan.factors,
        controls=dict(plan.controls),
    )
    return replace(result, conclusions=tuple(conclude(result)))


def train_settings(
    plan: StudyPlan, execution: Execution, measure: Measure | None = None, phase: str = ""
) -> pd.DataFrame:
    """Train every setting of a plan on its seeds.

    Args:
        plan: what to train.
        execution: where it runs and who hears of it.
        measure: what else to measure of each training.
        phase: keeps the journals of a study with several plans apart.

    Returns:
        The table that `TrainingStudyResult` describes.
    """
    rows: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for number, bench in enumerate(plan.benches):
        wanted = [
            (place, setting, seed)
            for place, setting in enumerate(plan.settings)
            if setting.bench is bench
            for seed in setting.seeds or plan.seeds
        ]
        members = plan.trainings_on(bench)
        with tempfile.TemporaryDirectory(prefix="dropout-zoo-") as temporary:
            trainer = _trainer(plan, bench, execution, f"{phase}{number}", Path(temporary))
            results = trainer.train(list(members.values()), execution.on_result)
            trained = dict(zip(members, results, strict=True))
            for place, setting, seed in wanted:
                result = trained[training_key(setting, seed)]
                measured = measure(setting, result) if measure and result.checkpoint else {}
                rows[place, seed] = _rows(setting, result, measured)
    return _table(plan, [rows[key] for key in sorted(rows)])


def estimate_seconds(plan: StudyPlan) -> float:
    """Estimate how long a study takes, by training a few of its models for a few epochs.

    Args:
        plan: the study.

    Returns:
        Seconds for all trainings at full length. A model that is not timed is taken to be as fast
        as lies between the paces of its neighbours in the plan.
    """
    benches = plan.benches
    timed = sorted({round(p) for p in np.linspace(0, len(benches) - 1, _TIMED_BENCHES)})
    members = [list(plan.trainings_on(bench).values()) for bench in benches]
    paces = []
    for place in timed:
        with tempfile.TemporaryDirectory(prefix="dropout-zoo-") as temporary:
            trainer = _member_trainer(plan, benches[place], Path(temporary), None)
            paces.append(measure_pace(trainer, members[place]))
    total = 0.0
    for place, bench in enumerate(benches):
        start_up, training, epoch = (
            float(np.interp(place, timed, [getattr(pace, name) for pace in paces]))
            for name in ("start_up", "training", "epoch")
        )
        pace = Pace(start_up, training, epoch, paces[0].together)
        total += pace.seconds(len(members[place]), bench.settings(plan.training).epochs)
    return total * plan.trainings / (plan.trainings - plan.later)


def _trainer(
    plan: StudyPlan, bench: Bench, execution: Execution, name: str, temporary: Path
) -> JournaledTrainer | MemberTrainer:
    kept = execution.directory
    directory = temporary if kept is None else unused_directory(kept / f"weights-{name}")
    trainer = _member_trainer(plan, bench, directory, execution.workers)
    if kept is None:
        return trainer
    return JournaledTrainer(trainer, kept / f"trainings-{name}.jsonl", execution.on_restored)


def _member_trainer(
    plan: StudyPlan, bench: Bench, directory: Path, workers: int | None
) -> MemberTrainer:
    return MemberTrainer(
        bench.model,
        bench.dataset if isinstance(bench.dataset, Dataset) else bench.dataset(),
        bench.settings(plan.training),
        keep_state=plan.keep_state,
        directory=directory,
        workers=workers,
    )


def _rows(
    setting: Setting, trained: TrainedMember, measured: Mapping[str, Any]
) -> list[dict[str, Any]]:
    about = {
        "setting": setting.name,
        **setting.factors,
        **{f"rate/{path}": rate for path, rate in trained.rates.items()},
        "seed": trained.member.seed,
        "status": trained.status,
        "reason": trained.reason,
        "best_epoch": trained.best_epoch,
        "seconds": trained.seconds,
        **measured,
    }
    epochs = trained.curves.to_dict("records") or [{"epoch": 0}]
    return [about | {str(name): value for name, value in row.items()} for row in epochs]


def _table(plan: StudyPlan, trainings: Sequence[Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    rows = [{"training": number, **row} for number, rows in enumerate(trainings) for row in rows]
    table = pd.DataFrame(rows)
    table = table.astype({"epoch": int, "seed": int, "best_epoch": int})
    # The curves come last, whatever the first training lacks.
    epoch_rows = [row for row in rows if row["epoch"]]
    curves = list(epoch_rows[0]) if epoch_rows else ["epoch"]
    measured_last = curves[curves.index("epoch") :]
    first = [column for column in table.columns if column not in measured_last]
    return table[first + measured_last]
