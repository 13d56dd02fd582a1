"""Maxout units, on each of Keras's backends."""

import backends
import keras
import numpy as np
import pytest

from dropout_zoo.models.layers.maxout import Maxout

RANDOM = np.random.default_rng(0)


def layer_with_weights(units, pieces, features):
    layer = Maxout(units, pieces)
    layer.build((None, features))
    layer.set_weights([RANDOM.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def by_hand(layer, x):
    kernel, bias = layer.get_weights()
    units = []
    for unit in range(layer.units):
        columns = [unit * layer.num_pieces + piece for piece in range(layer.num_pieces)]
        units.append(np.max([x @ kernel[:, c] + bias[c] for c in columns], axis=0))
    return np.stack(units, axis=-1)


@pytest.mark.parametrize("shape", [(6, 4), (3, 5, 4)])
def test_each_unit_is_the_largest_of_its_pieces(shape):
    layer = layer_with_weights(units=7, pieces=3, features=4)
    x = RANDOM.normal(size=shape).astype("float32")
    np.testing.assert_allclose(np.asarray(layer(x)), by_hand(layer, x), rtol=1e-5, atol=1e-5)
    assert layer.compute_output_shape((None, *shape[1:])) == (None, *shape[1:-1], 7)


def test_one_piece_is_a_linear_dense_layer():
    layer = layer_with_weights(units=5, pieces=1, features=4)
    dense = keras.layers.Dense(5)
    dense.build((None, 4))
    dense.set_weights(layer.get_weights())
    x = RANDOM.normal(size=(6, 4)).astype("float32")
    np.testing.assert_allclose(np.asarray(layer(x)), np.asarray(dense(x)), atol=1e-6)


def test_two_pieces_are_a_relu_where_one_of_them_is_zero():
    layer = Maxout(1, 2)
    layer.build((None, 1))
    layer.set_weights([np.array([[1.0, 0.0]]), np.zeros(2)])
    x = np.array([[-2.0], [0.5]], "float32")
    np.testing.assert_array_equal(np.asarray(layer(x)), [[0.0], [0.5]])


def test_each_piece_has_its_weights():
    layer = Maxout(240, 5)
    layer.build((None, 784))
    assert [w.shape for w in layer.weights] == [(784, 1200), (1200,)]
    assert layer.count_params() == 784 * 240 * 5 + 240 * 5


def test_a_constraint_bounds_each_piece():
    layer = Maxout(2, 3, kernel_constraint=keras.constraints.MaxNorm(1.5))
    layer.build((None, 8))
    bounded = np.asarray(layer.kernel_constraint(np.full((8, 6), 2.0, "float32")))
    np.testing.assert_allclose(np.linalg.norm(bounded, axis=0), 1.5, rtol=1e-5)


def test_the_configuration_makes_the_same_layer():
    layer = Maxout(
        4,
        2,
        kernel_initializer=keras.initializers.RandomUniform(-0.005, 0.005),
        kernel_regularizer=keras.regularizers.L2(0.1),
        kernel_constraint=keras.constraints.MaxNorm(2),
        name="mine",
    )
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == layer.get_config()
    assert type(again) is Maxout
    assert again.kernel_regularizer.l2 == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("units", "pieces", "message"),
    [
        (0, 2, "expected units to be a whole number of at least 1"),
        (2, 0, "expected num_pieces to be a whole number of at least 1"),
        (2, 1.5, "expected num_pieces"),
        (True, 2, "expected units"),
    ],
)
def test_wrong_sizes_are_named(units, pieces, message):
    with pytest.raises(ValueError, match=message):
        Maxout(units, pieces)


PROGRAM = """
import sys

import keras
import numpy as np

from dropout_zoo.models import create_model

backend, path = sys.argv[1:]
assert keras.backend.backend() == backend
keras.utils.set_random_seed(0)
model = create_model("goodfellow_maxout_240x2", input_shape=(16,), units=(12, 8))
random = np.random.default_rng(0)
x = random.random((64, 16)).astype("float32")
y = keras.utils.to_categorical(x[:, :10].argmax(1), 10)
losses = model.fit(x, y, epochs=5, batch_size=16, verbose=0).history["loss"]
assert losses[-1] < losses[0], losses
model.save(path)
reloaded = keras.models.load_model(path, safe_mode=True)
outputs = [keras.ops.convert_to_numpy(each(x)) for each in (model, reloaded)]
np.testing.assert_allclose(*outputs, atol=1e-6)
print("all is well")
"""


@pytest.mark.nightly  # test_every_model_on_backends.py trains it for a step
@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_it_learns_and_is_saved_on_every_backend(backend, tmp_path):
    assert (
        backends.last_words(backend, "-c", PROGRAM, backend, tmp_path / "model.keras")
        == backends.WELL
    )
