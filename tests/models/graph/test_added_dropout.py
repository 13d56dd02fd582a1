"""Dropout added to the graph of a model, and taken out of it."""

import re

import keras
import numpy as np
import pytest
from keras import layers

from dropout_zoo.models import (
    StochasticDepth,
    build_cnn,
    build_lstm,
    build_mlp,
    build_transformer,
    dropout_sites,
    with_dropout,
    without_dropout,
)

SIZE = 16


def images(count=3, size=SIZE):
    return np.random.default_rng(0).uniform(0, 1, (count, size, size, 3)).astype("float32")


def residual(compiled=True):
    """Two residual blocks, the second with a projection, then two parallel layers."""
    inputs = keras.Input((SIZE, SIZE, 3), name="pixels")
    x = layers.Rescaling(2.0, -1.0, name="scale")(inputs)
    x = layers.Conv2D(4, 3, padding="same", name="stem")(x)
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="first_1")(x)
    y = layers.Conv2D(4, 3, padding="same", name="first_2")(y)
    x = layers.Add(name="first_add")([x, y])
    y = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="second_1")(x)
    y = layers.BatchNormalization(name="second_norm")(layers.Conv2D(8, 3, padding="same")(y))
    x = layers.Conv2D(8, 1, strides=2, name="projection")(x)
    x = keras.ops.add(y, x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    left, right = layers.Dense(4, name="left")(x), layers.Dense(6, name="right")(x)
    x = layers.Concatenate(name="join")([left, right])
    model = keras.Model(
        inputs, layers.Dense(5, activation="softmax", name="classes")(x), name="net"
    )
    if compiled:
        optimizer = keras.optimizers.AdamW(1e-3)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def transfer():
    """A frozen base inside a model with a head, as in Keras's guide to transfer learning."""
    inputs = keras.Input((SIZE, SIZE, 3))
    base = residual(compiled=False)
    base = keras.Model(base.input, base.get_layer("pool").output, name="base")
    base.trainable = False
    outputs = layers.Dense(3, activation="softmax", name="head")(base(inputs, training=False))
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def same_outputs(model, changed, x):
    np.testing.assert_array_equal(model.predict(x, verbose=0), changed.predict(x, verbose=0))


def sites(model):
    """Kinds and rates of the dropout of a model; operations are without Keras's numbers."""
    return {
        re.sub(r"_add_\d+$", "_add", site.path): (type(site.layer).__name__, site.rate)
        for site in dropout_sites(model)
    }


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("input", {"dropout_before_stem": "Dropout"}),
        ("before the classifier", {"dropout_before_classes": "Dropout"}),
        (
            "in each residual branch",
            {
                "dropout_before_first_add": "StochasticDepth",
                "dropout_before_add": "StochasticDepth",
            },
        ),
        (
            "after each block",
            {
                "dropout_after_first_add": "SpatialDropout2D",
                "dropout_after_add": "SpatialDropout2D",
            },
        ),
        ("after stem", {"dropout_after_stem": "SpatialDropout2D"}),
        ("before pool", {"dropout_before_pool": "SpatialDropout2D"}),
        ("before first_add", {"dropout_before_first_add": "StochasticDepth"}),
        (
            "before join",
            {"dropout_before_join": "Dropout", "dropout_before_join_2": "Dropout"},
        ),
    ],
)
def test_places_of_a_residual_network(place, expected, tmp_path):
    model, x = residual(), images()
    changed = with_dropout(model, {place: 0.3})
    assert sites(changed) == {path: (kind, 0.3) for path, kind in expected.items()}
    same_outputs(model, changed, x)
    assert not np.array_equal(changed(x, training=True), changed(x, training=True))
    # It is as any other model: names, single outputs of layers, compilation, saving.
    added = {site.layer.name for site in dropout_sites(changed)}
    names = [layer.name for layer in changed.layers if layer.name not in added]
    assert sorted(names) == sorted(layer.name for layer in model.layers)
    assert changed.get_layer("pool").output.shape == (None, 8)
    assert changed.name == model.name
    changed.save(tmp_path / "changed.keras")
    loaded = keras.saving.load_model(tmp_path / "changed.keras")
    same_outputs(changed, loaded, x)
    assert sites(loaded) == sites(changed)
    assert not dropout_sites(model)  # which is as before


def test_the_branch_is_dropped_and_not_the_shortcut():
    changed = with_dropout(residual(), {"before first_add": 0.5})
    dropped = changed.get_layer("dropout_before_first_add")
    assert isinstance(dropped, StochasticDepth)
    until = keras.Model(changed.input, [changed.get_layer(name).output for name in
                                        ("stem", "first_2", "first_add")])  # fmt: skip
    shortcut, branch, total = until(images(64), training=True)
    share = (total - shortcut).numpy().reshape(64, -1)
    lost = np.abs(share).max(axis=1) == 0
    assert 0.2 < lost.mean() < 0.8
    kept = 2 * branch.numpy().reshape(64, -1)[~lost]
    np.testing.assert_allclose(share[~lost], kept, rtol=1e-4, atol=1e-5)


def test_compilation_stays_with_the_variables_that_decay():
    model = residual()
    changed = with_dropout(model, {"before left": 0.5})  # one of two parallel layers comes later
    x, y = images(8), np.arange(8) % 5
    changed.fit(x, y, verbose=0)
    assert isinstance(changed.optimizer, keras.optimizers.AdamW)
    decays = {
        variable.path: changed.optimizer._use_weight_decay(variable)
        for variable in changed.trainable_variables
    }
    assert decays and all(decays[path] == ("bias" not in path) for path in decays)


def test_places_in_a_nested_model_that_is_frozen(tmp_path):
    model, x = transfer(), images()
    rates = {"before the classifier": 0.5, "in each residual branch": 0.1, "after base/stem": 0.2}
    changed = with_dropout(model, rates)
    assert sites(changed) == {
        "base/dropout_after_stem": ("SpatialDropout2D", 0.2),
        "base/dropout_before_first_add": ("StochasticDepth", 0.1),
        "base/dropout_before_add": ("StochasticDepth", 0.1),
        "dropout_before_head": ("Dropout", 0.5),
    }
    same_outputs(model, changed, x)
    assert not changed.get_layer("base").trainable
    assert [v.path for v in changed.trainable_variables] == ["head/kernel", "head/bias"]
    changed.save(tmp_path / "changed.keras")
    same_outputs(changed, keras.saving.load_model(tmp_path / "changed.keras"), x)
    back = without_dropout(changed)
    assert not dropout_sites(back)
    same_outputs(model, back, x)


def test_sequential_models_and_registered_ones():
    model = build_mlp(hidden_rates=0.0)
    bare = without_dropout(model)
    assert [layer.name for layer in bare.layers] == [
        "flatten",
        "hidden_1",
        "hidden_2",
        "classifier",
    ]
    changed = with_dropout(bare, {"input": 0.2, "after hidden_1": 0.4, "before classifier": 0.5})
    assert [layer.name for layer in changed.layers] == [
        "dropout_before_flatten", "flatten", "hidden_1", "dropout_after_hidden_1", "hidden_2",
        "dropout_before_classifier", "classifier",
    ]  # fmt: skip
    assert [site.placement for site in dropout_sites(changed)] == ["input", "hidden", "hidden"]
    x = images(size=28)[..., 0]
    same_outputs(model, changed, x)
    assert changed.compiled and type(changed) is keras.Sequential
    cnn = with_dropout(without_dropout(build_cnn()), {"after each block": 0.1})
    assert [type(site.layer) for site in dropout_sites(cnn)] == [layers.SpatialDropout2D] * 2


def test_rates_inside_other_layers_become_0():
    tokens = np.random.default_rng(0).integers(0, 200, (4, 32))
    for model in (build_lstm(), build_transformer()):
        changed = without_dropout(model)
        assert all(site.rate == 0 for site in dropout_sites(changed))
        assert not any(isinstance(layer, layers.Dropout) for layer in changed.layers)
        np.testing.assert_allclose(
            model.predict(tokens, verbose=0), changed.predict(tokens, verbose=0), rtol=1e-5
        )


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"befor pool": 0.1}, "expected a place to be one of 'input', 'before the classifier'"),
        ({"before poll": 0.1}, "received 'before poll'; did you mean 'pool'?"),
        ({"after pool": 1.0}, "the rate 'after pool'"),
        (
            {"before the classifier": 0.1, "before classes": 0.2},
            "received 'before classes', where 'dropout_before_classes' was added already",
        ),
    ],
)
def test_places_that_are_none_are_refused(rates, message):
    with pytest.raises(ValueError) as refused:
        with_dropout(residual(), rates)
    assert message in str(refused.value)


def test_places_where_dropout_is_or_cannot_be_are_refused():
    with pytest.raises(
        ValueError, match="'before the classifier', where 'hidden_2_dropout' is alr"
    ):
        with_dropout(build_mlp(), {"before the classifier": 0.5})
    with pytest.raises(
        ValueError, match="'input': 'embedding' takes something else, such as indices"
    ):
        with_dropout(without_dropout(build_lstm()), {"input": 0.1})
    with pytest.raises(ValueError, match="its graph adds no branch to what it came from"):
        with_dropout(build_mlp(), {"in each residual branch": 0.1})
    with pytest.raises(ValueError, match="expected a model that is built"):
        with_dropout(keras.Sequential([layers.Dense(3)]), {"input": 0.1})


def test_models_whose_graph_cannot_be_changed_are_refused():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.last = layers.Dense(3)

        def call(self, x):
            return self.last(x)

    net = Net()
    net(np.zeros((1, 4), "float32"))
    with pytest.raises(TypeError, match=r"received Net .*; add dropout in its code"):
        with_dropout(net, {"input": 0.1})

    @keras.saving.register_keras_serializable("tests")
    class Own(keras.Model):
        def train_step(self, data):
            return super().train_step(data)

    inputs = keras.Input((4,))
    with pytest.raises(TypeError, match="which has a train_step of its own"):
        with_dropout(Own(inputs, layers.Dense(3)(inputs)), {"input": 0.1})


def test_layers_that_were_unfrozen_in_a_frozen_model_stay_so():
    inputs = keras.Input((8,))
    x = layers.Dense(4, name="first")(inputs)
    base = keras.Model(inputs, layers.Dense(4, name="second")(layers.Dropout(0.1)(x)), name="base")
    base.trainable = False
    base.get_layer("second").trainable = True
    model = keras.Model(inputs, layers.Dense(2, name="head")(base(inputs)))
    model.compile("adam", "mse")
    bare = without_dropout(model)
    for changed in (bare, with_dropout(bare, {"after base/first": 0.2})):
        paths = [variable.path for variable in changed.trainable_variables]
        assert [path.split("/")[-2] for path in paths] == ["second", "second", "head", "head"]
        assert not changed.get_layer("base").get_layer("first").trainable


def test_branches_that_begin_at_the_input():
    inputs = keras.Input((8,))
    total = layers.Add(name="total")([inputs, layers.Dense(8)(inputs)])
    model = keras.Model(inputs, layers.Dense(2)(total))
    changed = with_dropout(model, {"in each residual branch": 0.2})
    assert sites(changed) == {"dropout_before_total": ("StochasticDepth", 0.2)}
    positions = keras.Model(inputs, layers.Add()([inputs, PositionEmbedding()(inputs)]))
    with pytest.raises(ValueError, match="its graph adds no branch"):
        with_dropout(positions, {"in each residual branch": 0.2})


class PositionEmbedding(layers.Layer):
    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:])

    def call(self, x):
        return self.table + 0 * x


def test_masks_are_not_dropped():
    tokens = keras.Input((6,))
    x = layers.Embedding(10, 5, mask_zero=True, name="words")(tokens)
    model = keras.Model(tokens, layers.Dense(2)(layers.LSTM(4, name="lstm")(x)))
    model.compile("sgd", "mse")
    changed = with_dropout(model, {"before lstm": 0.3})
    assert sites(changed) == {"dropout_before_lstm": ("Dropout", 0.3)}
    numbers = np.random.default_rng(0).integers(0, 10, (4, 6))
    changed.fit(numbers, np.zeros((4, 2)), verbose=0)
    same_outputs(model, with_dropout(model, {"before lstm": 0.3}), numbers)


def test_shared_layers_share_their_dropout():
    one, two = keras.Input((8,), name="one"), keras.Input((8,), name="two")
    encoder = keras.Sequential([keras.Input((8,)), layers.Dense(4, name="code")], name="encoder")
    model = keras.Model([one, two], layers.Dense(1)(encoder(one) - encoder(two)))
    changed = with_dropout(model, {"input": 0.3, "before the classifier": 0.1})
    assert list(sites(changed)) == [
        "encoder/dropout_before_code", changed.layers[-2].name,
    ]  # fmt: skip
    x = np.random.default_rng(0).normal(size=(3, 8)).astype("float32")
    same_outputs(model, changed, [x, 2 * x])


def test_outputs_keep_their_names():
    inputs = keras.Input((8,))
    hidden = layers.Dense(4, activation="relu", name="hidden")(inputs)
    first = layers.Dropout(0.2, name="first")(layers.Dense(2)(hidden))
    model = keras.Model(inputs, [first, layers.Dense(1, name="second")(hidden)])
    model.compile("adam", loss={"first": "mse", "second": "mse"})
    changed = with_dropout(without_dropout(model), {"after hidden": 0.3})
    assert changed.output_names == model.output_names
    changed.fit(
        np.zeros((4, 8)), {"first": np.zeros((4, 2)), "second": np.zeros((4, 1))}, verbose=0
    )
    with pytest.raises(ValueError, match="a place before the outputs, received 'after second'"):
        with_dropout(model, {"after second": 0.3})


def test_the_dtype_and_the_order_of_axes_are_those_of_the_layer_beside():
    inputs = keras.Input((3, 8, 8))
    x = layers.MaxPooling2D(data_format="channels_first", name="pool")(inputs)
    x = layers.Flatten()(layers.AveragePooling2D(1, data_format="channels_first", name="next")(x))
    model = keras.Model(inputs, layers.Dense(2, dtype="float64", name="last")(x))
    changed = with_dropout(model, {"after pool": 0.2, "before last": 0.3})
    spatial, plain = (site.layer for site in dropout_sites(changed))
    assert spatial.data_format == "channels_first" and plain.compute_dtype == "float64"
    same_outputs(model, changed, np.ones((2, 3, 8, 8), "float32"))


def test_places_that_are_one_and_places_in_wrappers_are_refused():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, name="a"), layers.Dense(2, name="b")]
    )
    with pytest.raises(ValueError, match="received 'before b', which is one of the others"):
        with_dropout(model, {"after a": 0.2, "before b": 0.3})
    inputs = keras.Input((5, 4))
    wrapped = keras.Model(inputs, layers.TimeDistributed(model, name="each")(inputs))
    with pytest.raises(ValueError, match="'each/layer/a' is inside a wrapper"):
        with_dropout(wrapped, {"before each/layer/a": 0.2})


@pytest.mark.parametrize("kind", ["string", "uint8"])
def test_inputs_that_are_no_numbers_are_refused(kind):
    inputs = keras.Input((1,), dtype=kind)
    kinds = {"string": layers.TextVectorization(10, vocabulary=["a"]), "uint8": layers.Flatten()}
    model = keras.Model(inputs, kinds[kind](inputs))
    with pytest.raises(ValueError, match="a place where numbers can be set to 0, received 'input'"):
        with_dropout(model, {"input": 0.1})


@keras.saving.register_keras_serializable("tests")
class Scaled(keras.Model):
    def __init__(self, **kwargs):
        inputs = keras.Input((4,))
        super().__init__(
            inputs, layers.Dense(2)(layers.Dropout(0.3, name="drop")(inputs)), **kwargs
        )

    def call(self, x, training=False):
        return super().call(10 * x, training=training)

    def get_config(self):
        return {"name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def test_the_call_of_a_model_of_ones_own_is_kept():
    model = Scaled()
    with pytest.raises(TypeError, match="which has a call of its own"):
        with_dropout(model, {"input": 0.1})
    bare = without_dropout(model)
    assert [site.rate for site in dropout_sites(bare)] == [0.0]
    same_outputs(model, bare, np.ones((2, 4), "float32"))


def test_dropout_is_taken_out_however_it_is_called():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dropout(0.5)(inputs=inputs)))
    assert len(without_dropout(model).layers) == 2
    unbuilt = without_dropout(keras.Sequential([layers.Dense(3), layers.Dropout(0.5)]))
    assert [site.rate for site in dropout_sites(unbuilt)] == [0.0]
    alone = without_dropout(keras.Sequential([keras.Input((4,)), layers.Dropout(0.5)]))
    same_outputs(alone, alone, np.ones((2, 4), "float32"))


APPLICATIONS = {  # blocks, and residual branches
    "ConvNeXtTiny": (18, 18),
    "DenseNet121": (4, 0),
    "EfficientNetB0": (9, 9),
    "EfficientNetV2B0": (15, 15),
    "InceptionResNetV2": (2, 0),
    "InceptionV3": (2, 0),
    "MobileNet": (0, 0),
    "MobileNetV2": (10, 10),
    "MobileNetV3Small": (6, 6),
    "NASNetMobile": (0, 0),
    "ResNet50": (16, 16),
    "ResNet50V2": (16, 16),
    "VGG16": (5, 0),
    "Xception": (12, 12),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_keras_applications(name):
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=(96, 96, 3), classes=4)
    x = 255 * images(2, 96)
    bare = without_dropout(model)
    assert not any(type(site.layer) is layers.Dropout for site in dropout_sites(bare))
    same_outputs(model, bare, x)
    rates = {"input": 0.1, "before the classifier": 0.4}
    numbers = dict(
        zip(("after each block", "in each residual branch"), APPLICATIONS[name], strict=True)
    )
    rates |= {place: 0.2 for place, number in numbers.items() if number}
    changed = with_dropout(bare, rates)
    same_outputs(model, changed, x)
    kinds = [type(site.layer) for site in dropout_sites(changed)]
    assert kinds.count(layers.Dropout) == 2
    assert kinds.count(layers.SpatialDropout2D) == numbers["after each block"]
    assert kinds.count(StochasticDepth) == numbers["in each residual branch"]
    assert changed.count_params() == model.count_params()
