"""What the record of a run says about a model: everything that determines its results."""

import keras
import numpy as np
import pytest
from keras import layers

from dropout_zoo.training.provenance import describe_model


def net(*first):
    return keras.Sequential([keras.Input((1,)), *first, layers.Dense(2)], name="net")


def adapted_to(values):
    normalize = layers.Normalization()
    normalize.adapt(np.array(values))
    return net(normalize)


def frozen_at(value):
    frozen = layers.Dense(1, trainable=False)
    model = net(frozen)
    frozen.set_weights([np.full((1, 1), value), np.zeros(1)])
    return model


def given(mean):
    return net(layers.Normalization(mean=mean, variance=1.0))


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (adapted_to([[1.0], [3.0]]), adapted_to([[1.0], [3.0]]), adapted_to([[2.0], [4.0]])),
        (frozen_at(1.0), frozen_at(1.0), frozen_at(2.0)),
        (given(1.0), given(1.0), given(2.0)),
    ],
    ids=["adapted", "frozen", "given"],
)
def test_weights_that_no_seed_draws_are_described(one, same, other):
    assert describe_model(one, "fresh") == describe_model(same, "fresh")
    assert describe_model(one, "fresh") != describe_model(other, "fresh")


def test_weights_that_a_seed_draws_are_described_only_if_they_are_kept():
    one, other = net(), net()
    assert describe_model(one, "fresh") == describe_model(other, "fresh")
    assert describe_model(one, "keep") != describe_model(other, "keep")
