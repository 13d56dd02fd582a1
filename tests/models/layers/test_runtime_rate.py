"""Dropout layers with a variable rate: the plain layers' masks and values, without a new trace."""

import backends
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dropout_zoo.models.layers.drop_block import DropBlock2D
from dropout_zoo.models.layers.lifting import lift
from dropout_zoo.models.layers.runtime_rate import LIFTED_LAYERS
from dropout_zoo.models.layers.stochastic_depth import StochasticDepth

SHAPES = {
    layers.Dropout: (40, 30),
    layers.SpatialDropout1D: (40, 5, 30),
    layers.SpatialDropout2D: (20, 3, 3, 30),
    layers.SpatialDropout3D: (20, 2, 2, 2, 30),
    layers.GaussianDropout: (40, 30),
    layers.AlphaDropout: (40, 30),
    StochasticDepth: (60, 5, 30),
    DropBlock2D: (20, 9, 9, 30),
}
DRAWS = 1_000_000

FREQUENCIES = """
import sys

import keras, numpy as np
from dropout_zoo.models.layers.lifting import lift
lifted = keras.layers.Dropout(0.4, seed=1)
lifted.build((None, 1000))
lift(lifted)
ones = np.ones((1000, 1000), "float32")
for rate in (0.0, 0.2, 0.5, 0.9):
    lifted.set_rate(rate)
    values = keras.ops.convert_to_numpy(lifted(ones, training=True))
    kept = values != 0
    assert np.allclose(values[kept], 1 / (1 - rate), rtol=1e-6), rate
    assert abs(kept.mean() - (1 - rate)) <= 5 * (rate * (1 - rate) / kept.size) ** 0.5, rate
assert np.array_equal(keras.ops.convert_to_numpy(lifted(ones)), ones)
assert keras.backend.backend() == sys.argv[1]
print("all is well")
"""


def inputs_for(layer_class):
    return np.random.default_rng(0).normal(size=SHAPES[layer_class]).astype("float32")


def lifted_with_rate(plain, rate, shape):
    plain.build(shape)
    lift(plain)
    plain.set_rate(rate)
    return plain


def in_a_graph(layer):
    return tf.function(lambda x: layer(x, training=True), autograph=False)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("layer_class", LIFTED_LAYERS)
def test_masks_and_values_are_those_of_the_plain_layer(layer_class, policy):
    x = inputs_for(layer_class)
    lifted = lifted_with_rate(layer_class(0.4, dtype=policy), 0.4, x.shape)
    of_lifted = in_a_graph(lifted)
    for rate in (0.2, 0.3, 0.9):
        plain = layer_class(rate, dtype=policy)
        of_plain = in_a_graph(plain)
        lifted.set_rate(rate)
        for generator in (plain.seed_generator, lifted.seed_generator):
            generator.state.assign([12345, 0])
        for _ in range(2):  # the second draw has moved on
            expected, received = of_plain(x), of_lifted(x)
            assert received.dtype == expected.dtype == lifted.compute_dtype
            assert received.numpy().tobytes() == expected.numpy().tobytes()
        assert not np.array_equal(received, x)
    assert of_lifted.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("layer_class", LIFTED_LAYERS)
def test_a_rate_of_0_is_the_identity_and_stays_paired(layer_class):
    x = inputs_for(layer_class)
    x.flat[0] = -0.0
    if layer_class is not layers.AlphaDropout:  # whose plain layer makes nan of infinity
        x.flat[1:3] = np.inf, -np.inf
    lifted = lifted_with_rate(layer_class(0.0), 0.0, x.shape)
    assert in_a_graph(lifted)(x).numpy().tobytes() == x.tobytes()
    assert lifted.seed_generator.state.numpy()[1] == 1  # as after a draw with any other rate


@pytest.mark.parametrize("layer_class", LIFTED_LAYERS)
def test_inference_is_untouched(layer_class):
    x = inputs_for(layer_class)
    lifted = lifted_with_rate(layer_class(0.7), 0.7, x.shape)
    assert np.array_equal(lifted(x, training=False), x)
    assert np.array_equal(lifted(x), x)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9])
def test_the_frequency_kept_and_the_scale(rate):
    ones = np.ones((1000, DRAWS // 1000), "float32")
    lifted = lifted_with_rate(layers.Dropout(0.4, seed=1), rate, ones.shape)
    received = lifted(ones, training=True).numpy()
    kept = received != 0
    assert np.allclose(received[kept], 1 / (1 - rate))
    assert abs(kept.mean() - (1 - rate)) <= 5 * (rate * (1 - rate) / DRAWS) ** 0.5
    assert received.var() == pytest.approx(rate / (1 - rate), rel=0.02, abs=1e-7)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9])
def test_gaussian_and_alpha_noise_keep_mean_and_variance(rate):
    x = np.ones((1000, DRAWS // 1000), "float32")
    gaussian = lifted_with_rate(layers.GaussianDropout(0.4, seed=1), rate, x.shape)
    noise = gaussian(x, training=True).numpy()
    assert noise.mean() == pytest.approx(1, abs=0.02)
    assert noise.var() == pytest.approx(rate / (1 - rate), rel=0.02, abs=1e-7)
    # Alpha dropout restores the mean and variance of standardized activations.
    standard = np.random.default_rng(0).normal(size=x.shape).astype("float32")
    alpha = lifted_with_rate(layers.AlphaDropout(0.4, seed=1), rate, x.shape)
    received = alpha(standard, training=True).numpy()
    assert received.mean() == pytest.approx(0, abs=0.02)
    assert received.var() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("layer_class", [layers.Dropout, layers.AlphaDropout])
def test_the_noise_shape_is_kept(layer_class):
    x = np.ones((8, 50, 6), "float32")
    lifted = lifted_with_rate(layer_class(0.5, noise_shape=(None, 1, 6), seed=3), 0.5, x.shape)
    received = lifted(x, training=True).numpy()
    assert np.array_equal(received, np.broadcast_to(received[:, :1], x.shape))
    assert len(np.unique(received)) == 2


def test_names_and_settings_are_kept():
    lifted = layers.SpatialDropout2D(0.3, data_format="channels_first", name="drop", seed=5)
    lift(lifted)
    assert (lifted.name, lifted.rate, lifted.seed) == ("drop", 0.3, 5)
    assert lifted.data_format == "channels_first"
    assert isinstance(lifted, layers.SpatialDropout2D)


def test_the_mixed_policy_of_spatial_dropout_is_kept():
    policy = keras.DTypePolicy("mixed_bfloat16")
    lifted = layers.SpatialDropout1D(0.3, dtype=policy)
    lift(lifted)
    assert lifted.dtype_policy == policy


@pytest.mark.parametrize("backend", backends.NIGHTLY_ON_TORCH)
def test_frequencies_are_right_on_other_backends(backend):
    assert backends.last_words(backend, "-c", FREQUENCIES, backend) == backends.WELL
