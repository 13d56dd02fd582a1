"""Calibration: whether the confidence of predictions agrees with their accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from dropout_zoo.models.argument_validation import check_count, check_level
from dropout_zoo.models.wording import count_of
from dropout_zoo.studies.paired_tests import DEFAULT_LEVEL
from dropout_zoo.studies.result import StudyResult
from dropout_zoo.training.provenance import versions


class Calibration(StudyResult):
    """The accuracy of predictions by their confidence; the result of `calibration`.

    Attributes:
        kind: ``"calibration"``.
        data: one row per bin that contains examples: its edges ``left`` and ``right``, the number
            of ``examples``, their mean ``confidence`` and ``accuracy``, and the confidence interval
            of the accuracy, ``low`` and ``high`` (Wilson 1927, JASA 22:209-212).
        settings: number of ``bins``, confidence ``level``, and everything else that determines the
            results.
        versions: versions of the packages that affect the results.
        conclusions: the calibration error and whether the predictions are over- or underconfident.

    Example:
        >>> from dropout_zoo.studies import calibration
        >>> found = calibration([[0.9, 0.1], [0.9, 0.1]], [0, 1], bins=10)
        >>> found.bins[["confidence", "accuracy", "examples"]].to_dict("records")
        [{'confidence': 0.9, 'accuracy': 0.5, 'examples': 2}]
    """

    expected_kind = "calibration"

    @property
    def bins(self) -> pd.DataFrame:
        """The table of the bins, `data`."""
        return self.data

    @property
    def error(self) -> float:
        """Expected calibration error, in [0, 1].

        The mean over the examples of the difference between confidence and accuracy in their bin
        (Guo et al. 2017, ICML, equation 3).
        """
        return float((_shares(self.data) * _surplus(self.data).abs()).sum())

    @property
    def level(self) -> float:
        """Confidence level of the bins' intervals."""
        return float(self.settings["level"])


def calibration(
    probabilities: Any, y: Any, *, bins: int = 15, level: float = DEFAULT_LEVEL
) -> Calibration:
    """Compare the confidence of predictions with their accuracy.

    Args:
        probabilities: probability of each class, shape ``(examples, classes)``, such as the output
            of a model or `MonteCarloPrediction.mean`.
        y: the true classes, whole numbers from 0, shape ``(examples,)``.
        bins: number of bins of equal width between 0 and 1; 15 as in Guo et al. 2017.
        level: confidence level of the bins' intervals, in (0, 1).

    Returns:
        The calibration.

    Raises:
        ValueError: the shapes do not match, or an argument is out of range.

    Example:
        >>> from dropout_zoo.studies import calibration
        >>> found = calibration([[0.9, 0.1], [0.9, 0.1]], [0, 1])
        >>> round(found.error, 3)
        0.4
        >>> print(found.summary())  # doctest: +NORMALIZE_WHITESPACE
        The expected calibration error over 1 bin is 0.400; on average, confidence exceeds accuracy
        by 0.400.
    """
    check_count(bins, "bins")
    check_level(level)
    probabilities, y = np.asarray(probabilities, float), np.asarray(y)
    if probabilities.ndim != 2 or probabilities.shape[1] < 2 or y.shape != probabilities.shape[:1]:
        raise ValueError(
            "expected probabilities of shape (examples, classes) and classes of shape (examples,); "
            f"received {probabilities.shape} and {y.shape}"
        )
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == y
    # A bin includes its right edge, as in Guo et al.
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    rows = []
    for number in np.unique(place):
        inside = place == number
        count, hits = int(inside.sum()), int(right[inside].sum())
        interval = stats.binomtest(hits, count).proportion_ci(level, method="wilson")
        rows.append(
            {
                "left": number / bins,
                "right": (number + 1) / bins,
                "examples": count,
                "confidence": float(confidence[inside].mean()),
                "accuracy": hits / count,
                "low": float(interval.low),
                "high": float(interval.high),
            }
        )
    table = pd.DataFrame(rows)
    surplus = _shares(table) * _surplus(table)
    larger, smaller = "confidence", "accuracy"
    if surplus.sum() < 0:
        larger, smaller = smaller, larger
    return Calibration(
        kind="calibration",
        data=table,
        settings={"bins": bins, "level": level, "examples": len(y)},
        versions=versions(),
        conclusions=(
            f"The expected calibration error over {count_of(len(table), 'bin')} is "
            f"{surplus.abs().sum():.3f}; on average, {larger} exceeds {smaller} by "
            f"{abs(surplus.sum()):.3f}.",
        ),
    )


def _shares(bins: pd.DataFrame) -> pd.Series:
    return bins["examples"] / bins["examples"].sum()


def _surplus(bins: pd.DataFrame) -> pd.Series:
    return bins["confidence"] - bins["accuracy"]
