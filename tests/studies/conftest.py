"""What tests of studies share."""

import keras
import pytest

from dropout_zoo.models import build_mlp


@pytest.fixture(scope="module")
def trained(few_digits):
    """A small network for the digits, with dropout."""
    keras.utils.set_random_seed(0)
    model = build_mlp(units=(64,), hidden_rates=(0.5,), loss="sparse_categorical_crossentropy")
    model.fit(*few_digits.train, epochs=12, verbose=0)
    return model
