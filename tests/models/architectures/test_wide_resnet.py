"""Wide residual nets: their shape, and where their dropout stands."""

import keras
import numpy as np
import pytest

from dropout_zoo.models import create_model, dropout_sites, model_entry
from dropout_zoo.models.architectures.wide_resnet import build_wide_resnet
from dropout_zoo.models.factory import resolve_model


def parameters_by_hand(depth, widen_factor, channels, classes):
    """Kernels without biases, two numbers per normalized map, and the classifier."""

    def kernel(size, inputs, outputs):
        return size * size * inputs * outputs

    total, inputs = kernel(3, channels, 16), 16
    for filters in (16 * widen_factor, 32 * widen_factor, 64 * widen_factor):
        for _ in range((depth - 4) // 6):
            total += 2 * inputs + kernel(3, inputs, filters)
            total += 2 * filters + kernel(3, filters, filters)
            total += kernel(1, inputs, filters) if inputs != filters else 0
            inputs = filters
    return total + 2 * inputs + inputs * classes + classes


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("wide_resnet_16_4", parameters_by_hand(16, 4, 3, 10)),
        ("wide_resnet_16_4_after_norm", parameters_by_hand(16, 4, 3, 10)),
        ("wide_resnet_10_1", parameters_by_hand(10, 1, 1, 10)),
        ("wide_resnet_10_1_after_norm", parameters_by_hand(10, 1, 1, 10)),
    ],
)
def test_parameters_agree_with_a_count_by_hand(name, parameters):
    assert model_entry(name).parameters == parameters  # and test_registry.py counts the weights


def test_the_smallest_net_agrees_with_a_count_by_hand():
    # Convolutions 144 + 2,304 x 2, then 512 + 4,608 + 9,216, then 2,048 + 18,432 + 36,864;
    # normalized maps 16 x 2, 16 + 32, 32 + 64, 64, two numbers each; classifier 650.
    convolutions = 144 + 4_608 + 512 + 4_608 + 9_216 + 2_048 + 18_432 + 36_864
    assert model_entry("wide_resnet_10_1").parameters == convolutions + 2 * 240 + 650


@pytest.fixture(scope="module")
def small():
    return build_wide_resnet(input_shape=(16, 12, 1), depth=10, widen_factor=1, hidden_rate=0.25)


def test_dropout_stands_after_the_second_relu_of_each_block(small):
    for group in (1, 2, 3):
        layer = small.get_layer(f"group_{group}_block_1_dropout")
        assert layer.input is small.get_layer(f"group_{group}_block_1_2_relu").output
        assert layer.output is small.get_layer(f"group_{group}_block_1_conv_2").input
    assert small.get_layer("hidden_dropout").input is small.get_layer("pool").output
    assert small.get_layer("pool").input is small.get_layer("last_relu").output


def test_sites_have_their_placements(small):
    found = [(site.path, site.rate, site.placement) for site in dropout_sites(small)]
    blocks = [(f"group_{group}_block_1_dropout", 0.3, "convolutional") for group in (1, 2, 3)]
    assert found == [*blocks, ("hidden_dropout", 0.25, "hidden")]


def test_after_the_last_norm_nothing_is_normalized():
    model = create_model("wide_resnet_10_1_after_norm")
    assert [(s.path, s.placement) for s in dropout_sites(model)] == [("hidden_dropout", "hidden")]
    names = [layer.name for layer in model.layers]
    after = names[names.index("hidden_dropout") :]
    assert after == ["hidden_dropout", "classifier"]


def test_a_registered_model_gets_the_hidden_site_that_a_search_needs():
    model = resolve_model("wide_resnet_10_1", placements=["hidden"])
    assert [site.rate for site in dropout_sites(model) if site.placement == "hidden"] == [0.0]


def test_groups_halve_the_feature_maps(small):
    shapes = [small.get_layer(f"group_{group}_block_1_add").output.shape for group in (1, 2, 3)]
    assert shapes == [(None, 16, 12, 16), (None, 8, 6, 32), (None, 4, 3, 64)]


def test_a_block_adds_to_what_it_received():
    model = build_wide_resnet(input_shape=(8, 8, 1), depth=16, widen_factor=2)
    plain = model.get_layer("group_1_block_2_add")
    assert plain.input[0] is model.get_layer("group_1_block_1_add").output
    wider = model.get_layer("group_1_block_1_add")
    assert wider.input[0] is model.get_layer("group_1_block_1_shortcut").output
    shortcut = model.get_layer("group_1_block_1_shortcut")
    assert shortcut.input is model.get_layer("group_1_block_1_1_relu").output


def test_there_is_one_rate_per_block_and_whole_maps_can_be_dropped():
    model = build_wide_resnet(
        input_shape=(8, 8),
        depth=10,
        widen_factor=1,
        conv_rates=(0.1, 0.2, 0.3),
        conv_dropout="spatial",
        input_rate=0.1,
    )
    assert [site.rate for site in dropout_sites(model)] == [0.1, 0.1, 0.2, 0.3]
    assert dropout_sites(model)[0].placement == "input"
    layer = model.get_layer("group_2_block_1_dropout")
    assert type(layer) is keras.layers.SpatialDropout2D


def test_a_control_without_dropout_starts_from_the_same_weights():
    def weights(**rates):
        keras.utils.set_random_seed(7)
        model = build_wide_resnet(input_shape=(8, 8, 1), depth=10, widen_factor=1, **rates)
        return model.get_weights()

    with_dropout, control = weights(hidden_rate=0.5), weights(hidden_rate=0.0, conv_rates=0.0)
    assert all(np.array_equal(a, b) for a, b in zip(with_dropout, control, strict=True))


def test_regression_and_a_regularizer_are_supported():
    model = build_wide_resnet(
        input_shape=(8, 8, 1),
        num_classes=None,
        depth=10,
        widen_factor=1,
        kernel_regularizer=keras.regularizers.L2(2.5e-4),
    )
    assert model.output_shape == (None, 1)
    assert model.loss == "mean_squared_error"
    assert len(model.losses) == 9  # one per convolution: the stem, six in blocks, two shortcuts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 12}, "expected depth to be 6 n .* 4 .*, received 12"),
        ({"depth": 4}, "expected depth to be a whole number of at least 10"),
        ({"widen_factor": 0}, "expected widen_factor"),
        ({"input_shape": (28,)}, "expected input_shape"),
        ({"input_shape": (8, 8, 3, 1)}, "expected input_shape to be"),
        ({"depth": 10, "conv_rates": (0.1, 0.2)}, "expected 3 conv_rates"),
        ({"conv_dropout": "block"}, "expected conv_dropout"),
        ({"hidden_rate": 1.0}, "hidden_rate to be in"),
        ({"hidden_rate": (0.1, 0.2)}, "hidden_rate to be a number"),
        ({"num_classes": 1}, "expected num_classes"),
    ],
)
def test_invalid_arguments_are_reported_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_wide_resnet(**arguments)
