"""Paired comparisons: differences on the same seeds, with their confidence intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from dropout_zoo.models.argument_validation import check_level

DEFAULT_LEVEL = 0.95

_PAIRS_OF_EQUAL_DIFFERENCES = 4  # from which on equal differences show that one setting is better


class PairedDifference(NamedTuple):
    """A mean difference between paired measurements, with its confidence interval.

    Attributes:
        mean: mean difference.
        low: lower end of the interval; NaN with a single pair, or where a measurement is not
            finite.
        high: upper end of the interval; NaN in the same cases.
        level: confidence level of the interval, as corrected.
        p_value: two-sided p-value, as corrected; NaN in the same cases.
        pairs: number of pairs.

    Example:
        >>> from dropout_zoo.studies import PairedDifference
        >>> gain = PairedDifference(0.02, low=0.01, high=0.03, level=0.95, p_value=0.002, pairs=5)
        >>> gain.excludes_zero
        True
    """

    mean: float
    low: float
    high: float
    level: float
    p_value: float
    pairs: int

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


def paired_difference(
    values: Sequence[float], baseline: Sequence[float], level: float = DEFAULT_LEVEL
) -> PairedDifference:
    """Compare paired measurements by Student's t.

    Args:
        values: one value per pair, such as one per seed.
        baseline: the values to compare with, in the same order.
        level: confidence level, in (0, 1).

    Returns:
        The difference ``values - baseline``.

    Raises:
        ValueError: the two differ in length, or are empty, or the level is out of range.

    Example:
        >>> from dropout_zoo.studies import paired_difference
        >>> gain = paired_difference([0.91, 0.93, 0.92], [0.89, 0.90, 0.90])
        >>> round(gain.mean, 3), round(gain.low, 3), round(gain.high, 3)
        (0.023, 0.009, 0.038)
        >>> gain.excludes_zero
        True
    """
    check_level(level)
    if len(values) != len(baseline) or not len(values):
        raise ValueError(
            f"expected as many values as baseline values (at least one of each), received "
            f"{len(values)} and {len(baseline)}"
        )
    with np.errstate(invalid="ignore"):  # of infinite measurements
        difference = np.asarray(values, float) - np.asarray(baseline, float)
        count, mean = len(difference), float(difference.mean())
    if count == 1 or not np.isfinite(difference).all():
        return PairedDifference(mean, math.nan, math.nan, level, math.nan, count)
    error = float(stats.sem(difference))
    if error == 0:  # SciPy returns NaN
        p_value = 1.0 if mean == 0 else 0.0
        return PairedDifference(mean, mean - error, mean + error, level, p_value, count)
    with warnings.catch_warnings():
        # SciPy warns of differences that are nearly equal, such as by rounding.
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        test = stats.ttest_1samp(difference, 0.0)
    low, high = test.confidence_interval(level)
    return PairedDifference(mean, float(low), float(high), level, float(test.pvalue), count)


def holm_differences(
    values: Mapping[str, Sequence[float]], baseline: Sequence[float], level: float = DEFAULT_LEVEL
) -> dict[str, PairedDifference]:
    """Compare several settings with one baseline, corrected by Holm's step-down method.

    Each p-value is corrected, and each interval is given at the level at which the method tests
    that setting: the most significant of m at ``1 - (1 - level) / m``, the next at
    ``1 - (1 - level) / (m - 1)``, and so on up to the first whose interval includes 0; the
    remaining ones are given at the level of that one (Holm 1979, Scandinavian Journal of
    Statistics 6:65-70). An interval therefore excludes 0 exactly where the method finds a
    difference, and the probability of any false one is at most ``1 - level``. That all intervals
    contain their true differences is less certain.

    Args:
        values: one value per pair, by name of the setting.
        baseline: the values to compare with, in the same order.
        level: confidence level of all tests together, in (0, 1).

    Returns:
        The differences by name, in the order given.

    Raises:
        ValueError: values and baseline differ in length, or are empty, or the level is out of
            range.

    Example:
        >>> from dropout_zoo.studies import holm_differences
        >>> losses = {"rate 0.2": [0.21, 0.24, 0.22], "rate 0.9": [0.81, 0.90, 0.79]}
        >>> found = holm_differences(losses, baseline=[0.22, 0.23, 0.23])
        >>> {name: difference.excludes_zero for name, difference in found.items()}
        {'rate 0.2': False, 'rate 0.9': True}
        >>> round(found["rate 0.9"].level, 3)
        0.975
    """
    plain = {name: paired_difference(v, baseline, level) for name, v in values.items()}
    # Where there is no p-value, there is nothing to find: such settings come last.
    ranked = sorted(plain, key=lambda name: np.nan_to_num(plain[name].p_value, nan=math.inf))
    corrected: dict[str, PairedDifference] = {}
    floor, tests = 0.0, len(ranked)
    all_significant = True
    for rank, name in enumerate(ranked):
        tests_left = len(ranked) - rank
        if all_significant:
            tests = tests_left
        found = paired_difference(values[name], baseline, 1 - (1 - level) / tests)
        all_significant = all_significant and found.excludes_zero
        # Step-down: no corrected p-value is smaller than one that was tested before it.
        floor = max(floor, min(1.0, found.p_value * tests_left))
        p_value = math.nan if math.isnan(found.p_value) else floor
        corrected[name] = found._replace(p_value=p_value)
    return {name: corrected[name] for name in values}


def may_be_best(
    values: Mapping[str, Sequence[float]], direction: str, level: float = DEFAULT_LEVEL
) -> list[str]:
    """Select the settings that may be the best: no other one is reliably better.

    Hsu's comparison with the best (1984, The Annals of Statistics 12:1136-1144), with paired
    differences and Bonferroni's correction: a setting is left out where one of the others is better
    than it in a one-sided test at ``(1 - level)`` divided by the number of others. The setting that
    is truly best on these validation examples, which all seeds share, is among those returned with
    a probability of approximately `level` or more, for differences that are roughly normal; it is
    less where rare seeds are far worse than the rest. Other examples may favor another setting.
    Differences that are equal on fewer than 4 pairs leave nothing out, because so few do not show
    that they hardly vary.

    Args:
        values: one value per pair, such as one per seed, by name of the setting; NaN where there is
            none.
        direction: ``"min"`` or ``"max"``: which values are better.
        level: confidence level, in (0.5, 1).

    Returns:
        Their names, in the order given; all of them with a single pair.

    Raises:
        ValueError: the level is out of range.

    Example:
        >>> from dropout_zoo.studies import may_be_best
        >>> losses = {
        ...     "rate 0.0": [0.34, 0.35, 0.36, 0.33],
        ...     "rate 0.2": [0.27, 0.29, 0.28, 0.26],
        ...     "rate 0.3": [0.28, 0.27, 0.29, 0.27],
        ... }
        >>> may_be_best(losses, "min")
        ['rate 0.2', 'rate 0.3']
    """
    check_level(level, above=0.5)  # at 0.5, a one-sided test finds whatever is larger
    sign = 1.0 if direction == "max" else -1.0
    scores = {name: sign * np.asarray(given, float) for name, given in values.items()}
    # The lower end of an interval of this level is a one-sided test's.
    each = 1 - 2 * (1 - level) / max(len(scores) - 1, 1)
    return [
        name
        for name, own in scores.items()
        if not any(_is_better(other, own, each) for other in scores.values() if other is not own)
    ]


def _is_better(values: np.ndarray, baseline: np.ndarray, level: float) -> bool:
    both = np.isfinite(values) & np.isfinite(baseline)
    pairs = both.sum()
    if pairs < 2 or (
        pairs < _PAIRS_OF_EQUAL_DIFFERENCES and _are_equally_far_apart(values[both], baseline[both])
    ):
        return False
    return paired_difference(values[both].tolist(), baseline[both].tolist(), level).low > 0


def _are_equally_far_apart(values: np.ndarray, baseline: np.ndarray) -> bool:
    """Whether the differences are equal, but for a few roundings of 32-bit numbers."""
    rounding = 4 * np.finfo(np.float32).eps * max(np.abs(values).max(), np.abs(baseline).max())
    return bool(np.ptp(values - baseline) <= rounding)


def t_half_width(values: Sequence[float], level: float) -> float:
    """Compute half the width of Student's confidence interval of a mean.

    Args:
        values: the values, at least 2.
        level: confidence level, in (0, 1).

    Returns:
        The half-width; 0 where all values are equal.

    Raises:
        ValueError: the level is out of range.
    """
    check_level(level)
    return float(stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values))
