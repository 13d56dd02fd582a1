"""The models on each of Keras's backends, each in its own process: Keras reads it once."""

import backends
import pytest

PROGRAM = """
import sys

import keras
import numpy as np
from keras import layers

from dropout_zoo.models import build_cnn, build_mlp, dropout_sites, with_rates

backend, folder = sys.argv[1:]
assert keras.backend.backend() == backend


class Block(layers.Layer):
    def __init__(self, rate=0.1, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.attention = layers.MultiHeadAttention(2, 4, dropout=rate)
        self.stack = [layers.Dense(8), layers.Dropout(rate)]

    def build(self, shape):
        self.attention.build(shape, shape)
        self.stack[0].build(shape)

    def call(self, x, training=None):
        x = self.attention(x, x, training=training)
        return self.stack[1](self.stack[0](x), training=training)

    def compute_output_shape(self, shape):
        return shape


def output(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


random = np.random.default_rng(0)
for builder, parameters in [(build_mlp, 109_386), (build_cnn, 225_034)]:
    weights = []
    for rates in ({}, {"hidden_rates": 0.0}):
        keras.utils.set_random_seed(3)
        model = builder(**rates)
        weights.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
    assert model.count_params() == parameters
    x = random.random((8, *model.input_shape[1:])).astype("float32")
    y = keras.utils.to_categorical(random.integers(0, 10, 8), 10)
    changed = with_rates(model, {"hidden_1_dropout": 0.4})
    np.testing.assert_array_equal(output(model, x), output(changed, x))
    changed.fit(x, y, batch_size=8, verbose=0)
    path = f"{folder}/{model.name}.keras"
    changed.save(path)
    reloaded = keras.models.load_model(path, safe_mode=True)
    np.testing.assert_allclose(output(changed, x), output(reloaded, x), atol=1e-6)
    sites = [(site.path, site.rate, site.placement) for site in dropout_sites(reloaded)]
    assert sites[0] == ("hidden_1_dropout", 0.4, "hidden"), sites

inputs = keras.Input((6, 8))
x = Block(name="block")(layers.Dropout(0.2, name="first")(inputs))
x = layers.LSTM(4, dropout=0.3, name="lstm")(x + 1.0)
model = keras.Model(inputs, layers.Dense(1)(x))
expected = {
    "first": "input",
    "block/attention/dropout_layer": "hidden",
    "block/stack_1": "hidden",
    "lstm/cell/dropout": "recurrent",
}
found = {site.path: site.placement for site in dropout_sites(model)}
assert found == expected, found
changed = with_rates(model, dict.fromkeys(expected, 0.45))
assert {site.path: site.rate for site in dropout_sites(changed)} == dict.fromkeys(expected, 0.45)
x = random.random((8, 6, 8)).astype("float32")
np.testing.assert_array_equal(output(model, x), output(changed, x))
print("all is well")
"""


@pytest.mark.parametrize("backend", backends.ALL)
def test_the_models_work_on_other_backends(backend, tmp_path):
    assert backends.last_words(backend, "-c", PROGRAM, backend, tmp_path) == backends.WELL
