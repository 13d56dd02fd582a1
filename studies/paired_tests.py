"""Comparisons in pairs: the same seeds with and without, the difference, and its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

DEFAULT_LEVEL = 0.95


class PairedDifference(NamedTuple):
    """A difference between paired measurements.

    Attributes:
        mean: mean difference.
        low: lower end of the interval; NaN with a single pair.
        high: upper end of the interval; NaN with a single pair.
        level: confidence level of the interval, as corrected.
        p_value: two-sided p-value, as corrected; NaN with a single pair.
        pairs: number of pairs.
    """

    mean: float
    low: float
    high: float
    level: float
    p_value: float
    pairs: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies wholly on one side of zero."""
        return self.low > 0 or self.high < 0


def paired_difference(
    values: Sequence[float], baseline: Sequence[float], level: float = DEFAULT_LEVEL
) -> PairedDifference:
    """Compare paired measurements by Student's t.

    Args:
        values: one value a pair, such as one a seed.
        baseline: the values to compare with, in the same order.
        level: confidence level, in (0, 1).

    Returns:
        The difference ``values - baseline``.

    Raises:
        ValueError: the two are not as long as each other, or empty.
    """
    if len(values) != len(baseline) or not len(values):
        raise ValueError(
            f"expected as many values as baseline values, at least one of each; received "
            f"{len(values)} and {len(baseline)}"
        )
    difference = np.asarray(values, float) - np.asarray(baseline, float)
    count = len(difference)
    mean = float(difference.mean())
    if count == 1:
        return PairedDifference(mean, math.nan, math.nan, level, math.nan, 1)
    error = float(stats.sem(difference))
    half = float(stats.t.ppf((1 + level) / 2, count - 1)) * error
    if error > 0:
        p_value = 2 * float(stats.t.sf(abs(mean) / error, count - 1))
    else:
        p_value = 1.0 if mean == 0 else 0.0
    return PairedDifference(mean, mean - half, mean + half, level, p_value, count)


def holm_differences(
    values: Mapping[str, Sequence[float]], baseline: Sequence[float], level: float = DEFAULT_LEVEL
) -> dict[str, PairedDifference]:
    """Compare several settings with one baseline, corrected by Holm's step-down method.

    Each p-value is corrected, and each interval is given at the level at which the method tests
    that setting: the most significant of m at ``1 - (1 - level) / m``, the next at
    ``1 - (1 - level) / (m - 1)``, and so on to the first one that holds 0, at whose level all that
    follow are given (Holm 1979, Scandinavian Journal of Statistics 6:65-70). So an interval leaves
    out 0 where the method tells the setting from the baseline: that none of these is a mistake is
    as certain as `level` says. It is not as certain that all intervals hold their true differences.

    Args:
        values: by name of the setting, one value a pair.
        baseline: the values to compare with, in the same order.
        level: confidence level of all tests together, in (0, 1).

    Returns:
        The differences by name, in the order given.
    """
    plain = {name: paired_difference(v, baseline, level) for name, v in values.items()}
    # One pair has no p-value; such a family keeps its order.
    ranked = sorted(plain, key=lambda name: np.nan_to_num(plain[name].p_value, nan=1.0))
    corrected: dict[str, PairedDifference] = {}
    floor, tests = 0.0, len(ranked)
    told_apart = True
    for rank, name in enumerate(ranked):
        tests_left = len(ranked) - rank
        if told_apart:
            tests = tests_left
        found = paired_difference(values[name], baseline, 1 - (1 - level) / tests)
        told_apart = told_apart and found.excludes_zero
        # Step-down: nothing is more certain than what was tested before it.
        floor = max(floor, min(1.0, found.p_value * tests_left))
        p_value = floor if found.pairs > 1 else math.nan
        corrected[name] = found._replace(p_value=p_value)
    return {name: corrected[name] for name in values}
