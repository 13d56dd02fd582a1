"""Runs an experiment, and makes its record."""

from __future__ import annotations

import time

from dropout_zoo.studies.claims.experiment import Experiment
from dropout_zoo.studies.claims.planning import plan_experiment
from dropout_zoo.studies.claims.record import ExperimentRecord
from dropout_zoo.studies.claims.run_table import one_row_per_run
from dropout_zoo.studies.plan import Execution
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.training.provenance import processor_name

_DEFINING = ("seeds", "training", "settings", "schedules", "epochs")


def run_experiment(
    experiment: Experiment,
    num_seeds: int | None = None,
    execution: Execution | None = None,
) -> ExperimentRecord:
    """Train everything.

    Args:
        experiment: what is trained.
        num_seeds: number of seeds; None for those of the experiment.
        execution: where and how it is run.

    Returns:
        What was measured.

    Raises:
        RuntimeError: every training run failed.
    """
    started = time.process_time()
    result = plan_experiment(experiment, num_seeds).run(execution)
    return record_of(experiment, result, time.process_time() - started)


def record_of(
    experiment: Experiment, result: TrainingStudyResult, cpu_seconds: float
) -> ExperimentRecord:
    """Return what an experiment measured.

    Args:
        experiment: the experiment.
        result: the study that its plan made.
        cpu_seconds: processor time that it took.

    Returns:
        The record.
    """
    described = result.settings
    return ExperimentRecord(
        experiment=experiment.name,
        definition={name: described[name] for name in _DEFINING if name in described},
        versions=result.versions,
        processor=processor_name(),
        cpu_minutes=cpu_seconds / 60,
        runs=one_row_per_run(result),
    )
