"""Attention layers with a variable rate: the masks of the plain layers, without a new trace."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dropout_zoo.models import dropout_sites, with_rates, with_runtime_rates
from dropout_zoo.models.layers.lifting import lift
from dropout_zoo.models.layers.runtime_rate_attention import LIFTED_ATTENTION

random = np.random.default_rng(0)
QUERY, VALUE = (random.normal(size=(4, length, 3)).astype("float32") for length in (5, 6))
MASK = [None, tf.constant(random.uniform(size=(4, 6)) < 0.7)]

KINDS = {
    "dot": lambda rate, **settings: layers.Attention(dropout=rate, use_scale=True, **settings),
    "concat": lambda rate, **settings: layers.Attention(
        dropout=rate, score_mode="concat", **settings
    ),
    "additive": lambda rate, **settings: layers.AdditiveAttention(dropout=rate, **settings),
}


def attention(kind, rate, policy="float32"):
    layer = KINDS[kind](rate, dtype=policy)
    layer.build([QUERY.shape, VALUE.shape])
    for weight in layer.trainable_variables:
        weight.assign(np.linspace(0.5, 1.5, weight.shape[0]) if len(weight.shape) else 0.7)
    if rate:
        layer.seed_generator.state.assign([12345, 0])
    return layer


def in_a_graph(layer):
    return tf.function(
        lambda training: layer(
            [QUERY, VALUE], mask=MASK, training=training, return_attention_scores=True
        ),
        autograph=False,
    )


def lifted_attention(kind, policy="float32"):
    layer = attention(kind, 0.4, policy)
    lift(layer)
    return layer


SOME = ["additive", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("dot", "concat"))]
POLICIES = ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", SOME)
def test_outputs_and_draws_are_those_of_the_plain_layer(kind, policy):
    lifted = lifted_attention(kind, policy)
    of_lifted = in_a_graph(lifted)
    for rate in (0.2, 0.5, 0.0):
        plain = attention(kind, rate, policy)
        of_plain = in_a_graph(plain)
        lifted.set_rate(rate)
        lifted.seed_generator.state.assign([12345, 0])
        for training in (True, True, False, True):  # each batch has a mask of its own
            for expected, received in zip(of_plain(training), of_lifted(training), strict=True):
                assert received.numpy().tobytes() == expected.numpy().tobytes(), rate
    assert of_lifted.experimental_get_tracing_count() == 2  # training and inference


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_the_share_dropped_is_the_rate(kind, rate):
    lifted = lifted_attention(kind)
    lifted.set_rate(rate)
    inputs = [np.ones((50, 60, 3), "float32"), np.ones((50, 80, 3), "float32")]
    _, weights = lifted(inputs, training=True, return_attention_scores=True)
    weights = weights.numpy() * 80  # all values are equal, and so are their weights
    assert np.allclose(weights[weights > 0], 1 / (1 - rate), atol=1e-5)
    assert (weights == 0).mean() == pytest.approx(rate, abs=0.01)
    dropped_per_query = (weights == 0).mean(axis=2)
    assert dropped_per_query.std() == pytest.approx((rate * (1 - rate) / 80) ** 0.5, rel=0.1)


def test_models_come_back_plain_with_the_rates_that_were_set():
    query, value = keras.Input(QUERY.shape[1:]), keras.Input(VALUE.shape[1:])
    x = layers.Attention(dropout=0.1, use_scale=True, name="dot")([query, value])
    x = layers.Attention(name="without")([x, value])
    model = keras.Model([query, value], KINDS["additive"](0.2, name="additive")([x, value]))
    lifted = with_runtime_rates(model)
    assert [type(lifted.get_layer(name)) for name in ("dot", "additive")] == list(
        LIFTED_ATTENTION.values()
    )
    np.testing.assert_array_equal(lifted([QUERY, VALUE]), model([QUERY, VALUE]))
    lifted.get_layer("dot").set_rate(0.3)
    lifted.get_layer("additive").set_rate(0.0)
    assert {site.path: site.rate for site in dropout_sites(lifted)} == {
        "dot/dropout": 0.3, "additive/dropout": 0.0
    }  # fmt: skip
    plain = with_rates(lifted, {})
    assert {type(layer) for layer in plain.layers[2:]} == set(LIFTED_ATTENTION)
    assert [plain.get_layer(name).dropout for name in ("dot", "additive")] == [0.3, 0.0]
    np.testing.assert_array_equal(plain([QUERY, VALUE]), model([QUERY, VALUE]))
