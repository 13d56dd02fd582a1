"""The training runs of a study: each setting on each seed, handed to the engine setup by setup."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from dropout_zoo.studies.plan import Execution, Measure, StudyPlan, TrainingSetup
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.run_directory import unused_directory
from dropout_zoo.studies.training_ends import has_ended
from dropout_zoo.training.engine.base import Trainer
from dropout_zoo.training.engine.journal import JournaledTrainer
from dropout_zoo.training.journal_records import weights_folder
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.objective import parse_objective
from dropout_zoo.training.provenance import versions

Conclude = Callable[[TrainingStudyResult], Sequence[str]]
"""Draws the conclusions from a result, a sentence or two each; empty ones are left out."""


def train_and_conclude(
    conclude: Conclude, measure: Measure | None = None
) -> Callable[[StudyPlan[TrainingStudyResult], Execution], TrainingStudyResult]:
    """Return the procedure of a study that trains every setting once.

    Args:
        conclude: draws the conclusions from the result.
        measure: measures more about each run, such as the accuracy on other inputs; a value
            becomes a column.

    Returns:
        The `procedure` of a plan.
    """

    def procedure(
        plan: StudyPlan[TrainingStudyResult], execution: Execution
    ) -> TrainingStudyResult:
        return result_of(plan, train_settings(plan, execution, measure), conclude)

    return procedure


def result_of(plan: StudyPlan[Any], data: pd.DataFrame, conclude: Conclude) -> TrainingStudyResult:
    """Return the result of a plan's training runs, with its conclusions.

    Args:
        plan: what was trained.
        data: the table that `train_settings` returned, or one like it.
        conclude: draws the conclusions from the result.

    Returns:
        The result.

    Raises:
        RuntimeError: every training run failed.
    """
    check_any_completed(data)
    result = TrainingStudyResult(
        kind=plan.kind,
        data=data,
        settings=plan.describe(),
        versions=versions(),
        conclusions=(),
        objective=parse_objective(plan.training.objective),
        factors=plan.factors,
        controls=plan.controls,
    )
    return replace(result, conclusions=tuple(filter(None, conclude(result))))


def check_any_completed(data: pd.DataFrame) -> None:
    """Raise an error if every training run failed.

    Raises:
        RuntimeError: every training run failed.
    """
    if not (data["status"] == "completed").any():
        raise RuntimeError(f"every training run failed: {'; '.join(sorted(set(data['reason'])))}")


def train_settings(
    plan: StudyPlan[Any], execution: Execution, measure: Measure | None = None, phase: str = ""
) -> pd.DataFrame:
    """Train every setting of a plan on its seeds.

    Args:
        plan: what to train.
        execution: where it runs and who follows its progress.
        measure: measures more about each training run.
        phase: keeps the journals of a study with several plans apart.

    Returns:
        The table that `TrainingStudyResult` describes.
    """
    rows: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for number, setup in enumerate(plan.setups):
        wanted = [
            (place, setting, seed)
            for place, setting in enumerate(plan.settings)
            if setting.setup is setup
            for seed in setting.seeds or plan.seeds
        ]
        max_epochs = setup.settings(plan.training).epochs
        members = plan.runs_on(setup)
        with tempfile.TemporaryDirectory(prefix="dropout-zoo-") as temporary:
            trainer = _trainer(plan, setup, execution, f"{phase}{number}", Path(temporary))
            results = trainer.train(list(members.values()), execution.on_result)
            trained = dict(zip(members, results, strict=True))
            for place, setting, seed in wanted:
                result = trained[setting.training_key(seed)]
                measured = measure(setting, result) if measure and result.checkpoint else {}
                rows[place, seed] = training_rows(
                    setting.name, setting.factors, result, max_epochs, measured
                )
    return runs_table([rows[key] for key in sorted(rows)])


def _trainer(
    plan: StudyPlan[Any], setup: TrainingSetup, execution: Execution, name: str, temporary: Path
) -> Trainer:
    if execution.directory is None:
        return plan.trainer(setup, temporary, execution.workers, execution.cluster)
    journal = Path(execution.directory) / f"runs-{name}.jsonl"
    directory = unused_directory(weights_folder(journal))
    trainer = plan.trainer(setup, directory, execution.workers, execution.cluster)
    return JournaledTrainer(trainer, journal, execution.on_restored)


def training_rows(
    name: str,
    factors: Mapping[str, Any],
    trained: TrainedMember,
    max_epochs: int,
    measured: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of one training run in the table of a study.

    Args:
        name: name of its setting.
        factors: value of each varied factor.
        trained: the trained member.
        max_epochs: the epoch after which it was stopped at the latest.
        measured: what else was measured, by name of the column.

    Returns:
        One row per epoch; one row of epoch 0 for a run without a finished epoch.
    """
    about = {
        "setting": name,
        **factors,
        **{f"rate/{path}": rate for path, rate in trained.rates.items()},
        "seed": trained.member.seed,
        "status": trained.status,
        "reason": trained.reason,
        "best_epoch": trained.best_epoch,
        "seconds": trained.seconds,
        "ended": has_ended(trained.best_epoch, len(trained.curves), max_epochs),
        **({"group": trained.group} if trained.group else {}),
        **(measured or {}),
    }
    epochs = trained.curves.to_dict("records") or [{"epoch": 0}]
    return [about | {str(name): value for name, value in row.items()} for row in epochs]


def runs_table(runs: Sequence[Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    """Return the table that `TrainingStudyResult` describes.

    Args:
        runs: the rows of each training run, as `training_rows` returns them.

    Returns:
        The table, whose learning curves are the last columns.
    """
    rows = [{"run": number, **row} for number, rows in enumerate(runs) for row in rows]
    table = pd.DataFrame(rows)
    table = table.astype({"epoch": int, "seed": int, "best_epoch": int})
    # The curves come last, whatever the first run lacks.
    epoch_rows = [row for row in rows if row["epoch"]]
    curves = list(epoch_rows[0]) if epoch_rows else ["epoch"]
    measured_last = curves[curves.index("epoch") :]
    first = [column for column in table.columns if column not in measured_last]
    return table[first + measured_last]
