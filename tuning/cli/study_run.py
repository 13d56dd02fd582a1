"""Runs a study in a directory of its own, with its progress on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dropout_zoo.studies.plan import Execution, StudyPlan
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.run_directory import RunDirectory
from dropout_zoo.studies.run_record import read_outcome
from dropout_zoo.training.journal_records import recorded_seconds
from dropout_zoo.training.objective import parse_objective
from dropout_zoo.training.repeated_warnings import each_warning_once
from dropout_zoo.tuning.records.progress import Progress

Write = Callable[[TrainingStudyResult, RunDirectory, int, float], dict[str, Any]]
"""Writes the files of a study, given the number of training runs and their duration in seconds, and
returns the outcome, which is written last."""


@each_warning_once()
def run_study(
    plan: StudyPlan[TrainingStudyResult],
    path: Path,
    *,
    name: str,
    files: Sequence[str],
    write: Write,
    resume: bool,
    overwrite: bool,
    details: Mapping[str, Any] | None = None,
    cluster: str | None = None,
) -> dict[str, Any]:
    """Run a study, or continue it, and write its directory.

    Args:
        plan: the study.
        path: its directory.
        name: what is shown beside its progress.
        files: names of the files that `write` writes.
        write: writes them and returns the outcome.
        resume: as `RunDirectory` takes it.
        overwrite: likewise.
        details: what determines the files beyond the plan.
        cluster: as in `Execution`.

    Returns:
        The outcome as plain data; that of the directory if the run in it is complete.
    """
    with plan.open_directory(
        path, files=files, details=details, resume=resume, overwrite=overwrite
    ) as directory:
        if directory.complete:
            return read_outcome(path)
        started = time.perf_counter()
        earlier = sum(map(recorded_seconds, directory.state.glob("*.jsonl")))
        with Progress(plan.num_runs, parse_objective(plan.training.objective)) as progress:
            progress.phase(name)
            execution = Execution(
                directory=directory.state,
                on_result=progress.result,
                on_restored=progress.restored,
                cluster=cluster,
            )
            result = plan.procedure(plan, execution)
        seconds = earlier + time.perf_counter() - started
        outcome = write(result, directory, progress.done, seconds)
        directory.write_outcome(outcome)
        return outcome
