"""Normalization layers: adapted to the training part, never left as Keras creates them."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import load_iris

from dropout_zoo.models import build_tabular_mlp
from dropout_zoo.training import Dataset, Member, train_members
from dropout_zoo.training.data.split import split_arrays

QUICK = {"epochs": 1, "workers": 1}


@pytest.fixture(scope="module")
def flowers():
    x, y = load_iris(return_X_y=True)
    return Dataset.from_arrays(*split_arrays(x, y, fractions=(0.7, 0.15, 0.15), seed=0))


def net(normalize):
    model = keras.Sequential(
        [keras.Input((4,)), normalize, layers.Dropout(0.2), layers.Dense(3, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def mean_of(trained):
    return trained.model().get_layer("normalization").adapt_mean.numpy()


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("tabular_mlp", marks=pytest.mark.slow),
        build_tabular_mlp,
        pytest.param("dropout_zoo.models:build_tabular_mlp", marks=pytest.mark.slow),
    ],
    ids=["name", "builder", "path"],
)
def test_a_model_that_is_built_is_adapted_to_the_training_part_alone(model, flowers):
    (trained,) = train_members(model, [Member({}, seed=0)], flowers, **QUICK)
    assert trained.status == "completed", trained.reason
    x = flowers.train[0].astype("float64")
    np.testing.assert_allclose(mean_of(trained), x.mean(0), rtol=1e-6)
    variance = trained.model().get_layer("normalization").adapt_variance
    np.testing.assert_allclose(variance, x.var(0), rtol=1e-6)


def test_members_on_other_splits_have_the_statistics_of_the_given_training_part(flowers):
    members = [Member({}, seed=0, split=split) for split in (0, 1)]
    given, other = train_members("tabular_mlp", members, flowers, **QUICK)
    assert other.score != given.score
    np.testing.assert_array_equal(mean_of(other), mean_of(given))


def test_a_layer_that_has_not_been_adapted_is_refused(flowers):
    normalize = layers.Normalization(name="scaled")
    model = net(normalize)
    with pytest.raises(ValueError, match=r"adapted, received 'scaled' with a mean of 0"):
        train_members(model, [Member({}, seed=0)], flowers, **QUICK)
    normalize.adapt(flowers.train[0])
    (trained,) = train_members(model, [Member({}, seed=0)], flowers, **QUICK)
    assert trained.status == "completed"


def test_statistics_may_be_given_to_the_layer(flowers):
    normalize = layers.Normalization(mean=[5.0, 3.0, 4.0, 1.0], variance=[1.0, 0.5, 3.0, 0.5])
    (trained,) = train_members(net(normalize), [Member({}, seed=0)], flowers, **QUICK)
    assert trained.status == "completed"
    x = flowers.test[0]
    np.testing.assert_array_equal(trained.model().layers[0](x), normalize(x))


@pytest.mark.slow
def test_already_standardized_columns_are_accepted():
    x = np.array(list(itertools.product([-1.0, 1.0], repeat=4)))
    data = Dataset.from_arrays((x, x[:, 0] > 0), (x, x[:, 0] > 0))
    (trained,) = train_members("tabular_mlp", [Member({}, seed=0)], data, **QUICK)
    assert mean_of(trained).tolist() == [0.0] * 4
