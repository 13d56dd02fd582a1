"""Settings that fail in the race: who takes their place, and what the answer says of them."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers, ops
from keras_tuner import oracles
from simulated_races import EPOCHS, LOSS, NONE, SPACE, race_of, trained

from dropout_zoo.models import build_mlp
from dropout_zoo.tuning import DropoutHyperModel, DropoutTuner, TuningResult, tune
from dropout_zoo.tuning.race.race import comparison_table, run_race
from dropout_zoo.tuning.race.screening import best_so_far, screen
from dropout_zoo.tuning.records.trial_tables import TrainingRecord
from dropout_zoo.tuning.results.answer import answer
from dropout_zoo.tuning.search import search_run
from dropout_zoo.tuning.trial_setting import TrialSetting

QUICK = {"rates": [0.2, 0.5], "epochs": 1, "num_finalists": 1, "progress": False}
FINALIST = {"finalist 1": TrialSetting({"hidden": 0.4})}
NEXT = {"finalist 2": TrialSetting({"hidden": 0.3})}


def made(member, score=0.5, *, lost):
    """The result of a training run that was never made."""
    how = ("diverged", "the loss is NaN") if lost else ("completed", "")
    result = trained(member.rates, np.nan if lost else score, member.seed, LOSS, *how)
    return replace(result, member=member)


def race(failing, *, gain=0.2, seeds=10, reserve=NEXT):
    """Race made-up scores; `failing` holds the pairs of setting and seed that diverge."""

    def train(members):
        results = []
        for member in members:
            score = 0.5 - gain * (member.label != NONE)
            score += 0.01 * np.sin(member.seed) * (1 if member.label == NONE else -1)
            results.append(made(member, score, lost=(member.label, member.seed) in failing))
        return results

    settings = {NONE: TrialSetting({"hidden": 0.0}), **FINALIST}
    records = run_race(settings, race_of(seeds), LOSS, train, reserve)
    table = comparison_table(records, race_of(seeds), LOSS)
    return records, answer(table, records, race_of(seeds), LOSS, SPACE, max_epochs=EPOCHS)


def seeds_of(records):
    found = {}
    for record in records:
        found.setdefault(record.setting, []).append(record.result.member.seed)
    return found


def all_on(seeds):
    return {name: list(range(seeds)) for name in (NONE, "finalist 1", "finalist 2")}


def test_the_next_best_takes_the_place_of_a_finalist_that_fails():
    records, found = race({("finalist 1", 3), ("finalist 1", 7)})
    assert seeds_of(records) == all_on(10)
    assert (found.kind, found.setting, found.rates) == ("gain", "finalist 2", {"hidden": 0.3})
    assert found.sentence.endswith(
        " Not compared: hidden 0.40, which failed on 2 of 10 seeds (the loss is NaN)."
    )


def test_a_substitute_makes_up_for_the_seeds_that_it_missed():
    records, found = race({("finalist 1", 15)}, gain=0.002, seeds=20)
    assert seeds_of(records) == all_on(20)
    assert found.kind == "no reliable difference"
    records, _ = race({("finalist 1", 5)}, gain=0.002, seeds=20)
    assert len(seeds_of(records)["finalist 1"]) == 10  # nothing more is spent on what failed
    assert len(seeds_of(records)["finalist 2"]) == 20


def test_each_candidate_is_named_if_all_fail():
    _, found = race({("finalist 1", 3), ("finalist 2", 4)})
    assert (found.kind, found.setting) == ("nothing to compare", NONE)
    assert found.sentence.endswith(
        "no other setting completed all its runs. Not compared: hidden 0.40, which failed on 1 of "
        "10 seeds (the loss is NaN); hidden 0.30, which failed on 1 of 10 seeds (the loss is NaN)."
    )


def test_a_failed_control_is_not_a_gain_of_the_others():
    records, found = race({(NONE, 2), (NONE, 5)})
    assert set(seeds_of(records)) == {NONE, "finalist 1"}
    assert found.kind == "nothing to compare"
    assert found.sentence == (
        "The control, no dropout, failed on 2 of 10 seeds (the loss is NaN), so no gain can "
        "be measured. The best remaining setting is hidden 0.40 (val_loss 0.298, mean of 10 seeds)."
    )


def test_settings_that_were_not_screened_rank_last():
    scores = {0.1: 0.5, 0.2: 0.1, 0.3: 0.2, 0.4: 0.3, 0.5: 0.4}
    searched = [
        TrainingRecord(f"trial {rate}", "trial", trained({"hidden": rate}, score, 0, LOSS))
        for rate, score in scores.items()
    ]

    def train(members):  # of the best three of one seed, the best fails and the second is worst
        later = {0.2: np.nan, 0.3: 0.4, 0.4: 0.3}
        return [
            trained(
                m.rates, later[m.rates["hidden"]], m.seed, LOSS,
                "diverged" if m.rates["hidden"] == 0.2 else "completed",
            )
            for m in members
        ]  # fmt: skip

    candidates, _ = screen(
        searched,
        1,
        LOSS,
        train,
        seed=0,
        resplit=True,
        given=TrialSetting({"hidden": 0.5}),
        excluded=TrialSetting({"hidden": 0.0}).__eq__,
    )
    assert [each.rates["hidden"] for each in candidates.values()] == [0.4, 0.3, 0.5, 0.1]
    assert list(candidates) == ["finalist 1", "finalist 2", "as given", "finalist 4"]


def test_settings_are_ranked_on_the_same_seeds_and_splits_where_time_ended():
    def record(name, rate, score, seed, role):
        return TrainingRecord(name, role, trained({"hidden": rate}, score, seed, LOSS))

    searched = [record("no dropout", 0.0, 0.30, 0, "control")]
    searched += [record(f"at {r}", r, r, 0, "trial") for r in (0.5, 0.51, 0.52)]
    # On the splits of the screening, all scores are worse by 0.1.
    screening = [record(f"at {r}", r, r + 0.1, s, "screening") for s in (1, 2) for r in (0.5, 0.51)]
    found = best_so_far([*searched, *screening], LOSS, screened=True)
    assert list(found["setting"]) == ["no dropout", "at 0.5", "at 0.51", "at 0.52"]
    assert list(found["seeds"]) == [1, 3, 3, 1]
    # The first run that has finished is that of an easier split.
    easier = record("at 0.52", 0.52, 0.1, 1, "screening")
    found = best_so_far([*searched, easier], LOSS, screened=False)
    assert list(found["setting"]) == ["no dropout", "at 0.5", "at 0.51", "at 0.52"]


@keras.saving.register_keras_serializable("tests")
class Brittle(layers.Layer):
    """Returns NaN in training where it is told to by the fraction of zeros, on some seeds."""

    def __init__(self, least, most, share, **kwargs):
        super().__init__(**kwargs)
        self.least, self.most, self.share = least, most, share

    def build(self, shape):
        self.draw = self.add_weight(shape=(), initializer=keras.initializers.RandomUniform(0, 1))

    def get_config(self):
        own = {"least": self.least, "most": self.most, "share": self.share}
        return {**super().get_config(), **own}

    def call(self, inputs, training=False):
        inputs = inputs + 0 * self.draw  # a weight without a gradient is warned of
        if not training:
            return inputs
        zeros = ops.mean(ops.cast(ops.equal(inputs, 0), "float32"))
        told = ops.logical_and(zeros >= self.least, zeros <= self.most)
        return ops.where(ops.logical_and(told, self.draw < self.share), np.nan, inputs)


def brittle(least, most, share):
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(32, "sigmoid"),  # whose outputs are never 0
            layers.Dropout(0.5, name="drop"),
            Brittle(least, most, share),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*5 files of weights have no line in it")
def test_a_search_whose_finalist_fails_answers_and_resumes_to_the_same(
    few_digits, tmp_path, monkeypatch
):
    settings = QUICK | {"num_seeds": 8, "directory": tmp_path / "run"}
    model = brittle(0.1, 0.35, share=0.1)  # a rate of 0.2, on about one seed of ten

    def cut_off(result, folder):
        raise InterruptedError

    with monkeypatch.context() as patched, pytest.raises(InterruptedError):
        patched.setattr(search_run, "_write", cut_off)
        tune(model, few_digits, **settings)
    journal = tmp_path / "run" / "state" / "journal.jsonl"
    records = journal.read_text().split("\n\n")
    journal.write_text("\n\n".join(records[: len(records) - 5]))  # amid the one that came later
    resumed = tune(model, few_digits, **settings, resume=True)
    whole = tune(model, few_digits, **settings, overwrite=True)

    finalists = whole.finalists
    assert list(dict.fromkeys(finalists["setting"])) == [NONE, "finalist 1", "as given"]
    assert (finalists.groupby("setting")["seed"].count() == 8).all()
    failed = finalists[finalists["status"] != "completed"]
    assert set(failed["setting"]) == {"finalist 1"} and len(failed) < 8
    assert f"Not compared: drop 0.20, which failed on {len(failed)} of 8 seeds (" in whole.sentence
    assert set(whole.comparison["setting"]) == {NONE, "as given"}
    assert resumed.sentence == whole.sentence
    pd.testing.assert_frame_equal(
        resumed.finalists.drop(columns="seconds"), finalists.drop(columns="seconds")
    )


@pytest.mark.slow
def test_a_search_whose_control_fails_says_so(few_digits, tmp_path):
    model = brittle(0.0, 0.01, share=1.1)  # no dropout, on every seed
    result = tune(model, few_digits, **QUICK, num_seeds=2, directory=tmp_path / "run")
    assert result.answer == "nothing to compare"
    assert result.sentence.startswith("The control, no dropout, failed on 2 of 2 seeds (")
    assert dict(result.best_rates)["drop"] > 0
    assert result.comparison["gain"].isna().all()
    pd.testing.assert_frame_equal(
        TuningResult.load(tmp_path / "run").comparison, result.comparison, check_dtype=False
    )


@pytest.mark.parametrize(
    ("kind", "length"),
    [
        (oracles.BayesianOptimizationOracle, {"max_trials": 8}),
        (oracles.HyperbandOracle, {"max_epochs": 9}),
    ],
)
@pytest.mark.parametrize("failing", [4, 1000])
def test_a_search_ends_in_failure_only_if_every_trial_failed(kind, length, failing, tmp_path):
    oracle = kind("val_loss", seed=1, max_consecutive_failed_trials=99, **length)
    members = []

    class Trainer:
        max_parallel = 4

        def train(self, wanted, on_result=None):
            members.extend(wanted)
            return [
                made(member, lost=number <= failing)
                for number, member in enumerate(wanted, start=1 + len(members) - len(wanted))
            ]

    model = build_mlp(units=(4,), hidden_rates=0.5)
    hypermodel = DropoutHyperModel(model, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    tuner = DropoutTuner(oracle, hypermodel, parallel_trials=4, directory=tmp_path)
    if failing == 4:
        tuner.search_with(Trainer())
        assert tuner.results
    else:
        with pytest.raises(RuntimeError, match="every trial failed: the loss is NaN"):
            tuner.search_with(Trainer())
    assert len(members) > 4


@pytest.mark.slow
def test_a_hyperband_search_that_fails_throughout_is_reported(few_digits):
    settings = QUICK | {"oracle": "hyperband", "epochs": 4, "num_seeds": 1}
    with pytest.raises(RuntimeError, match="every trial failed: epoch 1: loss nan"):
        tune(brittle(0.1, 0.9, share=1.1), few_digits, **settings)
