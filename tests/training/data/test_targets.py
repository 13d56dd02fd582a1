"""Labels in the form that the loss of a compiled model wants."""

import keras
import numpy as np
import pandas as pd
import pytest

from dropout_zoo.training import as_dataset
from dropout_zoo.training.data.targets import targets_for, with_loss_targets

Y = np.array([0, 2, 1, 2], dtype=np.int32)
BINARY = np.array([0, 1, 1, 0], dtype=np.int32)
QUANTITIES = np.array([0.5, -3.0, 2.5, 0.0], dtype=np.float32)
X = np.linspace(0, 1, 8, dtype=np.float32).reshape(4, 2)


def network(units, loss, activation="softmax"):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(units, activation=activation)(inputs))
    model.compile("sgd", loss)
    return model


class Named(keras.losses.CategoricalCrossentropy):
    """A subclass, as users write them."""


class Overridden(keras.losses.Loss):
    """A custom loss."""

    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def squared(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


ONE_HOT = [
    "categorical_crossentropy",
    "CategoricalCrossentropy",
    keras.losses.categorical_crossentropy,
    keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    keras.losses.CategoricalCrossentropy,
    Named(),
    [keras.losses.CategoricalCrossentropy()],
    "categorical_focal_crossentropy",
    keras.losses.CategoricalFocalCrossentropy(),
    "categorical_hinge",
    "kld",
    keras.losses.KLDivergence(),
    "binary_crossentropy",
    keras.losses.BinaryFocalCrossentropy(),
    "mse",
    keras.losses.Huber(),
    "poisson",
]


@pytest.mark.parametrize("loss", ONE_HOT)
def test_one_unit_per_class_takes_one_hot_rows(loss):
    targets = targets_for(network(3, loss), Y, 3)
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets, np.eye(3)[Y])


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        keras.losses.sparse_categorical_crossentropy,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ],
)
def test_sparse_losses_take_integers(loss):
    targets = targets_for(network(3, loss), Y.astype(np.int64), 3)
    assert targets.dtype == np.int32
    np.testing.assert_array_equal(targets, Y)


@pytest.mark.parametrize("loss", [Overridden(), squared])
@pytest.mark.parametrize("y", [Y, Y[:, None], np.eye(3, dtype="float32")[Y]])
@pytest.mark.parametrize("units", [3, 4])
def test_a_custom_loss_takes_labels_as_they_were_given(loss, y, units):
    model = network(units, loss)
    data = as_dataset(np.tile(X, (5, 1)), np.concatenate([y] * 5), validation_split=0.25)
    _, received = with_loss_targets(model, data.train, data)
    np.testing.assert_array_equal(received, np.concatenate([y] * 5)[: len(received)])
    np.testing.assert_array_equal(targets_for(model, Y, 3), Y)


@pytest.mark.parametrize(
    "loss",
    [
        "binary_crossentropy",
        "bce",
        keras.losses.BinaryCrossentropy(from_logits=True),
        keras.losses.BinaryFocalCrossentropy(),
        "hinge",
        "mse",
        Overridden(),
        squared,
    ],
)
def test_one_unit_takes_two_classes_as_a_column(loss):
    targets = targets_for(network(1, loss, "sigmoid"), BINARY, 2)
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets, BINARY[:, None])


@pytest.mark.parametrize(
    "loss", ["mse", "mae", "huber", "log_cosh", "mape", "msle", Overridden(), squared]
)
def test_a_regression_takes_floats_as_a_column(loss):
    targets = targets_for(network(1, loss, None), QUANTITIES, None)
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets, QUANTITIES[:, None])


@pytest.mark.parametrize(
    ("units", "loss", "y", "num_classes", "expected"),
    [
        (3, "categorical_crossentropy", Y, 3, -np.log(1 / 3)),
        (3, "sparse_categorical_crossentropy", Y, 3, -np.log(1 / 3)),
        (1, "binary_crossentropy", BINARY, 2, -np.log(1 / 2)),
        (1, "mse", QUANTITIES, None, np.mean((QUANTITIES - 0.5) ** 2)),
    ],
)
def test_keras_computes_the_loss_that_the_labels_mean(units, loss, y, num_classes, expected):
    model = network(units, loss, "softmax" if units > 1 else "sigmoid")
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    measured = model.evaluate(X, targets_for(model, y, num_classes), verbose=0)
    assert measured == pytest.approx(expected, rel=1e-5)


def test_a_subclassed_model_gets_targets_if_the_loss_is_clear():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    def compiled(loss):
        model = Subclassed()
        model.compile("sgd", loss)
        return model

    sparse = targets_for(compiled("sparse_categorical_crossentropy"), Y, 3)
    np.testing.assert_array_equal(sparse, Y)
    one_hot = targets_for(compiled("categorical_crossentropy"), BINARY, 2)
    np.testing.assert_array_equal(one_hot, np.eye(2)[BINARY])
    assert targets_for(compiled("binary_crossentropy"), BINARY, 2).shape == (4, 1)
    assert targets_for(compiled("mse"), QUANTITIES, None).shape == (4, 1)
    with pytest.raises(ValueError, match="output shape is known"):
        targets_for(compiled("mse"), Y, 3)


def several_outputs():
    inputs = keras.Input((2,))
    outputs = [keras.layers.Dense(1)(inputs), keras.layers.Dense(1)(inputs)]
    return keras.Model(inputs, outputs)


def test_several_outputs_are_refused():
    model = several_outputs()
    model.compile("sgd", ["mse", "mse"])
    with pytest.raises(ValueError, match=r"expected one output and one loss .* received 2 losses"):
        targets_for(model, QUANTITIES, None)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"expected one output of shape \(batch, units\)"):
        targets_for(model, QUANTITIES, None)
    named = keras.Model(model.input, dict(zip("ab", model.outputs, strict=True)))
    named.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"expected one output of shape \(batch, units\)"):
        targets_for(named, QUANTITIES, None)


def test_a_model_that_is_not_compiled_is_refused():
    model = several_outputs()
    with pytest.raises(ValueError, match=r"call model\.compile"):
        targets_for(model, Y, 3)
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"call model\.compile"):
        targets_for(model, Y, 3)


@pytest.mark.parametrize(
    ("units", "loss", "y", "num_classes", "message"),
    [
        (10, "categorical_crossentropy", Y, 12, "expected 12 output units.*received 10"),
        (10, "sparse_categorical_crossentropy", Y, 12, "expected 12 output units.*received 10"),
        (10, "mse", Y, 3, "expected 3 output units.*received 10"),
        (1, "binary_crossentropy", Y, 3, "expected 3 output units.*received 1;.*regression"),
        (1, "categorical_crossentropy", BINARY, 2, "expected 2 output units.*received 1"),
        (1, "sparse_categorical_crossentropy", BINARY, 2, "expected 2 output units.*received 1"),
        (3, "binary_crossentropy", BINARY, 2, r"expected 2 .*\(or 1 for both\), received 3"),
        (
            3,
            "mse",
            QUANTITIES,
            None,
            "expected 1 output unit for one target .* received 3",
        ),
        (1, "categorical_crossentropy", QUANTITIES, None, "expected a loss for a regression"),
        (
            1,
            "sparse_categorical_crossentropy",
            QUANTITIES,
            None,
            r"expected a loss for a regression.*pass integers, as in y.astype\(int\)",
        ),
        (1, "binary_crossentropy", QUANTITIES, None, "expected targets from 0 to 1"),
        (3, "mse", Y - 1, 3, "expected integer labels from 0 to 2, received .*-1"),
        (3, "mse", Y + 1, 3, "expected integer labels from 0 to 2"),
        (3, "mse", QUANTITIES, 3, "expected integer labels from 0 to 2, received float32"),
        (3, "mse", Y[:, None], 3, r"expected y of shape \(examples,\), received \(4, 1\)"),
        (1, "mse", Y, 1, "expected num_classes to be a whole number of at least 2"),
    ],
)
def test_models_and_labels_that_do_not_fit_are_refused(units, loss, y, num_classes, message):
    with pytest.raises(ValueError, match=message):
        targets_for(network(units, loss, None), y, num_classes)


def test_an_output_that_is_not_a_vector_is_refused():
    inputs = keras.Input((4, 2))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"expected one output of shape \(batch, units\)"):
        targets_for(model, Y, 3)


class Subclassed(keras.Model):
    """Its output shape is known once it is called."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(units, activation="softmax")

    def call(self, x):
        return self.dense(x["a"] if isinstance(x, dict) else x)


def subclassed(units, loss, kind=Subclassed):
    model = kind(units)
    model.compile("sgd", loss)
    return model


def test_two_classes_fit_two_units_of_a_subclassed_model():
    one_hot = np.eye(2)[BINARY]
    data = as_dataset(np.tile(X, (5, 1)), np.tile(one_hot, (5, 1)))
    model = subclassed(2, "binary_crossentropy")
    _, y = with_loss_targets(model, data.train, data)
    np.testing.assert_array_equal(y, np.eye(2)[data.train[1]])


@pytest.mark.parametrize("y", [QUANTITIES, QUANTITIES[:, None] * np.ones((1, 3))])
def test_targets_of_one_output_that_would_be_broadcast_are_refused(y):
    data = as_dataset({"a": np.tile(X, (5, 1))}, np.concatenate([y] * 5))
    with pytest.raises(ValueError, match=r"expected (1 output unit|outputs of shape) .* received"):
        with_loss_targets(subclassed(2, "mse"), data.train, data)


@pytest.mark.parametrize("task", [None, "custom"])
@pytest.mark.parametrize("make", [network, subclassed])
@pytest.mark.parametrize("loss", [squared, Overridden()])
@pytest.mark.parametrize("y", [QUANTITIES, QUANTITIES[:, None]])
def test_an_own_loss_may_take_several_outputs_for_one_target(y, loss, make, task):
    data = as_dataset(np.tile(X, (5, 1)), np.concatenate([y] * 5), task=task, validation_split=0.25)
    _, received = with_loss_targets(make(3, loss), data.train, data)
    np.testing.assert_array_equal(received, np.concatenate([y] * 5)[: len(received)])


class Squeezed(keras.losses.Loss):
    """Keras hands the labels of a subclass on as they are, but adds an axis for a function."""

    def call(self, y_true, y_pred):
        return keras.ops.square(y_true - keras.ops.squeeze(y_pred, -1))


def absolute(y_true, y_pred):
    return keras.ops.abs(keras.ops.cast(y_true, y_pred.dtype) - keras.ops.squeeze(y_pred, -1))


GIVEN_FORMS = {
    "array": lambda y: (y, y),
    "column": lambda y: (y[:, None], y[:, None]),
    "Series": lambda y: (pd.Series(y), y[:, None]),  # as Keras passes it on
}


@pytest.mark.parametrize("form", GIVEN_FORMS)
@pytest.mark.parametrize("y", [QUANTITIES, BINARY])
@pytest.mark.parametrize("task", [None, "custom"])
@pytest.mark.parametrize(
    ("loss", "metric"),
    [
        (Squeezed(), None),
        (squared, None),
        ("mse", absolute),
        ("mse", keras.metrics.MeanMetricWrapper(absolute)),
    ],
)
def test_one_unit_gets_labels_as_they_were_given_where_custom_code_reads_them(
    loss, metric, task, y, form
):
    given, expected = GIVEN_FORMS[form](np.tile(y, 5))
    model = network(1, loss, "sigmoid")
    model.compile("sgd", loss, metrics=[metric] if metric else None)
    data = as_dataset(np.tile(X, (5, 1)), given, task=task, validation_split=0.25)
    _, received = with_loss_targets(model, data.train, data)
    np.testing.assert_array_equal(received, expected[: len(received)])


def test_one_hot_rows_become_a_column_for_one_unit_whatever_the_metrics():
    model = network(1, "mse", "sigmoid")
    model.compile("sgd", "mse", metrics=[absolute])
    data = as_dataset(np.tile(X, (5, 1)), np.tile(np.eye(2)[BINARY], (5, 1)), validation_split=0.25)
    _, received = with_loss_targets(model, data.train, data)
    np.testing.assert_array_equal(received, np.tile(BINARY, 5)[:15, None])


def test_a_custom_loss_of_one_unit_has_the_value_that_keras_computes():
    data = as_dataset(np.tile(X, (5, 1)), np.tile(QUANTITIES, 5), validation_split=0.25)
    model = network(1, Squeezed(), "sigmoid")
    x, y = np.tile(X, (5, 1))[:15], np.tile(QUANTITIES, 5)[:15]
    assert model.evaluate(*with_loss_targets(model, data.train, data), verbose=0) == pytest.approx(
        float(np.mean((y - model.predict(x, verbose=0)[:, 0]) ** 2))
    )


class OwnStep(Subclassed):
    def train_step(self, data):
        return {}


@pytest.mark.parametrize("loss", [None, "mse", "sparse_categorical_crossentropy"])
@pytest.mark.parametrize("y", [Y, Y[:, None], np.eye(3, dtype="float32")[Y]])
def test_own_training_code_receives_labels_as_they_were_given(loss, y):
    data = as_dataset(np.tile(X, (5, 1)), np.concatenate([y] * 5), validation_split=0.25)
    _, received = with_loss_targets(subclassed(3, loss, OwnStep), data.train, data)
    np.testing.assert_array_equal(received, np.concatenate([y] * 5)[: len(received)])
