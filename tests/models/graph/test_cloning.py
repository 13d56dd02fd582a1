"""`with_rates`: the same model with different rates, and nothing else changed."""

import gc
import warnings
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import Input, layers, ops

from dropout_zoo.models import (
    build_cnn,
    build_mlp,
    build_transformer,
    dropout_sites,
    with_rates,
    with_runtime_rates,
)
from dropout_zoo.models.graph.changed_rates import rates_fixed_in_code
from dropout_zoo.training import Member, train_members

RANDOM = np.random.default_rng(0)
X = RANDOM.random((32, 8)).astype("float32")
Y = RANDOM.random((32, 1)).astype("float32")


@keras.saving.register_keras_serializable("dropout_zoo_tests")
class TransformerBlock(layers.Layer):
    """One argument sets all its dropout."""

    def __init__(self, width, rate=0.1, **kwargs):
        super().__init__(**kwargs)
        self.width, self.rate = width, rate
        self.attention = layers.MultiHeadAttention(2, width // 2, dropout=rate)
        self.dense = layers.Dense(width)
        self.drop = layers.Dropout(rate)

    def build(self, shape):
        self.attention.build(shape, shape)
        self.dense.build(shape)

    def call(self, x, training=None):
        x = self.attention(x, x, training=training)
        return self.drop(self.dense(x), training=training)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "width": self.width, "rate": self.rate}


@keras.saving.register_keras_serializable("dropout_zoo_tests")
class TwoRates(layers.Layer):
    """Two arguments of the same value, in another order than the layers that they set."""

    def __init__(self, rates=(0.1, 0.1), offset=0.1, **kwargs):
        super().__init__(**kwargs)
        self.rates, self.offset = tuple(rates), offset
        self.late, self.early = layers.Dropout(rates[1]), layers.Dropout(rates[0])

    def call(self, x, training=None):
        x = self.early(x + self.offset, training=training)
        return self.late(x, training=training)

    def get_config(self):
        config = {"offset": self.offset, "rates": self.rates}
        return {**super().get_config(), **config}


class FixedRate(layers.Layer):
    """Its rate is in its code."""

    def __init__(self, **kw):  # a name that makes Keras leave the layer's name out of its config
        super().__init__(**kw)
        self.drop = layers.Dropout(0.1)

    def call(self, x, training=None):
        return self.drop(x, training=training)


class NoConfig(layers.Layer):
    """Says nothing of its argument."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(width)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        return super().get_config()


class NoKwargs(layers.Layer):
    """Takes its own arguments alone, as in many examples; Keras returns its configuration."""

    def __init__(self, width, rate):
        super().__init__()
        self.dense = layers.Dense(width)
        self.drop = layers.Dropout(rate, name="drop")

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x, training=None):
        return self.drop(self.dense(x), training=training)


def small(**compile_arguments):
    model = keras.Sequential(
        [
            Input((8,)),
            layers.Dense(8, name="first"),
            layers.Dropout(0.3, name="drop"),
            layers.Dense(1, name="last"),
        ]
    )
    if compile_arguments:
        model.compile(**compile_arguments, run_eagerly=True)  # a trace takes longer than its steps
        model.fit(X, Y, batch_size=8, verbose=0)
    return model


def rates_of(model):
    return {site.path: site.rate for site in dropout_sites(model)}


def equal(one, other):
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def output(model, x):
    """Predictions, without a trace."""
    return keras.tree.map_structure(ops.convert_to_numpy, model(x, training=False))


def inputs_for(model, count=4):
    random = np.random.default_rng(1)
    values = [
        random.integers(0, 4, (count, *tensor.shape[1:]))
        if "int" in str(tensor.dtype)
        else random.random((count, *tensor.shape[1:])).astype("float32")
        for tensor in model.inputs
    ]
    return values if len(values) > 1 else values[0]


def documented_mlp():
    return build_mlp(input_rate=0.2)


def documented_cnn():
    return build_cnn(conv_rates=0.1, conv_dropout="spatial", batch_norm="before_dropout")


def branched():
    left, right = Input((8,), name="left"), Input((3,), name="right")
    dense = layers.Dense(4, name="shared")
    x = dense(left) + layers.Dropout(0.2, name="branch")(dense(left * 2))
    x = ops.concatenate([x, ops.relu(right), ops.zeros_like(right)], axis=-1)[:, ::2]
    parts = ops.split(x, [2], axis=1)
    x = layers.Concatenate()(
        [parts[0], ops.mean(ops.stack([parts[1], 2 * parts[1]], axis=1), axis=1)]
    )
    x = layers.Dropout(0.3, name="joined")(ops.einsum("bi,bi->bi", x, x))
    return keras.Model([left, right], [layers.Dense(1, name="a")(x), layers.Dense(2, name="b")(x)])


def nested():
    encoder = keras.Sequential(
        [Input((8,)), layers.Dense(8), layers.BatchNormalization(), layers.Dropout(0.3, name="d")],
        name="encoder",
    )
    inputs = Input((8,))
    x = encoder(inputs) + encoder(inputs * 2)
    middle = keras.Model(inputs, layers.Dropout(0.2, name="m")(x), name="middle")
    left, right = Input((8,)), Input((8,))
    x = layers.Add()([middle(left), middle(right)])
    return keras.Model([left, right], layers.Dense(1)(x))


def recurrent():
    inputs = Input((6,), dtype="int32")
    x = layers.Dropout(0.2, name="embedded")(layers.Embedding(50, 8)(inputs))
    x = layers.LSTM(4, return_sequences=True, dropout=0.2, recurrent_dropout=0.2, name="lstm")(x)
    x = layers.GRU(4, return_sequences=True, dropout=0.1, name="gru")(x)
    cells = [layers.LSTMCell(4, dropout=0.1), layers.LSTMCell(4, dropout=0.1)]
    x = layers.RNN(layers.StackedRNNCells(cells), return_sequences=True, name="stacked")(x)
    x = layers.Bidirectional(layers.GRU(2, dropout=0.2, return_sequences=True), name="both")(x)
    x = layers.TimeDistributed(layers.Dropout(0.1), name="each")(x)
    return keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x)))


def cells():
    """The recurrent layers with dropout in their cells, and no others."""
    inputs = Input((4, 3))
    x = layers.LSTM(4, return_sequences=True, recurrent_dropout=0.2, name="lstm")(inputs)
    stack = [layers.LSTMCell(4, dropout=0.1), layers.LSTMCell(4, dropout=0.1)]
    x = layers.RNN(layers.StackedRNNCells(stack), name="stacked")(x)
    return keras.Model(inputs, layers.Dense(1)(x))


def attention():
    inputs = Input((6, 8))
    x = layers.MultiHeadAttention(2, 4, dropout=0.1, name="mha")(inputs, inputs)
    x = layers.Attention(dropout=0.1, name="dot")([x, x])
    x = layers.MultiHeadAttention(2, 4, name="without")(x, x)
    x = TwoRates(name="two")(x)
    return keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x)))


def video():
    frames = keras.Sequential(
        [
            Input((6, 6, 1)),
            layers.Conv2D(2, 3),
            layers.Dropout(0.1, name="maps"),
            layers.Flatten(),
            layers.Dropout(0.1, name="flat"),
        ]
    )
    inputs = Input((3, 6, 6, 1))
    x = layers.TimeDistributed(frames, name="frames")(inputs)
    return keras.Model(inputs, layers.Dense(1)(layers.LSTM(3)(x)))


def kinds():
    return keras.Sequential(
        [
            Input((4, 4, 4, 2)),
            layers.Conv3D(2, 2),
            layers.SpatialDropout3D(0.1),
            layers.Reshape((9, 6)),
            layers.SpatialDropout1D(0.2),
            layers.GaussianDropout(0.3, seed=3),
            layers.AlphaDropout(0.4),
            layers.Flatten(),
            layers.Dropout(0.1, noise_shape=(None, 1)),
            layers.Dense(2),
        ]
    )


MODELS = [
    documented_mlp,
    documented_cnn,
    branched,
    nested,
    recurrent,
    attention,
    video,
    kinds,
]


@pytest.mark.parametrize(
    "build",
    # A clone of the recurrent net for each of its many sites takes longest.
    [pytest.param(each, marks=[pytest.mark.slow] * (each is recurrent)) for each in MODELS],
    ids=lambda build: build.__name__,
)
def test_each_rate_can_be_set_alone_and_nothing_else_changes(build, tmp_path):
    model = build()
    before, weights, x = rates_of(model), model.get_weights(), inputs_for(model)
    assert len(before) >= 2
    predicted = keras.tree.flatten(output(model, x))
    for number, path in enumerate(before):
        changed = with_rates(model, {path: 0.45})
        assert rates_of(changed) == {**before, path: 0.45}
        assert equal(changed.get_weights(), weights)
        if number == 0:
            assert equal(keras.tree.flatten(output(changed, x)), predicted)
            changed.save(tmp_path / "model.keras")
            reloaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
            assert rates_of(reloaded) == {**before, path: 0.45}
            for one, other in zip(keras.tree.flatten(output(reloaded, x)), predicted, strict=True):
                np.testing.assert_allclose(one, other, atol=1e-6)
    assert rates_of(model) == before
    assert equal(model.get_weights(), weights)


TWO_SITES = build_mlp(input_shape=(4,), units=(3, 3), num_classes=2)


@given(rates=st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=2))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_valid_rates_can_be_set(rates):
    wanted = dict(zip(("hidden_1_dropout", "hidden_2_dropout"), rates, strict=True))
    assert rates_of(with_rates(TWO_SITES, wanted)) == wanted


def test_several_rates_can_be_set_at_once_or_none():
    model = cells()
    wanted = dict.fromkeys(rates_of(model), 0.35)
    changed = with_rates(model, wanted)
    assert rates_of(changed) == wanted
    assert rates_of(with_rates(changed, {})) == wanted
    assert with_rates(changed, {}) is not changed


def test_the_copy_consists_of_new_plain_layers():
    model = kinds()
    changed = with_rates(model, {})
    for old, new in zip(model.layers, changed.layers, strict=True):
        assert type(new) is type(old)
        assert new is not old
        assert new.name == old.name
        assert new.get_config() == old.get_config()


@pytest.mark.parametrize("layer_class", [layers.Dropout, layers.AlphaDropout])
def test_a_rate_raised_from_zero_drops(layer_class):
    model = keras.Sequential([Input((1000,)), layer_class(0, name="drop")])
    x = np.ones((20, 1000), "float32")
    np.testing.assert_array_equal(model(x, training=True), x)
    for start in (model, with_rates(with_rates(model, {"drop": 0.5}), {"drop": 0.0})):
        changed = with_rates(start, {"drop": 0.4})
        out = np.asarray(changed(x, training=True))
        values, counts = np.unique(out.round(4), return_counts=True)
        assert len(values) == 2  # kept and dropped
        assert abs(counts[values.argmin()] / out.size - 0.4) < 0.02
        np.testing.assert_array_equal(changed(x, training=False), x)


@pytest.mark.parametrize(
    ("build", "paths"),
    [
        (attention, ["mha/dropout_layer", "without/dropout_layer", "dot/dropout"]),
        (cells, ["lstm/cell/recurrent_dropout", "stacked/cell/cells_1/dropout"]),
    ],
)
def test_rates_inside_composite_layers_take_effect(build, paths):
    model = build()
    none = dict.fromkeys(rates_of(model), 0.0)
    off = with_rates(model, none)
    x = inputs_for(model)
    np.testing.assert_allclose(off(x, training=True), off(x, training=False), rtol=1e-5)
    for path in paths:
        on = with_rates(model, {**none, path: 0.5})
        assert not np.allclose(on(x, training=True), on(x, training=False), rtol=1e-3), path


def test_rates_that_one_argument_sets_must_be_equal():
    inputs = Input((6, 8))
    x = layers.Flatten()(TransformerBlock(8, name="block")(inputs))
    model = keras.Model(inputs, layers.Dense(1)(x))
    paths = ["block/attention/dropout_layer", "block/drop"]
    assert rates_of(model) == dict.fromkeys(paths, 0.1)
    message = rf"for '{paths[0]}', '{paths[1]}' \(which 'rate' of TransformerBlock 'block' sets"
    with pytest.raises(ValueError, match=f"expected the same rate {message}.*received 0.4, 0.1"):
        with_rates(model, {paths[0]: 0.4})
    with pytest.raises(ValueError, match=f"{message}.*received 0.4, 0.3"):
        with_rates(model, dict(zip(paths, (0.4, 0.3), strict=True)))
    assert rates_of(with_rates(model, dict.fromkeys(paths, 0.4))) == dict.fromkeys(paths, 0.4)


def test_a_rate_that_a_layer_hard_codes_is_changed_in_the_copy_alone():
    inputs = Input((8,))
    x = layers.Dropout(0.2, name="plain")(FixedRate(name="fixed")(inputs))
    model = keras.Model(inputs, layers.Dense(1)(x))
    assert rates_fixed_in_code(model) == []
    changed = with_rates(model, {"fixed/drop": 0.4, "plain": 0.0})
    assert rates_of(changed) == {"fixed/drop": 0.4, "plain": 0.0}
    assert rates_of(model) == {"fixed/drop": 0.1, "plain": 0.2}
    assert rates_fixed_in_code(changed) == ["fixed/drop"]
    for copy in (with_rates(changed, {}), with_runtime_rates(changed)):
        assert rates_of(copy) == rates_of(changed)
    assert rates_of(with_rates(with_runtime_rates(changed), {})) == rates_of(changed)
    ones = np.ones((500, 8), "float32")
    dropped = changed.get_layer("fixed").drop(ones, training=True)
    assert abs(float(np.mean(np.asarray(dropped) == 0)) - 0.4) < 0.04


def test_an_unknown_path_lists_the_sites():
    with pytest.raises(
        ValueError, match=r"received 'hidden_1'; the sites of .* are hidden_1_dropout"
    ):
        with_rates(build_mlp(), {"hidden_1": 0.5})
    with pytest.raises(ValueError, match="the sites of this model are none"):
        with_rates(keras.Sequential([Input((2,)), layers.Dense(1)]), {"drop": 0.5})


def test_rates_are_given_by_site_or_as_one_for_all():
    model = keras.Sequential(
        [Input((8,)), layers.Dropout(0.2, name="one"), layers.Dense(4), layers.Dropout(0.3)]
    )
    first, second = dropout_sites(model)
    changed = with_rates(model, {first: 0.4})
    assert rates_of(changed) == {"one": 0.4, second.path: 0.3}
    assert rates_of(with_rates(model, 0.1)) == {"one": 0.1, second.path: 0.1}
    with pytest.raises(ValueError, match="expected rates to be"):
        with_rates(model, 20)


def test_a_layer_without_kwargs_is_cloned_with_its_name_dtype_and_weights():
    model = keras.Sequential([Input((8,)), NoKwargs(4, rate=0.1)])
    block = model.layers[0]
    block.trainable = False
    block.dtype_policy = "mixed_bfloat16"
    clone = with_rates(model, {f"{block.name}/drop": 0.4})
    copied = clone.layers[0]
    assert (copied.name, copied.trainable) == (block.name, False)
    assert copied.dtype_policy.name == "mixed_bfloat16"
    assert rates_of(clone) == {f"{block.name}/drop": 0.4}
    np.testing.assert_array_equal(clone.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize("rate", [1, -0.1, 20, np.nan, np.inf, None, "0.5", True])
def test_a_wrong_rate_is_named_by_its_path(rate):
    with pytest.raises(ValueError, match="expected drop to be"):
        with_rates(small(), {"drop": rate})


class OwnStep(keras.Model):
    """Functional, with its own training step and its own constructor."""

    def __init__(self, width=3):
        inputs = Input((8,))
        super().__init__(inputs, layers.Dropout(0.2, name="d")(layers.Dense(width)(inputs)))

    def train_step(self, data):
        return {}


class OwnSequential(keras.Sequential):
    """Keras would clone it as a plain Sequential."""

    def train_step(self, data):
        return {}


class LostWidth(keras.Model):
    """No graph, and no way to tell its width from its configuration."""

    def __init__(self, width=1):
        super().__init__()
        self.dense, self.drop = layers.Dense(width), layers.Dropout(0.2)

    def call(self, x, training=None):
        return self.drop(self.dense(x), training=training)

    def get_config(self):
        return {}


def built(model):
    model(np.ones((1, 8)))
    return model


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (OwnStep, "'OwnStep'.*which loses its own methods"),
        (
            lambda: OwnSequential([Input((8,)), layers.Dropout(0.2)]),
            "'OwnSequential'.*which loses its own methods",
        ),
        (lambda: built(LostWidth(3)), "LostWidth .* from_config.* has other weights"),
        (
            lambda: keras.Sequential([Input((8,)), NoConfig(3), layers.Dropout(0.2)]),
            "NoConfig 'no_config.*width",
        ),
    ],
)
def test_models_that_cannot_be_cloned_are_refused(build, message):
    model = build()
    with pytest.raises(TypeError, match=message):
        with_rates(model, {})


class Residual(keras.Model):
    """Keras does not record the arguments of a subclassed model without `get_config`."""

    def __init__(self, activation="relu", residual=False):
        super().__init__()
        self.hidden = layers.Dense(8, activation=activation)
        self.drop, self.out = layers.Dropout(0.3), layers.Dense(1)
        self.residual = residual

    def call(self, x, training=False):
        hidden = self.drop(self.hidden(x), training=training)
        return self.out(hidden + x if self.residual else hidden)


def changed_later():
    model = built(Residual())
    model.residual = True
    return model


def inside_functional():
    inputs = Input((8,))
    return keras.Model(inputs, layers.Dense(1)(Residual("tanh")(inputs)))


@pytest.mark.parametrize(
    "build", [lambda: built(Residual("tanh")), changed_later, inside_functional]
)
def test_a_clone_that_computes_something_else_is_refused(build):
    with pytest.raises(TypeError, match=r"clone computes other outputs; let get_config\(\) of Res"):
        with_rates(build(), 0.2)


class Centered(keras.Model):
    """Has weights of its own, beside those of its layers."""

    def __init__(self):
        super().__init__()
        self.mean = self.add_weight(shape=(8,), trainable=False, initializer="zeros")
        self.drop, self.out = layers.Dropout(0.5), layers.Dense(1)

    def call(self, x, training=False):
        return self.out(self.drop(x - self.mean, training=training))


def test_weights_of_a_subclassed_model_itself_are_kept():
    model = built(Centered())
    model.mean.assign(np.full(8, 5.0))
    for copy in (with_rates(model, 0.2), with_runtime_rates(model)):
        np.testing.assert_array_equal(copy.mean, np.full(8, 5.0))
        np.testing.assert_array_equal(copy.predict(X, verbose=0), model.predict(X, verbose=0))


class Warns(Centered):
    """Warns in its code, as of something that will be removed."""

    def call(self, x, training=False):
        warnings.warn("this model has a successor", FutureWarning, stacklevel=2)
        return super().call(x, training=training)


@pytest.mark.filterwarnings("ignore:this model has a successor")
def test_a_model_whose_code_warns_can_be_cloned():
    model = built(Warns())
    copy = with_rates(model, 0.2)
    np.testing.assert_array_equal(copy.predict(X, verbose=0), model.predict(X, verbose=0))


class Rescaled(layers.Layer):
    """Its code reads the rate, beside the layer that applies it."""

    def __init__(self):
        super().__init__()
        self.drop = layers.Dropout(0.5)
        self.keep = 1 - 0.5

    def call(self, x, training=False):
        return self.drop(x, training=training) * self.keep


def test_a_rate_that_the_code_reads_is_not_changed_in_place():
    model = keras.Sequential([Input((8,)), Rescaled(), layers.Dense(1)])
    with pytest.raises(ValueError, match="no argument of Rescaled"):
        with_rates(model, 0.1)
    with pytest.raises(ValueError, match="may fix the rate"):
        with_runtime_rates(model)


class MadeByMethods(layers.Layer):
    """A method of its own makes what it holds."""

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def build(self, shape):
        self.block = self.make_block(shape[-1])
        self.block.build(shape)

    def make_block(self, units):
        return keras.Sequential([layers.Dense(units), layers.Dropout(self.rate)])

    def call(self, x, training=False):
        return self.block(x, training=training)


class RateInMethod(MadeByMethods):
    """A method that it is built with is also used in its call."""

    def kept(self):
        return 1 - self.rate

    def call(self, x, training=False):
        return self.block(x, training=training) * self.kept()

    def build(self, shape):
        super().build(shape)
        self.first = self.kept()


def test_methods_that_make_a_layer_may_read_its_rate_and_those_of_its_call_may_not():
    def net(kind):
        return keras.Sequential([Input((8,)), kind(0.4, name="own"), layers.Dense(1)])

    assert rates_of(with_runtime_rates(net(MadeByMethods))) == rates_of(net(MadeByMethods))
    with pytest.raises(ValueError, match="may fix the rate"):
        with_runtime_rates(net(RateInMethod))


class FixedAttention(layers.Layer):
    """Attention without dropout, which Keras then leaves out."""

    def __init__(self):
        super().__init__()
        self.attention = layers.MultiHeadAttention(2, 4)

    def call(self, x, training=False):
        return self.attention(x, x, training=training)


def test_attention_without_dropout_gets_some_in_place():
    model = keras.Sequential([Input((3, 4)), FixedAttention()])
    (site,) = dropout_sites(model)
    x = RANDOM.random((4, 3, 4)).astype("float32")
    changed = with_rates(model, {site: 0.9})
    assert not np.allclose(changed(x, training=True), changed(x, training=False), rtol=1e-3)


def test_a_functional_subclass_keeps_its_class():
    class Renamed(keras.Model):
        def summary_line(self):
            return "mine"

    inputs = Input((8,))
    model = Renamed(inputs, layers.Dense(1)(layers.Dropout(0.2, name="drop")(inputs)))
    assert with_rates(model, {"drop": 0.3}).summary_line() == "mine"


@keras.saving.register_keras_serializable("tests")
class Backbone(keras.Model):
    """A Functional model with a configuration of its own, as the models of KerasHub."""

    def __init__(self, width, dropout=0.1, **kwargs):
        self.dense = layers.Dense(width, activation="relu", name="hidden")
        self.drop = layers.Dropout(dropout, name="drop")
        inputs = Input((3, 4))
        outputs = self.drop(self.dense(inputs))[:, 0]
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.width, self.rate = width, dropout
        self.compile("sgd", "mse")

    def get_config(self):
        return {"width": self.width, "dropout": self.rate, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def with_backbone():
    inputs = Input((3, 4))
    outputs = layers.Dense(2)(layers.Dropout(0.2, name="top")(Backbone(5, name="base")(inputs)))
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("build", [lambda: Backbone(5, name="base"), with_backbone])
def test_a_functional_subclass_with_a_configuration_of_its_own_is_built_from_it(build, tmp_path):
    model = build()
    model.compile("adam", "mae")
    x = np.random.default_rng(0).normal(size=(8, 3, 4)).astype("float32")
    changed = with_rates(model, 0.4)
    assert set(rates_of(changed).values()) == {0.4}
    assert any(isinstance(each, Backbone) for each in [changed, *changed.layers])
    assert (changed.loss, type(changed.optimizer)) == ("mae", type(model.optimizer))
    np.testing.assert_array_equal(output(changed, x), output(model, x))
    y = np.zeros((8, *model.output_shape[1:]))
    members = [Member({}, seed=0), Member([0.4] * len(rates_of(model)), seed=0)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # "Model.fit trains the members"
        trained = train_members(model, members, (x, y), epochs=2, workers=1)
    assert trained[0].score != trained[1].score
    trained[1].model().save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(output(loaded, x), output(trained[1].model(), x))


def squared(y, predicted):
    return ops.mean((y - predicted) ** 2, axis=-1)


def test_unregistered_code_is_kept_when_a_copy_is_compiled():
    def own_loss(y, predicted):
        return 3 * squared(y, predicted)

    own = keras.metrics.MeanMetricWrapper(own_loss, name="wrapped")
    model = small(loss=own_loss, optimizer="adam", metrics=["mae", own, squared], loss_weights=2.0)
    changed = with_rates(model, {"drop": 0.1})
    assert changed.loss is own_loss
    results = [m.evaluate(X, Y, verbose=0, return_dict=True) for m in (model, changed)]
    assert set(results[0]) == {"loss", "mae", "wrapped", "squared"}
    assert results[0] == results[1]


def test_metric_objects_are_not_shared():
    model = small(loss="mse", optimizer="adam", metrics=[keras.metrics.MeanSquaredError("mine")])
    changed = with_rates(model, {"drop": 0.1})
    before = model.get_metrics_result()
    assert changed.evaluate(X * 5, Y, verbose=0, return_dict=True)["mine"] != before["mine"]
    assert model.get_metrics_result() == before


OPTIMIZERS = {
    "schedule": lambda: keras.optimizers.SGD(
        keras.optimizers.schedules.CosineDecay(0.1, 100), momentum=0.9, nesterov=True, clipnorm=1.0
    ),
    "decay": lambda: keras.optimizers.AdamW(2e-3, weight_decay=0.1, global_clipnorm=2.0),
    "clipvalue": lambda: keras.optimizers.RMSprop(clipvalue=0.5),
    "averaged": lambda: keras.optimizers.Adam(use_ema=True, gradient_accumulation_steps=2),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(3e-4)),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_optimizer_is_a_new_equal_one(kind, tmp_path):
    model = small(loss="mse", optimizer=OPTIMIZERS[kind]())
    steps = int(model.optimizer.iterations)
    state = [ops.convert_to_numpy(v).copy() for v in model.optimizer.variables]
    changed = with_rates(model, {"drop": 0.1})
    assert type(changed.optimizer) is type(model.optimizer)
    assert changed.optimizer is not model.optimizer
    assert changed.optimizer.get_config() == model.optimizer.get_config()
    assert int(changed.optimizer.iterations) == 0 < steps
    weights = model.get_weights()
    changed.fit(X, Y, verbose=0)
    assert equal([ops.convert_to_numpy(v).copy() for v in model.optimizer.variables], state)
    assert equal(model.get_weights(), weights)
    changed.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").compiled


def test_a_custom_learning_rate_schedule_is_kept():
    class Constant(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.125

        def get_config(self):
            return {}

    model = small(loss="mse", optimizer=keras.optimizers.SGD(Constant()))
    changed = with_rates(model, {"drop": 0.1})
    assert float(changed.optimizer.learning_rate) == 0.125
    changed.fit(X, Y, verbose=0)


def test_variables_excluded_from_weight_decay_stay_excluded():
    optimizer = keras.optimizers.AdamW(0.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = small()
    model.compile(optimizer, "mse")
    model.set_weights([np.ones_like(weight) for weight in model.get_weights()])
    optimizer.learning_rate = 1e-2  # decay is proportional to it
    kernel = model.get_layer("last").get_weights()[0]
    changed = with_rates(model, {"drop": 0.1})
    zeros = [ops.zeros_like(v) for v in changed.trainable_variables]
    changed.optimizer.apply(zeros, changed.trainable_variables)
    assert (changed.get_layer("last").get_weights()[1] == 1).all()
    assert (changed.get_layer("last").get_weights()[0] < kernel).all()


def test_an_optimizer_that_cannot_be_copied_is_named():
    class Own(keras.optimizers.SGD):
        def __init__(self, extra, **kwargs):
            super().__init__(**kwargs)

    model = small()
    model.compile(Own(3), "mse")
    with pytest.raises(TypeError, match=r"with the Own '.*extra"):
        with_rates(model, {})


def test_flags_of_compile_are_kept():
    model = small()
    model.compile("adam", "mse", run_eagerly=True)
    assert with_rates(model, {}).run_eagerly
    model.compile("adam", "mse", jit_compile=True, steps_per_execution=4)
    changed = with_rates(model, {})
    assert changed.jit_compile
    assert changed.steps_per_execution == 4
    assert not with_rates(small(), {}).compiled


def test_losses_and_metrics_by_output_are_kept():
    model = branched()
    model.compile(
        "sgd",
        {"a": "mse", "b": "mae"},
        loss_weights={"a": 0.5, "b": 2.0},
        metrics={"a": ["mae", keras.metrics.MeanSquaredError()]},
        weighted_metrics={"b": ["mse"]},
        run_eagerly=True,
    )
    changed = with_rates(model, {"joined": 0.4})
    x, y = inputs_for(model), {"a": np.ones((4, 1)), "b": np.ones((4, 2))}
    results = [m.evaluate(x, y, verbose=0, return_dict=True) for m in (model, changed)]
    assert results[0] == results[1]
    assert changed.output_names == model.output_names == ["a", "b"]


def test_an_unbuilt_model_can_be_cloned():
    model = keras.Sequential([layers.Dense(8), layers.Dropout(0.3, name="drop"), layers.Dense(1)])
    model.compile("adam", "mse")
    changed = with_rates(model, {"drop": 0.1})
    history = changed.fit(X, Y, epochs=2, verbose=0).history["loss"]
    assert history[1] != history[0]
    assert rates_of(changed) == {"drop": 0.1}
    assert not model.built


def test_the_original_stays_compiled_even_where_cloning_fails():
    inner = small(optimizer="sgd", loss=squared)
    inputs = Input((8,))
    model = keras.Model(inputs, NoConfig(1)(inner(inputs)))
    model.compile("adam", squared)
    with pytest.raises(TypeError):
        with_rates(model, {})
    assert model.compiled
    assert inner.compiled


def test_a_nested_model_with_a_custom_loss_can_be_cloned():
    def own(y, predicted):
        return squared(y, predicted)

    inner = small(optimizer="sgd", loss=own)
    inputs = Input((8,))
    model = keras.Model(inputs, layers.Dense(1)(inner(inputs)))
    assert rates_of(with_rates(model, {f"{inner.name}/drop": 0.1})) == {f"{inner.name}/drop": 0.1}
    assert inner.compiled


def test_shared_layers_stay_shared():
    encoder = keras.Sequential(
        [Input((8,)), layers.Dense(8), layers.Dropout(0.3, name="d")], name="encoder"
    )
    inputs = Input((8,))
    middle = keras.Model(inputs, encoder(inputs), name="middle")
    x = [middle(inputs), middle(2 * inputs), encoder(inputs)]  # the inner model outside, too
    model = keras.Model(inputs, layers.Dense(1)(layers.Add()(x)))
    changed = with_rates(model, {"middle/encoder/d": 0.5})
    assert changed.get_layer("middle").get_layer("encoder") is changed.get_layer("encoder")
    assert len(changed.weights) == len(model.weights) == 4
    np.testing.assert_array_equal(output(changed, X), output(model, X))


class FreeNames(layers.Layer):
    """Its configuration, made up by Keras, says nothing of being frozen."""

    def __init__(self, width=3, **kw):
        super().__init__(**kw)
        self.width = width
        self.dense = layers.Dense(width)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(x)


def test_frozen_layers_stay_frozen():
    base = keras.Sequential(
        [Input((8,)), layers.Dense(8), layers.BatchNormalization(), layers.Dropout(0.2, name="d")],
        name="base",
    )
    base.trainable = False
    custom = FreeNames(name="custom")
    custom.trainable = False
    inputs = Input((8,))
    model = keras.Model(inputs, layers.Dense(1)(custom(base(inputs))))
    model.compile("adam", "mse")
    changed = with_rates(model, {"base/d": 0.4})
    assert [layer.trainable for layer in changed.layers] == [x.trainable for x in model.layers]
    weights = changed.get_weights()
    changed.fit(X, Y, verbose=0)
    assert len(changed.trainable_variables) == 2  # the last layer's
    assert equal(changed.get_weights()[:-2], weights[:-2])
    assert not equal(changed.get_weights()[-2:], weights[-2:])
    model.trainable = False
    assert with_rates(model, {}).trainable is False


def test_statistics_are_copied():
    normalize = layers.Normalization()
    normalize.adapt(X * 7 + 3)
    bins = layers.Discretization(num_bins=4)
    bins.adapt(X)
    inputs = Input((8,))
    x = layers.Concatenate()([normalize(inputs), ops.cast(bins(inputs), "float32")])
    x = layers.BatchNormalization(name="batch_norm")(layers.Dense(4)(x))
    model = keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.2, name="drop")(x)))
    model.compile("adam", "mse", run_eagerly=True)
    model.fit(X, Y, verbose=0)
    changed = with_rates(model, {"drop": 0.1})
    assert not np.allclose(changed.get_layer("batch_norm").moving_mean, 0)
    np.testing.assert_array_equal(output(changed, X), output(model, X))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="strings need TensorFlow")
def test_vocabularies_are_copied():
    import tensorflow as tf

    texts = layers.TextVectorization(output_sequence_length=3)
    texts.adapt(["hello world", "foo hello"])
    words = layers.StringLookup()
    words.adapt(["a", "b", "b"])
    left, right = Input((), dtype="string"), Input((2,), dtype="string")
    x = [layers.Embedding(9, 4)(texts(left)), layers.Embedding(9, 4)(words(right))]
    x = layers.Flatten()(layers.Concatenate(axis=1)(x))
    model = keras.Model([left, right], layers.Dense(1)(layers.Dropout(0.2, name="drop")(x)))
    given = [tf.constant(["hello foo", "world what"]), tf.constant([["a", "b"], ["b", "z"]])]
    np.testing.assert_array_equal(model(given), with_rates(model, {"drop": 0.1})(given))


def halved(x):
    return x / 2


def test_custom_functions_in_layers_are_kept():
    def local(x):
        return x * 3

    model = keras.Sequential(
        [
            Input((8,)),
            layers.Dense(8, activation=halved),
            layers.Dense(8, activation=local),
            layers.Activation(local),
            layers.Lambda(lambda x, by: x * by, arguments={"by": 2}, name="python_lambda"),
            layers.Lambda(halved, output_shape=(8,)),
            layers.Dropout(0.3, name="drop"),
            layers.Dense(1),
        ]
    )
    changed = with_rates(model, {"drop": 0.1})
    np.testing.assert_array_equal(output(changed, X), output(model, X))
    assert changed.get_layer("python_lambda") is not model.get_layer("python_lambda")


def test_custom_layers_inside_wrappers_are_kept():
    class Local(layers.Layer):
        def call(self, x):
            return x * 2

        def compute_output_shape(self, shape):
            return shape

    inputs = Input((4, 8))
    x = layers.TimeDistributed(Local())(inputs)
    model = keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.3, name="drop")(x)))
    changed = with_rates(model, {"drop": 0.1})
    x = inputs_for(model)
    np.testing.assert_array_equal(output(changed, x), output(model, x))


def test_mixed_precision_is_kept():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_cnn(conv_rates=0.1, conv_dropout="spatial", hidden_rates=0.0)
    finally:
        keras.config.set_dtype_policy(policy)
    changed = with_rates(model, {"conv_1_dropout": 0.2})
    assert {layer.dtype_policy.name for layer in changed.layers} == {"mixed_bfloat16"}
    assert changed.get_layer("conv_1_dropout").output.dtype == "bfloat16"


def test_a_clone_is_freed_after_use():
    inputs = Input((8,))
    x = layers.Dense(8)(inputs)
    x = layers.Lambda(lambda y: y + 1)(ops.relu(x) + x)
    model = keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.3, name="drop")(x)))
    changed = with_rates(model, {"drop": 0.1})
    kernel = weakref.ref(changed.layers[1])
    del changed
    gc.collect()
    assert kernel() is None  # the original's own operations do not hold on to it


@pytest.mark.parametrize("attention_rate", [0.0, 0.1])
def test_rates_set_inside_attention_are_kept_when_the_layers_become_plain_again(attention_rate):
    model = build_transformer(num_layers=1, hidden_dim=8, attention_rate=attention_rate)
    lifted = with_runtime_rates(model)
    assert [s.rate for s in dropout_sites(with_rates(lifted, {}))] == [
        0.1,
        attention_rate,
        0.1,
        0.1,
    ]
    for number, site in enumerate(dropout_sites(lifted)):
        site.layer.set_rate(number / 10)
    plain = with_rates(lifted, {"block_1_attention_dropout": 0.5})
    assert [site.rate for site in dropout_sites(plain)] == [0.0, 0.1, 0.5, 0.3]
    assert {type(site.layer) for site in dropout_sites(plain)} == {layers.Dropout}


def test_activations_that_keras_cannot_write_down_are_kept():
    tripled = tf.function(lambda x: 3 * x)
    model = keras.Sequential([Input((8,)), layers.Dense(4, tripled), layers.Dropout(0.2)])
    clone = with_rates(model, 0.4)
    assert [site.rate for site in dropout_sites(clone)] == [0.4]
    np.testing.assert_array_equal(clone(X), model(X))


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: setattr(layer, "kernel_regularizer", keras.regularizers.L2(1.0)),
        lambda layer: setattr(layer.kernel, "regularizer", keras.regularizers.L2(1.0)),
        lambda layer: setattr(layer, "kernel_constraint", keras.constraints.MaxNorm(0.01)),
        lambda layer: setattr(layer.kernel, "constraint", keras.constraints.MaxNorm(0.01)),
    ],
    ids=["penalty of layer", "penalty of weight", "constraint of layer", "constraint of weight"],
)
@pytest.mark.parametrize("copied", [with_rates, with_runtime_rates])
def test_what_was_set_on_a_built_layer_has_the_effect_that_it_has_in_the_model(change, copied):
    # Keras reads penalties and constraints from the weights, which have them since they were built.
    model = keras.Sequential([keras.Input((4,)), layers.Dropout(0.0), layers.Dense(3, name="top")])
    model.compile("sgd", "mse")
    change(model.get_layer("top"))
    copy = copied(model, {}) if copied is with_rates else copied(model)
    x, y = np.ones((8, 4)), np.ones((8, 3))
    assert copy.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    losses = [each.train_on_batch(x, y) for each in (model, copy) for _ in range(3)]
    assert losses[:3] == losses[3:]
