"""The outcome of a claim: its verdict and the effects that it rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dropout_zoo.studies.paired_tests import PairedDifference

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
PARTLY_SUPPORTED = "partly supported"
NO_DIFFERENCE = "no reliable difference"
UNDECIDED = "undecided"
NOT_COMPARABLE = "not comparable"
NOT_TESTED = "not tested"

VERDICTS = {
    SUPPORTED: "the intervals of all effects lie where the claim says",
    PARTLY_SUPPORTED: "some intervals lie where the claim says, and none on the opposite side",
    CONTRADICTED: "the interval of an effect lies on the opposite side",
    NO_DIFFERENCE: "the interval includes 0, or rules out a difference as large as the claim "
    "requires",
    UNDECIDED: "the interval includes the smallest difference, or the margin, that the claim sets",
    NOT_COMPARABLE: "training runs failed, or had not ended",
    NOT_TESTED: "there is no stored result",
}
"""What each verdict means."""


@dataclass(frozen=True)
class Effect:
    """One comparison of a claim.

    Attributes:
        label: what is compared.
        unit: the metric with its unit.
        difference: its mean over the seeds, with the interval.
        by_seed: its value on each seed.
    """

    label: str
    unit: str
    difference: PairedDifference
    by_seed: Sequence[float]

    def __str__(self) -> str:
        found = self.difference
        if self._is_constant:
            return f"{self.label}: {self.value} on all {found.pairs} seeds"
        if math.isnan(found.low):
            return f"{self.label}: {self.value}"
        level = f"{100 * found.level:.3g}% CI"
        ends = f"{_shown(found.low)} to {_shown(found.high)}"
        return f"{self.label}: {_shown(found.mean)} ({level} {ends}, {found.pairs} seeds)"

    @property
    def value(self) -> str:
        """Its mean and interval; the value alone where it is the same on every seed."""
        found = self.difference
        if self._is_constant:
            return "exactly 0" if found.mean == 0 else _shown(found.mean)
        if math.isnan(found.low):
            return f"{_shown(found.mean)} (no interval)"
        return f"{_shown(found.mean)} ({_shown(found.low)} to {_shown(found.high)})"

    @property
    def _is_constant(self) -> bool:
        return len(self.by_seed) > 1 and len(set(self.by_seed)) == 1


@dataclass(frozen=True)
class ClaimOutcome:
    """What the test of a claim found.

    Attributes:
        verdict: one of ``"supported"``, ``"partly supported"``, ``"contradicted"``,
            ``"no reliable difference"``, ``"undecided"``, ``"not comparable"`` and
            ``"not tested"``.
        why: the reason, in a sentence.
        effects: the comparisons that it rests on; none where nothing could be compared.

    Example:
        >>> from dropout_zoo.studies import get_claim
        >>> outcome = get_claim("adds-to-early-stopping").stored_outcome()
        >>> outcome.verdict
        'supported'
        >>> print(outcome.why)
        the interval lies below 0
    """

    verdict: str
    why: str
    effects: Sequence[Effect] = ()

    @property
    def value(self) -> str:
        """The means of all effects with their intervals; empty if there are none."""
        return "; ".join(effect.value for effect in self.effects)

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {self.why}"]
        if self.effects:
            lines.append(f"{self.effects[0].unit}:")
        return "\n".join([*lines, *(f"  {effect}" for effect in self.effects)])


def _shown(value: float) -> str:
    return "0" if abs(value) < 1e-12 else f"{value:+.3g}"
