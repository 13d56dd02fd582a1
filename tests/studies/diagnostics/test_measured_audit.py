"""Measuring a model on data: each measured rule, with a model that triggers it and a near miss."""

import json
import re

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from dropout_zoo.models import dropout_sites
from dropout_zoo.models.auditing.rules import RULES
from dropout_zoo.studies import examine
from dropout_zoo.studies.diagnostics.dropout_switch import DropoutSwitch
from dropout_zoo.studies.diagnostics.output_checks import are_probabilities, expects_logits
from dropout_zoo.studies.diagnostics.variance_shift import variance_ratios
from dropout_zoo.training import Dataset, as_dataset

MEASURED = [code for code, rule in RULES.items() if rule.measured]
TRAINED = {"DZ303", "DZ304", "DZ305", "DZ306", "DZ307"}  # their rules train the model several times

pytestmark = [
    pytest.mark.filterwarnings("ignore:TensorFlow runs every kernel"),
    pytest.mark.filterwarnings("ignore:Model.fit trains the members"),
]


@pytest.fixture(autouse=True)
def no_global_seed():
    """Under TensorFlow's global seed, which other tests set, its unseeded noise repeats itself."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.random.set_seed(None)


def net(*inner, end=None, loss="sparse_categorical_crossentropy", metrics=("accuracy",)):
    end = end or layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.Input((28, 28)), layers.Flatten(), *inner, end])
    model.compile("adam", loss, metrics=list(metrics))
    return model


def program(text):
    names = {"keras": keras, "layers": layers}
    exec(text, names)
    return names["model"]


def codes(report):
    return {finding.code for finding in report}


CAUSES = {
    "DZ305": "gap between training and validation (dropout off) ",
    "DZ306": "excess of the training loss over that without dropout ",
}


@pytest.mark.parametrize(
    "code",
    [pytest.param(code, marks=[pytest.mark.slow] * (code in TRAINED)) for code in MEASURED],
)
def test_bad_code_triggers_its_rule_and_good_code_does_not(code, few_digits):
    if "tensorflow" in RULES[code].bad and keras.backend.backend() != "tensorflow":
        pytest.skip("its example is written in TensorFlow")
    # DZ306 waits until the control without dropout has converged.
    epochs = 50 if code == "DZ306" else 15
    settings = {"epochs": epochs, "num_seeds": 3, "select": [code]}
    report = examine(program(RULES[code].bad), few_digits, **settings)
    assert codes(report) == {code}
    (finding,) = report
    assert finding.severity == RULES[code].severity
    assert "\n" not in finding.message
    if code in CAUSES:
        assert CAUSES[code] in finding.message
    assert finding.fix
    if code not in ("DZ301", "DZ302"):
        assert finding.numbers
    assert codes(examine(program(RULES[code].good), few_digits, **settings)) == set()


def test_findings_read_and_measured_are_in_one_report(few_digits):
    model = net(layers.Dense(32, "relu"), layers.Dropout(0.8, name="drop"))
    weights = model.get_weights()
    report = examine(model, few_digits, epochs=2, num_seeds=2)
    assert "DZ202" in codes(report)
    measured = report.measurements
    assert set(measured) == {"accuracy", "variance_ratio", "verdict", "repeat"}
    assert set(measured["accuracy"]) == {
        "training_dropout_on",
        "training_dropout_off",
        "validation",
    }
    assert set(measured["variance_ratio"]) == {"drop"}
    assert measured["repeat"] == {"relative_difference": 0.0}
    assert json.loads(report.to_json())["measurements"]["accuracy"] == measured["accuracy"]
    for one, other in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [site.rate for site in dropout_sites(model)] == [0.8]
    assert not model.run_eagerly


@pytest.mark.slow
def test_training_above_validation_needs_no_explanation(few_digits):
    # Dropout is on, but the model has memorized its examples.
    model = net(layers.Dense(128, "relu"), layers.Dropout(0.05))
    report = examine(model, few_digits, epochs=30, num_seeds=2, select=["DZ303"])
    numbers = report.measurements["accuracy"]
    assert numbers["training_dropout_on"] > numbers["validation"]
    assert not report


@pytest.mark.slow
def test_short_training_runs_get_no_verdict(few_digits):
    for epochs in (1, 6):
        hidden = [layers.Dense(64, "relu"), layers.Dropout(0.6)]
        model = net(*hidden, layers.Dense(64, "relu"), layers.Dropout(0.6), metrics=())
        report = examine(model, few_digits, epochs=epochs, num_seeds=3, select=["DZ305", "DZ306"])
        assert report.measurements["verdict"]["deficit"] > 0.1
        assert not report
        trained = f"{epochs} epoch{'s' * (epochs > 1)} on 3 seeds"
        assert f"cannot be told after {trained}; train for more" in report.limits[0]


LOSSES = {
    # The labels are ten classes: what fits, and what does not.
    "one-hot": (10, "softmax", "categorical_crossentropy", set()),
    "binary": (10, "sigmoid", "binary_crossentropy", set()),
    "binary logits": (10, None, "binary_crossentropy", {"DZ302"}),
    "declared logits": (10, None, keras.losses.BinaryCrossentropy(from_logits=True), set()),
    "twice a sigmoid": (
        10, "sigmoid", keras.losses.BinaryCrossentropy(from_logits=True), {"DZ302"},
    ),
    "twice a softmax": (
        10, "softmax", keras.losses.SparseCategoricalCrossentropy(from_logits=True), {"DZ302"},
    ),
    "sigmoid for a softmax": (10, "sigmoid", "categorical_crossentropy", {"DZ302"}),
    "hinge": (10, None, "categorical_hinge", set()),
    "too few units": (5, "softmax", "sparse_categorical_crossentropy", {"DZ301"}),
    "too many units": (12, "softmax", "categorical_crossentropy", {"DZ301"}),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_losses_must_match_outputs(name, few_digits):
    units, activation, loss, expected = LOSSES[name]
    model = net(end=layers.Dense(units, activation), loss=loss)
    assert codes(examine(model, few_digits, select=["DZ301", "DZ302"])) == expected


def two_classes(few_digits):
    parts = {}
    for name in ("train", "validation", "test"):
        x, y = getattr(few_digits, name)
        parts[name] = x, (y > 4).astype(int)
    return Dataset.from_arrays(**parts)


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
def test_a_softmax_over_one_unit_is_reported(few_digits):
    data = two_classes(few_digits)
    wrong = net(end=layers.Dense(1, "softmax"), loss="binary_crossentropy")
    (finding,) = examine(wrong, data, select=["DZ301"])
    assert "always 1" in finding.message
    right = net(end=layers.Dense(1, "sigmoid"), loss="binary_crossentropy")
    assert not examine(right, data, select=["DZ301", "DZ302"])


def test_small_logits_are_not_mistaken_for_probabilities():
    model = net(
        end=layers.Dense(1, kernel_initializer="zeros", bias_initializer="ones"), loss="mse"
    )
    model.compile("adam", "binary_crossentropy")
    model.layers[-1].kernel.assign(np.full((784, 1), 1e-5))
    assert are_probabilities(model, np.full((4, 28, 28), 0.1, "float32")) is False
    assert expects_logits(model) is False


def test_tokens_are_not_scaled():
    words = keras.Input((5,), dtype="int32")
    x = layers.Flatten()(layers.Embedding(7, 4)(words))
    for activation, expected in (("sigmoid", None), (lambda x: x + 100.0, False)):
        model = keras.Model(words, layers.Dense(1, activation)(x))
        model.compile("adam", "binary_crossentropy")
        assert are_probabilities(model, np.full((4, 5), 6, "int32")) is expected


@pytest.mark.slow
def test_a_model_for_raw_columns_has_one_name_for_each_site():
    table = pd.DataFrame({"age": range(20, 60), "job": ["nurse", "cook", None, "cook"] * 10})
    data = as_dataset(table.assign(income=["low", "high"] * 20), target="income")
    inner = [layers.Dense(8), layers.Dropout(0.5), layers.BatchNormalization()]
    model = keras.Sequential([keras.Input(data.input_shape), *inner, layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    best = data.model_for_raw_columns(model)
    report = examine(best, data, epochs=1, num_seeds=1, select=["DZ102", "DZ304"])
    (site,) = dropout_sites(best)
    assert {finding.code: finding.site for finding in report} == {
        "DZ102": site.path, "DZ304": site.path,
    }  # fmt: skip
    assert set(report.measurements["variance_ratio"]) == {site.path}


def test_alpha_dropout_keeps_the_variance_and_plain_dropout_does_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 64)).astype("float32")
    for layer, low, high in (
        (layers.AlphaDropout(0.3), 0.8, 1.2),
        (layers.Dropout(0.5), 1.8, 2.2),  # of values around 0: 1 / (1 - rate)
        (layers.Dropout(0.2), 1.15, 1.35),
    ):
        model = keras.Sequential([keras.Input((64,)), layer, layers.BatchNormalization()])
        ((path, (norm, ratio)),) = variance_ratios(DropoutSwitch(model), x).items()
        assert (path, norm) == (layer.name, model.layers[1].name)
        assert low < ratio < high


def test_the_switch_turns_on_all_dropout_and_nothing_else():
    inputs = keras.Input((6, 8))
    x = layers.MultiHeadAttention(2, 4, dropout=0.5)(inputs, inputs)
    recurrent = keras.Model(inputs, layers.LSTM(4, dropout=0.5)(inputs))
    nested = keras.Sequential([keras.Input((8,)), layers.Dropout(0.5), layers.Dense(3)])
    models = {
        "attention": keras.Model(inputs, x),
        "recurrent": recurrent,
        "nested": keras.Model(inputs, layers.TimeDistributed(nested)(inputs)),
    }
    batch = np.random.default_rng(0).normal(size=(4, 6, 8)).astype("float32")
    for name, model in models.items():
        switch = DropoutSwitch(model)
        off = [keras.ops.convert_to_numpy(model(batch, training=False)) for _ in range(2)]
        np.testing.assert_array_equal(*off)
        with switch.on():
            on = keras.ops.convert_to_numpy(model(batch, training=False))
        assert np.abs(on - off[0]).max() > 1e-3, name
    norm = layers.BatchNormalization()
    model = keras.Sequential([keras.Input((6, 8)), layers.Dropout(0.5), norm])
    with DropoutSwitch(model).on():
        model(batch, training=False)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(norm.moving_mean), np.zeros(8))


@pytest.mark.slow
def test_a_diverged_training_run_is_reported(few_digits):
    model = net(layers.Dense(16, "relu"), layers.Dropout(0.2))
    model.compile(keras.optimizers.SGD(1e30), "sparse_categorical_crossentropy")
    report = examine(model, few_digits, epochs=2, num_seeds=1)
    assert any("seed 0 diverged" in limit for limit in report.limits)


def regression(few_digits):
    parts = {}
    for name in ("train", "validation", "test"):
        x, y = getattr(few_digits, name)
        parts[name] = x, y.astype("float64") / 10
    return Dataset.from_arrays(**parts)


@pytest.mark.slow
def test_a_regression_is_measured_by_its_loss(few_digits):
    model = net(
        layers.Dense(32, "relu"), layers.Dropout(0.5), end=layers.Dense(1), loss="mse", metrics=()
    )
    report = examine(model, regression(few_digits), epochs=3, num_seeds=2)
    assert "loss" in report.measurements
    assert not codes(report) & {"DZ301", "DZ302"}


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.drop, self.last = layers.Dropout(0.2), layers.Dense(10, "softmax")

    def call(self, inputs, training=False):
        return self.last(self.drop(keras.ops.reshape(inputs, (-1, 784)), training=training))


def many_outputs():
    inputs = keras.Input((28, 28))
    x = layers.Dropout(0.2)(layers.Dense(8, "relu")(layers.Flatten()(inputs)))
    return keras.Model(inputs, [layers.Dense(10)(x), layers.Dense(1)(x)])


def maps():
    inputs = keras.Input((28, 28, 1))
    return keras.Model(inputs, layers.Conv2D(1, 3)(layers.Conv2D(4, 3)(inputs)))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (Subclassed, "subclassed model: nothing was measured"),
        (many_outputs, "1 inputs and 2 outputs: nothing was measured"),
        (maps, r"returns \(None, 24, 24, 1\): nothing was measured"),
        (lambda: net(layers.Dropout(1.0)), "has a rate of 1: nothing was measured"),
    ],
)
def test_what_cannot_be_measured_is_reported(build, words, few_digits):
    model = build()
    model.compile("adam", "mse")
    report = examine(model, few_digits)
    assert any(re.search(words, limit) for limit in report.limits)
    assert not codes(report) & set(MEASURED)


def test_nothing_is_trained_without_a_measured_rule(few_digits, monkeypatch):
    def refuse(*arguments, **settings):
        raise AssertionError("trained")

    monkeypatch.setattr("dropout_zoo.studies.diagnostics.measured_audit.train_members", refuse)
    model = net(layers.Dense(8, "relu"), layers.Dropout(0.8))
    assert codes(examine(model, few_digits, select=["DZ202"])) == {"DZ202"}
    assert codes(examine(model, few_digits, select=["DZ302"])) == set()
    with pytest.raises(AssertionError, match="trained"):
        examine(model, few_digits)


@pytest.mark.slow
def test_an_unbuilt_model_is_built(few_digits):
    model = keras.Sequential([layers.Flatten(), layers.Dropout(0.2), layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    report = examine(model, few_digits, epochs=1, num_seeds=1, ignore=["DZ305", "DZ306"])
    assert not report.errors
    assert not report.limits


def test_wrong_use_is_refused(few_digits):
    plain = keras.Sequential([keras.Input((28, 28)), layers.Flatten(), layers.Dense(10)])
    with pytest.raises(ValueError, match="expected a compiled model"):
        examine(plain, few_digits)
    narrow = keras.Sequential([keras.Input((7,)), layers.Dense(10, "softmax")])
    narrow.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"takes inputs of shape \(28, 28\)"):
        examine(narrow, few_digits)
    with pytest.raises(TypeError, match="expected a Keras model, received str; load a file with"):
        examine("mlp", few_digits)
    for settings in ({"epochs": 0}, {"num_seeds": 0}, {"batch_size": -1}):
        with pytest.raises(ValueError, match="whole number of at least 1"):
            examine(net(), few_digits, **settings)
    with pytest.raises(ValueError, match="received 'DZ300'"):
        examine(net(), few_digits, ignore=["DZ300"])
