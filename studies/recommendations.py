"""What to try next, given the measurements of a verdict."""

from __future__ import annotations

from collections.abc import Mapping

from dropout_zoo.studies.metric_names import rate_text
from dropout_zoo.studies.thresholds import Measured


def next_steps(
    label: str,
    measured: Mapping[str, Measured],
    num_seeds: int,
    rate: float | None = None,
    best_rate: float | None = None,
    *,
    patience: int | None = None,
) -> list[str]:
    """Recommend what to try next.

    Args:
        label: label of the verdict.
        measured: its measured quantities by name.
        num_seeds: number of seeds.
        rate: dropout rate of the setting; None if it is unknown.
        best_rate: rate with the lowest validation loss in the same sweep; None if it is unknown.
        patience: number of epochs without improvement after which training was stopped; None if it
            was not.

    Returns:
        Sentences without a full stop; an empty list where nothing needs to be changed.
    """
    if label == "overfitting":
        return _against_overfitting(measured, rate, best_rate, patience)
    if label == "underfitting":
        return _against_underfitting(measured, rate, best_rate)
    if label == "over-regularized":
        return [_held_back(measured, rate, best_rate)]
    if label == "undecided":
        if num_seeds == 1:
            return ["train on more seeds: a single seed gives no confidence interval"]
        reason = why_undecided(measured, num_seeds)
        if measured["fall"].above:
            return [f"train longer: {reason}"]
        if fits_less_and_is_better(measured):
            return [f"look for wrong labels, and try a wider model with the same rates: {reason}"]
        if not _unclear(measured):
            better = "the rates of the reference"
            if best_rate is not None and rate != best_rate:
                better = f"a dropout rate of {rate_text(best_rate)}, the best here"
            return [f"use {better}: {reason}"]
        return [
            f"train on more than {num_seeds} seeds, or measure on more validation examples: "
            f"{reason}"
        ]
    return []


def why_undecided(measured: Mapping[str, Measured], num_seeds: int) -> str:
    """Say what keeps a verdict from being decided.

    Args:
        measured: its measured quantities by name.
        num_seeds: number of seeds.

    Returns:
        Part of a sentence.
    """
    if num_seeds == 1:
        return "a single seed gives no confidence interval"
    if measured["fall"].above:
        return "the validation loss still falls, so the measurements at its end are not final"
    if fits_less_and_is_better(measured):
        return (
            f"the training error is {measured['train_error'].mean:.0%}, but the reference, with a "
            "lower one, has a higher validation loss: part of the error may be in the data"
        )
    wide = _unclear(measured)
    if not wide:
        return (
            f"the lowest validation loss of the reference is {-measured['advantage'].mean:.0%} "
            "lower, although nothing else exceeds its threshold"
        )
    if len(wide) == 1:
        return f"the confidence interval of the {wide[0]} includes its threshold"
    return (
        f"the confidence intervals of the {', '.join(wide[:-1])} and {wide[-1]} include their "
        "thresholds"
    )


def reference_is_better(measured: Mapping[str, Measured]) -> bool:
    """Whether the validation loss of the reference is lower by more than a rise may be.

    Args:
        measured: the measured quantities of a verdict by name.
    """
    advantage = measured.get("advantage")
    return advantage is not None and advantage.high < -measured["rise"].threshold


def fits_less_and_is_better(measured: Mapping[str, Measured]) -> bool:
    """Whether the training error is high, but that of a reference which generalizes worse is lower.

    Args:
        measured: the measured quantities of a verdict by name.
    """
    names = ("train_error", "deficit", "advantage")
    return all(name in measured and measured[name].above for name in names)


def _unclear(measured: Mapping[str, Measured]) -> list[str]:
    """The quantities whose intervals include their thresholds."""
    return [
        name.replace("_", " ")
        for name, value in measured.items()
        if not (value.above or value.below)
    ]


def _against_overfitting(
    measured: Mapping[str, Measured],
    rate: float | None,
    best_rate: float | None,
    patience: int | None,
) -> list[str]:
    gap, rise, fall = (measured[name] for name in ("gap", "rise", "fall"))
    reasons = []
    if gap.above:
        reasons.append(f"the gap between training and validation is {gap.mean:.3g}")
    if rise.above:
        reasons.append(f"the validation loss ends {rise.mean:.0%} above its minimum")
    if best_rate is None or rate is None:
        remedy = (
            "try other dropout rates (rate_sweep shows which is best)" if rate else "add dropout"
        )
        remedy += ", or add training data"
    elif rate < best_rate:
        remedy = (
            f"raise the dropout rate to {rate_text(best_rate)}, the best here, or add training data"
        )
    else:
        remedy = (
            f"no rate above {rate_text(best_rate)} has a lower validation loss here; add training "
            "data, or try another method"
        )
    steps = [f"{' and '.join(reasons)}: {remedy}"]
    if rise.above and patience is None:
        steps.append("stop training when the validation loss stops improving (set `patience`)")
    if fall.above:
        steps.append(
            f"the validation loss still falls at the end, by {fall.mean:.1%}: train longer"
        )
    return steps


def _against_underfitting(
    measured: Mapping[str, Measured], rate: float | None, best_rate: float | None
) -> list[str]:
    gap, fall = measured["gap"], measured["fall"]
    if fall.above:
        return [
            f"the validation loss still falls at the end, by {fall.mean:.1%}, and the gap is "
            f"{gap.mean:.3g}: train longer, or {_lower(rate, best_rate)}"
        ]
    if "deficit" in measured and measured["deficit"].above and measured["advantage"].below:
        return [_held_back(measured, rate, best_rate)]
    larger = f"{_lower(rate, best_rate)}, or widen the model" if rate else "widen the model"
    return [
        f"{measured['train_error'].mean:.0%} of the training examples are misclassified with "
        f"dropout off: {larger}, unless that many labels are wrong"
    ]


def _held_back(
    measured: Mapping[str, Measured], rate: float | None, best_rate: float | None
) -> str:
    return (
        "with dropout off, the training loss exceeds the reference by "
        f"{measured['deficit'].mean:.0%} of the validation loss, and validation is no better: "
        f"{_lower(rate, best_rate)}"
    )


def _lower(rate: float | None, best_rate: float | None) -> str:
    lower = "lower the dropout rate" if rate else "widen the model"
    if rate is not None and best_rate is not None and rate > best_rate:
        lower += f" to {rate_text(best_rate)}, the best here"
    return lower
