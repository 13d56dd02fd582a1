"""Layers of a user's own whose clones lose something, or fail: refused, or built again."""

import keras
import numpy as np
import pytest
from keras import Input, layers, ops

from dropout_zoo.models import dropout_sites, with_rates
from dropout_zoo.models.factory import resolve_model
from dropout_zoo.models.graph.cloning import is_built_again
from dropout_zoo.training.seeding import fresh_weights

X = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
STEPS = np.random.default_rng(1).normal(size=(5, 4, 3)).astype("float32")


def output(model, x):
    return ops.convert_to_numpy(model(x))


def compiled(model):
    model.compile("sgd", "mse")
    return model


class Scale(layers.Layer):
    """Its configuration leaves its argument out."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return super().get_config()


class Inert(layers.Layer):
    """Has no arguments; its factor is set later."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.factor = 1.0

    def call(self, x):
        return x * self.factor


class Unset(layers.Layer):
    """Reads an attribute that is set after it is created."""

    def call(self, x):
        return x * self.factor


class Transposed(layers.Layer):
    """Shares the kernel of another layer."""

    def __init__(self, dense, **kwargs):
        super().__init__(**kwargs)
        self.dense = dense

    def build(self, shape):
        self.bias = self.add_weight(shape=(self.dense.kernel.shape[0],), name="bias")

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.dense.kernel)) + self.bias


class WithDense(Transposed):
    """Its configuration has the layer, of which Keras makes another one."""

    def get_config(self):
        return {**super(Transposed, self).get_config(), "dense": self.dense}


@keras.saving.register_keras_serializable("dropout_zoo_tests")
class NormalizedCell(layers.Layer):
    """Has no `build`: its inner layers are built when it is called."""

    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units, self.state_size, self.output_size = units, units, units
        self.cell = layers.SimpleRNNCell(units, activation=None)
        self.normalize = layers.LayerNormalization()

    def call(self, x, states):
        outputs, _ = self.cell(x, states)
        outputs = ops.tanh(self.normalize(outputs))
        return outputs, [outputs]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class BuiltLate(keras.Model):
    """Creates its layers in `build`, as many Keras models do."""

    def __init__(self, units=4):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.hidden = layers.Dense(self.units, activation="relu")
        self.drop, self.out = layers.Dropout(0.3), layers.Dense(2)

    def call(self, x, training=False):
        return self.out(self.drop(self.hidden(x), training=training))


def sequential(layer):
    model = [Input((6,)), layer, layers.Dense(4), layers.Dropout(0.3, name="drop"), layers.Dense(2)]
    return compiled(keras.Sequential(model))


def without_argument():
    return sequential(Scale(0.0, name="own"))


def set_later():
    layer = Inert(name="own")
    layer.factor = 0.0
    return sequential(layer)


def read_before_set():
    layer = Unset(name="own")
    layer.factor = 2.0
    return sequential(layer)


def tied(layer_class=Transposed):
    inputs, dense = Input((6,)), layers.Dense(4)
    hidden = layers.Dropout(0.3, name="drop")(dense(inputs))
    return compiled(keras.Model(inputs, layer_class(dense, name="own")(hidden)))


def tied_by_configuration():
    return tied(WithDense)


def without_build():
    rnn = layers.RNN(NormalizedCell())
    drop = layers.Dropout(0.3, name="drop")
    return compiled(keras.Sequential([Input((4, 3)), rnn, drop, layers.Dense(1)]))


def built_late():
    return compiled(BuiltLate())


def built_early():
    model = built_late()
    model.build((None, 6))
    return model


@pytest.mark.parametrize("build", [without_argument, set_later])
def test_a_layer_that_loses_an_attribute_is_named(build):
    message = r"clone computes other outputs; .*factor of 'own' is 0.0, and 1.0 in the clone.*"
    with pytest.raises(TypeError, match=f"{message}pass the function that builds the model"):
        with_rates(build(), 0.2)


@pytest.mark.parametrize("build", [without_argument, set_later])
def test_the_function_builds_copies_that_keep_the_attribute(build):
    model = resolve_model(build)
    assert is_built_again(model)
    changed = with_rates(model, 0.2)
    assert [site.rate for site in dropout_sites(changed)] == [0.2]
    np.testing.assert_array_equal(output(changed, X), output(model, X))
    np.testing.assert_array_equal(output(changed, X), output(changed, 2 * X))


def test_an_attribute_that_changes_between_copies_is_noticed():
    model = sequential(Scale(name="own"))
    with_rates(model, 0.2)
    model.get_layer("own").factor = 0.0
    with pytest.raises(TypeError, match="computes other outputs"):
        with_rates(model, 0.2)


def test_dropout_that_is_always_on_is_no_difference():
    class Always(layers.Dropout):
        def call(self, x, training=None):
            return super().call(x, training=True)

    changed = with_rates(sequential(Always(0.5, name="own")), {"own": 0.1})
    assert changed.get_layer("own").rate == 0.1


@pytest.mark.parametrize("build", [read_before_set, tied, tied_by_configuration])
def test_whatever_fails_in_a_clone_is_said_in_one_line(build):
    with pytest.raises(TypeError, match="expected a model that Keras can clone") as raised:
        with_rates(build(), 0.2)
    assert "pass the function that builds the model" in str(raised.value)
    assert "\n" not in str(raised.value)
    with pytest.raises(TypeError, match="expected a model that Keras can clone"):
        fresh_weights(build(), 0)


@pytest.mark.parametrize("build", [read_before_set, tied, tied_by_configuration])
def test_the_function_builds_what_keras_cannot_clone(build):
    model = resolve_model(build)
    np.testing.assert_array_equal(output(with_rates(model, 0.2), X), output(model, X))
    assert len(fresh_weights(model, 0)) == len(model.weights)


@pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer")
def test_inner_layers_that_are_built_by_a_call_have_weights_in_copies():
    model = without_build()
    model(STEPS)
    np.testing.assert_allclose(
        output(with_rates(model, 0.2), STEPS), output(model, STEPS), atol=1e-6
    )
    for one, other in zip(fresh_weights(model, 0), model.get_weights(), strict=True):
        assert one.shape == other.shape


@pytest.mark.parametrize("build", [built_late, built_early])
def test_layers_that_are_made_in_build_are_cloned(build):
    for model in (resolve_model(build, input_shape=(6,)), build()):
        expected = output(model, X)
        changed = with_rates(model, 0.2)
        np.testing.assert_array_equal(output(changed, X), expected)
        assert [site.rate for site in dropout_sites(changed)] == [0.2]
