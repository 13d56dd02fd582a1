"""Copies of models that have not been built, which cannot be compared by what they compute."""

import keras
import numpy as np
import pytest
from keras import layers

from dropout_zoo.models import with_rates


class Scale(layers.Layer):
    """Its configuration, which Keras creates, has its factor."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor


class Forgets(Scale):
    """Its configuration has not."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(factor, **kwargs)

    def get_config(self):
        return layers.Layer.get_config(self)


def unbuilt(layer):
    return keras.Sequential([layer, layers.Dropout(0.2), layers.Dense(2)], name="net")


def test_a_layer_that_is_copied_with_its_arguments_is_accepted():
    copy = with_rates(unbuilt(Scale(3.0)), 0.4)
    assert (copy.layers[0].factor, copy.layers[1].rate) == (3.0, 0.4)


@pytest.mark.parametrize("changed", ["left out", "set later"])
def test_a_layer_that_would_lose_a_setting_is_refused(changed):
    layer = Forgets(3.0) if changed == "left out" else Scale(1.0)
    if changed == "set later":
        layer.shift = 2
    with pytest.raises(TypeError, match=r"received 'net', whose clone .*get_config\(\)") as caught:
        with_rates(unbuilt(layer), 0.4)
    name, value = ("factor", 3.0) if changed == "left out" else ("shift", 2)
    assert f"{name} of {layer.name!r} is {value}" in str(caught.value)
    assert "build the model" in str(caught.value) and "\n" not in str(caught.value)


def test_a_setting_that_changes_no_output_does_not_matter_once_the_model_is_built():
    layer = Scale(2.0)
    layer.note = "ours"
    model = unbuilt(layer)
    model.build((None, 3))
    copy = with_rates(model, 0.4)
    x = np.ones((2, 3))
    np.testing.assert_array_equal(copy(x), model(x))


class Classifier(keras.Model):
    """Of a class of one's own, without arguments."""

    def __init__(self):
        super().__init__(name="classifier")
        self.drop, self.out = layers.Dropout(0.2), layers.Dense(2)

    def call(self, x, training=False):
        return self.out(self.drop(x, training=training))


def test_a_model_that_was_compiled_before_it_is_built_is_accepted():
    model = Classifier()
    model.compile("sgd", "mse", steps_per_execution=2)
    copy = with_rates(model, 0.4)
    assert copy.drop.rate == 0.4
    assert copy.compiled
