"""`tune` from start to end: what it trains, what it concludes, and what it leaves behind."""

import json

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from keras import layers

from dropout_zoo.models import ConcreteDropout, build_mlp, dropout_sites
from dropout_zoo.studies import DifferenceDisplay, generalization_gaps, verdict_by_setting
from dropout_zoo.training import Dataset, targets_for
from dropout_zoo.tuning import TuningResult, tune
from dropout_zoo.tuning.search.search import Search, TuningSettings

NONE, GIVEN = "no dropout", "as given"

QUICK = {"rates": [0.2, 0.5], "epochs": 2, "num_finalists": 2, "num_seeds": 3, "progress": False}
FILES = {
    "best.keras", "curves.parquet", "finalists.csv", "manifest.json", "outcome.json",
    "race.parquet", "rates.png", "search.json", "trials.csv",
}  # fmt: skip


@pytest.fixture(scope="module")
def result(few_digits, tmp_path_factory):
    model = build_mlp(units=(16, 8), hidden_rates=(0.4, 0.3))
    return tune(model, few_digits, **QUICK, directory=tmp_path_factory.mktemp("run"))


def test_the_controls_and_every_setting_of_the_grid_are_trained(result):
    trials = result.trials
    assert list(trials["setting"][:2]) == [NONE, GIVEN]
    assert list(trials["role"]) == ["control"] * 2 + ["trial"] * 4 + ["screening"] * 10
    trials = trials[trials["role"] != "screening"]
    rates = trials[["hidden_1_dropout", "hidden_2_dropout"]].to_numpy().tolist()
    assert rates[:2] == [[0.0, 0.0], [0.4, 0.3]]
    assert sorted(rates[2:]) == [[0.2, 0.2], [0.2, 0.5], [0.5, 0.2], [0.5, 0.5]]
    assert set(trials["seed"]) == {0}
    assert set(trials["status"]) == {"completed"}


def test_finalists_and_controls_share_seeds_that_the_search_never_used(result):
    seeds = result.finalists.groupby("setting")["seed"].apply(set)
    assert len(seeds) == 3 and NONE in seeds
    assert all(found == {3, 4, 5} for found in seeds)
    assert not {3, 4, 5} & set(result.trials["seed"])
    assert result.num_runs == 6 + 5 * 2 + 3 * 3


@pytest.mark.slow
def test_the_best_model_is_one_that_was_trained_on_the_data_as_they_were_split(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    result = tune(
        model, few_digits, rates=[0.6, 0.7], epochs=3, num_seeds=10, resplit=True,
        objective="val_loss:max", progress=False,  # so that dropout is best
    )  # fmt: skip
    rate = result.best_rates["hidden_1_dropout"]
    same = result.trials[result.trials["hidden_1_dropout"] == rate]
    given = same[same["split"] == 0]
    assert same["score"].max() > given["score"].max()  # on another split, a score is better
    best = result.best_model()
    measured = best.evaluate(
        few_digits.validation[0], targets_for(best, few_digits.validation[1], 10), verbose=0
    )
    assert measured[0] == pytest.approx(given["score"].max(), rel=1e-4)


def test_finalists_are_the_best_of_the_search_over_its_three_seeds(result):
    paths = ["hidden_1_dropout", "hidden_2_dropout"]
    searched = result.trials[result.trials["setting"] != NONE].groupby(paths)["score"]
    means = searched.mean()[searched.count() == 3].sort_values()
    finalists = result.finalists[result.finalists["role"] == "finalist"]
    chosen = finalists.drop_duplicates("setting")[paths]
    assert [tuple(rates) for rates in chosen.to_numpy()] == list(means.index[:2])


def test_the_comparison_follows_from_the_finalists(result):
    scores = result.finalists.pivot_table(index="seed", columns="setting", values="score")
    table = result.comparison.set_index("setting")
    assert list(table["mean"]) == sorted(table["mean"])
    for name in table.index:
        assert table.loc[name, "mean"] == pytest.approx(scores[name].mean())
        assert table.loc[name, "std"] == pytest.approx(scores[name].std())
        if name != NONE:
            assert table.loc[name, "gain"] == pytest.approx((scores[NONE] - scores[name]).mean())
            assert table.loc[name, "low"] < table.loc[name, "gain"] < table.loc[name, "high"]
    best = table.iloc[0]
    assert dict(result.best_rates) == best[list(result.best_rates)].to_dict()
    assert result.answer == "not trained to the end"


def test_the_best_model_is_that_of_the_winner_and_has_the_reported_score(result, few_digits):
    model = result.best_model()
    assert {site.path: site.rate for site in dropout_sites(model)} == dict(result.best_rates)
    x, y = few_digits.test
    measured = model.evaluate(x, targets_for(model, y, 10), verbose=0, return_dict=True)
    assert measured == pytest.approx(dict(result.test), abs=1e-5)


def test_the_directory_holds_the_documented_files(result, few_digits):
    assert {path.name for path in result.directory.iterdir()} == FILES
    settings = json.loads((result.directory / "search.json").read_text())
    assert settings["settings"]["epochs"] == 2
    assert settings["settings"]["seed"] == 0
    assert settings["space"] == {"hidden_1_dropout": [0.2, 0.5], "hidden_2_dropout": [0.2, 0.5]}
    assert settings["data"]["fingerprint"] == few_digits.fingerprint()
    assert settings["versions"]["keras"] == keras.__version__
    assert json.loads((result.directory / "outcome.json").read_text()) == json.loads(
        json.dumps(result.outcome())
    )


def test_the_saved_model_reloads_in_safe_mode_and_predicts_the_same(result, few_digits):
    loaded = keras.models.load_model(result.directory / "best.keras", safe_mode=True)
    x = few_digits.test[0]
    expected = result.best_model().predict(x, verbose=0)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    assert {site.path: site.rate for site in dropout_sites(loaded)} == dict(result.best_rates)
    assert {type(site.layer) for site in dropout_sites(loaded)} == {layers.Dropout}


def test_the_tables_on_disk_are_those_of_the_result(result):
    for name, table in (("trials", result.trials), ("finalists", result.finalists)):
        written = pd.read_csv(result.directory / f"{name}.csv", keep_default_na=False)
        assert list(written.columns) == list(table.columns)
        np.testing.assert_allclose(written["score"], table["score"])
        assert list(written["setting"]) == list(table["setting"])


def test_curves_hold_every_epoch_of_every_training(result):
    curves = pd.read_parquet(result.directory / "curves.parquet")
    assert len(curves) == 2 * result.num_runs
    measured = {f"{p}{n}" for p in ("", "train_", "val_") for n in ("loss", "accuracy")}
    assert measured <= set(curves.columns)
    assert set(curves["phase"]) == {"search", "race"}
    ends = curves.groupby(["phase", "setting", "seed"])["val_loss"].min()
    for row in result.finalists.itertuples():
        assert ends["race", row.setting, row.seed] == pytest.approx(row.score)


def test_the_summary_states_the_answer(result):
    text = result.summary()
    assert result.sentence in text
    assert "; on the test set: " in text
    assert all(line == line.rstrip() and len(line) <= 100 for line in text.splitlines()[3:])


def test_the_plot_shows_trials_controls_and_the_race(result):
    display = result.plot()
    try:
        *of_sites, race = display.axes_
        assert [axis.get_title() for axis in of_sites] == list(result.space.choices)
        for axis, path in zip(of_sites, result.space.choices, strict=True):
            drawn = {line.get_label(): line for line in axis.get_lines()}
            dots = {each.get_label(): each.get_offsets() for each in axis.collections}
            assert set(drawn) == {
                "trials that differ in this rate alone", NONE, GIVEN, "recommended rate",
            }  # fmt: skip
            trials = result.trials[result.trials["role"] == "trial"]
            np.testing.assert_allclose(dots["trial"], trials[[path, "score"]])
            none = result.trials.set_index("setting").loc[NONE, "score"]
            controls = [drawn[name] for name in (NONE, GIVEN)]
            assert set(controls[0].get_ydata()) == {none}
            assert controls[0].get_linestyle() != controls[1].get_linestyle()
            assert axis.get_xlabel() == "dropout rate (fraction dropped)"
        assert display.axes_[0].get_ylabel() == "val_loss at the best epoch, one seed"
        compared = result.comparison.dropna(subset="gain").sort_values("gain")
        assert [text.get_text() for text in race.get_yticklabels()] == list(compared["setting"])
        drawn = {dots.get_label(): dots.get_offsets()[:, 0] for dots in race.collections}
        scores = result.finalists.pivot(index="seed", columns="setting", values="score")
        for name in compared["setting"]:
            dots = drawn[f"_{name}: seeds"]
            np.testing.assert_allclose(sorted(dots), sorted(scores[NONE] - scores[name]))
        with pytest.raises(ValueError, match="expected 3 axes"):
            result.plot(display.axes_[0])
    finally:
        plt.close(display.figure_)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_answer(result, few_digits):
    model = build_mlp(units=(16, 8), hidden_rates=(0.4, 0.3))
    again = tune(model, few_digits, **QUICK)
    assert again.sentence == result.sentence
    for name in ("trials", "finalists"):
        first, second = (getattr(r, name).drop(columns="seconds") for r in (result, again))
        pd.testing.assert_frame_equal(first, second)
    for one, other in zip(
        result.best_model().get_weights(), again.best_model().get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_directory_with_files_is_refused_and_left_alone(few_digits, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ValueError, match="new or empty directory"):
        tune("mlp", few_digits, **QUICK, directory=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_wrong_settings_leave_no_directory_behind(few_digits, tmp_path):
    for wrong in (
        {"epochs": 0},
        {"num_seeds": 0},
        {"objective": "val_nothing:max"},
        {"oracle": "x"},
    ):
        with pytest.raises(ValueError, match="expected"):
            tune("mlp", few_digits, **QUICK | wrong, directory=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["loss", "accuracy", "train_loss", "my_score:max"])
def test_metrics_of_the_training_examples_cannot_be_the_objective(name, few_digits):
    with pytest.raises(ValueError, match="a metric of the validation set as the objective") as no:
        tune("mlp", few_digits, **QUICK | {"objective": name})
    assert "a metric of the training examples" in str(no.value)
    assert ("with dropout on" in str(no.value)) == (name != "train_loss")


@pytest.mark.parametrize(
    "oracle",
    ["halving", "hyperband", "random", "bayesian"],
)
@pytest.mark.slow
def test_other_oracles_can_be_used(few_digits, oracle):
    settings = QUICK | {"oracle": oracle, "num_seeds": 1, "num_finalists": 1}
    if oracle != "hyperband":
        settings |= {"max_trials": 3}
    result = tune(build_mlp(units=(8,), hidden_rates=(0.4,)), few_digits, **settings)
    assert list(result.trials["setting"][:2]) == [NONE, GIVEN]
    trials = result.trials[result.trials["role"] == "trial"]
    assert set(trials["hidden_1_dropout"]) == {0.2, 0.5}
    assert NONE in set(result.comparison["setting"])


@pytest.mark.slow
def test_placements_add_dropout_to_a_registered_model(few_digits):
    settings = QUICK | {
        "rates": None,
        "max_trials": 2,
        "num_seeds": 1,
        "num_finalists": 1,
        "epochs": 1,
    }
    result = tune("mlp", few_digits, **settings, placements="input")
    assert dict(result.space.choices) == {"input_dropout": (0.2, 0.3, 0.4, 0.5)}
    without = result.trials.set_index("setting").loc[result.control]
    assert without["input_dropout"] == 0
    assert without["hidden_1_dropout"] == 0.5


@pytest.mark.filterwarnings("ignore:Model.fit trains the members")
def test_the_reason_is_reported_if_every_run_fails(few_digits):
    @keras.saving.register_keras_serializable("test")
    class Broken(layers.Layer):
        def call(self, inputs, training=False):
            if training:
                raise RuntimeError("no training today")
            return inputs

    model = keras.Sequential(
        [keras.Input((28, 28)), layers.Flatten(), Broken(), layers.Dropout(0.5), layers.Dense(10)]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(RuntimeError, match=r"every trial failed: .*no training today$"):
        tune(model, few_digits, **QUICK)


@pytest.mark.slow
def test_regression_is_tuned_by_its_own_loss():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 6)).astype("float32")
    y = (x @ np.arange(6)).astype("float32")
    data = Dataset.from_arrays((x[:80], y[:80]), (x[80:100], y[80:100]), (x[100:], y[100:]))
    result = tune("mlp", data, **QUICK | {"epochs": 1, "num_seeds": 1, "num_finalists": 1})
    assert result.best_model().output_shape == (None, 1)
    assert set(result.test) == {"loss", "mae"}


def test_the_race_is_a_study_that_displays_and_tables_accept(result):
    race = result.race
    assert race.kind == "race"
    assert race.conclusions == (result.sentence,)
    scores = race.scores().set_index(["setting", "seed"])["score"]
    for row in result.finalists.itertuples():
        assert scores[row.setting, row.seed] == row.score
    gains = race.gains().set_index("setting")["gain"]
    table = result.comparison.set_index("setting")
    assert set(gains.index) == set(table.index) - {NONE}
    for name, gain in gains.items():
        assert table.loc[name, "gain"] == pytest.approx(gain)
    display = DifferenceDisplay.from_result(race).plot()
    plt.close(display.figure_)
    assert set(verdict_by_setting(race)) == set(table.index)
    assert generalization_gaps(race).kind == "race"
    loaded = TuningResult.load(result.directory).race
    pd.testing.assert_frame_equal(loaded.data, race.data)


@pytest.mark.slow
def test_a_metric_with_a_value_for_each_class_has_a_column_for_each(few_digits, tmp_path):
    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    model.compile("adam", "categorical_crossentropy", metrics=[keras.metrics.F1Score()])
    settings = QUICK | {"objective": "val_f1_score_3:max", "epochs": 1, "num_finalists": 1}
    settings |= {"rates": [0.2], "num_seeds": 1}
    result = tune(model, few_digits, **settings, directory=tmp_path / "run")
    columns = {f"{part}f1_score_{label}" for part in ("", "train_", "val_") for label in range(10)}
    assert columns <= set(result.curves.columns)
    assert {f"f1_score_{label}" for label in range(10)} <= result.test.keys()
    again = tune(model, few_digits, **settings, directory=tmp_path / "run", resume=True)
    assert again.outcome() == result.outcome()


@pytest.mark.slow
def test_arguments_may_be_numpy_numbers(few_digits, tmp_path):
    plain = {"epochs": 2, "num_seeds": 2, "seed": 3, "num_finalists": 1, "progress": False}
    numpys = {k: v if k == "progress" else np.int64(v) for k, v in plain.items()}
    weights = dict(zip(np.unique(few_digits.train[1]), np.linspace(0.5, 1.5, 10), strict=True))
    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    one = tune(
        model, few_digits, rates=np.array([0.2, 0.5]), class_weight=weights, **numpys,
        directory=tmp_path / "run",
    )  # fmt: skip
    other = tune(
        model, few_digits, rates=[0.2, 0.5], **plain,
        class_weight={int(label): float(weight) for label, weight in weights.items()},
    )  # fmt: skip
    drop = ["seconds"]
    pd.testing.assert_frame_equal(one.trials.drop(columns=drop), other.trials.drop(columns=drop))


@pytest.mark.slow
def test_a_test_part_without_a_finite_loss_is_reported_as_not_measured(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 3), dtype="float32"), rng.random(60, dtype="float32")
    data = Dataset.from_arrays((x, y), (x, y), (x, np.full_like(y, 1e30)))
    model = build_mlp(input_shape=(3,), num_classes=None, units=(4,), hidden_rates=(0.4,))
    result = tune(model, data, **QUICK, directory=tmp_path / "run")
    assert result.outcome()["test"]["loss"] is None
    loaded = tune(model, data, **QUICK, directory=tmp_path / "run", resume=True)
    assert loaded.outcome() == result.outcome()


@pytest.mark.slow
def test_callbacks_are_those_of_every_training_run(few_digits):
    made = []

    def reducing(member):
        made.append(member)
        return [keras.callbacks.ReduceLROnPlateau(patience=1, min_delta=10.0)]

    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    quick = QUICK | {"epochs": 3, "num_finalists": 1, "num_seeds": 2}
    result = tune(model, few_digits, **quick, callbacks=reducing)
    rates = result.curves.pivot_table(index="epoch", values="learning_rate", aggfunc=["min", "max"])
    assert rates.to_numpy() == pytest.approx(np.array([[1e-3] * 2, [1e-3] * 2, [1e-4] * 2]))
    assert len(made) == result.num_runs
    for oracle in ("halving", "hyperband"):
        with pytest.raises(ValueError, match=f"each setting in one run, .*'{oracle}' with call"):
            tune(model, few_digits, **quick, callbacks=reducing, oracle=oracle)


@pytest.mark.slow
def test_a_trial_that_equals_a_control_is_not_trained_twice(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    result = tune(
        model, few_digits, **QUICK | {"rates": [0.0, 0.2], "num_finalists": 2, "num_seeds": 2}
    )
    assert set(result.finalists["setting"]) == {NONE, GIVEN, "finalist 2"} or set(
        result.finalists["setting"]
    ) == {NONE, GIVEN, "finalist 1"}
    rates = result.finalists.query("role == 'finalist'")["hidden_1_dropout"]
    assert set(rates) == {0.2, 0.4}


def test_sites_that_are_not_searched_keep_their_rates_in_every_setting(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    outputs = layers.Dropout(0.2, name="output_dropout")(model.outputs[0])
    model = keras.Model(model.inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    settings = QUICK | {"epochs": 1, "num_finalists": 1, "num_seeds": 1}
    result = tune(model, few_digits, **settings)
    for table in (result.trials, result.finalists):
        assert set(table["output_dropout"]) == {0.2}
    assert result.control == "no dropout at the searched sites"
    assert result.control in set(result.comparison["setting"])
    assert "Not searched, the same in every setting: output_dropout 0.20." in result.summary()


class OwnDropout(layers.Layer):
    """Draws its mask itself by a number that it keeps besides its rate, which cannot be set."""

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.dropped, self.seeds = rate, rate, keras.random.SeedGenerator(0)

    def call(self, x, training=None):
        return keras.random.dropout(x, self.amount(), seed=self.seeds) if training else x

    def amount(self):
        return self.dropped


class OwnNoise(OwnDropout):
    """Has no attribute that could be its rate."""

    def __init__(self, **kwargs):
        super().__init__(rate=None, **kwargs)

    def amount(self):
        return 0.25

    def get_config(self):
        return {"name": self.name}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of KerasTuner's dependencies
@pytest.mark.slow
def test_a_search_of_hyperparameters_names_its_controls_by_what_they_leave_on(few_digits):
    def build(hp):
        x = inputs = keras.Input((28, 28))
        x = layers.Dense(hp.Choice("units", [4, 8]), "relu")(layers.Flatten()(x))
        x = layers.Dropout(0.3, name="drop")(OwnNoise(name="noise")(x))
        model = keras.Model(inputs, layers.Dense(10, "softmax")(x))
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    result = tune(build, few_digits, rates=0.3, max_trials=3, num_seeds=2, epochs=1, progress=False)
    control = "no dropout at the searched sites"
    assert result.control == control
    named = {*result.trials["setting"], *result.finalists["setting"]}
    without = {name for name in named if "dropout" in name}
    assert control in without and len(without) > 1
    assert all(control in name for name in without)
    assert f"over {control}" in result.plot().race.label


def test_a_learned_rate_is_in_every_setting(few_digits):
    inputs = keras.Input((28, 28))
    x = layers.Dropout(0.3, name="drop")(layers.Flatten()(inputs))
    outputs = ConcreteDropout(layers.Dense(10, "softmax"), name="learned")(x)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    search = Search(model, few_digits, TuningSettings())
    assert search.control == "no dropout at the searched sites"
    assert list(search.fixed) == ["learned"]


def test_dropout_that_cannot_be_set_is_said_to_be_in_every_setting(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    x = OwnNoise(name="noise")(OwnDropout(0.5, name="own")(model.layers[-1].input))
    model = keras.Model(model.inputs, layers.Dense(10, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    settings = QUICK | {"epochs": 1, "num_finalists": 1, "num_seeds": 1}
    result = tune(model, few_digits, **settings)
    assert result.control == "no dropout at the searched sites"
    assert "no dropout" not in set(result.comparison["setting"])
    kept = (
        "Not searched, the same in every setting: own 0.50 (cannot be set), noise (cannot be set)."
    )
    assert kept in result.summary()
    assert TuningResult.load(result.directory).summary() == result.summary()
    assert result.outcome()["fixed_rates"] == {"own": 0.5, "noise": None}


@pytest.mark.slow
def test_training_stops_early_unless_epochs_are_given(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    settings = {"rates": [0.2], "num_finalists": 1, "num_seeds": 1, "progress": False}
    result = tune(model, few_digits, **settings, patience=1, batch_size=8)
    assert (result.trials["epochs"] == result.trials["best_epoch"] + 1).all()
    assert result.answer != "not trained to the end"


@pytest.mark.slow
def test_rates_beyond_the_edge_are_tried_if_the_best_trial_lies_there(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    settings = {"num_finalists": 1, "num_seeds": 1, "epochs": 1, "progress": False}
    result = tune(model, few_digits, **settings)
    trials = result.trials[result.trials["role"] == "trial"]
    inside = trials[trials["hidden_1_dropout"].between(0.2, 0.5)]
    best = inside.loc[inside["score"].idxmin(), "hidden_1_dropout"]
    beyond = {0.2: {0.05, 0.1}, 0.5: {0.6, 0.7}}.get(best, set())
    assert set(trials["hidden_1_dropout"]) == {0.2, 0.3, 0.4, 0.5} | beyond
    assert set(result.space.choices["hidden_1_dropout"]) == set(trials["hidden_1_dropout"])


@pytest.mark.slow
def test_tune_finds_rates_for_a_reconstruction(few_digits, tmp_path):
    result = tune(
        "autoencoder",
        few_digits.as_reconstruction(),
        rates=[0.2, 0.5],
        epochs=2,
        num_finalists=1,
        num_seeds=2,
        progress=False,
        directory=tmp_path / "run",
    )
    assert set(result.trials["status"]) == {"completed"}
    best = keras.models.load_model(tmp_path / "run" / "best.keras")
    assert best.output_shape == (None, 784)
    losses = result.curves.groupby(["setting", "epoch"])["val_loss"].mean()
    assert losses.xs(2, level="epoch").max() < losses.xs(1, level="epoch").min() * 1.5


class Unrecorded(keras.Model):
    """Keras cannot record its argument."""

    def __init__(self, last):
        super().__init__()
        self.flatten, self.dropout, self.last = layers.Flatten(), layers.Dropout(0.3), last

    def call(self, x, training=False):
        return self.last(self.dropout(self.flatten(x), training=training))


def unrecorded():
    model = Unrecorded(layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of KerasTuner's dependencies
def test_a_model_that_keras_cannot_clone_is_tuned_from_its_function(few_digits, tmp_path):
    settings = {"rates": [0.1, 0.2], "num_seeds": 2, "epochs": 1, "progress": False}
    with pytest.raises(TypeError, match="pass the function that builds the model"):
        tune(unrecorded(), few_digits, **settings)
    run = tmp_path / "run"
    with pytest.warns(UserWarning, match=r"its weights alone are saved, in best\.weights\.h5"):
        best = tune(unrecorded, few_digits, **settings, directory=run).best_model()
    loaded = unrecorded()
    loaded(few_digits.train[0][:1])
    loaded.load_weights(run / "best.weights.h5")
    for one, other in zip(best.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match=r"build it, with the rates of best_rates, and call load"):
        TuningResult.load(run).best_model()


def no_list(member):
    return None


def failing(member):
    raise KeyError("no such file")


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(("function", "error"), [(no_list, TypeError), (failing, KeyError)])
def test_callbacks_that_cannot_be_made_leave_no_run_behind(
    function, error, exists, few_digits, tmp_path
):
    directory = tmp_path / "run"
    if exists:
        directory.mkdir()
    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    with pytest.raises(error):
        tune(model, few_digits, **QUICK, callbacks=function, directory=directory)
    assert directory.exists() == exists
    assert not exists or not list(directory.iterdir())


class Recurrent(keras.Model):
    """No `get_config`, so that Keras cannot create it again; its cell drops."""

    def __init__(self, units):
        super().__init__()
        self.recurrent = keras.layers.LSTM(units, dropout=0.9)
        self.dense = keras.layers.Dense(1)

    def call(self, x, training=None):
        return self.dense(self.recurrent(x, training=training))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of KerasTuner's dependencies
def test_the_rates_to_set_in_the_code_are_named_where_the_best_are_0():
    def build():
        model = Recurrent(4)
        model.compile(keras.optimizers.Adam(0.02), "mse")
        return model

    x = np.random.default_rng(0).normal(size=(120, 5, 3)).astype("float32")
    with pytest.warns(UserWarning, match=r"set the rates \(recurrent/cell/dropout 0\.00\)"):
        tune(build, x, x[:, -1].sum(1), rates=[0.9], num_seeds=2, epochs=20, progress=False)
