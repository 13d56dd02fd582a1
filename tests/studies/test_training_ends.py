"""Studies say where training was too short to compare, whatever the kind of the study."""

import re
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import (
    DifferenceDisplay,
    Execution,
    StudyResult,
    TrainingStudyResult,
    coadaptation,
    compare_methods,
    data_size_sweep,
    generalization_gaps,
    rate_sweep,
)
from dropout_zoo.studies.summary_text import (
    best_sentence,
    gain_counts,
    gain_sentences,
    settings_that_may_be_best,
)
from dropout_zoo.studies.training_ends import has_ended, length_sentences
from dropout_zoo.training.objective import Objective

ALONE = Execution(workers=1)


def falling(setting, seeds, epochs, best=None):
    """Training runs whose loss falls until an epoch, the last one by default."""
    ended = has_ended(epochs if best is None else best, epochs, max_epochs=epochs)
    return [
        {"run": f"{setting} {seed}", "setting": setting, "status": "completed", "ended": ended}
        for seed in seeds
    ]


def said(*curves, max_epochs=20):
    data = pd.DataFrame([row for each in curves for row in each])
    lengths = dict.fromkeys(data["setting"], max_epochs)
    return length_sentences(data, max_epochs if isinstance(max_epochs, dict) else lengths)


def test_a_run_has_ended_unless_it_was_cut_off_near_its_best_epoch():
    assert not has_ended(best_epoch=19, epochs=20, max_epochs=20)
    assert has_ended(best_epoch=18, epochs=20, max_epochs=20)
    assert has_ended(best_epoch=19, epochs=19, max_epochs=20)  # patience ended it


def test_settings_are_named_with_the_share_of_their_runs():
    ended = falling("hidden 0.20", range(5), 20, best=9)
    assert said(ended) == []
    none = falling("no dropout", range(3), 20) + falling("no dropout", range(3, 5), 20, best=9)
    assert said(ended, none) == [
        "Not trained to the end: the best epoch is among the last tenth of 20 epochs in 60% of the "
        'runs of "no dropout". Allow more epochs before relying on this.'
    ]
    worse = [*falling("a, b", range(5), 20), *falling("c", range(5), 20)]
    assert said(ended, none, worse) == [
        "Not trained to the end: the best epoch is among the last tenth of 20 epochs in all runs "
        'of "a, b" and "c" and 60% of the runs of "no dropout". Allow more epochs before relying '
        "on this."
    ]
    assert said(worse) == [
        "Not trained to the end: the best epoch is among the last tenth of 20 epochs in all runs "
        "of every setting. Allow more epochs before relying on this."
    ]


def test_a_quarter_of_the_runs_is_tolerated_and_failed_ones_do_not_count():
    few = falling("a", range(1), 20) + falling("a", range(1, 4), 20, best=9)
    assert said(few) == []
    failed = [row | {"status": "diverged"} for row in falling("a", range(4, 9), 20)]
    assert said(few, failed) == []


def test_settings_may_have_lengths_of_their_own():
    curves = falling("a", [0], 20), falling("b", [0], 40), falling("c", [0], 40, best=3)
    lengths = {"a": 20, "b": 40, "c": 40}
    assert said(*curves, max_epochs=lengths) == [
        "Not trained to the end: the best epoch is among the last tenth of the epochs in all "
        'runs of "a" and "b". Allow more epochs before relying on this.'
    ]


@pytest.fixture(scope="module")
def short(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.5,))
    return rate_sweep(model, few_digits, rates=[0.5], epochs=2, num_seeds=2, execution=ALONE)


def test_a_study_that_was_too_short_says_so_first_and_claims_nothing(short, tmp_path):
    told, best, curve, *_, method = short.conclusions
    assert told == (
        "Not trained to the end: the best epoch is among the last tenth of 2 epochs in all runs of "
        "every setting. Allow more epochs before relying on this."
    )
    assert re.fullmatch(r"Best so far: no dropout \(val_loss [\d.]+, mean of 2 seeds\)\.", best)
    assert curve.endswith("rates that may be the best: 0.00, 0.50.")
    assert method.startswith("95% confidence intervals")
    short.to_parquet(tmp_path / "study.parquet")
    loaded = StudyResult.from_parquet(tmp_path / "study.parquet")
    first, gap, _ = generalization_gaps(loaded).conclusions
    assert first == told
    assert gap.endswith(" points, not compared with no dropout, because training had not ended.")


@pytest.fixture
def compared():
    """The result of settings that differ clearly, of which only "b" was not trained to the end."""
    losses = {"none": 0.5, "a": 0.3, "b": 0.2, "c": 0.7}
    data = pd.DataFrame(
        {
            "run": f"{setting} {seed}", "setting": setting, "rate": 0.0, "seed": seed,
            "status": "completed", "best_epoch": 20, "ended": setting != "b", "epoch": 20,
            "val_loss": loss + 0.01 * seed * (setting == "none"),
        }
        for setting, loss in losses.items()
        for seed in range(4)
    )  # fmt: skip
    return TrainingStudyResult(
        kind="study", data=data, versions={}, conclusions=(), factors=["rate"],
        settings={"arguments": {}, "training": {"epochs": 20}},
        objective=Objective("val_loss", "min"), controls=dict.fromkeys(["a", "b", "c"], "none"),
    )  # fmt: skip


def test_what_was_trained_to_the_end_is_still_compared(compared):
    assert compared.not_ended() == {"b": 1.0}
    assert compared.gains().set_index("setting")["ended"].to_dict() == {
        "a": True, "b": False, "c": True,
    }  # fmt: skip
    withheld = "not compared with none, because training had not ended."
    assert best_sentence(compared) == (
        f"Best so far: b (val_loss 0.2, mean of 4 seeds), {withheld}"
    )
    first, second, third = gain_sentences(compared)
    assert first.startswith("a: 0.22 better than none (95% CI ")
    assert second == f"b: {withheld}"
    assert third.startswith("c: 0.18 worse than none (95% CI ")
    assert gain_counts(compared) == (
        "Compared with none, these settings are better: a. These are worse: c. These are not "
        "compared, because training had not ended: b."
    )
    # More epochs may make "b" even better, and its score is not final.
    assert settings_that_may_be_best(compared, ["none", "a", "b", "c"]) == ["a", "b"]
    data = compared.data.assign(val_loss=compared.data["val_loss"] + (~compared.data["ended"]))
    worse = replace(compared, data=data)
    assert settings_that_may_be_best(worse, ["none", "a", "b", "c"]) == ["a", "b"]
    assert best_sentence(worse).startswith("Best so far: a (val_loss 0.3, mean of 4 seeds), 0.22 b")


def test_nothing_is_claimed_where_the_control_was_not_trained_to_the_end(compared):
    result = replace(compared, data=compared.data.assign(ended=compared.data["setting"] != "none"))
    assert gain_counts(result) == ""
    assert all(each.endswith("training had not ended.") for each in gain_sentences(result))
    assert settings_that_may_be_best(result, ["none", "a", "b", "c"]) == ["none", "b"]


def test_marks_are_hollow_where_training_had_not_ended(compared):
    display = DifferenceDisplay.from_result(compared).plot()
    marks = {each.get_label(): each.lines[0] for each in display.ax_.containers}
    hollow = [name for name, mark in marks.items() if mark.get_markerfacecolor() == "white"]
    assert hollow == ["b"]
    assert "trained to the end" in display.ax_.get_title(loc="right")
    plt.close("all")


@pytest.mark.slow
def test_a_study_whose_runs_stopped_early_is_not_reported_as_untrained(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.5,))
    result = rate_sweep(
        model, few_digits, rates=[0.5], epochs=200, patience=1, batch_size=8, num_seeds=1,
        execution=ALONE,
    )  # fmt: skip
    assert (result.scores()["best_epoch"] < 180).all()
    assert "Not trained" not in result.summary()


@pytest.mark.slow
def test_smaller_data_are_judged_by_the_epochs_that_they_were_given(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.5,))
    result = data_size_sweep(
        model, few_digits, sizes=[50, 150], epochs=2, num_seeds=2, execution=ALONE
    )
    assert result.settings["epochs"] == {
        "50 examples, no dropout": 6, "50 examples, as given": 6,
        "150 examples, no dropout": 2, "150 examples, as given": 2,
    }  # fmt: skip
    assert "among the last tenth of the epochs in all runs of" in result.summary()


@pytest.mark.slow
def test_methods_that_are_scored_at_their_last_epoch_are_judged_by_their_best(few_digits):
    result = compare_methods(
        "mlp", few_digits, methods=["early stopping"], epochs=30, batch_size=8, num_seeds=2,
        num_tuning_seeds=1, objective="val_loss", execution=ALONE,
    )  # fmt: skip
    none = result.curves("no method")
    assert (none["best_epoch"] == 30).all()
    best = none.loc[none.groupby("seed")["val_loss"].idxmin(), "epoch"]
    cut_off = " ".join(each for each in result.conclusions if "Not trained to the end" in each)
    named = "no method" in cut_off or "every setting" in cut_off
    assert named == ((best > 27).mean() > 0.25)


@pytest.mark.slow
def test_a_study_without_learning_curves_says_so_as_well(few_digits):
    model = build_mlp(units=(4,), hidden_rates=(0.5,))
    result = coadaptation(model, few_digits, epochs=1, num_seeds=2, execution=ALONE)
    assert "last tenth of 1 epoch in all runs of every setting" in result.summary()
