"""What to try next, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping

from dropout_zoo.studies.thresholds import Measured


def next_steps(
    label: str, measured: Mapping[str, Measured], rate: float | None, seeds: int
) -> list[str]:
    """Say what follows from a verdict's numbers.

    Args:
        label: the verdict's label.
        measured: its quantities, by name.
        rate: dropout rate of the setting, or None where it is unknown.
        seeds: number of seeds.

    Returns:
        Sentences without a full stop; none where nothing needs to be changed.
    """
    gap, rise, fall = (measured[name] for name in ("gap", "rise", "fall"))
    if label == "overfitting":
        return _against_overfitting(gap, rise, fall, rate)
    if label == "underfitting":
        return _against_underfitting(measured, rate)
    if label == "undecided":
        if seeds == 1:
            return ["train on more seeds: a single one has no interval"]
        wide = [name for name, value in measured.items() if not (value.above or value.below)]
        return [
            f"train on more than {seeds} seeds, or measure on more validation examples: the "
            f"intervals of {' and '.join(wide)} hold their thresholds"
        ]
    return []


def _against_overfitting(
    gap: Measured, rise: Measured, fall: Measured, rate: float | None
) -> list[str]:
    reasons = []
    if gap.above:
        reasons.append(f"the gap between training and validation is {gap.mean:.3g}")
    if rise.above:
        reasons.append(f"the validation loss ends {rise.mean:.0%} above its minimum")
    remedy = "raise the dropout rate" if rate else "add dropout"
    steps = [f"{' and '.join(reasons)}: {remedy}, or bring more data"]
    if rise.above:
        steps.append("stop at the epoch with the lowest validation loss (patience)")
    if fall.above:
        steps.append(f"the validation loss still falls, {fall.mean:.1%} at the end: train longer")
    return steps


def _against_underfitting(measured: Mapping[str, Measured], rate: float | None) -> list[str]:
    gap, fall = measured["gap"], measured["fall"]
    lower = "lower the dropout rate" if rate else "widen the model"
    if fall.above:
        return [
            f"validation loss with dropout off still falls, {fall.mean:.1%} at the end, and the "
            f"gap is {gap.mean:.3g}: train longer, or {lower}"
        ]
    # Only a comparison with the control leads here.
    return [
        f"training loss with dropout off lies above that without dropout, by "
        f"{measured['deficit'].mean:.0%} of the validation loss, which is no better: {lower}, or "
        "widen the model"
    ]
