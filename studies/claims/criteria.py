"""What counts as support for a claim: rules that judge a table with one row per training run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pandas as pd

from dropout_zoo.models.wording import listed
from dropout_zoo.studies.claims.metrics import unit_of
from dropout_zoo.studies.claims.outcome import (
    CONTRADICTED,
    NO_DIFFERENCE,
    PARTLY_SUPPORTED,
    SUPPORTED,
    UNDECIDED,
    ClaimOutcome,
    Effect,
)
from dropout_zoo.studies.metric_names import rate_text
from dropout_zoo.studies.paired_tests import DEFAULT_LEVEL, holm_differences

HIGHER, LOWER = 1, -1


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of a metric over settings, one value per seed.

    Attributes:
        label: what it compares.
        weights: weight of each setting.
    """

    label: str
    weights: Mapping[str, float]

    def values(self, runs: pd.DataFrame, metric: str) -> list[float]:
        """Return its value on each seed.

        Args:
            runs: one row per run, with ``setting``, ``seed`` and the metric.
            metric: the column.

        Returns:
            The values, by increasing seed.
        """
        table = runs.pivot(index="seed", columns="setting", values=metric)
        total = sum(weight * table[name] for name, weight in self.weights.items())
        return [float(value) for value in total]


def versus(setting: str, control: str) -> Contrast:
    """Compare a setting with its control."""
    return Contrast(f"{setting} minus {control}", {setting: 1.0, control: -1.0})


def change_of_effect(label: str, more: tuple[str, str], less: tuple[str, str]) -> Contrast:
    """Compare the effect of dropout in two situations.

    Args:
        label: what is compared.
        more: the setting and its control in the first situation.
        less: those in the second one.
    """
    (treated, control), (other_treated, other_control) = more, less
    weights = {treated: 1.0, control: -1.0, other_treated: -1.0, other_control: 1.0}
    return Contrast(label, weights)


class Criterion(ABC):
    """What counts as support for a claim.

    Attributes:
        metric: what is compared.
        direction: the side of 0 on which its effects are as claimed, `HIGHER` or `LOWER`.
        min_seeds: the smallest number of seeds that it can judge by.
    """

    metric: str
    direction: int
    min_seeds: ClassVar[int] = 2

    @property
    def settings(self) -> Sequence[str]:
        """Names of the settings that it compares."""
        return list(dict.fromkeys(self._compared()))

    def judge(self, runs: pd.DataFrame) -> ClaimOutcome:
        """Judge a claim by training runs that can be compared.

        Args:
            runs: one row per run, with ``setting``, ``seed`` and the metric; also of settings that
                it does not compare.

        Returns:
            The outcome.
        """
        return self._judge(runs[runs["setting"].isin(self.settings)])

    @abstractmethod
    def __str__(self) -> str: ...

    @abstractmethod
    def _compared(self) -> Iterable[str]: ...

    @abstractmethod
    def _judge(self, runs: pd.DataFrame) -> ClaimOutcome: ...


@dataclass(frozen=True)
class Difference(Criterion):
    """Each contrast differs from 0 in the direction stated, Holm-adjusted where there are several.

    Attributes:
        metric: what is compared.
        direction: `HIGHER` or `LOWER`.
        contrasts: the comparisons.
        at_least: the smallest difference that matters, in the unit of the metric; the interval must
            lie beyond it.
    """

    metric: str
    direction: int
    contrasts: Sequence[Contrast]
    at_least: float = 0.0

    def _compared(self) -> Iterable[str]:
        return _settings_of(self.contrasts)

    def __str__(self) -> str:
        several = len(self.contrasts) > 1
        return (
            f"{unit_of(self.metric)}: {_labels(self.contrasts)}; the "
            f"{'Holm-adjusted intervals lie' if several else '95% interval lies'} {self._side}"
        )

    @property
    def _side(self) -> str:
        side = "above" if self.direction == HIGHER else "below"
        return f"{side} {self.direction * self.at_least + 0.0:g}"  # without the sign of -0

    def _judge(self, runs: pd.DataFrame) -> ClaimOutcome:
        effects = _effects(self.contrasts, runs, self.metric)
        found = [_oriented(each, self.direction) for each in effects]
        supported = [low > 0 and low >= self.at_least for _, low, _ in found]
        if all(supported):
            which = "the interval lies" if len(effects) == 1 else "all intervals lie"
            return ClaimOutcome(SUPPORTED, f"{which} {self._side}", effects)
        opposite = [e.label for e, (_, _, high) in zip(effects, found, strict=True) if high < 0]
        if opposite:
            why = f"{_intervals('lie', opposite)} on the opposite side for {listed(opposite)}"
            return ClaimOutcome(CONTRADICTED, why, effects)
        others = [e.label for e, held in zip(effects, supported, strict=True) if not held]
        if any(supported):
            return ClaimOutcome(PARTLY_SUPPORTED, self._without_support(others), effects)
        return ClaimOutcome(*self._unsupported(found, others), effects)

    def _unsupported(
        self, found: Sequence[tuple[float, float, float]], others: Sequence[str]
    ) -> tuple[str, str]:
        """The verdict and its reason where no interval lies on either side."""
        differs = [low > 0 for _, low, _ in found]
        if self.at_least and all(high < self.at_least for _, _, high in found):
            if all(differs):
                why = f"a difference is there, but any larger than {self.at_least:g} is ruled out"
                return NO_DIFFERENCE, why
            return (
                NO_DIFFERENCE,
                f"a difference as large as claimed ({self.at_least:g}) is ruled out",
            )
        included = self.direction * self.at_least if any(differs) else 0
        why = f"{_intervals('include', others)} {included:g} for {listed(others)}"
        return (UNDECIDED if any(differs) else NO_DIFFERENCE), why

    def _without_support(self, others: Sequence[str]) -> str:
        if self.at_least:
            which = "interval does" if len(others) == 1 else "intervals do"
            return f"the {which} not lie {self._side} for {listed(others)}"
        return f"{_intervals('include', others)} 0 for {listed(others)}"


@dataclass(frozen=True)
class Equality(Criterion):
    """Each contrast is 0 within a margin: its interval lies inside.

    Attributes:
        metric: what is compared.
        margin: the largest difference that does not matter, in the unit of the metric.
        contrasts: the comparisons.
    """

    metric: str
    margin: float
    contrasts: Sequence[Contrast]
    direction: int = field(default=HIGHER, init=False)

    def _compared(self) -> Iterable[str]:
        return _settings_of(self.contrasts)

    def __str__(self) -> str:
        compared = f"{unit_of(self.metric)}: {_labels(self.contrasts)}"
        several = len(self.contrasts) > 1
        if not self.margin:
            return f"{compared}; each is exactly 0" if several else f"{compared} is exactly 0"
        which = "all intervals lie" if several else "the interval lies"
        return f"{compared}; {which} within {self.margin:g} of 0"

    def _judge(self, runs: pd.DataFrame) -> ClaimOutcome:
        effects = _effects(self.contrasts, runs, self.metric)
        ends = [(each.difference.low, each.difference.high) for each in effects]
        if all(-self.margin <= low and high <= self.margin for low, high in ends):
            why = f"within {self.margin:g} of 0" if self.margin else "exactly 0"
            return ClaimOutcome(SUPPORTED, why, effects)
        if any(low > self.margin or high < -self.margin for low, high in ends):
            why = f"more than {self.margin:g} away from 0" if self.margin else "not 0"
            return ClaimOutcome(CONTRADICTED, why, effects)
        why = (
            f"the interval reaches beyond {self.margin:g} on a side of 0"
            if self.margin
            else "not 0 on every seed, but the interval includes 0"
        )
        return ClaimOutcome(UNDECIDED, why, effects)


@dataclass(frozen=True)
class BestRateWithin(Criterion):
    """The best rate lies in a range.

    On the first half of the seeds the best rate inside the range is chosen; on the others it is
    compared with every rate outside, Holm-adjusted. The claim is supported if it is better than all
    of them, and contradicted if the best rate outside, chosen likewise, is better than all inside.

    Attributes:
        metric: what is compared; lower is better.
        rates: name of the setting by rate.
        low: lower end of the range.
        high: upper end.
    """

    metric: str
    rates: Mapping[float, str]
    low: float
    high: float
    direction: int = field(default=LOWER, init=False)
    min_seeds: ClassVar[int] = 4  # two choose the rate, two test it

    def _compared(self) -> Iterable[str]:
        return self.rates.values()

    def __str__(self) -> str:
        return (
            f"{unit_of(self.metric)}: the best rate of {rate_text(self.low)} to "
            f"{rate_text(self.high)}, chosen on the first half of the seeds, is lower on the other "
            "half than every rate outside (Holm-adjusted)"
        )

    def _judge(self, runs: pd.DataFrame) -> ClaimOutcome:
        seeds = sorted(runs["seed"].unique())
        half = len(seeds) // 2
        choosing, testing = (runs[runs["seed"].isin(s)] for s in (seeds[:half], seeds[half:]))
        inside = [name for rate, name in self.rates.items() if self.low <= rate <= self.high]
        outside = [name for rate, name in self.rates.items() if not self.low <= rate <= self.high]
        means = choosing.groupby("setting")[self.metric].mean()
        best, rival = str(means[inside].idxmin()), str(means[outside].idxmin())
        effects = _effects([versus(best, name) for name in outside], testing, self.metric)
        if all(each.difference.high < 0 for each in effects):
            why = f"{best}, chosen on {half} seeds, is better than every rate outside on the others"
            return ClaimOutcome(SUPPORTED, why, effects)
        against = _effects([versus(rival, name) for name in inside], testing, self.metric)
        if all(each.difference.high < 0 for each in against):
            why = f"{rival}, chosen on {half} seeds, is better than every rate inside on the others"
            return ClaimOutcome(CONTRADICTED, why, against)
        alike = [
            name
            for name, effect in zip(outside, effects, strict=True)
            if not effect.difference.high < 0
        ]
        why = (
            f"{best}, chosen on {half} seeds, is not reliably better on the others than "
            f"{listed(alike, 'or')}"
        )
        return ClaimOutcome(NO_DIFFERENCE, why, effects)


def _settings_of(contrasts: Sequence[Contrast]) -> list[str]:
    return list(dict.fromkeys(name for each in contrasts for name in each.weights))


def _intervals(verb: str, labels: Sequence[str]) -> str:
    """The interval of a comparison, or those of several, with a verb in the plural."""
    return f"the interval {verb}s" if len(labels) == 1 else f"the intervals {verb}"


def _labels(contrasts: Sequence[Contrast]) -> str:
    return "; ".join(each.label for each in contrasts)


def _oriented(effect: Effect, direction: int) -> tuple[float, float, float]:
    """Mean, low and high, where the claim states that they are above 0."""
    mean, low, high = effect.difference[:3]
    return (mean, low, high) if direction == HIGHER else (-mean, -high, -low)


def _effects(contrasts: Sequence[Contrast], runs: pd.DataFrame, metric: str) -> list[Effect]:
    values = {each.label: each.values(runs, metric) for each in contrasts}
    num_seeds = runs["seed"].nunique()
    found = holm_differences(values, [0.0] * num_seeds, DEFAULT_LEVEL)
    unit = unit_of(metric)
    return [Effect(label, unit, found[label], tuple(each)) for label, each in values.items()]
