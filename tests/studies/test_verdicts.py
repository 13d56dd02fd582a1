"""Verdicts: the label follows from the numbers, and there is none where they do not separate."""

import importlib
import math
from dataclasses import replace
from pathlib import Path

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


def test_training_held_back_without_advantage_is_over_regularized_or_underfitting():
    control = curves(FLAT * 0.5, FLAT)
    found = verdict(curves(FLAT, FLAT * 1.2, gap=0.06), reference=control, rate=0.8)
    assert found.label == "over-regularized", "5% of the training examples are misclassified"
    assert found.measured["deficit"].above
    assert found.next_steps[0].endswith("lower the dropout rate")
    worse = curves(FLAT, FLAT * 1.2, train_accuracy=0.8, val_accuracy=0.79)
    assert verdict(worse, reference=control, rate=0.8).label == "underfitting"
    losses = ["seed", "epoch", "train_loss", "val_loss"]
    without = verdict(curves(FLAT, FLAT * 1.2)[losses], reference=control[losses])
    assert without.label == "underfitting", "no gap, so nothing was overfitted"
    # The same training loss with a better validation loss is what dropout is for.
    better = verdict(curves(FLAT * 0.75, FLAT * 0.8), reference=control, rate=0.5)
    assert better.label == "balanced"


def test_a_high_training_error_is_underfitting_without_any_reference():
    small = curves(FLAT, FLAT, train_accuracy=0.6, val_accuracy=0.59)
    for reference in (None, small):
        found = verdict(small, reference=reference, rate=0.0)
        assert found.label == "underfitting"
    assert found.next_steps == (
        "40% of the training examples are misclassified with dropout off: widen the model, unless "
        "that many labels are wrong",
    )
    assert verdict(small.assign(val_accuracy=0.5)).label == "overfitting"


def test_a_wide_gap_is_not_judged_while_the_loss_still_falls():
    found = verdict(curves(FALLING, FALLING, gap=0.06))
    assert found.label == "undecided"
    assert found.sentence.startswith("undecided, because the validation loss still falls")
    assert found.next_steps[0].startswith("train longer: ")


def test_a_rise_after_the_minimum_is_overfitting_whatever_the_reference():
    better = curves(FLAT * 0.2, FLAT * 0.8)
    found = verdict(curves(FLAT, TURNING), reference=better, rate=0.5)
    assert found.measured["deficit"].above
    assert found.measured["advantage"].mean < 0
    assert found.label == "overfitting"


def test_whether_dropout_holds_training_back_is_not_judged_while_the_loss_still_falls():
    control = curves(FLAT * 0.1, FLAT * 0.4)
    found = verdict(curves(FALLING, FALLING), reference=control, rate=0.5)
    assert found.measured["deficit"].above
    assert found.measured["advantage"].below
    assert found.label == "undecided"
    reason = "the validation loss still falls, so the measurements at its end are not final"
    assert found.sentence.startswith(f"undecided, because {reason}: ")
    assert found.next_steps == (f"train longer: {reason}",)
    poor = curves(FALLING, FALLING, train_accuracy=0.8, val_accuracy=0.79)
    assert verdict(poor, reference=control, rate=0.5).label == "underfitting"


def test_a_loss_that_still_falls_is_why_a_verdict_is_undecided():
    found = verdict(curves(FALLING, FALLING, gap=0.02, noise=0.01))
    assert found.label == "undecided"
    assert not found.measured["gap"].above
    assert found.sentence.startswith("undecided, because the validation loss still falls")
    assert found.next_steps[0].startswith("train longer: ")


def test_negative_losses_are_compared_with_the_reference():
    likelihoods = ["seed", "epoch", "train_loss", "val_loss"]
    own, reference = (curves(each, each)[likelihoods] for each in (FLAT - 2.5, FLAT - 3.0))
    found = verdict(own, reference=reference)
    assert found.measured["deficit"].mean == pytest.approx(0.5 / 2.0, rel=0.01)


@pytest.mark.parametrize("failure", ["not finite", "failed"])
def test_seeds_on_which_the_reference_failed_are_left_out(failure):
    own = curves(FLAT, FLAT * 1.2)
    reference = curves(FLAT * 0.5, FLAT, status="completed")
    expected = verdict(own, reference=reference[reference["seed"] != 2])
    if failure == "failed":
        reference.loc[reference["seed"] == 2, ["status", "val_loss"]] = ["failed", 0.01]
    else:
        reference.loc[(reference["seed"] == 2) & (reference["epoch"] > 10), "train_loss"] = np.inf
    assert verdict(own, reference=reference) == expected


def test_whether_dropout_held_training_back_may_be_undecided():
    control = curves(FLAT * 0.5, FLAT, gap=0.06)
    unsure = curves(FLAT, FLAT, gap=0.06, noise=0.01)
    found = verdict(unsure, reference=control, rate=0.5)
    assert found.label == "undecided"
    assert "the confidence interval of the advantage includes its threshold" in found.sentence


def test_the_accuracies_of_several_outputs_are_averaged():
    both = curves(FLAT, FLAT, gap=0.06).rename(columns=lambda name: name.replace("acc", "a_acc"))
    second = {"b_accuracy": 0.9, "train_b_accuracy": 0.95, "val_b_accuracy": 0.95}
    found = verdict(both.assign(**second))
    assert found.measured["gap"].mean == pytest.approx(0.03, abs=0.002)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
def test_verdicts_on_known_regimes_are_right_or_say_why_not(seeds, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    regimes = importlib.import_module("verdict_regimes")
    found = pd.DataFrame([regimes.judge(regime, seeds, 20) for regime in regimes.REGIMES])
    assert (found["right"] + found["undecided"]).mean() >= 0.9
    assert found["wrong"].mean() < 0.03
    assert found["right"].mean() > 0.7


def test_stopping_early_is_not_advised_where_training_was_stopped_early():
    rising = curves(FALLING, TURNING)
    advised, stopped = verdict(rising), verdict(rising, patience=5)
    assert advised.label == stopped.label == "overfitting"
    assert any("set `patience`" in step for step in advised.next_steps)
    assert not any("set `patience`" in step for step in stopped.next_steps)


def test_a_high_training_error_is_not_underfitting_where_fitting_more_generalizes_worse():
    noisy = curves(FLAT, FLAT, gap=0.005).assign(train_accuracy=0.85, val_accuracy=0.845)
    fitted = noisy.assign(
        train_loss=noisy["train_loss"] * 0.2,
        val_loss=noisy["val_loss"] * 1.3,
        train_accuracy=0.97,
        val_accuracy=0.80,
    )
    found = verdict(noisy, reference=fitted, rate=0.3)
    assert found.label == "undecided"
    assert "part of the error may be in the data" in found.sentence
    assert found.next_steps[0].startswith("look for wrong labels")
    assert verdict(noisy, rate=0.3).label == "underfitting"


def test_a_setting_is_not_balanced_if_its_reference_has_a_lower_validation_loss():
    setting = curves(FLAT, FLAT, gap=0.005)
    reference = setting.assign(val_loss=setting["val_loss"] * 0.8)
    found = verdict(setting, reference=reference, rate=0.5, best_rate=0.2)
    assert found.label == "undecided"
    assert "the lowest validation loss of the reference is 25% lower" in found.sentence
    assert found.next_steps[0].startswith("use a dropout rate of 0.20, the best here: ")
    [step] = verdict(setting, reference=reference).next_steps
    assert step.startswith("use the rates of the reference: ")
    nearly = setting.assign(val_loss=setting["val_loss"] * 0.97)
    assert verdict(setting, reference=nearly).label == "balanced"


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


def test_the_reference_on_a_seed_is_chosen_on_the_other_seeds(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.5,))
    result = rate_sweep(
        model, few_digits, rates=(0.3, 0.6), epochs=1, num_seeds=3, execution=Execution(workers=1)
    )
    losses = {  # by seed; seed 0 alone would choose another reference than seeds 1 and 2
        NO_DROPOUT: (0.1, 0.6, 0.6), "hidden 0.30": (0.5, 0.4, 0.4), "hidden 0.60": (0.9, 0.9, 0.9)
    }  # fmt: skip
    data = result.data.copy()
    for name, values in losses.items():
        for seed, value in enumerate(values):
            data.loc[(data["setting"] == name) & (data["seed"] == seed), "val_loss"] = value
    found = verdict_by_setting(replace(result, data=data))
    # On seed 0 with hidden 0.30, on seeds 1 and 2 with no dropout (0.35 against 0.45 elsewhere).
    expected = np.mean([(0.5 - 0.9) / 0.5, (0.6 - 0.9) / 0.6, (0.6 - 0.9) / 0.6])
    assert found["hidden 0.60"].measured["advantage"].mean == pytest.approx(expected, rel=1e-5)


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
