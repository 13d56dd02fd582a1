"""Comparisons that are evaluated several times, over several splits of the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from dropout_zoo.studies.paired_tests import DEFAULT_LEVEL

LOOKS = (10, 20, 40)
"""Numbers of seeds at which a race is evaluated, up to its maximum."""

LEAST_GROWTH = 2
"""Minimum ratio of the seeds of a look to those of the look before: a look that adds few seeds may
spend little error probability, so that its interval would be wider than that of the look before."""

LEAST_SHARE = 0.75
"""Least share of the variance of the splits' means that counts as variance between splits. With 1,
the correction is that of Nadeau and Bengio as published; with 0, intervals are too narrow where the
validation set is large (see benchmarks/operating_characteristics.py)."""


_SAME = 1e-6  # relative difference of scores that are equal but for rounding


class Estimate(NamedTuple):
    """A mean difference with its standard error.

    Attributes:
        mean: mean difference; an array where several comparisons were computed at once.
        error: its standard error.
        df: degrees of freedom of the standard error.
    """

    mean: np.ndarray
    error: np.ndarray
    df: int

    def allowing_for_steps(self, step: float, num_seeds: int) -> Estimate:
        """Return the estimate with the variance that rounding the scores to steps hides.

        Scores such as accuracies, of a few validation examples, may be equal on all seeds although
        the probabilities of an error are not. Rounding adds a variance of ``step ** 2 / 12`` to a
        score (Sheppard 1898, Proceedings of the London Mathematical Society 29:353-380), and twice
        that to a difference.

        Args:
            step: the step of the scores, as `score_step` finds it.
            num_seeds: number of seeds, of which each has a difference.

        Returns:
            The estimate.
        """
        rounding = step**2 / 6 / num_seeds
        return self._replace(error=np.sqrt(self.error**2 + rounding))

    def half_width(self, alpha: float) -> np.ndarray:
        """Return half the width of Student's interval that misses with probability `alpha`."""
        critical = stats.t.ppf(1 - alpha / 2, self.df)
        return np.asarray(critical * self.error)


def score_step(scores: np.ndarray) -> float:
    """Return the smallest difference between two scores that are not equal.

    Args:
        scores: scores of training runs, of any shape.

    Returns:
        The difference, which is tiny for a loss; 0 if all scores are equal up to the rounding of
        single precision.

    Example:
        >>> score_step(np.array([0.90, 0.92, 0.96, 0.92]))
        0.02
    """
    steps = np.diff(np.sort(scores, axis=None))
    distinct = steps[steps > _SAME * np.abs(scores).max(initial=0)]
    return round(float(distinct.min()), 12) if len(distinct) else 0.0


def looks_until(num_seeds: int) -> list[int]:
    """Return the numbers of seeds at which a race on one split of the data is evaluated.

    Args:
        num_seeds: maximum number of seeds.

    Returns:
        Ascending numbers, the last of which is the maximum.

    Example:
        >>> looks_until(40), looks_until(15), looks_until(3)
        ([10, 20, 40], [15], [3])
    """
    return [*(look for look in LOOKS if LEAST_GROWTH * look <= num_seeds), num_seeds]


def num_splits(num_seeds: int) -> int:
    """Return over how many splits of the data the seeds of a race are spread.

    Seed number n is trained on split n modulo this number. Each of the first seeds thus has a split
    of its own, which tells more about the variance between splits than two seeds on each of half as
    many. At the end two seeds share each split, which tells seeds and splits apart. Too few seeds
    for that have a split each.

    Args:
        num_seeds: maximum number of seeds.

    Returns:
        The number of splits.

    Example:
        >>> num_splits(40), num_splits(15)
        (20, 15)
    """
    return num_seeds // 2 if num_seeds >= 2 * LOOKS[0] else num_seeds


def looks_over_splits(num_seeds: int) -> list[int]:
    """Return the numbers of seeds at which a race over several splits is evaluated.

    Args:
        num_seeds: maximum number of seeds; an odd number may be rounded down.

    Returns:
        Ascending numbers. At each of them, all splits that were used have the same number of seeds.

    Example:
        >>> looks_over_splits(40), looks_over_splits(31), looks_over_splits(15)
        ([10, 20, 40], [10, 30], [15])
    """
    splits = num_splits(num_seeds)
    last = whole_splits(num_seeds, splits)
    return [look for look in looks_until(last) if whole_splits(look, splits) == look]


def whole_splits(num_seeds: int, splits: int) -> int:
    """Return how many of the first seeds spread evenly over the splits that they use.

    Args:
        num_seeds: number of seeds.
        splits: number of splits.

    Returns:
        The number of seeds.

    Example:
        >>> whole_splits(14, 20), whole_splits(34, 20), whole_splits(40, 20)
        (14, 20, 40)
    """
    return num_seeds if num_seeds <= splits else num_seeds - num_seeds % splits


def alpha_of_look(looks: Sequence[int], number: int, level: float = DEFAULT_LEVEL) -> float:
    """Return the error probability that one look may spend.

    It is spent in proportion to the seeds that each look adds (the power family of Kim and DeMets
    1987, Biometrika 74:149-154, with exponent 1). The looks together spend ``1 - level``, so
    intervals at ``1 - alpha_of_look`` hold whenever the race ends.

    Args:
        looks: numbers of seeds at each look.
        number: number of the look, from 0.
        level: confidence level of all looks together, in (0, 1).

    Returns:
        The probability.

    Example:
        >>> [round(alpha_of_look([10, 20, 40], number), 4) for number in range(3)]
        [0.0125, 0.0125, 0.025]
    """
    before = looks[number - 1] if number else 0
    return (1 - level) * (looks[number] - before) / looks[-1]


def paired_estimate(differences: np.ndarray) -> Estimate:
    """Estimate the mean of paired differences on one split of the data.

    Args:
        differences: one difference per seed along the last axis, at least 2.

    Returns:
        The mean with its usual standard error. It holds for this split.
    """
    count = differences.shape[-1]
    deviation = differences.std(axis=-1, ddof=1)
    return Estimate(differences.mean(axis=-1), deviation / math.sqrt(count), count - 1)


def corrected_estimate(differences: np.ndarray, validation_ratio: float, splits: int) -> Estimate:
    """Estimate the mean of paired differences over several splits of the same data.

    Splits of the same examples overlap, so their differences are correlated: the variance between
    splits enters with the correction of Nadeau and Bengio (2003, Machine Learning 52:239-281),
    ``1 / splits + validation_ratio`` instead of ``1 / splits``. The variance between seeds, which
    are independent, does not need it. Several seeds on each split tell the two apart; because that
    is uncertain with few splits, at least three quarters of the variance of the splits' means count
    as variance between splits, and all of it where each split has one seed.

    Args:
        differences: one difference per seed along the last axis, at least 2. Number n is that of
            split n modulo `splits`; all splits have the same number of them.
        validation_ratio: number of validation examples divided by that of training examples.
        splits: number of splits; with fewer differences, each is that of another split.

    Returns:
        The mean with its corrected standard error, and one degree of freedom less than splits.

    Example:
        >>> gains = np.array([0.3, 0.2, 0.5, 0.1, 0.2, 0.3])
        >>> estimate = corrected_estimate(gains, validation_ratio=0.2, splits=3)
        >>> round(float(estimate.mean), 3), round(float(estimate.error), 3), estimate.df
        (0.267, 0.08, 2)
    """
    splits = min(splits, differences.shape[-1])
    by_split = differences.reshape(*differences.shape[:-1], -1, splits)
    of_means = by_split.mean(axis=-2).var(axis=-1, ddof=1)
    between, seeds = of_means, by_split.shape[-2]
    if seeds > 1:
        within = by_split.var(axis=-2, ddof=1).mean(axis=-1)
        between = np.maximum(LEAST_SHARE * of_means, of_means - within / seeds)
    error = np.sqrt(of_means / splits + between * validation_ratio)
    return Estimate(differences.mean(axis=-1), error, splits - 1)
