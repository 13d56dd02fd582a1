"""The score of a constant prediction."""

import keras
import numpy as np
import pytest
from keras import layers

from dropout_zoo.training import Dataset
from dropout_zoo.tuning.chance import chance_of


def net(outputs, loss, metrics=()):
    model = keras.Sequential([keras.Input((2,)), layers.Dropout(0.5), layers.Dense(outputs)])
    model.compile("sgd", loss, metrics=list(metrics))
    return model


X = np.zeros((10, 2), "float32")


def test_of_classes_it_is_the_share_of_the_most_frequent_training_class():
    labels = np.array([0] * 6 + [1] * 4)
    data = Dataset.from_arrays((X, labels), (X[:5], np.array([0, 0, 1, 1, 1])), (X, labels))
    model = net(2, "sparse_categorical_crossentropy", ["accuracy"])
    columns = {"accuracy": 0.1, "val_accuracy": 0.1, "val_loss": 1.0}
    found = chance_of(model, data, columns)
    assert (found.objective.name, found.value) == ("val_accuracy", pytest.approx(0.4))
    assert found.objective.is_better(0.5, found.value)
    assert chance_of(model, data, {"loss": 1.0, "val_loss": 1.0}) is None


@pytest.mark.parametrize(("loss", "value"), [("mse", 4.0), (keras.losses.MeanAbsoluteError(), 2.0)])
def test_of_numbers_it_is_the_loss_of_the_training_mean(loss, value):
    targets = np.linspace(-1, 1, 10)
    data = Dataset.from_arrays((X, targets), (X[:2], np.array([2.0, -2.0])), (X, targets))
    found = chance_of(net(1, loss), data, {"loss": 1.0, "val_loss": 1.0})
    assert (found.objective.name, found.value) == ("val_loss", pytest.approx(value))


def test_a_loss_that_is_a_function_is_not_asked():
    targets = np.linspace(-1, 1, 10)
    data = Dataset.from_arrays((X, targets), (X, targets), (X, targets))
    model = net(1, lambda true, predicted: keras.ops.mean(true - predicted))
    assert chance_of(model, data, {"loss": 1.0, "val_loss": 1.0}) is None
