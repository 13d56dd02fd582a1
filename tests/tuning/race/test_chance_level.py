"""The score of a constant prediction."""

import keras
import numpy as np
import pytest
from keras import layers

from dropout_zoo.training import Dataset, Objective
from dropout_zoo.tuning.race.chance_level import Chance, chance_of


def net(outputs, loss, metrics=()):
    model = keras.Sequential([keras.Input((2,)), layers.Dropout(0.5), layers.Dense(outputs)])
    model.compile("sgd", loss, metrics=list(metrics))
    return model


LOSS, ACCURACY = Objective("val_loss", "min"), Objective("val_accuracy", "max")
F1 = Objective("val_f1_score", "max")
X = np.zeros((10, 2), "float32")


LABELS = np.array([0] * 6 + [1] * 4)
CLASSES = Dataset.from_arrays((X, LABELS), (X[:5], np.array([0, 0, 1, 1, 1])), (X, LABELS))


def test_chance_accuracy_is_the_share_of_the_most_frequent_training_class():
    model = net(2, "sparse_categorical_crossentropy", ["accuracy"])
    found = chance_of(model, CLASSES, ACCURACY)
    assert (found.objective, found.value) == (ACCURACY, pytest.approx(0.4))


def test_chance_cross_entropy_is_that_of_the_class_frequencies():
    # A model may lower the loss and still predict the most frequent class everywhere.
    expected = -(2 * np.log(0.6) + 3 * np.log(0.4)) / 5
    for loss in ("sparse_categorical_crossentropy", keras.losses.SparseCategoricalCrossentropy()):
        found = chance_of(net(2, loss), CLASSES, LOSS)
        assert (found.objective, found.value) == (LOSS, pytest.approx(expected))


def test_other_objectives_and_losses_have_no_chance_level():
    assert chance_of(net(2, "sparse_categorical_crossentropy"), CLASSES, F1) is None
    assert chance_of(net(2, "hinge"), CLASSES, LOSS) is None


@pytest.mark.parametrize(("loss", "value"), [("mse", 4.0), (keras.losses.MeanAbsoluteError(), 2.0)])
def test_the_chance_level_of_a_regression_is_the_loss_of_the_training_mean(loss, value):
    targets = np.linspace(-1, 1, 10)
    data = Dataset.from_arrays((X, targets), (X[:2], np.array([2.0, -2.0])), (X, targets))
    found = chance_of(net(1, loss), data, LOSS)
    assert (found.objective, found.value) == (LOSS, pytest.approx(value))


def test_a_loss_that_is_a_function_has_no_chance_level():
    targets = np.linspace(-1, 1, 10)
    data = Dataset.from_arrays((X, targets), (X, targets), (X, targets))
    model = net(1, lambda true, predicted: keras.ops.mean(true - predicted))
    assert chance_of(model, data, LOSS) is None


def test_the_chance_level_of_several_splits_is_the_mean_of_theirs():
    targets = [*np.linspace(-1, 1, 9), 60.0]  # an outlier, in few validation sets
    data = Dataset.from_arrays((X[:7], targets[:7]), (X[:3], targets[7:]), (X, targets))
    model, splits = net(1, "mse"), [1, 2, 3, 3]
    expected = [chance_of(model, data.resplit(split), LOSS).value for split in splits]
    assert chance_of(model, data, LOSS, splits).value == pytest.approx(np.mean(expected))
    assert len(set(expected)) > 1


@pytest.mark.parametrize("compiled", [{"loss_weights": [20.0]}, {}])
def test_a_loss_with_weights_or_penalties_has_no_chance_level(compiled):
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(2, kernel_regularizer=None if compiled else "l2")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], **compiled)
    assert chance_of(model, CLASSES, LOSS) is None
    assert chance_of(model, CLASSES, ACCURACY).value == pytest.approx(0.4)


def test_the_rounding_of_single_precision_does_not_beat_chance():
    chance = Chance(ACCURACY, 43 / 45, "the most frequent class")
    assert not chance.is_beaten_by(float(np.float32(43 / 45)))
    assert chance.is_beaten_by(44 / 45)
    assert not chance.is_beaten_by(42 / 45)
