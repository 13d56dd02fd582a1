"""Searches of the hyperparameters of a build function together with the dropout rates."""

import inspect
import json
from dataclasses import replace

import keras
import keras_tuner
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from click.testing import CliRunner
from keras import layers
from simulated_races import LOSS, NONE, SPACE, race_of, trained
from time_limits import after, time_ends

from dropout_zoo.models import dropout_sites
from dropout_zoo.training import Member, TrainSettings, train_members
from dropout_zoo.tuning import RatesDisplay, TuningResult, tune
from dropout_zoo.tuning.cli.main import main
from dropout_zoo.tuning.race.race import RaceSettings, comparison_table, run_race
from dropout_zoo.tuning.records.recording import RecordingTrainer
from dropout_zoo.tuning.results.answer import answer
from dropout_zoo.tuning.results.joint_answer import (
    compared_with_tuned_control,
    with_hyperparameters,
    without_tuned_control,
)
from dropout_zoo.tuning.search.search import Search, TuningSettings
from dropout_zoo.tuning.trial_setting import TrialSetting

QUICK = {"rates": [0.2, 0.5], "epochs": 2, "max_trials": 3, "num_seeds": 3, "progress": False}
TUNED_CONTROL = "no dropout, tuned"
QUICK |= {"seed": 5}  # trials of both structures, and a tuned control with other hyperparameters


def compiled(hidden, learning_rate=0.001, **arguments):
    model = keras.Sequential(
        [keras.Input((28, 28)), layers.Flatten(), *hidden, layers.Dense(10, "softmax")]
    )
    optimizer = keras.optimizers.Adam(learning_rate)
    arguments = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]} | arguments
    model.compile(optimizer, **arguments)
    return model


def build(hp):
    hidden = []
    for number in range(hp.Int("layers", 1, 2)):
        hidden.append(layers.Dense(hp.Choice(f"units_{number}", [8, 16]), "relu"))
        hidden.append(layers.Dropout(hp.Float(f"rate_{number}", 0.1, 0.5)))
    return compiled(hidden, hp.Float("learning_rate", 1e-3, 1e-1, sampling="log"))


def dots_of(axis):
    """The horizontal positions of the dots drawn, by label."""
    return {each.get_label(): each.get_offsets()[:, 0].tolist() for each in axis.collections}


def search(function, data, **settings):
    return Search(function, data, TuningSettings(**settings))


def given_values(values):
    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    return hp


@pytest.fixture(scope="module")
def result(few_digits, tmp_path_factory):
    return tune(build, few_digits, **QUICK, directory=tmp_path_factory.mktemp("run") / "run")


def test_hyperparameters_are_found_before_training_and_rates_are_left_out(few_digits):
    planned = search(build, few_digits, max_trials=5, num_seeds=10)
    assert planned.joint.names == ["layers", "units_0", "learning_rate", "units_1"]
    assert planned.max_trials == 5
    assert planned.space.choices == {"dropout": (0.2, 0.3, 0.4, 0.5)}
    # Trials and their controls, two rates beyond the range, the screening, and a race of three.
    assert planned.num_runs == 5 + 5 + 2 + (3 + 3) * 2 + 3 * 10
    assert "5 trials, each also without dropout, then 1 finalist against no" in planned.summary()


def test_conditional_hyperparameters_belong_to_the_settings_that_use_them(few_digits):
    def conditional(hp):
        units = 8
        if hp.Choice("kind", ["narrow", "wide"]) == "wide":
            with hp.conditional_scope("kind", ["wide"]):
                units = hp.Int("wide_units", 16, 32)
        return compiled([layers.Dense(units), layers.Dropout(0.5)])

    models = search(conditional, few_digits).joint
    assert models.names == ["kind", "wide_units"]
    chosen = {"kind": "narrow", "wide_units": 20}
    assert models.setting(chosen).hyperparameters == {"kind": "narrow"}
    chosen["kind"] = "wide"
    assert models.setting(chosen).hyperparameters == chosen
    assert models.model_of(chosen).layers[1].units == 20


def test_hyperparameters_that_keep_their_defaults_are_named(few_digits):
    def unread(hp):
        hp.Int("batch_size", 16, 64)
        rates = [hp.Float(f"rate_{number}", 0.1, 0.5) for number in range(2)]
        dropout = [layers.Dropout(rate) for rate in rates[: hp.Int("layers", 1, 2)]]
        return compiled([layers.Dense(4), *dropout])

    models = search(unread, few_digits).joint
    assert models.names == ["layers"]
    assert models.note == (
        "Keep their defaults, because they change dropout rates alone: rate_0, rate_1. "
        "Keeps its default, because it has no effect on the model: batch_size."
    )
    assert search(build, few_digits).joint.note.endswith("alone: rate_0, rate_1.")


def test_a_hyperparameter_that_own_code_hides_is_searched(few_digits):
    def traced(hp):
        factor = hp.Choice("factor", [1.0, 50.0])
        return compiled([layers.Lambda(tf.function(lambda x: x * factor)), layers.Dropout(0.5)])

    models = search(traced, few_digits).joint
    assert (models.names, models.note) == (["factor"], "")


class TimesItsFactor(layers.Layer):
    factor = 1.0

    def call(self, x):
        return x * self.factor


def test_a_build_function_that_changes_earlier_models_is_warned_of(few_digits):
    def through_the_class(hp):
        TimesItsFactor.factor = hp.Choice("factor", [1.0, 50.0])
        return compiled(
            [TimesItsFactor(), layers.Dense(hp.Int("units", 4, 8)), layers.Dropout(0.5)]
        )

    with pytest.warns(UserWarning, match="changes what the code of models that it built before"):
        search(through_the_class, few_digits)


def test_a_build_function_that_depends_on_more_than_hyperparameters_is_refused(few_digits):
    calls = []

    def counting(hp):
        calls.append(hp)
        activation = hp.Choice("activation", ["relu", "tanh"])
        return compiled([layers.Dense(4 + len(calls), activation), layers.Dropout(0.5)])

    with pytest.raises(ValueError, match="same model for the same hyperparameters, received one"):
        search(counting, few_digits)


def test_a_hyperparameter_is_searched_that_has_an_effect_beside_others_alone(few_digits):
    def dependent(hp):
        strength, kind = hp.Float("strength", 0.1, 0.9), hp.Choice("kind", ["dropout", "noise"])
        noise = layers.GaussianNoise(strength if kind == "noise" else 0.0)
        units = hp.Int("units", 4, 8) if hp.Boolean("wide") else 4
        rate = strength if kind == "dropout" else 0.5
        return compiled([layers.Dense(units), noise, layers.Dropout(rate)])

    models = search(dependent, few_digits).joint
    assert sorted(models.names) == ["kind", "strength", "units", "wide"]
    assert models.note == ""


def test_with_own_code_a_hyperparameter_without_visible_effect_is_searched(few_digits):
    class Own(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    def own(hp):
        hp.Int("batch_size", 16, 64)
        return compiled([Own(), layers.Dense(hp.Choice("units", [4, 8])), layers.Dropout(0.5)])

    assert search(own, few_digits).joint.names == ["batch_size", "units"]


def test_the_line_connects_trials_with_the_same_hyperparameters():
    trials = pd.DataFrame(
        {
            "setting": list("abcd"), "role": ["trial", "control"] * 2, "status": "completed",
            "units": [8, 8, 16, 16], "extra": [np.nan, np.nan, 4, 4],
            "drop": [0.2, 0.0, 0.3, 0.0], "score": [0.1, 0.2, 0.4, 0.3],
        }
    )  # fmt: skip
    display = RatesDisplay.from_tables(
        trials=trials, finalists=trials[:0], comparison=trials.assign(gain=np.nan),
        panels={"drop": ["drop"]}, best_rates={"drop": 0.2}, objective=LOSS,
        hyperparameters=["units", "extra"],
    ).plot()  # fmt: skip
    drawn = {line.get_label(): line for line in display.axes_[0].get_lines()}
    line = drawn["trials that differ in this rate alone"]
    assert line.get_xydata().tolist() == [[0.0, 0.2], [0.2, 0.1]]
    dots = dots_of(display.axes_[0])
    assert sorted(dots["trial"]) == [0.2, 0.3]
    assert dots["its control, connected with it"] == [0.0, 0.0]
    plt.close(display.figure_)


def test_the_plot_of_a_race_shows_the_tuned_control_and_no_recommended_rate_of_zero():
    _, table, records = raced(finalist=0.3, tuned=0.2)
    trials = pd.DataFrame(
        {"setting": ["a"], "role": "trial", "status": "completed", "units": 8, "hidden": 0.4,
         "score": 0.3}
    )  # fmt: skip
    rows = [
        (each.setting, each.role, each.result.member.seed, each.result.score) for each in records
    ]
    finalists = pd.DataFrame(rows, columns=["setting", "role", "seed", "score"])
    drawn = {}
    for rate in (0.0, 0.4):
        display = RatesDisplay.from_tables(
            trials=trials, finalists=finalists, comparison=table, panels={"hidden": ["hidden"]},
            best_rates={"hidden": rate}, objective=LOSS, hyperparameters=["units"],
        ).plot()  # fmt: skip
        of_site, race = display.axes_
        drawn[rate] = {line.get_label() for line in of_site.get_lines()}
        plt.close(display.figure_)
    assert drawn[0.4] - drawn[0.0] == {"recommended rate"}
    assert [text.get_text() for text in race.get_yticklabels()] == ["finalist 1", TUNED_CONTROL]
    scores = finalists.pivot(index="seed", columns="setting", values="score")
    dots = dots_of(race)[f"_{TUNED_CONTROL}: seeds"]
    np.testing.assert_allclose(sorted(dots), sorted(scores[NONE] - scores[TUNED_CONTROL]))


def test_a_function_that_builds_other_models_is_another_search(few_digits):
    def wider(hp):
        return compiled([layers.Dense(hp.Choice("units", [4, 8])), layers.Dropout(0.5)])

    def other(hp):
        units = {4: 4, 8: 9}[hp.Choice("units", [4, 8])]
        return compiled([layers.Dense(units), layers.Dropout(0.5)])

    one, again, another = (search(each, few_digits).describe() for each in (wider, wider, other))
    assert one == again
    assert one != another


class OwnFit(keras_tuner.HyperModel):
    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, **kwargs)


def without_layers(hp):
    return compiled([layers.Dense(hp.Choice("units", [4, 8]))])


def conditional_dropout(hp):
    dropout = [layers.Dropout(0.5)] if hp.Boolean("dropout") else []
    return compiled([layers.Dense(4), *dropout])


def without_hyperparameters(hp):
    return compiled([layers.Dense(4), layers.Dropout(0.5)])


def rates_only(hp):
    return compiled([layers.Dense(4), layers.Dropout(hp.Float("rate", 0, 0.5))])


def penalized(hp):
    penalty = keras.regularizers.L2(hp.Float("l2", 1e-4, 1e-2))
    return compiled([layers.Dense(4, kernel_regularizer=penalty), layers.Dropout(0.5)])


def penalized_activations(hp):
    penalty = layers.ActivityRegularization(l2=hp.Float("l2", 1e-4, 1e-2))
    return compiled([layers.Dense(4), penalty, layers.Dropout(0.5)])


def weighted_losses(hp):
    weights = [hp.Float("weight", 0.1, 1.0)]
    return compiled([layers.Dense(4), layers.Dropout(0.5)], loss_weights=weights)


class Penalty(layers.Layer):
    def __init__(self, weight):
        super().__init__()
        self.weight, self.dense = weight, layers.Dense(4)

    def call(self, x):
        outputs = self.dense(x)
        self.penalize(outputs)
        return outputs

    def penalize(self, outputs):
        self.add_loss(self.scale() * keras.ops.mean(outputs**2))

    def scale(self):
        return self.weight


def own_penalty(hp):
    return compiled([Penalty(hp.Float("weight", 0.1, 1.0)), layers.Dropout(0.5)])


def own_loss(hp):
    power = hp.Choice("power", [1, 2])

    def loss(y_true, y_pred):
        of_classes = keras.losses.sparse_categorical_crossentropy(y_true, y_pred)
        return of_classes**power

    return compiled([layers.Dense(4), layers.Dropout(0.5)], loss=loss)


class OwnLoss(keras.Model):
    def __init__(self, weight, units):
        super().__init__()
        self.weight, self.flatten, self.dense = weight, layers.Flatten(), layers.Dense(units)
        self.dropout, self.last = layers.Dropout(0.5), layers.Dense(10, "softmax")

    def call(self, x, training=False):
        return self.last(self.dropout(self.dense(self.flatten(x)), training=training))

    def get_config(self):
        return {"weight": self.weight, "units": self.dense.units}

    def compute_loss(self, *arguments, **named):
        return super().compute_loss(*arguments, **named) * self.weight


def own_compute_loss(hp):
    model = OwnLoss(hp.Float("weight", 0.1, 1.0), 4)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def own_code_of_another_width(hp):
    model = OwnLoss(0.5, hp.Choice("units", [4, 8]))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def named_like_a_site(hp):
    return compiled([layers.Dense(hp.Choice("drop", [4, 8])), layers.Dropout(0.5, name="drop")])


def failing(hp):
    return compiled([layers.Dense(hp.Choice("units", [-1, 8])), layers.Dropout(0.5)])


@pytest.mark.parametrize(
    ("function", "settings", "words"),
    [
        (without_layers, {}, "received a model without any; add a layer .*; let it add its"),
        (conditional_dropout, {}, "conditional_dropout.hp. builds with the defaults of its"),
        (without_hyperparameters, {}, "received none; to search the rates alone, give a model"),
        (rates_only, {}, "received 'rate'; to search the rates alone"),
        (penalized, {}, "'l2' changes; choose an objective such as val_accuracy"),
        (penalized_activations, {}, "'l2' changes; choose an objective such as val_accuracy"),
        (weighted_losses, {}, "'weight' changes; choose an objective such as val_accuracy"),
        (own_penalty, {}, "own code adds, which the hyperparameter 'weight' changes; choose"),
        (own_loss, {}, "own code adds, which the hyperparameter 'power' changes; choose"),
        (own_compute_loss, {}, "own code adds, which the hyperparameter 'weight' changes; choose"),
        (named_like_a_site, {}, "received 'drop'; rename them"),
        (failing, {}, "expected failing.hp. to return a Keras model, received ValueError"),
        (OwnFit(), {}, "without a custom fit, received OwnFit"),
        (build, {"oracle": "grid"}, "expected oracle='random' or 'bayesian' with a build function"),
        (build, {"oracle": "hyperband"}, "expected oracle='random' or 'bayesian'"),
        (build, {"oracle": "delphi"}, "delphi"),
        (build, {"max_trials": 0}, "max_trials"),
        (build, {"training": TrainSettings(learning_rate=0.1)}, "no learning_rate with a build"),
        (build, {"num_finalists": 2}, "expected num_finalists=1 with a build function"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_training(few_digits, function, settings, words):
    with pytest.raises(ValueError, match=words):
        search(function, few_digits, **settings)


def test_penalties_may_be_searched_by_another_objective(few_digits):
    settings = TuningSettings(training=TrainSettings(objective="val_accuracy"))
    assert Search(penalized, few_digits, settings).joint.names == ["l2"]


def test_code_that_adds_to_the_loss_may_have_other_hyperparameters(few_digits):
    assert search(own_code_of_another_width, few_digits).joint.names == ["units"]


@pytest.mark.slow
def test_every_trial_has_a_control_that_differs_in_dropout_alone(result):
    trials = result.trials
    searched = trials[trials["role"] == "trial"].set_index("setting")
    controls = trials[trials["role"] == "control"].set_index("setting")
    assert len(searched) == 3
    assert [f"{name}, {NONE}" for name in searched.index] == list(controls.index)
    same = [*result.hyperparameters, "seed", "split"]
    pd.testing.assert_frame_equal(
        searched[same].reset_index(drop=True), controls[same].reset_index(drop=True)
    )
    assert set(controls["dropout"]) == {0.0}
    assert set(searched["dropout"]) <= {0.2, 0.5}
    both = searched["layers"] == 2
    assert 0 < both.sum() < len(both)
    assert (searched["dropout_1"].notna() == both).all()  # a site that other models lack
    assert (searched["dropout_1"] == searched["dropout"])[both].all()


@pytest.mark.slow
def test_the_race_compares_dropout_alone_and_the_tuned_control(result):
    settings = result.finalists.drop_duplicates("setting").set_index("setting")
    names = [name for name in result.hyperparameters if name in settings]
    finalist, control = settings.loc["finalist 1", names], settings.loc[NONE, names]
    pd.testing.assert_series_equal(finalist, control, check_names=False)
    assert settings.loc["finalist 1", "dropout"] > 0 and settings.loc[NONE, "dropout"] == 0
    assert settings.loc[TUNED_CONTROL, "dropout"] == 0
    assert not settings.loc[TUNED_CONTROL, names].equals(control)
    seeds = result.finalists.groupby("setting")["seed"].apply(tuple)
    assert set(seeds) == {(8, 9, 10)}
    assert result.num_runs <= 3 + 3 + (3 + 3) * 2 + 3 * 3


@pytest.mark.slow
def test_the_best_model_has_the_best_hyperparameters_and_is_saved(result, few_digits):
    expected = build(given_values(result.best_hyperparameters))
    for model in (result.best_model(), keras.models.load_model(result.directory / "best.keras")):
        assert [w.shape for w in model.get_weights()] == [w.shape for w in expected.get_weights()]
        rate = float(expected.optimizer.learning_rate)
        assert float(model.optimizer.learning_rate) == pytest.approx(rate)
        assert {site.path: site.rate for site in dropout_sites(model)} == dict(result.best_rates)
    for name, value in result.best_hyperparameters.items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        assert f"{name} {shown}" in result.sentence


@pytest.mark.slow
def test_a_trial_is_trained_as_its_model_alone(result, few_digits):
    trial = result.trials[result.trials["role"] == "trial"].iloc[-1]
    values = {name: trial[name] for name in result.hyperparameters if pd.notna(trial[name])}
    values |= {name: int(value) for name, value in values.items() if name != "learning_rate"}
    model = build(given_values(values))
    rates = [trial["dropout"]] * len(dropout_sites(model))
    [alone] = train_members(model, [Member(rates, trial["seed"])], few_digits, epochs=2)
    assert alone.score == pytest.approx(trial["score"], rel=1e-12)


@pytest.mark.slow
def test_a_result_is_loaded_as_it_was(result):
    loaded = TuningResult.load(result.directory)
    assert loaded.summary() == result.summary()
    assert loaded.best_hyperparameters == result.best_hyperparameters
    assert loaded.hyperparameters == list(result.hyperparameters)
    assert loaded.space == result.space
    assert loaded.fixed_rates == result.fixed_rates
    drawn = [display.axes_[0].get_lines() for display in (result.plot(), loaded.plot())]
    for one, other in zip(*drawn, strict=True):
        np.testing.assert_allclose(one.get_xydata(), other.get_xydata())
    dots, of_loaded = (dots_of(each.axes_[0]) for each in (result.plot(), loaded.plot()))
    assert dots == of_loaded
    assert len(dots["trial"]) == 3 and 0.0 not in dots["trial"]
    assert dots["its control, connected with it"] == [0.0] * 3


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, -4])
def test_a_resumed_run_has_the_answer_of_a_run_without_a_budget(
    result, few_digits, tmp_path, count
):
    settings = QUICK | {"directory": tmp_path / "run", "resume": True}
    with time_ends(after(count % result.num_runs)) as before:
        first = tune(build, few_digits, **settings, budget="10m")
    assert first.ended_by_budget
    assert first.best_hyperparameters
    assert "Hyperparameters: " in first.sentence
    assert "nan" not in first.summary()
    with time_ends() as later:
        resumed = tune(build, few_digits, **settings)
    assert resumed.sentence == result.sentence
    assert resumed.test == result.test
    for name in ("trials", "finalists"):
        one, other = (getattr(each, name).drop(columns="seconds") for each in (resumed, result))
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert len(before) + len(later) == result.num_runs  # nothing was trained twice


@pytest.mark.slow
def test_a_trial_that_cannot_be_built_fails_alone(few_digits):
    class Model(keras_tuner.HyperModel):
        def build(self, hp):
            units = hp.Choice("units", [8, 16, 24, 32])
            if units > 16:
                raise ValueError("too large")
            return compiled([layers.Dense(units), layers.Dropout(0.5)])

    result = tune(Model(), few_digits, **QUICK | {"max_trials": 6, "num_seeds": 1})
    failed = result.trials[result.trials["status"] == "failed"]
    assert len(failed) and set(failed["units"]) <= {24, 32}
    assert failed["reason"].str.contains("too large").all()
    assert result.best_hyperparameters["units"] in (8, 16)


@pytest.mark.slow
def test_bayesian_optimization_searches_hyperparameters_too(few_digits):
    result = tune(
        build, few_digits, **QUICK | {"oracle": "bayesian", "max_trials": 2, "num_seeds": 1}
    )
    assert (result.trials["role"] == "trial").sum() == 2


@pytest.mark.slow
def test_a_finalist_that_fails_is_replaced_with_a_control_of_its_own(few_digits, monkeypatch):
    train = RecordingTrainer.train

    def losing(self, members, on_result=None):
        lost = {"status": "diverged", "reason": "the loss is NaN", "score": np.nan}
        return [
            replace(each, **lost) if each.member.label == "finalist 1" else each
            for each in train(self, members, on_result)
        ]

    monkeypatch.setattr(RecordingTrainer, "train", losing)
    result = tune(build, few_digits, **QUICK)
    settings = result.finalists.drop_duplicates("setting").set_index("setting")
    assert {"finalist 1", "finalist 2", NONE} <= set(settings.index)
    for name in settings.columns.intersection(result.hyperparameters):
        np.testing.assert_equal(settings.loc["finalist 2", name], settings.loc[NONE, name])
    assert "Not compared: dropout " in result.sentence
    assert "failed on 3 of 3 seeds (the loss is NaN)" in result.sentence
    assert "finalist 1" not in set(result.comparison["setting"])


@pytest.mark.slow
def test_a_function_with_hyperparameters_is_tuned_on_the_command_line(tmp_path, monkeypatch):
    code = inspect.getsource(compiled) + "\n\n" + inspect.getsource(build)
    (tmp_path / "own_build.py").write_text(f"import keras\nfrom keras import layers\n\n\n{code}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    shared = ["tune", "own_build:build", "--max-trials", "1", "--epochs", "1", "--rates", "0.2"]
    run = CliRunner().invoke(main, [*shared, "--num-seeds", "1", "--out", "run", "--json"])
    assert run.exit_code == 0, run.output
    outcome = json.loads(run.stdout)
    assert outcome["hyperparameters"] == ["layers", "units_0", "learning_rate", "units_1"]
    assert outcome["best_hyperparameters"]["layers"] in (1, 2)
    planned = CliRunner().invoke(main, [*shared, "--dry-run"])
    assert "Other hyperparameters: layers, units_0, learning_rate, units_1." in planned.stdout


FINALIST = {"finalist 1": TrialSetting({"hidden": 0.4}, {"units": 8})}
CONTROL = {NONE: TrialSetting({"hidden": 0.0}, {"units": 8})}
TUNED = {TUNED_CONTROL: TrialSetting({"hidden": 0.0}, {"units": 16})}


def raced(*, finalist, tuned, seeds=10, **length):
    """The answer of a race in which no dropout has a loss of 0.5, others as given, and its runs."""
    race = RaceSettings(NONE, 0, seeds, None, tuned_control=TUNED_CONTROL)
    losses = {NONE: 0.5, "finalist 1": finalist, TUNED_CONTROL: tuned}

    def train(members):
        results = []
        for member in members:
            noise = 0.01 * np.sin(member.seed * (1 + len(member.label)))
            one = trained(member.rates, losses[member.label] + noise, member.seed, LOSS, **length)
            results.append(replace(one, member=member))
        return results

    records = run_race(CONTROL | FINALIST | TUNED, race, LOSS, train)
    table = comparison_table(records, race, LOSS)
    found = answer(*without_tuned_control(table, records, race), race, LOSS, SPACE, max_epochs=20)
    found = with_hyperparameters(found, records)
    return (
        compared_with_tuned_control(found, table, records, race, LOSS, max_epochs=20),
        table,
        records,
    )


def concluded(**arguments):
    """The answer of such a race, and its table."""
    return raced(**arguments)[:2]


def test_the_answer_is_about_dropout_alone_and_the_tuned_control_is_compared():
    found, table = concluded(finalist=0.3, tuned=0.4)
    assert (found.kind, found.setting) == ("gain", "finalist 1")
    assert "0.2 better than no dropout (95% CI" in found.sentence
    assert "The best setting without dropout (units 16; " in found.sentence
    assert "is 0.1 worse than the finalist (95% CI" in found.sentence
    assert table.set_index("setting").loc["finalist 1", "level"] == 1 - 0.05 / 2  # two comparisons


def test_the_tuned_control_is_recommended_where_it_is_better_than_the_finalist():
    found, _ = concluded(finalist=0.3, tuned=0.2)
    assert (found.kind, found.setting) == ("gain", TUNED_CONTROL)
    assert (found.rates, found.hyperparameters) == ({"hidden": 0.0}, {"units": 16})
    assert "is 0.1 better than the finalist" in found.sentence
    assert found.sentence.endswith(", so it is recommended.")
    found, _ = concluded(finalist=0.7, tuned=0.4)
    assert (found.kind, found.setting) == ("harm", TUNED_CONTROL)
    found, _ = concluded(finalist=0.7, tuned=0.6)
    assert (found.kind, found.setting) == ("harm", NONE)


def test_the_tuned_control_is_the_best_so_far_where_training_has_not_ended():
    unfinished = {"best_epoch": 20, "epochs": 20}
    found, _ = concluded(finalist=0.3, tuned=0.2, **unfinished)
    assert (found.kind, found.setting) == ("not trained to the end", TUNED_CONTROL)
    assert found.sentence == (
        "Not trained to the end: the best epoch is among the last tenth of 20 epochs in all runs "
        'of "hidden 0.40" and "no dropout". Allow more epochs before relying on this. Best so far: '
        "the best setting without dropout (units 16; val_loss 0.1986, mean of 10 seeds). The best "
        "with the hyperparameters of the finalist, units 8: hidden 0.40 "
        "(val_loss 0.299, mean of 10 seeds)."
    )
    found, _ = concluded(finalist=0.3, tuned=0.4, **unfinished)
    assert found.setting == "finalist 1"
    assert "Best so far: hidden 0.40 (" in found.sentence
    assert found.sentence.endswith("Hyperparameters: units 8.")


@pytest.mark.slow
def test_a_race_that_only_the_tuned_control_completes_compares_nothing(few_digits, monkeypatch):
    train = RecordingTrainer.train

    def losing(self, members, on_result=None):
        lost = {"status": "diverged", "reason": "the loss is NaN", "score": np.nan}
        results = train(self, members, on_result)
        failing = {member.label for member in members} - {TUNED_CONTROL}
        racing = {NONE, "finalist 1"} <= failing
        return [
            replace(each, **lost) if racing and each.member.label in failing else each
            for each in results
        ]

    monkeypatch.setattr(RecordingTrainer, "train", losing)
    result = tune(build, few_digits, **QUICK | {"num_seeds": 1})
    assert set(result.finalists["setting"]) == {NONE, "finalist 1", TUNED_CONTROL}
    assert result.answer == "nothing to compare"
    assert list(result.comparison["setting"]) == [TUNED_CONTROL]


def test_without_a_tuned_control_the_error_probability_is_not_divided():
    assert race_of(10).tuned_control is None
    race = RaceSettings(NONE, 0, 10, None)

    def made(member):
        score = 0.5 + 0.1 * np.sin(member.seed)
        return replace(trained(member.rates, score, member.seed, LOSS), member=member)

    def train(members):
        return [made(m) for m in members]

    records = run_race(CONTROL | FINALIST, race, LOSS, train)
    table = comparison_table(records, race, LOSS).set_index("setting")
    assert table.loc["finalist 1", "level"] == 0.95


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of KerasTuner's dependencies
@pytest.mark.filterwarnings("always:Model.fit trains")
def test_the_same_warning_about_several_models_is_given_once():
    def build(hp):
        units = hp.Choice("units", [4, 8])
        model = keras.Sequential(
            [keras.Input((4,)), layers.Dense(units), layers.Dropout(0.2), layers.Dense(1)]
        )
        model.compile("adam", "mse", run_eagerly=True)
        return model

    x = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
    settings = {"rates": 0.2, "max_trials": 2, "num_seeds": 1, "epochs": 1, "progress": False}
    with pytest.warns(UserWarning) as issued:
        tune(build, x, x[:, 0], **settings)
    by_fit = [each for each in issued if "Model.fit trains the members" in str(each.message)]
    assert len(by_fit) == 1
