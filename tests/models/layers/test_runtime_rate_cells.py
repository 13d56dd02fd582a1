"""Recurrent cells with variable rates: the masks of the plain cells, without a new trace."""

import backends
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dropout_zoo.models import dropout_sites, with_rates, with_runtime_rates
from dropout_zoo.models.layers.lifting import lift
from dropout_zoo.models.layers.runtime_rate_cells import LIFTED_CELLS

X = np.random.default_rng(0).normal(size=(6, 5, 3)).astype("float32")


def recurrent(cell_class, rates, policy="float32", seed=1):
    cell = cell_class(4, dropout=rates[0], recurrent_dropout=rates[1], dtype=policy)
    layer = layers.RNN(cell, return_sequences=True, dtype=policy)
    layer.build(X.shape)
    weights = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(weights.normal(size=variable.shape))
    cell.seed_generator.state.assign([12345, 0])
    return layer


def in_a_graph(layer):
    return tf.function(lambda x, training: layer(x, training=training), autograph=False)


def lifted_cell(cell_class, rates, policy="float32"):
    layer = recurrent(cell_class, rates, policy)
    lift(layer.cell)
    return layer


def set_rates(layer, rates):
    for name, rate in zip(NAMES, rates, strict=True):
        if name in layer.cell.cell_rates:
            layer.cell.cell_rates[name].set_rate(rate)
    layer.cell.seed_generator.state.assign([12345, 0])


NAMES = ("dropout", "recurrent_dropout")
BOTH = [(0.3, 0.3), (0.2, 0.6), (0.0, 0.3)]
ON_INPUTS = [(0.3, 0.0), (0.7, 0.0), (0.0, 0.0)]


CELLS = [layers.SimpleRNNCell, layers.GRUCell, layers.LSTMCell]
EACH_CELL = [
    layers.SimpleRNNCell,
    pytest.param(layers.GRUCell, marks=pytest.mark.slow),
    layers.LSTMCell,
]


@pytest.mark.parametrize(
    "policy", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(("first", "others"), [((0.5, 0.5), BOTH), ((0.5, 0.0), ON_INPUTS)])
@pytest.mark.parametrize("cell_class", EACH_CELL)
def test_outputs_and_draws_are_those_of_the_plain_cell(cell_class, first, others, policy):
    lifted = lifted_cell(cell_class, first, policy)
    of_lifted = in_a_graph(lifted)
    for rates in others:
        plain = recurrent(cell_class, rates, policy)
        of_plain = in_a_graph(plain)
        set_rates(lifted, rates)
        for training in (True, True, False, True):  # each batch has masks of its own
            expected, received = of_plain(X, training), of_lifted(X, training)
            assert received.numpy().tobytes() == expected.numpy().tobytes(), rates
            states = [each.cell.seed_generator.state.numpy() for each in (plain, lifted)]
            np.testing.assert_array_equal(*states)
    assert of_lifted.experimental_get_tracing_count() == 2  # training and inference


@pytest.mark.parametrize("cell_class", EACH_CELL)
def test_no_dropout_differs_by_rounding_at_most(cell_class):
    lifted = lifted_cell(cell_class, (0.5, 0.5))
    set_rates(lifted, (0.0, 0.0))
    plain = recurrent(cell_class, (0.0, 0.0))
    received = in_a_graph(lifted)(X, True)
    np.testing.assert_allclose(received, in_a_graph(plain)(X, True), atol=1e-6)
    np.testing.assert_array_equal(lifted.cell.seed_generator.state.numpy(), [12345, 0])


@pytest.mark.slow
def test_convolutional_cells_equal_the_plain_ones():
    x = np.random.default_rng(0).normal(size=(3, 4, 6, 6, 2)).astype("float32")

    def made(rates):
        keras.utils.set_random_seed(0)
        layer = layers.ConvLSTM2D(3, 2, dropout=rates[0], recurrent_dropout=rates[1])
        layer.build(x.shape)
        layer.cell.seed_generator.state.assign([12345, 0])
        return layer

    lifted = made((0.5, 0.5))
    lift(lifted.cell)
    of_lifted = in_a_graph(lifted)
    for rates in (*BOTH, (0.3, 0.0), (0.0, 0.0)):
        set_rates(lifted, rates)
        plain = in_a_graph(made(rates))
        for training in (True, False, True):
            assert np.array_equal(of_lifted(x, training), plain(x, training)), rates
    assert of_lifted.experimental_get_tracing_count() == 2


def test_every_kind_of_cell_is_tested():
    assert set(LIFTED_CELLS) == {*CELLS, type(layers.ConvLSTM2D(1, 1).cell)}


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("name", NAMES)
def test_the_share_dropped_is_the_rate(name, rate):
    lifted = lifted_cell(layers.LSTMCell, (0.4, 0.3))
    holder = lifted.cell.cell_rates[name]
    holder.set_rate(rate)
    masks = np.stack([mask.numpy() for mask in holder.masks_for(np.ones((500, 100), "float32"))])
    assert masks.shape == (4, 500, 100)
    assert np.allclose(masks[masks > 0], 1 / (1 - rate))
    assert (masks == 0).mean() == pytest.approx(rate, abs=0.01)


def model_with_cells():
    inputs = keras.Input(X.shape[1:])
    x = layers.Bidirectional(layers.GRU(3, dropout=0.2, recurrent_dropout=0.1, name="gru"))
    x = layers.RepeatVector(2)(x(inputs))
    x = layers.RNN([layers.LSTMCell(3, dropout=0.2), layers.SimpleRNNCell(2)], name="stack")(x)
    return keras.Model(inputs, layers.Dense(1)(x))


def test_models_come_back_plain_with_the_rates_that_were_set():
    model = model_with_cells()
    before = {site.path: site.rate for site in dropout_sites(model)}
    assert len(before) == 5
    lifted = with_runtime_rates(model)
    assert {site.path: site.rate for site in dropout_sites(lifted)} == before
    np.testing.assert_array_equal(lifted(X), model(X))
    rates = dict(zip(before, (0.25, 0.35, 0.45, 0.55, 0.65), strict=True))
    for site in dropout_sites(lifted):
        site.layer.cell_rates[site.argument].set_rate(rates[site.path])
    plain = with_rates(lifted, {})
    assert {site.path: site.rate for site in dropout_sites(plain)} == rates
    assert {type(site.layer).__module__.partition(".")[0] for site in dropout_sites(plain)} == {
        "keras"
    }
    np.testing.assert_array_equal(plain(X), model(X))


ON_JAX = """
import sys

import keras, numpy as np
from dropout_zoo.models.layers.lifting import lift

def net(rates, lifted):
    keras.utils.set_random_seed(0)
    layer = keras.layers.LSTM(8, dropout=rates[0], recurrent_dropout=rates[1])
    model = keras.Sequential([keras.Input((5, 3)), layer, keras.layers.Dense(1)])
    if lifted:
        lift(layer.cell)
    layer.cell.seed_generator.state.assign([12345, 0])
    model.compile("adam", "mse")
    return model, layer.cell

random = np.random.default_rng(0)
x, y = random.normal(size=(64, 5, 3)).astype("float32"), random.normal(size=(64, 1))
for rates in ((0.3, 0.6), (0.0, 0.3)):
    plain, _ = net(rates, False)
    lifted, cell = net((0.5, 0.5), True)
    for name, rate in zip(("dropout", "recurrent_dropout"), rates):
        cell.cell_rates[name].set_rate(rate)
    losses = [
        model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history["loss"]
        for model in (plain, lifted)
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
assert keras.backend.backend() == sys.argv[1]
print("all is well")
"""


@pytest.mark.parametrize("backend", backends.ALL[2:])
def test_training_is_that_of_the_plain_cell_on_jax(backend):
    assert backends.last_words(backend, "-c", ON_JAX, backend) == backends.WELL
