"""What labels are taken for where the type and the loss of the model say different things."""

import keras
import keras_tuner
import numpy as np
import pandas as pd
import pytest
from keras import layers

from dropout_zoo.training import DataError, as_dataset
from dropout_zoo.tuning import DropoutHyperModel, DropoutTuner, tune

X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
AGES = np.random.default_rng(1).integers(18, 90, 60)
COARSE = np.arange(60) % 5 + 1
ONCE = {"rates": [0.2], "epochs": 1, "num_seeds": 1, "progress": False}


def net(units=1, activation=None, loss="mse", metrics=(), inputs=True):
    model = keras.Sequential(
        [
            *([keras.Input((4,))] if inputs else []),
            layers.Dense(4, "relu"),
            layers.Dropout(0.2),
            layers.Dense(units, activation),
        ]
    )
    model.compile("adam", loss, metrics=list(metrics))
    return model


def own(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


def own_one_hot(y_true, y_pred):
    return keras.losses.categorical_crossentropy(y_true, y_pred)


def own_distance(y_true, y_pred):
    return keras.ops.mean(abs(y_true - y_pred), axis=-1)


def tuner_of(model, directory):
    return DropoutTuner(
        keras_tuner.oracles.GridSearchOracle("val_loss"),
        DropoutHyperModel(model, rates=[0.2]),
        directory=directory,
    )


# The check of the objective is the last one before a search, so it fails only if model, labels and
# task fit together.
ACCEPTED = "expected the objective to be one of"


def refusal(model, *data, **arguments):
    """Why a search with an unknown objective does not begin."""
    with pytest.raises(ValueError) as caught:
        tune(model, *data, **ONCE, **arguments, objective="val_nothing:max")
    return str(caught.value)


@pytest.mark.parametrize(
    ("model", "data", "arguments"),
    [
        (net(), (X, AGES), {}),
        (net(loss="mae"), (X, AGES.tolist()), {}),
        (net(loss="huber"), ((X, AGES[:, None]),), {}),
        (net(loss="poisson", activation="exponential"), (X, pd.Series(COARSE)), {}),
        (net(inputs=False), (X, AGES), {}),
        (net(loss="hinge"), (X, 2 * (AGES % 2) - 1), {}),
        (net(loss=own_distance), (X, AGES), {}),
        (net(), (X, AGES), {"validation_data": (X[:9], AGES[:9]), "test_data": (X, AGES)}),
        (net(), (((X, AGES), (X, AGES)),), {}),
        (net(), (pd.DataFrame(X).add_prefix("x").assign(age=COARSE),), {"target": "age"}),
    ],
)
def test_integers_are_quantities_for_one_unit_and_a_loss_that_is_not_for_classes(
    model, data, arguments
):
    assert refusal(model, *data, **arguments).startswith(ACCEPTED)


def test_the_labels_of_a_file_are_taken_as_the_loss_takes_them(tmp_path):
    table, arrays = tmp_path / "table.csv", tmp_path / "arrays.npz"
    pd.DataFrame(X).add_prefix("x").assign(age=COARSE).to_csv(table, index=False)
    np.savez(arrays, x=X, y=AGES)
    assert refusal(net(), table, target="age").startswith(ACCEPTED)
    assert refusal(net(), str(arrays)).startswith(ACCEPTED)
    with pytest.raises(DataError, match="nothing"):
        tune(net(), table, target="nothing", **ONCE)


@pytest.mark.parametrize("y", [COARSE - 1.0, np.float32(COARSE[:, None] - 1)])
def test_floats_are_labels_for_a_loss_that_takes_class_numbers(y):
    assert refusal(net(5, "softmax", "sparse_categorical_crossentropy"), X, y).startswith(ACCEPTED)


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (net(loss="mse", activation="sigmoid"), AGES % 2),
        (net(5, "softmax"), COARSE - 1),
        (net(loss="mse", activation="sigmoid"), np.array(["no", "yes"] * 30)),
    ],
)
def test_other_labels_are_classes_whatever_the_loss(model, y):
    # Only a classification has class weights.
    assert refusal(model, X, y, class_weight={0: 2.0}).startswith(ACCEPTED)


def test_the_task_can_be_given():
    assert refusal(net(), X, AGES, task="regression").startswith(ACCEPTED)
    with pytest.raises(ValueError, match="expected 6 output units"):
        tune(net(), X, COARSE, task="classification", **ONCE)


def test_the_loss_of_a_model_is_known_if_a_function_builds_it():
    assert refusal(net, X, AGES).startswith(ACCEPTED)
    assert refusal(f"{__name__}:net", X, AGES).startswith(ACCEPTED)


def test_integers_that_were_taken_for_classes_are_refused_with_what_to_do():
    with pytest.raises(DataError, match=r"quantities, pass floats, as in y.astype\(float\), or"):
        tune("mlp", X, AGES // 2, **ONCE)
    with pytest.raises(ValueError, match=r"received 1; .* pass floats, as in y.astype\(float\)"):
        tune(net(), as_dataset(X, COARSE - 1), **ONCE)


def test_labels_from_1_are_told_to_start_from_0():
    with pytest.raises(ValueError, match=r"received 5; .*number the classes from 0"):
        tune(net(5, "softmax", "sparse_categorical_crossentropy"), X, COARSE, **ONCE)


@pytest.mark.slow
def test_the_tuner_takes_whole_numbers_for_a_regression(tmp_path):
    tuner = tuner_of(net(), tmp_path)
    tuner.search(X, AGES, validation_split=0.2, epochs=1)
    assert tuner.oracle.get_best_trials()[0].score > 100  # of squared years


def test_a_custom_loss_receives_labels_as_they_were_given():
    assert refusal(net(5, "softmax", own), X, COARSE - 1).startswith(ACCEPTED)
    assert refusal(net(5, "softmax", own_one_hot), X, np.eye(5)[COARSE - 1]).startswith(ACCEPTED)


@pytest.mark.slow
def test_the_tuner_takes_a_custom_loss_on_integer_labels(tmp_path):
    tuner = tuner_of(net(5, "softmax", own), tmp_path)
    tuner.search(X, COARSE - 1, validation_split=0.2, epochs=1)
    assert np.isfinite(tuner.oracle.get_best_trials()[0].score)


@pytest.mark.parametrize(
    ("loss", "y", "words"),
    [
        (own, np.eye(5)[COARSE - 1], r"labels as one-hot rows; .* y.argmax\(axis=1\)"),
        (own_one_hot, COARSE - 1, r"labels as integers; .*keras.utils.to_categorical\(y\)"),
    ],
)
def test_where_a_custom_loss_fails_the_form_of_the_labels_is_named(loss, y, words):
    with pytest.raises(ValueError, match=f"fails on the first examples: .*; its loss .*{words}"):
        tune(net(5, "softmax", loss), X, y, **ONCE)
