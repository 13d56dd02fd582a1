"""Runs an experiment and records what it measured."""

from __future__ import annotations

import platform
import time
from typing import TYPE_CHECKING

from dropout_zoo.studies.claims.record import ExperimentRecord
from dropout_zoo.studies.claims.run_table import one_row_per_run
from dropout_zoo.studies.plan import Execution, StudyPlan
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.training.provenance import versions

if TYPE_CHECKING:
    from dropout_zoo.studies.claims.experiment import Experiment

_DEFINING = ("seeds", "training", "settings", "schedules", "epochs")


def record_of(
    experiment: Experiment,
    plan: StudyPlan[TrainingStudyResult],
    execution: Execution | None = None,
) -> ExperimentRecord:
    """Run an experiment.

    Args:
        experiment: what is run.
        plan: its plan.
        execution: where and how it is run.

    Returns:
        What was measured.

    Raises:
        RuntimeError: every training run failed.
    """
    started = time.process_time()
    runs = one_row_per_run(plan.run(execution))
    described = plan.describe()
    return ExperimentRecord(
        experiment=experiment.name,
        definition={name: described[name] for name in _DEFINING if name in described},
        versions=versions(),
        processor=platform.processor() or platform.machine(),
        cpu_minutes=(time.process_time() - started) / 60,
        runs=runs,
    )
