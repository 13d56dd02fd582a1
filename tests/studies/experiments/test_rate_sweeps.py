"""Learning curves, rate sweeps and grids: what is trained, what is kept, what is concluded."""

import json
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dropout_zoo.models import build_mlp, dropout_sites
from dropout_zoo.studies import (
    Execution,
    StudyResult,
    learning_curves,
    plan_rate_sweep,
    rate_grid,
    rate_sweep,
)
from dropout_zoo.studies.control_names import NO_DROPOUT
from dropout_zoo.studies.summary_text import failure_sentences
from dropout_zoo.training import Member, as_dataset, train_members


class TwoInputs(keras.Model):
    """It is built by its first call, on a dict."""

    def __init__(self):
        super().__init__()
        self.dropout, self.dense = keras.layers.Dropout(0.2, name="drop"), keras.layers.Dense(1)

    def call(self, x, training=None):
        return self.dense(self.dropout(x["a"] + x["b"], training=training))


def two_inputs():
    model = TwoInputs()
    model.compile("sgd", "mse")
    return model


ALONE = Execution(workers=1)  # a second worker traces everything a second time
SMALL = {"epochs": 2, "num_seeds": 2, "execution": ALONE}
ONE = {"epochs": 1, "num_seeds": 1, "execution": ALONE}


@pytest.fixture(scope="module")
def model():
    return build_mlp(units=(16, 8), hidden_rates=(0.4, 0.3))


@pytest.fixture(scope="module")
def sweep(model, few_digits):
    return rate_sweep(model, few_digits, rates=(0.5, 0.9), epochs=3, num_seeds=3, execution=ALONE)


def test_a_sweep_trains_every_rate_and_the_control_on_every_seed(sweep):
    scores = sweep.scores()
    assert list(dict.fromkeys(scores["setting"])) == [NO_DROPOUT, "hidden 0.50", "hidden 0.90"]
    assert sorted(zip(scores["rate"], scores["seed"], strict=True)) == [
        (rate, seed) for rate in (0.0, 0.5, 0.9) for seed in range(3)
    ]
    for path in ("hidden_1_dropout", "hidden_2_dropout"):
        assert (scores[f"rate/{path}"] == scores["rate"]).all()
    assert (sweep.data.groupby("run")["epoch"].apply(list).map(tuple) == (1, 2, 3)).all()


def test_a_study_equals_training_each_member_alone(sweep, model, few_digits):
    [alone] = train_members(model, [Member([0.5, 0.5], 1)], few_digits, epochs=3, batch_size=32)
    rows = sweep.curves("hidden 0.50")
    rows = rows[rows["seed"] == 1]
    for column in ("loss", "train_loss", "val_loss", "accuracy"):
        np.testing.assert_allclose(rows[column], alone.curves[column], rtol=1e-6)
    scores = sweep.scores().set_index(["setting", "seed"])
    assert scores.loc[("hidden 0.50", 1), "score"] == pytest.approx(alone.score)


def test_means_and_gains_are_those_of_scipy(sweep):
    scores = sweep.scores().pivot_table(index="seed", columns="setting", values="val_loss")
    mean = sweep.means().set_index("setting").loc["hidden 0.50"]
    expected = stats.t.interval(
        0.95, 2, scores["hidden 0.50"].mean(), stats.sem(scores["hidden 0.50"])
    )
    assert (mean["low"], mean["high"]) == pytest.approx(expected)
    gains = sweep.gains().set_index("setting")
    assert set(gains["control"]) == {NO_DROPOUT}
    difference = scores[NO_DROPOUT] - scores["hidden 0.90"]
    assert gains.loc["hidden 0.90", "gain"] == pytest.approx(difference.mean())
    assert gains.loc["hidden 0.90", "gain"] < 0, "dropping 90% must hurt so short a run"


def test_the_gain_of_an_accuracy_is_its_increase(sweep):
    scores = sweep.scores().pivot_table(index="seed", columns="setting", values="val_accuracy")
    gains = sweep.gains("val_accuracy").set_index("setting")
    expected = (scores["hidden 0.90"] - scores[NO_DROPOUT]).mean()
    assert gains.loc["hidden 0.90", "gain"] == pytest.approx(expected)


def test_the_summary_names_the_best_setting_and_its_uncertainty(sweep):
    text = sweep.summary()
    best = sweep.means().set_index("setting")["mean"].idxmin()
    assert best in text.splitlines()[0]
    assert "3 seeds" in text
    assert "Holm" in text
    assert "rates that may be the best: " in text


def test_parquet_files_are_complete_and_readable_by_others(sweep, tmp_path):
    path = sweep.to_parquet(tmp_path / "sweep.parquet")
    again = StudyResult.from_parquet(path)
    pd.testing.assert_frame_equal(again.data, sweep.data)
    assert again.summary() == sweep.summary()
    assert json.loads(json.dumps(sweep.settings)) == again.settings
    assert (again.objective, again.factors, again.controls) == (
        sweep.objective, list(sweep.factors), sweep.controls,
    )  # fmt: skip
    pd.testing.assert_frame_equal(again.gains(), sweep.gains())
    pd.testing.assert_frame_equal(pd.read_parquet(path), sweep.data)
    sweep.data.to_parquet(tmp_path / "bare.parquet")
    with pytest.raises(ValueError, match=r"expected a file written by StudyResult\.to_parquet"):
        StudyResult.from_parquet(tmp_path / "bare.parquet")


def test_a_file_that_does_not_exist_is_reported_with_what_was_expected(tmp_path):
    missing = tmp_path / "none.parquet"
    with pytest.raises(FileNotFoundError) as raised:
        StudyResult.from_parquet(missing)
    assert str(raised.value) == (
        f"expected a file written by StudyResult.to_parquet, received {missing}, which does not "
        "exist"
    )


@pytest.mark.slow
def test_a_result_records_its_origin_and_is_reproducible(sweep, model, few_digits):
    assert sweep.settings["seeds"] == [0, 1, 2]
    assert sweep.settings["data"]["fingerprint"] == few_digits.fingerprint()
    assert sweep.settings["settings"]["hidden 0.90"] == {
        "hidden_1_dropout": 0.9, "hidden_2_dropout": 0.9,
    }  # fmt: skip
    assert sweep.versions["keras"] == keras.__version__
    again = rate_sweep(model, few_digits, rates=(0.5, 0.9), epochs=3, num_seeds=3, execution=ALONE)
    pd.testing.assert_frame_equal(
        again.data.drop(columns="seconds"), sweep.data.drop(columns="seconds")
    )
    assert again.summary() == sweep.summary()
    assert [site.rate for site in dropout_sites(model)] == [0.4, 0.3], "the model is left alone"


def test_a_model_for_raw_columns_is_swept_as_the_model_that_was_trained(tmp_path):
    people = pd.DataFrame({"age": range(20, 60), "job": ["nurse", "cook", None, "cook"] * 10})
    data = as_dataset(people.assign(income=["low", "high"] * 20), target="income")
    model = build_mlp(input_shape=data.input_shape, num_classes=2, units=(4,), hidden_rates=(0.5,))
    data.model_for_raw_columns(model).save(tmp_path / "best.keras")
    best = keras.saving.load_model(tmp_path / "best.keras")
    of_best, of_model = (plan_rate_sweep(each, data, rates=0.3) for each in (best, model))
    assert of_best.describe()["settings"] == of_model.describe()["settings"]
    of_best.check()


def test_varying_one_site_leaves_the_others_unchanged(model, few_digits):
    result = rate_sweep(model, few_digits, sites="each", rates=(0.6,), **ONE)
    scores = result.scores().set_index("setting")
    rates = scores[["rate/hidden_1_dropout", "rate/hidden_2_dropout"]]
    assert rates.loc["hidden_1_dropout 0.60"].tolist() == [0.6, 0.3]
    assert rates.loc["hidden_2_dropout 0.60"].tolist() == [0.4, 0.6]
    assert rates.loc["hidden_2_dropout 0.00"].tolist() == [0.4, 0.0]
    assert rates.loc[NO_DROPOUT].tolist() == [0.0, 0.0]
    assert "single seed" in result.summary()


@pytest.mark.slow
def test_the_expected_width_stays_the_same(few_digits):
    result = rate_sweep(
        "mlp", few_digits, units=(8,), width=("fixed", "expected"), rates=(0.5,), **ONE
    )
    parameters = result.scores().set_index("setting")["parameters"]
    per_unit = 28 * 28 + 1 + 10
    assert parameters["hidden, fixed width 0.50"] == 8 * per_unit + 10
    assert parameters["hidden, expected width 0.50"] == 16 * per_unit + 10
    with pytest.raises(
        ValueError,
        match="expected a registered model or a builder function with an argument such as units=",
    ):
        rate_sweep(build_mlp(), few_digits, width="expected")


@pytest.mark.slow
def test_a_grid_crosses_two_groups_and_adds_the_input_site(few_digits):
    result = rate_grid("mlp", few_digits, first_rates=(0.2,), second_rates=(0.5,), **ONE)
    scores = result.scores()
    found = set(zip(scores["rate/input_dropout"], scores["rate/hidden_2_dropout"], strict=True))
    assert found == {(0.0, 0.0), (0.0, 0.5), (0.2, 0.0), (0.2, 0.5)}
    with pytest.raises(ValueError, match="which share hidden_1_dropout"):
        rate_grid("mlp", few_digits, first="hidden_1_dropout", second="hidden")


def test_learning_curves_have_two_training_metrics(model, few_digits):
    result = learning_curves(model, few_digits, rates=(None, 0.8), **SMALL)
    assert list(dict.fromkeys(result.data["setting"])) == [NO_DROPOUT, "as given", "rate 0.80"]
    heavy = result.curves("rate 0.80")
    assert (heavy["loss"] > heavy["train_loss"]).all(), "dropping 80% raises the running loss"
    given = result.curves("as given")
    assert (given[["rate/hidden_1_dropout", "rate/hidden_2_dropout"]] == [0.4, 0.3]).all(axis=None)
    assert "rate 0.80: " in result.summary()


def test_a_diverged_run_is_reported_and_left_out_of_the_comparison(sweep):
    data = sweep.data.copy()
    lost = (data["setting"] == "hidden 0.90") & (data["seed"] == 1)
    data.loc[lost, ["status", "reason"]] = ["diverged", "epoch 2: loss nan"]
    result = replace(sweep, data=data)
    assert list(result.gains()["setting"]) == ["hidden 0.50"]
    assert result.means().set_index("setting").loc["hidden 0.90", "seeds"] == 2
    assert failure_sentences(result.failures()) == [
        "hidden 0.90: 1 run did not complete (epoch 2: loss nan)."
    ]


def test_the_reason_is_reported_if_every_run_fails(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.5,), optimizer=keras.optimizers.SGD(1e30))
    with pytest.raises(RuntimeError, match="every training run failed: epoch 1: loss nan"):
        rate_sweep(model, few_digits, rates=(0.5,), **ONE)


@pytest.mark.slow
def test_finished_runs_are_not_repeated(sweep, model, few_digits, tmp_path):
    class StopError(Exception):
        pass

    finished = []

    def stop_after_two(trained):
        finished.append(trained)
        if len(finished) == 2:
            raise StopError

    arguments = {"rates": (0.5, 0.9), "epochs": 3, "num_seeds": 3}  # those of the whole sweep
    with pytest.raises(StopError):
        rate_sweep(
            model, few_digits, **arguments,
            execution=Execution(directory=tmp_path, on_result=stop_after_two, workers=1),
        )  # fmt: skip
    restored, trained = [], []
    listening = Execution(
        directory=tmp_path, on_result=trained.append, on_restored=restored.append, workers=1
    )
    resumed = rate_sweep(model, few_digits, **arguments, execution=listening)
    assert (len(restored), len(trained)) == (2, 7)
    pd.testing.assert_frame_equal(
        resumed.data.drop(columns="seconds"), sweep.data.drop(columns="seconds")
    )
    with pytest.raises(ValueError, match="expected the settings of the run in"):
        rate_sweep(model, few_digits, rates=(0.4,), **SMALL | {"execution": listening})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rates": (0.5, 1.0)}, r"expected rates\[1\] to be in \[0, 1\)"),
        (
            {"sites": "kitchen"},
            "expected sites to be 'all', 'each', a placement or a path",
        ),
        ({"width": "wide"}, "expected width to be one of"),
        ({"width": "expected", "sites": "input"}, "expected sites to be 'hidden' or 'all' when"),
        ({"num_seeds": 0}, "seeds to be a whole number of at least 1"),
        ({"batch_size": 0}, "batch_size to be a whole number"),
        ({"epochs": 0}, "epochs to be a whole number"),
    ],
)
def test_wrong_arguments_are_reported(model, few_digits, wrong, words):
    with pytest.raises(ValueError, match=words):
        rate_sweep(model, few_digits, **{"rates": (0.5,), **SMALL, **wrong})


@pytest.mark.parametrize("model", [two_inputs, two_inputs()])
def test_an_unbuilt_model_of_several_inputs_is_taken(model):
    x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    plan = plan_rate_sweep(model, ({"a": x, "b": x}, x.sum(1)), rates=[0.5], epochs=1)
    assert {setting.factors["parameters"] for setting in plan.settings} == {4}
