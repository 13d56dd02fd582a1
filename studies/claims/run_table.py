"""Training runs as a table that claims are judged by."""

from __future__ import annotations

import math

import pandas as pd

from dropout_zoo.studies.claims.metrics import METRICS
from dropout_zoo.studies.metric_names import accuracy_name
from dropout_zoo.studies.result import TrainingStudyResult


def one_row_per_run(result: TrainingStudyResult) -> pd.DataFrame:
    """Sum up the learning curves of a study.

    Args:
        result: the study.

    Returns:
        One row per run: ``setting``, ``seed``, ``status``, ``ended`` (whether it was long enough to
        tell its best epoch), ``epochs``, and the metrics.
    """
    first = list(result.data.columns).index("epoch")
    known = [name for name in result.data.columns[:first] if name in METRICS]
    accuracy = accuracy_name(result.metrics)
    rows = []
    for _, curves in result.data.groupby("run", sort=False):
        about = curves.iloc[0]
        row = {name: about[name] for name in ("setting", "seed", "status", *known)}
        if about["status"] == "completed":
            row["ended"] = bool(about["ended"])
            row |= _summary(curves.sort_values("epoch"), accuracy)
        rows.append(row)
    return pd.DataFrame(rows)


def _summary(curves: pd.DataFrame, accuracy: str | None) -> dict[str, float]:
    best_epoch = int(curves["best_epoch"].iloc[0])
    best, last = curves[curves["epoch"] == best_epoch].iloc[0], curves.iloc[-1]
    row: dict[str, float] = {
        "epochs": len(curves),
        "best_epoch": best_epoch,
        "log2_best_epoch": math.log2(best_epoch),
        "val_loss": best["val_loss"],
        "train_loss": best["train_loss"],
        "last_val_loss": last["val_loss"],
        "last_train_loss": last["train_loss"],
        "rise": last["val_loss"] / curves["val_loss"].min() - 1,
        "gap": last["val_loss"] - last["train_loss"],
    }
    if accuracy is not None:
        error = {part: 100 * (1 - last[f"{part}_{accuracy}"]) for part in ("val", "train")}
        row |= {
            "val_error": 100 * (1 - best[f"val_{accuracy}"]),
            "last_val_error": error["val"],
            "last_train_error": error["train"],
            "error_gap": error["val"] - error["train"],
        }
    return row
