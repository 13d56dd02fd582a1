"""Models are equal only where it can be shown."""

import functools
import operator
from types import ModuleType

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from nets import Scaled

from dropout_zoo.models import build_lstm, build_mlp, build_transformer, with_rates
from dropout_zoo.models.graph.equality import read_model
from dropout_zoo.models.keras_internals import fresh_names
from dropout_zoo.training.seeding import seeded_globals

constants = ModuleType("constants")


def net(*inner, rate=0.2, **compiled):
    inputs = keras.Input((3,))
    x = layers.Dropout(rate)(layers.Dense(2)(inputs))
    for layer in inner:
        x = layer(x)
    model = keras.Model(inputs, layers.Dense(1)(x))
    model.compile(**{"optimizer": "sgd", "loss": "mse"} | compiled)
    return model


def read(build, value, **settings):
    with fresh_names(), seeded_globals(0):
        model = build(value)
    return read_model(model, **settings)


class Block(layers.Layer):
    """A layer whose configuration leaves out its factor."""

    def __init__(self, factor=1.0, **settings):
        super().__init__(**settings)
        self.factor, self.dense = factor, layers.Dense(2)

    def build(self, shape):
        self.dense.build(shape)
        super().build(shape)

    def call(self, x):
        return self.factor * self.dense(x)

    def get_config(self):
        return super().get_config()


class Saved(Block):
    def get_config(self):
        return super().get_config() | {"factor": self.factor}


class Ratio(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, step):
        return self.factor

    def get_config(self):
        return {}


def enclosing(value):
    return lambda y_true, y_pred: ops.mean(y_true - y_pred) * value


def mean_times(y_true, y_pred, factor):
    return factor * ops.mean(y_true - y_pred)


def class_in_a_function(value):
    class Inner(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return value * ops.mean(y_true - y_pred)

    return Inner()


def with_kernel(**settings):
    """A model with settings of a weight, from which Keras reads penalty and constraint."""
    model = net()
    for name, value in settings.items():
        setattr(model.layers[-1].kernel, name, value)
    return model


BUILDS = {
    "attribute": lambda g: net(loss=Scaled(g)),
    "closure": lambda g: net(loss=enclosing(g)),
    "tensor": lambda g: net(loss=enclosing(ops.convert_to_tensor(g))),
    "array": lambda g: net(loss=enclosing(np.full(3, g))),
    "partial": lambda g: net(loss=functools.partial(mean_times, factor=g)),
    "class": lambda g: net(loss=class_in_a_function(g)),
    "layer": lambda g: net(Block(g)),
    "lambda": lambda g: net(layers.Lambda(lambda x: x * g)),
    "operation": lambda g: net(lambda x: x * g),
    "schedule": lambda g: net(optimizer=keras.optimizers.SGD(Ratio(g))),
    "learning rate": lambda g: net(optimizer=keras.optimizers.SGD(g)),
    "settings of a loss": lambda g: net(loss=keras.losses.Huber(g)),
    "penalty of a weight": lambda g: with_kernel(regularizer=keras.regularizers.L2(g)),
    "constraint of a weight": lambda g: with_kernel(constraint=keras.constraints.MaxNorm(g)),
    "weighting": lambda g: net(loss_weights=[g]),
    "weights": lambda g: net(layers.Dense(2, kernel_initializer=keras.initializers.Constant(g))),
}


@pytest.mark.parametrize("part", BUILDS)
def test_a_model_equals_only_one_that_was_built_alike(part):
    first, again, other = (read(BUILDS[part], value) for value in (1.0, 1.0, 2.0))
    assert first.unread == again.unread == ()
    assert first.equals(again)
    assert not first.equals(other)


def test_rates_and_weights_can_be_left_out():
    builds = [lambda rate: net(rate=rate), lambda rate: build_mlp(units=(4,), hidden_rates=rate)]
    for build in builds:
        assert read(build, 0.1, rates=False).equals(read(build, 0.3, rates=False))
        assert not read(build, 0.1).equals(read(build, 0.3))
    one, other = (read_model(net(), weights="fixed") for _ in range(2))
    assert one.equals(other)
    assert not read_model(net()).equals(read_model(net()))


def test_weights_of_frozen_layers_are_never_left_out():
    def build(value):
        model = net()
        model.layers[1].set_weights([np.full((3, 2), value), np.zeros(2)])
        model.layers[1].trainable = False
        return model

    one, other = (read(build, value, weights="fixed") for value in (1.0, 2.0))
    assert not one.equals(other)


def test_unreadable_objects_equal_only_themselves():
    class Opaque:
        __slots__ = ()

    held = Opaque()
    one, same, other = (
        read(lambda g: net(loss=enclosing(g)), each) for each in (held, held, Opaque())
    )
    assert one.unread == (held,)
    assert one.equals(same)
    assert not one.equals(other)


WRAPPED = {
    "tf.function": tf.function,
    "recompute_grad": tf.recompute_grad,
    "custom_gradient": lambda f: tf.custom_gradient(lambda x: (f(x), lambda dy: dy)),
    "lru_cache": functools.lru_cache(None),
    "itemgetter": lambda f: operator.itemgetter(slice(None, 2)),
    "vectorize": np.vectorize,
    "frompyfunc": lambda f: np.frompyfunc(f, 1, 1),
    "method of tf.function": lambda f: tf.function(f).__call__,
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_a_callable_that_hides_what_it_wraps_is_unread(wrap):
    one, other = (net(layers.Lambda(lambda x: x)) for _ in range(2))
    for factor, model in enumerate((one, other)):
        model.layers[3].function = wrap(lambda x, factor=factor: x * factor)
    readings = [read_model(model, weights="fixed") for model in (one, other)]
    assert all(reading.unread for reading in readings)
    assert not readings[0].equals(readings[1])


def test_an_activation_that_hides_what_it_wraps_is_unread():
    readings = [
        read_model(net(layers.Dense(2, tf.function(lambda x, g=g: x * g))), weights="fixed")
        for g in (1.0, 2.0)
    ]
    assert all(reading.unread for reading in readings)
    assert not readings[0].equals(readings[1])


def test_data_that_a_module_of_the_user_holds_are_read():
    readings = []
    for constants.factor in (1.0, 2.0):
        readings.append(read(lambda _: net(layers.Lambda(lambda x: x * constants.factor)), None))
    assert all(reading.can_change for reading in readings)
    assert not readings[0].equals(readings[1])


def test_data_that_a_class_holds_can_change():
    class Times(layers.Layer):
        def call(self, x):
            return x

    assert not read_model(net(Times())).can_change
    Times.factor = 2.0
    assert read_model(net(Times())).can_change


@pytest.mark.parametrize(
    "build", [build_mlp, build_lstm, build_transformer, lambda: net(Saved(2.0), loss=Scaled(2.0))]
)
def test_a_clone_equals_its_original(build):
    model = build()
    reading = read_model(model)
    assert reading.unread == ()
    assert reading.equals(read_model(with_rates(model, {})))
    assert reading.has_own_code == (build not in (build_mlp, build_lstm, build_transformer))


def test_a_clone_that_lost_a_setting_is_not_equal():
    model = net(Block(1.0))
    clone = with_rates(model, {})
    assert read_model(model).equals(read_model(clone))
    block = next(layer for layer in model.layers if isinstance(layer, Block))
    block.factor = 2.0
    assert not read_model(model).equals(read_model(clone))
