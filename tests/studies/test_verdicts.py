"""Verdicts: the label follows from the numbers, and there is none where they do not separate."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import (
    Execution,
    Thresholds,
    calibration,
    learning_curves,
    rate_sweep,
    verdict,
    verdict_by_setting,
)
from dropout_zoo.studies.control_names import NO_DROPOUT
from dropout_zoo.studies.thresholds import Measured

EPOCHS = np.arange(1, 21)


def curves(train, validation, gap=0.0, noise=0.001, seeds=5, **columns):
    """Curves of several seeds around given losses and a gap in accuracy."""
    made = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        wobble = rng.normal(0, noise)
        made.append(
            pd.DataFrame(
                {
                    "seed": seed,
                    "epoch": EPOCHS,
                    "train_loss": train + wobble,
                    "val_loss": validation + wobble,
                    "train_accuracy": 0.95 + wobble,
                    "val_accuracy": 0.95 - gap + rng.normal(0, noise),
                    "accuracy": 0.9,
                    **columns,
                }
            )
        )
    return pd.concat(made, ignore_index=True)


FLAT = np.full(20, 0.5)
FALLING = np.linspace(2.0, 0.5, 20)
TURNING = np.concatenate([np.linspace(1.0, 0.5, 8), np.linspace(0.52, 0.9, 12)])


def test_a_wide_gap_is_overfitting():
    found = verdict(curves(FLAT, FLAT, gap=0.06), rate=0.0)
    assert found.label == "overfitting"
    assert found.measured["gap"].mean == pytest.approx(0.06, abs=0.002)
    assert "0.06" in found.sentence
    assert found.next_steps[0].startswith("the gap between training and validation is 0.06")
    assert "add dropout" in found.next_steps[0]
    again = verdict(curves(FLAT, FLAT, gap=0.06), rate=0.2)
    assert "try other dropout rates" in again.next_steps[0], "which of them is not known"


def test_a_rise_after_the_minimum_is_overfitting_whatever_the_gap():
    found = verdict(curves(FLAT, TURNING))
    assert found.label == "overfitting"
    assert found.measured["gap"].below
    ends = np.convolve(TURNING, np.full(4, 0.25), "valid")  # averages over a fifth of the epochs
    assert found.measured["rise"].mean == pytest.approx(ends[-1] / ends.min() - 1, rel=0.01)
    assert any("stop training when" in step for step in found.next_steps)


def test_a_loss_that_still_falls_is_underfitting():
    found = verdict(curves(FALLING, FALLING), rate=0.5)
    assert found.label == "underfitting"
    assert "train longer, or lower the dropout rate" in found.next_steps[0]


def test_training_held_back_without_advantage_is_underfitting():
    control = curves(FLAT * 0.5, FLAT)
    found = verdict(curves(FLAT, FLAT * 1.2), reference=control, rate=0.8)
    assert found.label == "underfitting"
    assert found.measured["deficit"].above
    # The same training loss with a better validation loss is what dropout is for.
    better = verdict(curves(FLAT * 0.75, FLAT * 0.8), reference=control, rate=0.5)
    assert better.label == "balanced"


def test_a_small_gap_at_rest_is_balanced():
    found = verdict(curves(FLAT, FLAT, gap=0.005))
    assert found.label == "balanced"
    assert found.next_steps == ()


def test_intervals_that_hold_the_threshold_leave_it_undecided():
    found = verdict(curves(FLAT, FLAT, gap=0.02, noise=0.01))
    assert found.label == "undecided"
    assert "the gap" in found.next_steps[0]
    few = verdict(curves(FLAT, FLAT, gap=0.06, seeds=1))
    assert few.label == "undecided"
    assert math.isnan(few.measured["gap"].low)
    assert "single seed gives no confidence interval" in few.next_steps[0]


def test_few_validation_examples_leave_a_gap_undecided():
    wide = curves(FLAT, FLAT, gap=0.04)
    assert verdict(wide).label == "overfitting"
    assert verdict(wide, examples=10_000).label == "overfitting"
    found = verdict(wide, examples=100)
    assert found.label == "undecided"
    # The draw of 100 examples at an accuracy of 0.91, beside the spread of the seeds.
    gap = found.measured["gap"]
    assert gap.high - gap.mean == pytest.approx(1.96 * math.sqrt(0.91 * 0.09 / 100), rel=0.02)


def test_losses_that_are_not_finite_have_diverged():
    lost = curves(FLAT, FLAT)
    lost.loc[lost["seed"] < 3, "val_loss"] = np.nan
    found = verdict(lost)
    assert found.label == "diverged"
    assert found.sentence == "diverged: the loss did not stay finite on 3 of 5 seeds."
    lost.loc[lost["seed"] == 2, "val_loss"] = 0.5
    assert verdict(lost).label != "diverged"
    assert "2 more seeds diverged or failed" in verdict(lost).sentence
    assert verdict(curves(FLAT, FLAT, status="diverged")).label == "diverged"


def test_thresholds_and_level_are_arguments():
    at_risk = curves(FLAT, FLAT, gap=0.015)
    assert verdict(at_risk).label == "balanced"
    assert verdict(at_risk, thresholds=Thresholds(gap=0.01)).label == "overfitting"
    narrow, wide = (verdict(at_risk, level=level).measured["gap"] for level in (0.5, 0.99))
    gaps = at_risk[at_risk["epoch"] > 16].groupby("seed")[["train_accuracy", "val_accuracy"]].mean()
    gaps = gaps["train_accuracy"] - gaps["val_accuracy"]
    low, high = stats.t.interval(0.99, 4, gaps.mean(), stats.sem(gaps))
    assert (wide.low, wide.high) == pytest.approx((low, high))
    assert wide.low < narrow.low


def test_regression_is_judged_by_its_loss():
    plain = curves(FLAT, FLAT * 1.5).drop(columns=["train_accuracy", "val_accuracy", "accuracy"])
    found = verdict(plain)
    assert found.label == "overfitting"
    assert found.measured["gap"].mean == pytest.approx(1 / 3, rel=0.01)


def test_next_steps_do_not_contradict_the_sweep():
    wide = curves(FLAT, FLAT, gap=0.06)
    steps = {
        rate: verdict(wide, rate=rate, best_rate=0.3).next_steps[0] for rate in (0.1, 0.3, 0.5)
    }
    assert "raise the dropout rate to 0.30, the best here" in steps[0.1]
    assert "no rate above 0.30 has a lower validation loss here" in steps[0.3]
    assert "raise" not in steps[0.5]
    held_back = verdict(curves(FLAT, FLAT * 1.2), reference=curves(FLAT * 0.5, FLAT), rate=0.8,
                        best_rate=0.3)  # fmt: skip
    assert held_back.next_steps[0].endswith("lower the dropout rate to 0.30, the best here")


@pytest.mark.slow
def test_in_a_sweep_the_best_rate_is_the_reference(few_digits):
    model = build_mlp(units=(32,), hidden_rates=(0.5,))
    result = rate_sweep(
        model, few_digits, rates=(0.2, 0.95), epochs=15, num_seeds=3, execution=Execution(workers=1)
    )
    best = result.means("val_loss").set_index("setting")["mean"].idxmin()
    found = verdict_by_setting(result)
    assert best != "hidden 0.95"
    ends = {
        name: group[group["epoch"] > 12].groupby("seed")[["train_loss", "val_loss"]].mean()
        for name, group in result.data.groupby("setting")
    }
    deficit = (ends["hidden 0.95"]["train_loss"] - ends[best]["train_loss"]) / ends["hidden 0.95"][
        "val_loss"
    ]
    assert found["hidden 0.95"].measured["deficit"].mean == pytest.approx(deficit.mean())
    assert found["hidden 0.95"].label == "underfitting"


def test_missing_columns_are_named():
    with pytest.raises(ValueError, match="received curves without train_loss"):
        verdict(curves(FLAT, FLAT).drop(columns="train_loss"))


@pytest.mark.slow
def test_real_runs_get_the_expected_verdicts(few_digits):
    model = build_mlp(units=(32,), hidden_rates=(0.5,))
    result = learning_curves(
        model, few_digits, rates=(0.95,), epochs=20, num_seeds=3, execution=Execution(workers=1)
    )
    found = verdict_by_setting(result)
    assert set(found) == {NO_DROPOUT, "rate 0.95"}
    assert found["rate 0.95"].label == "underfitting"
    assert found[NO_DROPOUT].label != "underfitting"
    assert found["rate 0.95"].sentence in result.summary()


def test_a_study_without_training_runs_has_no_verdicts():
    measured = calibration(np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 2, 1]))
    with pytest.raises(TypeError, match="received a Calibration"):
        verdict_by_setting(measured)


def test_failed_runs_are_reported_as_failed():
    failed = curves(2.0, 2.0, status="failed", reason="disk is full")
    found = verdict(failed)
    assert found.label == "undecided"
    assert "disk is full" in found.sentence
    assert "learning rate" not in " ".join(found.next_steps)


def test_rounding_errors_are_shown_as_zero():
    assert str(Measured(2.98e-08, -3e-09, 6e-08, 0.05)) == "0 (CI 0 to 0, threshold 0.05)"
    assert str(Measured(0.012, math.nan, math.nan, 0.05)) == "0.012 (single seed, threshold 0.05)"


@pytest.mark.parametrize(
    ("name", "value"),
    [("gap", -1), ("loss_gap", "wide"), ("rise", math.nan), ("window", 5), ("diverged", 1.5)],
)  # fmt: skip
def test_thresholds_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"expected {name} to be a number"):
        Thresholds(**{name: value})
