"""The calibration error against its formula, and its record."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dropout_zoo.studies import (
    Calibration,
    MonteCarloPrediction,
    StudyResult,
    TrainingStudyResult,
    calibration,
    monte_carlo,
)


def test_the_calibration_error_is_that_of_the_formula():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.5, 0.5, 0.5], 400)
    y = rng.integers(0, 3, 400)
    found = calibration(probabilities, y, bins=5)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == y
    expected = 0.0
    for low in np.arange(5) / 5:
        inside = (confidence > low) & (confidence <= low + 0.2 + 1e-12)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert found.error == pytest.approx(expected)
    assert found.bins["examples"].sum() == 400
    row = found.bins.iloc[-1]
    interval = stats.binomtest(
        round(row["accuracy"] * row["examples"]), int(row["examples"])
    ).proportion_ci(0.95, method="wilson")
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


def test_a_model_that_is_right_as_often_as_it_says_has_no_error():
    probabilities = np.tile([0.75, 0.25], (400, 1))
    y = np.array([0] * 300 + [1] * 100)
    found = calibration(probabilities, y)
    assert found.error == pytest.approx(0)
    sure = calibration(np.tile([1.0, 0.0], (400, 1)), y)
    assert sure.error == pytest.approx(0.25)
    assert "confidence exceeds accuracy by 0.250" in sure.summary()
    unsure = calibration(np.tile([0.6, 0.4], (400, 1)), np.zeros(400, int))
    assert "accuracy exceeds confidence by 0.400" in unsure.summary()
    with pytest.raises(ValueError, match=r"received \(400, 2\) and \(3,\)"):
        calibration(probabilities, y[:3])


def test_calibrations_are_saved_and_loaded(trained, few_digits, tmp_path):
    x, y = few_digits.test
    mean = monte_carlo(trained, x, 7, seed=4).mean
    judged = calibration(mean, y, bins=6, level=0.9)
    kept = judged.to_parquet(tmp_path / "calibration.parquet")
    read = Calibration.from_parquet(kept)
    assert (read.error, read.level, read.summary()) == (judged.error, 0.9, judged.summary())
    pd.testing.assert_frame_equal(read.bins, judged.bins)
    assert type(StudyResult.from_parquet(kept)) is StudyResult
    for other in (MonteCarloPrediction, TrainingStudyResult):
        with pytest.raises(ValueError, match=f"expected a {other.__name__}, .* of calibration"):
            other.from_parquet(kept)


@pytest.mark.parametrize("content", [b"", b"PAR1 no table PAR1", b"a,b"])
def test_a_damaged_file_is_refused(content, tmp_path):
    path = tmp_path / "calibration.parquet"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a file written by .*to_parquet, received .*, a damaged"):
        StudyResult.from_parquet(path)


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        StudyResult.from_parquet(tmp_path / "missing.parquet")


@pytest.mark.parametrize("level", [95, 0, 1, -0.1, "high"])
def test_a_confidence_level_out_of_range_is_refused(level):
    with pytest.raises(ValueError, match=r"expected level to be a number in \(0, 1\), received"):
        calibration([[0.9, 0.1]], [0], level=level)
