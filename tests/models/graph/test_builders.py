"""Models that Keras cannot clone: the function that builds them builds their copies."""

import keras
import numpy as np
import pytest
from keras import Input, layers

from dropout_zoo.models import dropout_sites, with_rates, with_runtime_rates
from dropout_zoo.models.factory import resolve_model
from dropout_zoo.training.seeding import fresh_weights

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


class Net(keras.Model):
    """Its argument is a layer, which Keras cannot record."""

    def __init__(self, first):
        super().__init__()
        self.first, self.dropout, self.last = first, layers.Dropout(0.3), layers.Dense(2)

    def call(self, x, training=False):
        return self.last(self.dropout(self.first(x), training=training))


def build(units=5):
    model = Net(layers.Dense(units))
    model.compile("adam", "mse", metrics=[keras.metrics.MeanAbsoluteError()])
    return model


class Scaled(keras.Model):
    """Functional; its argument is lost in clones, which are computed with another one."""

    def __init__(self, *args, scale=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = scale


def build_scaled():
    inputs = Input((6,))
    model = Scaled(inputs, layers.Dense(2)(layers.Dropout(0.3, name="drop")(inputs)), scale=0.5)
    model.compile("adam", "mse")
    return model


def test_copies_have_other_rates_the_same_weights_names_and_compilation():
    model = resolve_model(build, input_shape=(6,))
    weights = model.get_weights()
    (site,) = dropout_sites(model)
    changed = with_rates(model, 0.6)
    again = with_rates(changed, {site.path: 0.1})
    for copy, rate in ((changed, 0.6), (again, 0.1)):
        (copied,) = dropout_sites(copy)
        assert (copied.path, copied.rate, copied.layer.rate) == (site.path, rate, rate)
        np.testing.assert_array_equal(copy(X), model(X))
        assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
        assert set(copy.evaluate(X, X[:, :2], verbose=0, return_dict=True)) == set(
            model.evaluate(X, X[:, :2], verbose=0, return_dict=True)
        )
        assert copy.optimizer is not model.optimizer
    with_runtime_rates(model).layers[0].kernel.assign(np.zeros((6, 5)))
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_fresh_weights_follow_from_the_seed():
    model = resolve_model(build, input_shape=(6,))
    one, same, other = (fresh_weights(model, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_functional_model_keeps_the_attributes_of_its_function():
    copy = with_rates(resolve_model(build_scaled), {"drop": 0.1})
    assert (type(copy), copy.scale, copy.get_layer("drop").rate) == (Scaled, 0.5, 0.1)


def test_where_keras_can_clone_the_function_is_called_once():
    calls = []

    def counted():
        calls.append(0)
        model = keras.Sequential([Input((6,)), layers.Dense(3), layers.Dropout(0.2)])
        model.compile("adam", "mse")
        return model

    with_rates(resolve_model(counted), 0.5)
    assert len(calls) == 1


def same_layer():
    first = layers.Dense(5)

    def build_with_it():
        model = Net(first)
        model.compile("adam", "mse")
        return model

    return build_with_it


def same_model():
    model = build()
    return lambda: model


def wider_each_time():
    widths = iter(range(3, 9))
    return lambda: build(next(widths))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (same_layer, "creates new layers and a new optimizer at each call"),
        (same_model, "creates new layers and a new optimizer at each call"),
        (wider_each_time, "returns the same model at each call.* with other layers"),
    ],
)
def test_functions_that_do_not_build_the_model_anew_are_refused(make, message):
    model = resolve_model(make(), input_shape=(6,))
    with pytest.raises(TypeError, match=message):
        with_rates(model, 0.5)


def test_models_without_a_function_say_what_to_pass():
    model = build()
    model(X)
    with pytest.raises(TypeError, match="or pass the function that builds the model in its place"):
        with_rates(model, 0.5)
