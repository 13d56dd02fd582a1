"""Verdicts on learning curves: underfitting, balanced, overfitting, diverged, or undecided."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from dropout_zoo.studies.metric_names import accuracy_name
from dropout_zoo.studies.paired_tests import DEFAULT_LEVEL
from dropout_zoo.studies.recommendations import next_steps
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.thresholds import Measured, Thresholds

UNDERFITTING, BALANCED, OVERFITTING, DIVERGED, UNDECIDED = (
    "underfitting", "balanced", "overfitting", "diverged", "undecided",
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What the curves of one setting show.

    Attributes:
        label: ``"underfitting"``, ``"balanced"``, ``"overfitting"``, ``"diverged"`` or
            ``"undecided"``.
        sentence: the label with the numbers that decided.
        measured: the quantities by name: ``gap``, ``rise``, ``fall``, and with a reference
            ``deficit`` and ``advantage``.
        next_steps: what follows from them, a sentence each.
        seeds: number of seeds with finite losses.
    """

    label: str
    sentence: str
    measured: Mapping[str, Measured] = field(default_factory=dict)
    next_steps: Sequence[str] = ()
    seeds: int = 0


def verdict(
    curves: pd.DataFrame,
    *,
    reference: pd.DataFrame | None = None,
    rate: float | None = None,
    best_rate: float | None = None,
    examples: int | None = None,
    thresholds: Thresholds | None = None,
    level: float = DEFAULT_LEVEL,
) -> Verdict:
    """Judge the learning curves of one setting.

    Only what was measured decides: training and validation metric with dropout off, their gap,
    the trend of the validation loss before and after its minimum, each with Student's interval
    over the seeds. A setting underfits where its training loss lies above that of the reference
    without any advantage on the validation part. Else it overfits where gap or rise lie above
    their thresholds. Where both lie below, it underfits if its validation loss still falls at the
    end, and is balanced if not. Where an interval straddles its threshold it is undecided.

    Args:
        curves: a row an epoch and seed: ``seed``, ``epoch``, ``train_loss`` (dropout off),
            ``val_loss``, if there is one the accuracy in the same way, and ``status`` if it is
            known; as `TrainingStudyResult.curves` gives them.
        reference: curves of the same model without dropout, or at the best rate that is known,
            trained on the same seeds.
        rate: dropout rate of the setting, if it has one, for the next steps.
        best_rate: rate with the lowest validation loss in the same sweep, if it is known, for the
            next steps.
        examples: number of validation examples: the interval of a gap in accuracy then also
            covers the draw of these examples, which all seeds share.
        thresholds: what to compare with; None for the defaults.
        level: confidence level of each interval, in (0, 1).

    Returns:
        The verdict.

    Raises:
        ValueError: a column is missing.
    """
    limits = thresholds or Thresholds()
    _check_columns(curves)
    sound = _finite_seeds(curves)
    total = curves["seed"].nunique()
    lost = total - len(sound)
    if total == 0 or lost / total >= limits.diverged:
        reasons = _reasons_of_failures(curves)
        if reasons:
            return Verdict(
                UNDECIDED,
                f"undecided: {lost} of {total} seeds failed ({reasons}).",
                next_steps=("mend what makes trainings fail, and run the study again",),
                seeds=len(sound),
            )
        return Verdict(
            DIVERGED,
            f"diverged: {lost} of {total} seeds did not keep a finite loss.",
            next_steps=(
                "lower the learning rate, or clip the gradient (clipnorm) in the optimizer",
            ),
            seeds=len(sound),
        )
    finite = curves[curves["seed"].isin(sound)]
    measured = _measure(finite, limits, level, examples)
    if reference is not None:
        measured |= _against(finite, reference, limits, level)
    label = UNDECIDED if len(sound) == 1 else _label(measured)
    return Verdict(
        label,
        _sentence(label, measured, len(sound), lost),
        measured,
        tuple(next_steps(label, measured, len(sound), rate, best_rate)),
        len(sound),
    )


def verdict_by_setting(
    result: TrainingStudyResult,
    *,
    thresholds: Thresholds | None = None,
    level: float = DEFAULT_LEVEL,
) -> dict[str, Verdict]:
    """Judge every setting of a study.

    The reference of a setting is its control. In a sweep of the rate it is the rate with the
    lowest validation loss, except for that rate itself: more dropout than that underfits if it
    holds training back and does not help validation.

    Args:
        result: the study.
        thresholds: what to compare with; None for the defaults.
        level: confidence level of each interval, in (0, 1).

    Returns:
        Verdict by name of the setting.
    """
    verdicts = {}
    examples = result.settings["data"]["examples"]["validation"]
    best = _best_by_series(result)
    for name in dict.fromkeys(result.data["setting"]):
        curves = result.curves(name)
        control = result.controls.get(name)
        best_rate = None
        if name in best:
            best_name, best_rate = best[name]
            control = control if name == best_name else best_name
        verdicts[name] = verdict(
            curves,
            reference=None if control is None else result.curves(control),
            rate=_rate(curves) if best_rate is None else float(curves["rate"].iloc[0]),
            best_rate=best_rate,
            examples=examples,
            thresholds=thresholds,
            level=level,
        )
    return verdicts


def _rate(curves: pd.DataFrame) -> float | None:
    """The largest rate of a setting."""
    rates = curves.filter(regex="^rate/")
    return float(rates.iloc[0].max()) if rates.shape[1] else None


def _best_by_series(result: TrainingStudyResult) -> dict[str, tuple[str, float]]:
    """In a sweep of the rate: for each setting the best one of its series, and its rate."""
    if result.kind != "rate_sweep":
        return {}
    found = {}
    means = result.means("val_loss")
    for _, group in means[means["mean"].notna()].groupby("series"):
        best = group.loc[group["mean"].idxmin()]
        if len(group) > 1:
            for name in group["setting"]:
                found[str(name)] = str(best["setting"]), float(best["rate"])
    return found


def _check_columns(curves: pd.DataFrame) -> None:
    wanted = ("seed", "epoch", "train_loss", "val_loss")
    missing = [name for name in wanted if name not in curves]
    if missing:
        raise ValueError(
            f"expected curves with the columns {', '.join(wanted)}; received none of the name "
            f"{', '.join(missing)}: take them from a study, or from TrainedMember.curves with "
            "its seed"
        )


def _reasons_of_failures(curves: pd.DataFrame) -> str:
    """Why trainings failed other than by a loss that is not finite."""
    if "status" not in curves or "reason" not in curves:
        return ""
    return "; ".join(sorted(set(curves.loc[curves["status"] == "failed", "reason"])))


def _finite_seeds(curves: pd.DataFrame) -> list[int]:
    sound = []
    for seed, group in curves.groupby("seed"):
        losses = group[["train_loss", "val_loss"]].to_numpy(float)
        failed = "status" in group and (group["status"] != "completed").any()
        if np.isfinite(losses).all() and not failed:
            sound.append(seed)
    return sound


def _ends(group: pd.DataFrame, window: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The last epochs of a training, and as many before them."""
    ordered = group.sort_values("epoch")
    count = max(1, round(window * len(ordered)))
    return ordered.iloc[-count:], ordered.iloc[-2 * count : -count]


def _measure(
    curves: pd.DataFrame, limits: Thresholds, level: float, examples: int | None
) -> dict[str, Measured]:
    accuracy = accuracy_name(curves.columns)
    gaps, rises, falls, hits = [], [], [], []
    for _, group in curves.groupby("seed"):
        last, before = _ends(group, limits.window)
        train, validation = last["train_loss"].mean(), last["val_loss"].mean()
        if accuracy:
            hits.append(last[f"val_{accuracy}"].mean())
            gaps.append(last[f"train_{accuracy}"].mean() - hits[-1])
        else:
            gaps.append((validation - train) / max(abs(validation), 1e-12))
        # Averaged over as many epochs as the end: the lowest single epoch is lower by chance.
        by_epoch = group.sort_values("epoch")["val_loss"]
        least = by_epoch.rolling(len(last)).mean().min()
        rises.append((validation - least) / max(abs(least), 1e-12))
        earlier = before["val_loss"].mean() if len(before) else validation
        falls.append((earlier - validation) / max(abs(earlier), 1e-12))
    draw = 0.0
    if examples and hits:
        share = float(np.clip(np.mean(hits), 0, 1))
        draw = math.sqrt(share * (1 - share) / examples)
    return {
        "gap": _interval(gaps, limits.gap if accuracy else limits.loss_gap, level, draw),
        "rise": _interval(rises, limits.rise, level),
        "fall": _interval(falls, limits.fall, level),
    }


def _against(
    curves: pd.DataFrame, reference: pd.DataFrame, limits: Thresholds, level: float
) -> dict[str, Measured]:
    """How far training falls short of the reference, and what validation gains by it."""
    deficits, advantages = [], []
    twins = dict(list(reference.groupby("seed")))
    for seed, group in curves.groupby("seed"):
        if seed not in twins:
            continue
        own, other = (_ends(each, limits.window)[0] for each in (group, twins[seed]))
        base = own["val_loss"].mean()
        # Against the validation loss: training losses near 0 make any share of them large.
        deficits.append((own["train_loss"].mean() - other["train_loss"].mean()) / max(base, 1e-12))
        best = group["val_loss"].min(), twins[seed]["val_loss"].min()
        advantages.append((best[1] - best[0]) / max(abs(best[1]), 1e-12))
    if not deficits:
        return {}
    return {
        "deficit": _interval(deficits, limits.deficit, level),
        "advantage": _interval(advantages, 0.0, level),
    }


def _interval(
    values: Sequence[float], threshold: float, level: float, draw: float = 0.0
) -> Measured:
    """Student's interval of a mean, widened by the standard error of what all values share."""
    mean = float(np.mean(values))
    if len(values) == 1:
        return Measured(mean, math.nan, math.nan, threshold)
    half = float(
        math.hypot(
            stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values),
            stats.norm.ppf((1 + level) / 2) * draw,
        )
    )
    return Measured(mean, mean - half, mean + half, threshold)


def _label(measured: Mapping[str, Measured]) -> str:
    gap, rise, fall = measured["gap"], measured["rise"], measured["fall"]
    deficit, advantage = measured.get("deficit"), measured.get("advantage")
    unclear = False
    if deficit is not None and advantage is not None:
        if deficit.above and advantage.below:
            return UNDERFITTING
        unclear = not deficit.below and not advantage.above
    if gap.above or rise.above:
        return OVERFITTING
    if not (gap.below and rise.below):
        return UNDECIDED
    if fall.above:
        return UNDERFITTING
    return BALANCED if fall.below and not unclear else UNDECIDED


_NAMES = {
    "gap": "gap between training and validation, dropout off",
    "rise": "rise of the validation loss after its minimum",
    "fall": "fall of the validation loss at the end",
    "deficit": "training loss above the reference",
    "advantage": "lowest validation loss below the reference",
}


def _sentence(label: str, measured: Mapping[str, Measured], seeds: int, lost: int) -> str:
    numbers = "; ".join(f"{_NAMES[name]} {value}" for name, value in measured.items())
    text = f"{label}: {numbers}; {seeds} seed{'' if seeds == 1 else 's'}"
    return f"{text}, {lost} more without a finite loss." if lost else f"{text}."
