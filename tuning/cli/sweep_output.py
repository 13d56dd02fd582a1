"""The files of a sweep: its table, plot, summary and outcome."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt

from dropout_zoo.models.argument_validation import finite_or_none
from dropout_zoo.studies.displays.factor_curve import FactorCurveDisplay
from dropout_zoo.studies.displays.paired_difference import DifferenceDisplay
from dropout_zoo.studies.displays.rate_curve import RateCurveDisplay
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.run_directory import RunDirectory

STUDY, TABLE, SUMMARY, PLOT = "study.parquet", "settings.csv", "summary.txt", "plot.png"
OUTPUTS = (STUDY, TABLE, SUMMARY, PLOT)


def write_sweep(
    result: TrainingStudyResult, folder: RunDirectory, num_runs: int, seconds: float
) -> dict[str, Any]:
    """Write the table, plot and summary of a study.

    Args:
        result: the study.
        folder: the directory of the run.
        num_runs: number of training runs.
        seconds: how long they took.

    Returns:
        The outcome as plain data.
    """
    table = _settings_table(result)
    figure = _figure(result)
    outcome = {
        "study": result.kind,
        "conclusions": list(result.conclusions),
        "objective": result.objective._asdict(),
        "settings": [
            {key: finite_or_none(value) for key, value in row.items()}
            for row in table.to_dict("records")
        ],
        "num_runs": num_runs,
        "seconds": round(seconds, 3),
        "directory": str(folder.path),
    }
    folder.write_with(STUDY, result.to_parquet)
    folder.write_table(TABLE, table)
    folder.write_with(SUMMARY, lambda path: path.write_text(result.summary() + "\n"))
    folder.write_figure(PLOT, figure)
    plt.close(figure)
    return outcome


def _settings_table(result: TrainingStudyResult) -> Any:
    """Return one row per setting: mean, interval, and gain over its control."""
    gains = result.gains()[["setting", "control", "gain", "low", "high", "p_value"]]
    gains = gains.rename(columns={"low": "gain_low", "high": "gain_high"})
    return result.means().merge(gains, on="setting", how="left")


def _figure(result: TrainingStudyResult) -> Any:
    displays: dict[str, Any] = {
        "rate_sweep": RateCurveDisplay,
        "data_size_sweep": FactorCurveDisplay,
        "capacity_sweep": FactorCurveDisplay,
    }
    return displays.get(result.kind, DifferenceDisplay).from_result(result).plot().figure_
