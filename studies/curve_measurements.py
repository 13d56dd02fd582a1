"""What learning curves show in numbers: gap, rise and fall, and the comparison with a reference."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from dropout_zoo.studies.metric_names import accuracy_names
from dropout_zoo.studies.paired_tests import t_half_width
from dropout_zoo.studies.thresholds import Measured, Thresholds


def check_columns(curves: pd.DataFrame) -> None:
    """Check that learning curves have the columns that are measured.

    Args:
        curves: the learning curves.

    Raises:
        ValueError: a column is missing.
    """
    wanted = ("seed", "epoch", "train_loss", "val_loss")
    missing = [name for name in wanted if name not in curves]
    if missing:
        raise ValueError(
            f"expected curves with the columns ({', '.join(wanted)}), received curves without "
            f"{', '.join(missing)}; pass TrainingStudyResult.curves, or TrainedMember.curves with "
            "a column of its seed"
        )


def finite_seeds(curves: pd.DataFrame) -> list[int]:
    """Return the seeds whose training was completed with finite losses.

    Args:
        curves: learning curves; see `verdict`.

    Returns:
        The seeds in increasing order.
    """
    sound = []
    for seed, group in curves.groupby("seed"):
        losses = group[["train_loss", "val_loss"]].to_numpy(float)
        failed = "status" in group and (group["status"] != "completed").any()
        if np.isfinite(losses).all() and not failed:
            sound.append(seed)
    return sound


def measure_curves(
    curves: pd.DataFrame, limits: Thresholds, level: float, examples: int | None
) -> dict[str, Measured]:
    """Measure the gap, the rise, the fall and, where there is an accuracy, the training error.

    Args:
        curves: learning curves with finite losses; see `verdict`.
        limits: the thresholds.
        level: confidence level of each interval.
        examples: number of validation examples, whose sampling error the gap in accuracy has; None
            to leave it out.

    Returns:
        The quantities by name, as in `Verdict.measured`.
    """
    accuracies = accuracy_names(curves.columns)
    gaps, rises, falls, hits, misses = [], [], [], [], []
    for _, group in curves.groupby("seed"):
        last, before = _ends(group, limits.window)
        train, validation = last["train_loss"].mean(), last["val_loss"].mean()
        if accuracies:
            hits.append(_mean_over_outputs(last, "val", accuracies))
            fitted = _mean_over_outputs(last, "train", accuracies)
            misses.append(1 - fitted)
            gaps.append(fitted - hits[-1])
        else:
            gaps.append((validation - train) / max(abs(validation), 1e-12))
        # Averaged like the end of the curve: the lowest single epoch is too low by chance.
        by_epoch = group.sort_values("epoch")["val_loss"]
        least = by_epoch.rolling(len(last)).mean().min()
        rises.append((validation - least) / max(abs(least), 1e-12))
        earlier = before["val_loss"].mean() if len(before) else validation
        falls.append((earlier - validation) / max(abs(earlier), 1e-12))
    sampling_error = 0.0
    if examples and hits:
        share = float(np.clip(np.mean(hits), 0, 1))
        sampling_error = math.sqrt(share * (1 - share) / examples)
    wide = limits.gap if accuracies else limits.loss_gap
    measured = {
        "gap": _measured(gaps, wide, level, sampling_error),
        "rise": _measured(rises, limits.rise, level),
        "fall": _measured(falls, limits.fall, level),
    }
    if misses:
        measured["train_error"] = _measured(misses, limits.train_error, level)
    return measured


def measure_against(
    curves: pd.DataFrame, reference: pd.DataFrame, limits: Thresholds, level: float
) -> dict[str, Measured]:
    """Measure how much worse training is than in a reference, and how much better validation is.

    Args:
        curves: learning curves with finite losses; see `verdict`.
        reference: those of the reference.
        limits: the thresholds.
        level: confidence level of each interval.

    Returns:
        The deficit and the advantage, as in `Verdict.measured`; empty if no seed is in both.
    """
    deficits, advantages = [], []
    sound = reference[reference["seed"].isin(finite_seeds(reference))]
    twins = dict(list(sound.groupby("seed")))
    for seed, group in curves.groupby("seed"):
        if seed not in twins:
            continue
        own, other = (_ends(each, limits.window)[0] for each in (group, twins[seed]))
        # Relative to the validation loss: training losses may be near 0.
        base = max(abs(own["val_loss"].mean()), 1e-12)
        deficits.append((own["train_loss"].mean() - other["train_loss"].mean()) / base)
        best = group["val_loss"].min(), twins[seed]["val_loss"].min()
        advantages.append((best[1] - best[0]) / max(abs(best[1]), 1e-12))
    if not deficits:
        return {}
    return {
        "deficit": _measured(deficits, limits.deficit, level),
        "advantage": _measured(advantages, 0.0, level),
    }


def _ends(group: pd.DataFrame, window: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The last epochs of a training run, and the same number before them."""
    ordered = group.sort_values("epoch")
    count = max(1, round(window * len(ordered)))
    return ordered.iloc[-count:], ordered.iloc[-2 * count : -count]


def _mean_over_outputs(epochs: pd.DataFrame, part: str, accuracies: Sequence[str]) -> float:
    return float(epochs[[f"{part}_{name}" for name in accuracies]].to_numpy(float).mean())


def _measured(
    values: Sequence[float], threshold: float, level: float, sampling_error: float = 0.0
) -> Measured:
    """Student's interval of a mean, widened by a standard error that all values share."""
    mean = float(np.mean(values))
    if len(values) == 1:
        return Measured(mean, math.nan, math.nan, threshold)
    half = math.hypot(
        t_half_width(values, level), float(stats.norm.ppf((1 + level) / 2)) * sampling_error
    )
    return Measured(mean, mean - half, mean + half, threshold)
