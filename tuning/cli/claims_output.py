"""Runs the experiment of some claims and writes its results, their outcomes and their pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from dropout_zoo.models.argument_validation import finite_or_none
from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.effect_plot import effect_display
from dropout_zoo.studies.claims.outcome import ClaimOutcome
from dropout_zoo.studies.claims.running import record_of
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.run_directory import RunDirectory
from dropout_zoo.tuning.cli.study_run import run_study

RESULTS, SUMMARY = "results.json", "summary.txt"


def run_claims(
    claims: Sequence[Claim],
    num_seeds: int | None,
    path: Path,
    resume: bool,
    overwrite: bool,
    cluster: str | None = None,
) -> list[dict[str, Any]]:
    """Run the experiment that some claims share.

    Args:
        claims: the claims.
        num_seeds: number of seeds; None for that of the experiment.
        path: directory of the run.
        resume: as `RunDirectory` takes it.
        overwrite: likewise.
        cluster: as in `Execution`.

    Returns:
        The outcome of each claim as plain data.
    """
    experiment = claims[0].experiment
    started = time.process_time()

    def write(
        result: TrainingStudyResult, folder: RunDirectory, num_runs: int, seconds: float
    ) -> dict[str, Any]:
        record = record_of(experiment, result, time.process_time() - started)
        outcomes = [(claim, claim.judge(record.runs)) for claim in claims]
        folder.write_with(RESULTS, record.write)
        found = [_as_data(claim, outcome) for claim, outcome in outcomes]
        summary = "\n\n".join(each["text"] for each in found)
        folder.write_with(SUMMARY, lambda file: file.write_text(summary + "\n"))
        for claim, outcome in outcomes:
            if outcome.effects:
                figure = effect_display(claim, outcome).plot().figure_
                folder.write_figure(_picture(claim), figure)
                plt.close(figure)
        return {"claims": found, "num_runs": num_runs, "seconds": round(seconds, 3)}

    names = [claim.name for claim in claims]
    outcome = run_study(
        claims[0].plan(num_seeds), path, name=experiment.name, write=write,
        resume=resume, overwrite=overwrite, files=[RESULTS, SUMMARY, *map(_picture, claims)],
        details={"claims": names}, cluster=cluster,
    )  # fmt: skip
    return list(outcome["claims"])


def _picture(claim: Claim) -> str:
    return f"{claim.name}.png"


def _as_data(claim: Claim, outcome: ClaimOutcome) -> dict[str, Any]:
    return {
        "claim": claim.name,
        "verdict": outcome.verdict,
        "why": outcome.why,
        "effects": [
            {
                "label": effect.label,
                "unit": effect.unit,
                **{
                    name: finite_or_none(value)
                    for name, value in effect.difference._asdict().items()
                },
            }
            for effect in outcome.effects
        ],
        "text": f"{claim.name}: {claim.statement}\n{outcome}",
    }
