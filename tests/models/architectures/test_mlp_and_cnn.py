"""The documented MLP and CNN, argument by argument."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dropout_zoo.models import build_cnn, build_mlp, dropout_sites, with_rates
from dropout_zoo.training.seeding import fresh_weights

BUILDERS = [build_mlp, build_cnn]
DROPOUTS = (keras.layers.Dropout, keras.layers.SpatialDropout2D)


def names(model):
    return [layer.name for layer in model.layers]


def rates(model):
    return {layer.name: layer.rate for layer in model.layers if isinstance(layer, DROPOUTS)}


def images(model, count=6):
    return np.random.default_rng(0).random((count, *model.input_shape[1:])).astype("float32")


def one_hot(count=6, classes=10):
    return keras.utils.to_categorical(np.arange(count) % classes, classes)


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_mlp_is_the_documented_one():
    model = build_mlp()
    assert type(model) is keras.Sequential
    assert model.name == "mlp"
    assert names(model) == [
        "flatten",
        "hidden_1",
        "hidden_1_dropout",
        "hidden_2",
        "hidden_2_dropout",
        "classifier",
    ]
    assert [layer.units for layer in model.layers if hasattr(layer, "units")] == [128, 64, 10]
    activations = [model.get_layer(n).activation for n in ("hidden_1", "hidden_2", "classifier")]
    assert activations == [
        keras.activations.relu,
        keras.activations.relu,
        keras.activations.softmax,
    ]
    assert rates(model) == {"hidden_1_dropout": 0.5, "hidden_2_dropout": 0.3}
    assert model.count_params() == 109_386
    assert model.input_shape == (None, 28, 28)
    assert model.output_shape == (None, 10)


def test_the_cnn_is_the_documented_one():
    model = build_cnn()
    assert type(model) is keras.Sequential
    assert model.name == "cnn"
    assert names(model) == [
        "conv_1",
        "pool_1",
        "conv_2",
        "pool_2",
        "flatten",
        "hidden_1",
        "hidden_1_dropout",
        "classifier",
    ]
    convolutions = [model.get_layer(f"conv_{number}") for number in (1, 2)]
    assert [c.filters for c in convolutions] == [32, 64]
    assert all(c.kernel_size == (3, 3) and c.padding == "valid" for c in convolutions)
    assert all(c.activation is keras.activations.relu for c in convolutions)
    assert all(model.get_layer(f"pool_{n}").pool_size == (2, 2) for n in (1, 2))
    assert model.get_layer("hidden_1").units == 128
    assert rates(model) == {"hidden_1_dropout": 0.5}
    assert model.count_params() == 225_034
    assert model.input_shape == (None, 28, 28, 1)
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize("build", BUILDERS)
def test_models_are_compiled_as_documented_and_train(build):
    model = build()
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    assert model.loss == "categorical_crossentropy"
    model.run_eagerly = True  # a trace takes longer than the only step
    history = model.fit(images(model), one_hot(), verbose=0).history
    assert set(history) == {"loss", "accuracy"}
    np.testing.assert_allclose(np.asarray(model(images(model))).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("build", BUILDERS)
def test_both_models_accept_digits_of_28_by_28(build):
    digits = np.zeros((4, 28, 28), "float32")
    assert build().predict(digits, verbose=0).shape == (4, 10)


def test_flat_inputs_are_accepted():
    model = build_mlp(input_shape=(784,))
    assert model.count_params() == 109_386
    assert model.input_shape == (None, 784)
    assert (
        build_mlp(input_shape=[8, 8, 3], units=(4,), hidden_rates=0.1).count_params()
        == 192 * 4 + 4 + 50
    )


def test_a_channel_is_added_to_gray_images():
    assert build_cnn(input_shape=(28, 28)).input_shape == (None, 28, 28, 1)
    assert build_cnn(input_shape=(32, 30, 3)).input_shape == (None, 32, 30, 3)


def test_there_is_one_rate_per_hidden_layer():
    model = build_mlp(units=(32, 16, 8), hidden_rates=[0.1, 0.2, 0.3])
    assert rates(model) == {f"hidden_{n}_dropout": n / 10 for n in (1, 2, 3)}
    assert [model.get_layer(f"hidden_{n}").units for n in (1, 2, 3)] == [32, 16, 8]
    assert set(rates(build_mlp(units=(8, 8, 8), hidden_rates=0.4)).values()) == {0.4}
    assert rates(build_mlp(units=(), hidden_rates=())) == {}


def test_numpy_numbers_are_accepted():
    model = build_mlp(
        input_shape=np.array([4, 4]),
        units=np.array([8, 4]),
        hidden_rates=np.array([0.25, 0.5]),
        input_rate=np.float64(0.125),
        num_classes=np.int64(3),
    )
    assert rates(model) == {
        "input_dropout": 0.125,
        "hidden_1_dropout": 0.25,
        "hidden_2_dropout": 0.5,
    }
    assert keras.models.model_from_json(model.to_json()).output_shape == (None, 3)


@given(rate=st.floats(0, 0.5), input_rate=st.floats(0, 0.5))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_rate_reaches_its_layer(rate, input_rate):
    model = build_mlp(input_shape=(4,), units=(3,), hidden_rates=rate, input_rate=input_rate)
    assert rates(model) == {"input_dropout": input_rate, "hidden_1_dropout": rate}
    assert [site.rate for site in dropout_sites(model)] == [input_rate, rate]


def test_input_dropout_stands_before_all_weights():
    assert names(build_mlp(input_rate=0.2))[:3] == ["flatten", "input_dropout", "hidden_1"]
    assert names(build_cnn(input_rate=0.2))[:2] == ["input_dropout", "conv_1"]
    for build in BUILDERS:
        assert dropout_sites(build(input_rate=0.2))[0].placement == "input"


@pytest.mark.parametrize(
    ("kind", "layer_class"),
    [("element", keras.layers.Dropout), ("spatial", keras.layers.SpatialDropout2D)],
)
def test_dropout_follows_convolutions(kind, layer_class):
    model = build_cnn(conv_rates=(0.1, 0.2), conv_dropout=kind)
    assert names(model)[:6] == [
        "conv_1",
        "pool_1",
        "conv_1_dropout",
        "conv_2",
        "pool_2",
        "conv_2_dropout",
    ]
    assert type(model.get_layer("conv_1_dropout")) is layer_class
    placements = {site.path: (site.rate, site.placement) for site in dropout_sites(model)}
    assert placements == {
        "conv_1_dropout": (0.1, "convolutional"),
        "conv_2_dropout": (0.2, "convolutional"),
        "hidden_1_dropout": (0.5, "hidden"),
    }
    assert model.count_params() == 225_034


def test_spatial_dropout_drops_whole_feature_maps():
    model = build_cnn(conv_rates=0.5, conv_dropout="spatial")
    maps = np.asarray(model.get_layer("conv_1_dropout")(np.ones((4, 5, 5, 16)), training=True))
    per_map = maps.reshape(4, 25, 16)
    assert (per_map.min(1) == per_map.max(1)).all()
    assert 0.2 < (maps == 0).mean() < 0.8


@pytest.mark.parametrize("filters", [(), (4,), (4, 8, 16)])
def test_there_is_one_number_of_filters_per_convolution(filters):
    model = build_cnn(filters=filters, conv_rates=0.1)
    assert [layer.filters for layer in model.layers if hasattr(layer, "filters")] == list(filters)
    assert len(rates(model)) == len(filters) + 1


@pytest.mark.parametrize(
    ("order", "layers"),
    [
        ("before_dropout", ["hidden_1", "hidden_1_batch_norm", "hidden_1_dropout"]),
        ("after_dropout", ["hidden_1", "hidden_1_dropout", "hidden_1_batch_norm"]),
        (None, ["hidden_1", "hidden_1_dropout", "hidden_2"]),
    ],
)
def test_the_order_of_batch_normalization_and_dropout_can_be_chosen(order, layers):
    assert names(build_mlp(batch_norm=order))[1:4] == layers


def test_batch_normalization_can_be_added_to_the_cnn():
    model = build_cnn(batch_norm="before_dropout", conv_rates=0.1)
    assert names(model)[:4] == ["conv_1", "pool_1", "conv_1_batch_norm", "conv_1_dropout"]
    assert "hidden_1_batch_norm" in names(model)
    without = build_cnn(batch_norm="after_dropout")
    assert names(without)[:3] == ["conv_1", "pool_1", "conv_1_batch_norm"]
    assert rates(without) == {"hidden_1_dropout": 0.5}


@pytest.mark.parametrize("build", BUILDERS)
def test_settings_of_the_layers_reach_all_but_the_classifier(build):
    model = build(
        activation="tanh",
        kernel_regularizer=keras.regularizers.L2(0.01),
        kernel_constraint=keras.constraints.MaxNorm(3),
    )
    *hidden, classifier = [layer for layer in model.layers if layer.weights]
    assert len(hidden) >= 2
    for layer in hidden:
        assert layer.activation is keras.activations.tanh
        assert layer.kernel_regularizer.l2 == 0.01
        assert layer.kernel_constraint.max_value == 3
    assert classifier.kernel_regularizer is None
    assert classifier.kernel_constraint is None
    assert model.losses


@pytest.mark.parametrize("build", BUILDERS)
def test_optimizer_loss_name_and_compile_are_passed_on(build):
    model = build(
        optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy", name="mine"
    )
    assert model.name == "mine"
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    model.run_eagerly = True
    history = model.fit(images(model), np.arange(6), verbose=0).history
    assert set(history) == {"loss", "accuracy"}
    assert not build(compile=False).compiled


@pytest.mark.parametrize("build", BUILDERS)
def test_regression_and_two_classes_are_supported(build):
    model = build(num_classes=None)
    assert model.output_shape == (None, 1)
    assert model.get_layer("classifier").activation is keras.activations.linear
    model.run_eagerly = True
    assert set(model.fit(images(model), np.zeros((6, 1)), verbose=0).history) == {"loss", "mae"}
    assert build(num_classes=None, loss="huber").loss == "huber"
    assert build(num_classes=2).output_shape == (None, 2)


VARIANTS = [
    (build_mlp, {}),
    (build_mlp, {"hidden_rates": 0.0}),
    (build_mlp, {"hidden_rates": 0.0, "input_rate": 0.0, "batch_norm": "before_dropout"}),
    (build_mlp, {"input_rate": 0.2, "kernel_constraint": keras.constraints.MaxNorm(3)}),
    (build_mlp, {"num_classes": None, "kernel_regularizer": keras.regularizers.L2(1e-4)}),
    (build_cnn, {}),
    (build_cnn, {"conv_rates": 0.0, "hidden_rates": 0.0, "conv_dropout": "spatial"}),
    (build_cnn, {"conv_rates": 0.1, "conv_dropout": "spatial", "batch_norm": "after_dropout"}),
    (build_cnn, {"conv_rates": 0.1, "activation": "gelu", "compile": False}),
]


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")  # untrained
@pytest.mark.parametrize(("build", "arguments"), VARIANTS)
def test_a_saved_and_reloaded_model_is_the_same(build, arguments, tmp_path):
    model = build(**arguments)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert names(reloaded) == names(model)
    assert rates(reloaded) == rates(model)
    assert reloaded.compiled == model.compiled
    np.testing.assert_allclose(
        np.asarray(reloaded(images(model))),
        np.asarray(model(images(model))),
        atol=1e-6,
    )
    # Once more, to and from models that Keras itself made.
    reloaded.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras", safe_mode=True)
    assert equal(again.get_weights(), model.get_weights())
    reloaded.save_weights(tmp_path / "model.weights.h5")
    model.load_weights(tmp_path / "model.weights.h5")


CONTROLS = [
    (build_mlp, {}, {"hidden_rates": 0.0}),
    (build_mlp, {"input_rate": 0.2}, {"hidden_rates": (0, 0.3), "input_rate": 0}),
    (build_cnn, {"conv_rates": 0.1}, {"conv_rates": 0.0, "hidden_rates": 0.0}),
    (
        build_cnn,
        {"conv_rates": 0.1, "conv_dropout": "spatial", "batch_norm": "before_dropout"},
        {"conv_rates": 0.0, "conv_dropout": "spatial", "batch_norm": "before_dropout"},
    ),
]


@pytest.mark.parametrize(("build", "arguments", "control"), CONTROLS)
def test_a_control_without_dropout_starts_from_the_same_weights(build, arguments, control):
    def weights(kwargs):
        keras.utils.set_random_seed(7)
        return build(**kwargs).get_weights()

    assert equal(weights(arguments), weights(control))
    assert not equal(weights(arguments), build(**arguments).get_weights())


@pytest.mark.parametrize(("build", "arguments", "control"), CONTROLS)
def test_fresh_weights_are_the_same_for_every_rate(build, arguments, control, tmp_path):
    model = build(**arguments)
    start = fresh_weights(model, 11)
    assert not equal(start, fresh_weights(model, 12))
    assert equal(start, fresh_weights(build(**control), 11))
    without = with_rates(model, {site.path: 0.0 for site in dropout_sites(model)})
    assert equal(start, fresh_weights(without, 11))
    without.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    assert equal(start, fresh_weights(reloaded, 11))


def test_a_rate_of_zero_keeps_the_layer_and_drops_nothing():
    model = build_cnn(hidden_rates=0, conv_rates=0, input_rate=0)
    assert len(dropout_sites(model)) == 4
    x = images(model)
    np.testing.assert_array_equal(model(x, training=True), model(x, training=False))


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 128}, "expected units to be a sequence of positive whole numbers"),
        ({"units": (128, 0)}, "expected units"),
        ({"units": (12.5,)}, "expected units"),
        ({"units": (True,)}, "expected units"),
        ({"units": "12"}, "expected units"),
        ({"input_shape": 784}, "expected input_shape"),
        ({"input_shape": (28, None)}, "expected input_shape"),
        ({"input_shape": (28, 0)}, "expected input_shape"),
        ({"input_shape": ()}, "expected input_shape"),
        ({"num_classes": 1}, "at least 2, received 1"),
        ({"num_classes": 2.0}, "expected num_classes"),
        ({"num_classes": True}, "expected num_classes"),
        ({"hidden_rates": (0.1, 0.2, 0.3)}, "hidden_rates, one for each of units="),
        ({"hidden_rates": ()}, "hidden_rates, one for each of units="),
        ({"hidden_rates": 1}, "drops every unit"),
        ({"hidden_rates": 50}, "for 50% write 0.5"),
        ({"hidden_rates": "0.5"}, "expected hidden_rates to be a number"),
        ({"hidden_rates": None}, "expected hidden_rates to be a number"),
        ({"hidden_rates": {"hidden_1": 0.5}}, "expected hidden_rates to be a number"),
        ({"units": (4,), "hidden_rates": (-0.1,)}, r"hidden_rates\[0\] to be in \[0, 1\)"),
        ({"units": (4,), "hidden_rates": (None,)}, r"hidden_rates\[0\] to be a number"),
        ({"input_rate": 1.5}, r"input_rate to be in \[0, 1\)"),
        ({"batch_norm": True}, r"batch_norm to be one of \(None, 'before_dropout'"),
    ],
)
def test_invalid_arguments_are_reported_by_name(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 32}, "expected filters"),
        ({"filters": (32, -1)}, "expected filters"),
        ({"conv_rates": (0.1,)}, r"expected 2 conv_rates, one for each of filters=\(32, 64\)"),
        ({"conv_rates": (0.1, 1.0)}, r"conv_rates\[1\]"),
        ({"conv_dropout": "channel"}, r"conv_dropout to be one of \('element', 'spatial'"),
        ({"input_shape": (28,)}, "expected input_shape"),
        ({"input_shape": (28, 28, 1, 1)}, "expected input_shape"),
    ],
)
def test_invalid_arguments_of_the_cnn_are_reported_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_cnn(**arguments)


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("typo", ["hidden_rate", "dropout", "dropout_rate", "num_class"])
def test_a_typo_names_the_argument(build, typo):
    with pytest.raises(TypeError, match=f"'{typo}'"):
        build(**{typo: 0.5})


@pytest.mark.parametrize(("count", "smallest"), [(1, 4), (2, 10), (3, 22)])
def test_images_too_small_for_the_pooling_are_refused(count, smallest):
    filters = (2,) * count
    build_cnn(input_shape=(smallest, smallest), filters=filters)
    for shape in [(smallest - 1, smallest), (smallest, smallest - 1, 3)]:
        with pytest.raises(ValueError, match=f"at least {smallest} x {smallest} pixels") as caught:
            build_cnn(input_shape=shape, filters=filters)
        assert f"received {shape[0]} x {shape[1]}" in str(caught.value)
