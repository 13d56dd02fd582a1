"""The picture of a claim: its effects with their intervals, and the seeds as dots."""

from __future__ import annotations

from textwrap import fill

import pandas as pd

from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.criteria import HIGHER, Criterion, Equality
from dropout_zoo.studies.claims.outcome import ClaimOutcome
from dropout_zoo.studies.displays.paired_difference import DifferenceDisplay


def effect_display(claim: Claim, outcome: ClaimOutcome) -> DifferenceDisplay:
    """Return the picture of a claim's effects.

    Args:
        claim: the claim.
        outcome: its outcome, which has effects.

    Returns:
        The display, not yet drawn. Effects to the right of 0 are as the claim states, unless it
        states that they are 0.
    """
    sign = claim.criterion.direction
    gains, pairs = [], []
    for effect in outcome.effects:
        mean, low, high = (sign * value for value in effect.difference[:3])
        ends = {"low": min(low, high), "high": max(low, high)}
        gains.append({"setting": effect.label, "control": "", "gain": mean, **ends})
        pairs += [{"setting": effect.label, "gain": sign * value} for value in effect.by_seed]
    label = fill(f"{effect.unit}; {_reading(claim.criterion)}", 70)
    return DifferenceDisplay(gains=pd.DataFrame(gains), pairs=pd.DataFrame(pairs), label=label)


def _reading(criterion: Criterion) -> str:
    if isinstance(criterion, Equality):
        return (
            f"within {criterion.margin:g} of 0 is as claimed"
            if criterion.margin
            else "0 is as claimed"
        )
    return f"{'' if criterion.direction == HIGHER else 'sign reversed, '}right is as claimed"
