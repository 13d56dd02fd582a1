"""The published dense and convolutional nets, against their papers and numbers by hand."""

import itertools

import keras
import numpy as np
import pytest

from dropout_zoo.models import create_model, dropout_sites, list_models, model_entry
from dropout_zoo.models.factory import builder_arguments, resolve_model
from dropout_zoo.models.layers.maxout import Maxout


def dense(*widths, pieces=1):
    """Weights and biases of dense layers between these widths, by hand; maxout but the last."""
    pairs = list(itertools.pairwise(widths))
    hidden = sum((inputs + 1) * outputs * pieces for inputs, outputs in pairs[:-1])
    inputs, outputs = pairs[-1]
    return hidden + (inputs + 1) * outputs


BY_HAND = {
    "srivastava_800x2_logistic": dense(784, 800, 800, 10),
    "srivastava_1024x3_logistic": dense(784, 1024, 1024, 1024, 10),
    "srivastava_1024x3": dense(784, 1024, 1024, 1024, 10),
    "srivastava_4096x2": dense(784, 4096, 4096, 10),
    "srivastava_8192x2": dense(784, 8192, 8192, 10),
    "srivastava_1024_1024_2048": dense(784, 1024, 1024, 2048, 10),
    "goodfellow_maxout_240x2": dense(784, 240, 240, 10, pieces=5),
    # 32 x 32 images; padded convolutions keep their size, poolings make 15, 7 and 3 of it.
    "srivastava_cnn": (25 * 3 + 1) * 96
    + (25 * 96 + 1) * 128
    + (25 * 128 + 1) * 256
    + dense(3 * 3 * 256, 2048, 2048, 10),
}
MNIST_NETS = [name for name in BY_HAND if model_entry(name).data == "MNIST"]


@pytest.mark.parametrize("name", BY_HAND)
def test_parameters_agree_with_a_count_by_hand(name):
    assert model_entry(name).parameters == BY_HAND[name]  # test_registry.py counts the weights


def test_every_published_net_is_counted_by_hand():
    named = [name for name in list_models() if "srivastava" in name or "goodfellow" in name]
    assert set(named) <= set(BY_HAND)
    assert len(MNIST_NETS) == 7


@pytest.mark.parametrize("name", MNIST_NETS)
def test_rates_are_those_of_table_2(name):
    rates = list(model_entry(name).sites.values())
    if name == "srivastava_800x2_logistic":  # the standard net of the table
        assert rates == [0.0, 0.0]
    else:
        assert rates == [0.2, *[0.5] * (len(rates) - 1)]


@pytest.mark.parametrize(
    ("name", "units", "activation"),
    [
        ("srivastava_800x2_logistic", [800, 800], "sigmoid"),
        ("srivastava_1024x3_logistic", [1024] * 3, "sigmoid"),
        ("srivastava_1024x3", [1024] * 3, "relu"),
        ("srivastava_1024_1024_2048", [1024, 1024, 2048], "relu"),
    ],
)
def test_widths_and_units_can_be_set(name, units, activation):
    model = create_model(name)
    hidden = [layer for layer in model.layers if layer.name in ("hidden_1", "hidden_2", "hidden_3")]
    assert [layer.units for layer in hidden] == units
    assert {layer.activation.__name__ for layer in hidden} == {activation}
    assert model.name == name
    assert model.input_shape == (None, 28, 28)


def test_max_norm_bounds_the_weights_into_every_unit():
    model = create_model("srivastava_1024x3", units=(32, 16))
    bounded = [layer.kernel_constraint for layer in model.layers if layer.weights]
    assert [each.max_value for each in bounded] == [2, 2, 2]  # the classifier's too
    assert {each.axis for each in bounded} == {0}
    free = create_model("srivastava_1024x3", units=(32, 16), max_norm=None)
    assert all(layer.kernel_constraint is None for layer in free.layers if layer.weights)


def test_max_norm_of_a_convolution_bounds_each_filter():
    model = create_model("srivastava_cnn", filters=(8, 4, 4), units=(8, 8))
    convolution = model.get_layer("conv_1")
    large = np.full((5, 5, 3, 8), 9.0, "float32")
    bounded = np.asarray(convolution.kernel_constraint(large))
    np.testing.assert_allclose(np.sqrt((bounded**2).sum((0, 1, 2))), 4, rtol=1e-4)
    assert model.get_layer("hidden_1").kernel_constraint.axis == 0


def test_the_convolutional_net_is_that_of_appendix_b():
    model = create_model("srivastava_cnn")
    convolutions = [model.get_layer(f"conv_{number}") for number in (1, 2, 3)]
    assert [layer.filters for layer in convolutions] == [96, 128, 256]
    assert {(layer.kernel_size, layer.strides) for layer in convolutions} == {((5, 5), (1, 1))}
    poolings = [model.get_layer(f"pool_{number}") for number in (1, 2, 3)]
    assert {(layer.pool_size, layer.strides) for layer in poolings} == {((3, 3), (2, 2))}
    assert [site.placement for site in dropout_sites(model)] == [
        "input",
        "convolutional",
        "convolutional",
        "convolutional",
        "hidden",
        "hidden",
    ]


def test_units_of_maxout_networks_have_pieces():
    model = create_model("goodfellow_maxout_240x2")
    hidden = [layer for layer in model.layers if isinstance(layer, Maxout)]
    assert [(layer.units, layer.num_pieces) for layer in hidden] == [(240, 5), (240, 5)]


def test_the_arguments_of_a_variant_can_be_changed():
    model = create_model("srivastava_1024x3", units=(16, 8), hidden_rates=(0.4, 0.3), name="mine")
    assert [s.rate for s in dropout_sites(model)] == [0.2, 0.4, 0.3]
    assert model.name == "mine"
    assert builder_arguments("srivastava_1024x3")["units"] == (1024,) * 3


def test_a_searched_placement_that_exists_keeps_its_rates():
    found = resolve_model(
        "srivastava_1024x3", input_shape=(8, 8), num_classes=10, placements=["input", "hidden"]
    )
    assert [site.rate for site in dropout_sites(found)] == [0.2, 0.5, 0.5, 0.5]
    gained = resolve_model("mlp", input_shape=(8, 8), num_classes=10, placements=["input"])
    assert [site.rate for site in dropout_sites(gained)] == [0.0, 0.5, 0.3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_norm": 0}, "expected max_norm to be a number above 0"),
        ({"max_norm": "3"}, "expected max_norm to be a number above 0"),
        ({"max_norm": True}, "expected max_norm to be a number above 0"),
        ({"kernel_constraint": keras.constraints.NonNeg()}, "kernel_constraint or max_norm"),
        ({"activation": "maxout"}, "expected num_pieces"),
        ({"num_pieces": 5}, r'expected num_pieces \(such as 5\) with activation="maxout"'),
        ({"activation": "maxout", "num_pieces": 0}, "expected num_pieces to be a whole number"),
    ],
)
def test_invalid_arguments_are_reported_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_model("srivastava_1024x3", **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"padding": "full"}, r"expected padding to be one of \('valid', 'same'"),
        ({"kernel_size": 0}, "expected kernel_size"),
        ({"pool_size": 2.5}, "expected pool_size"),
        ({"pool_strides": 0}, "expected pool_strides"),
        ({"padding": "valid"}, "expected images of at least 43 x 43 pixels"),
        ({"input_shape": (14, 14, 3)}, "expected images of at least 15 x 15 pixels"),
    ],
)
def test_invalid_arguments_of_convolutions_are_reported_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_model("srivastava_cnn", **arguments)


def test_the_smallest_images_that_a_message_names_are_accepted():
    small = {"filters": (2, 2, 2), "units": (2, 2)}
    assert create_model("srivastava_cnn", input_shape=(15, 15, 3), **small).built
    assert create_model("srivastava_cnn", input_shape=(43, 43, 3), padding="valid", **small).built
