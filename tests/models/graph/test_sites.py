"""Dropout sites of models as other people write them."""

import keras
import numpy as np
import pytest
from keras import Input, layers, ops

from dropout_zoo.models import build_cnn, build_mlp, dropout_sites, with_rates


class TransformerBlock(layers.Layer):
    """As in Keras's examples: attention and a small Sequential, each with dropout."""

    def __init__(self, width=8, rate=0.1, **kwargs):
        super().__init__(**kwargs)
        self.width, self.rate = width, rate
        self.attention = layers.MultiHeadAttention(2, width // 2, dropout=rate)
        self.feed_forward = keras.Sequential(
            [layers.Dense(2 * width, activation="relu"), layers.Dropout(rate), layers.Dense(width)]
        )
        self.norms = {"first": layers.LayerNormalization(), "last": layers.LayerNormalization()}
        self.drops = {"first": layers.Dropout(rate), "more": [layers.Dropout(rate)]}

    def build(self, shape):
        self.attention.build(shape, shape)
        for part in (self.feed_forward, *self.norms.values()):
            part.build(shape)

    def call(self, x, training=None):
        y = self.attention(x, x, training=training)
        x = self.norms["first"](x + self.drops["first"](y, training=training))
        y = self.feed_forward(x, training=training)
        return self.norms["last"](x + self.drops["more"][0](y, training=training))

    def compute_output_shape(self, shape):
        return shape


class Embeddings(layers.Layer):
    """Tokens and positions, with dropout after their sum."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.tokens, self.positions = layers.Embedding(50, 8), layers.Embedding(6, 8)
        self.drop = layers.Dropout(0.1)

    def build(self, shape):
        self.tokens.build(shape)
        self.positions.build(shape)

    def call(self, x, training=None):
        return self.drop(self.tokens(x) + self.positions(ops.arange(6)), training=training)

    def compute_output_shape(self, shape):
        return (*shape, 8)


class ConvBlock(layers.Layer):
    """A convolution with its dropout, which is made first."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.drop = layers.Dropout(0.2)
        self.conv = layers.Conv2D(4, 3, padding="same")
        self.norm = layers.BatchNormalization()

    def build(self, shape):
        self.conv.build(shape)
        self.norm.build((*shape[:-1], 4))

    def call(self, x, training=None):
        return self.drop(self.norm(self.conv(x), training=training), training=training)

    def compute_output_shape(self, shape):
        return (*shape[:-1], 4)


class GatedCell(layers.Layer):
    """A custom recurrent cell with a dropout layer in it."""

    state_size = 4

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = layers.Dropout(0.3)
        self.dense = layers.Dense(4)

    def build(self, shape):
        self.dense.build((None, shape[-1] + 4))

    def call(self, x, states, training=None):
        joined = ops.concatenate([self.dropout(x, training=training), states[0]], axis=-1)
        out = self.dense(joined)
        return out, [out]


class Subclassed(keras.Model):
    """Layers held by attributes, called in a method."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.body = keras.Sequential([layers.Conv2D(4, 3), layers.SpatialDropout2D(0.1)])
        self.flatten = layers.Flatten()
        self.drop = layers.Dropout(0.3)
        self.dense = layers.Dense(4)
        self.late_drop = layers.Dropout(0.5)
        self.out = layers.Dense(2)

    def call(self, x, training=None):
        x = self.drop(self.flatten(self.body(x, training=training)), training=training)
        return self.out(self.late_drop(self.dense(x), training=training))


def sequential():
    return keras.Sequential(
        [
            Input((8,)),
            layers.Dropout(0.2, name="before_all"),
            layers.Dense(8),
            layers.Dropout(0.5, name="hidden"),
            layers.Dense(3),
            layers.Dropout(0.1, name="on_logits"),
            layers.Softmax(),
            layers.Dropout(0.05, name="after_softmax"),
        ]
    )


def not_built():
    return keras.Sequential(
        [
            layers.Rescaling(1 / 255),
            layers.Dropout(0.2, name="before_all"),
            layers.Conv2D(4, 3),
            layers.SpatialDropout2D(0.1, name="maps"),
            keras.Sequential([layers.Flatten(), layers.Dropout(0.3, name="flat")], name="head"),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.Dropout(0.5, name="hidden"),
            layers.Dense(3),
            layers.Dropout(0.1, name="on_logits"),
        ]
    )


def residual():
    inputs = Input((8,))
    x = layers.Dense(8)(inputs)
    x = x + layers.Dropout(0.3, name="branch")(layers.Dense(8)(x))
    x = layers.Concatenate()([x, layers.Dropout(0.2, name="raw")(inputs)])
    x = ops.mean(ops.stack([x, 2 * x], axis=1), axis=1)[:, :6]
    return keras.Model(inputs, layers.Dense(2)(layers.Dropout(0.4, name="merged")(x)))


def nested_two_deep():
    inner = keras.Sequential(
        [Input((8,)), layers.Dense(8), layers.Dropout(0.3, name="drop")], name="inner"
    )
    inputs = Input((8,))
    x = inner(layers.Dropout(0.1, name="first")(inputs))
    middle = keras.Model(inputs, layers.Dropout(0.2, name="last")(x), name="middle")
    inputs = Input((8,))
    # The nested model ends in dropout, but a dense layer follows outside.
    return keras.Model(inputs, layers.Dense(3)(middle(inputs)))


def siamese():
    encoder = keras.Sequential(
        [Input((8,)), layers.Dense(8), layers.Dropout(0.3, name="drop")], name="encoder"
    )
    left, right = Input((8,)), Input((8,))
    distance = layers.Subtract()([encoder(left), encoder(right)])
    same = layers.Dense(1)(layers.Dropout(0.2, name="on_distance")(distance))
    return keras.Model([left, right], [same, encoder(left)])


def feature_extractor():
    base = keras.Sequential(
        [Input((12, 12, 1)), layers.Conv2D(4, 3), layers.Dropout(0.1, name="maps")], name="base"
    )
    head = [layers.GlobalAveragePooling2D(), layers.Dropout(0.3, name="pooled"), layers.Dense(2)]
    return keras.Sequential([base, *head])


def recurrent():
    inputs = Input((6,), dtype="int32")
    x = layers.Embedding(50, 8)(inputs)
    x = layers.SpatialDropout1D(0.2, name="embedded")(x)
    x = layers.LSTM(8, return_sequences=True, dropout=0.1, recurrent_dropout=0.2, name="lstm")(x)
    x = layers.Dropout(0.25, name="between")(x)
    gru = layers.GRU(4, dropout=0.3, return_sequences=True)
    x = layers.Bidirectional(gru, name="both")(x)
    x = layers.SimpleRNN(4, recurrent_dropout=0.4, return_sequences=True, name="simple")(x)
    cells = layers.StackedRNNCells([layers.LSTMCell(4, dropout=0.15), layers.GRUCell(4)])
    x = layers.RNN(cells, return_sequences=True, name="stacked")(x)
    x = layers.RNN(GatedCell(), name="own")(x)
    return keras.Model(inputs, layers.Dense(2)(layers.Dropout(0.5, name="after")(x)))


def video():
    frames = keras.Sequential(
        [
            Input((8, 8, 1)),
            layers.Conv2D(2, 3),
            layers.Dropout(0.1, name="maps"),
            layers.Flatten(),
            layers.Dense(4),
            layers.Dropout(0.2, name="features"),
        ]
    )
    inputs = Input((3, 8, 8, 1))
    x = layers.TimeDistributed(frames, name="each_frame")(inputs)
    y = layers.ConvLSTM2D(2, 3, dropout=0.3, name="maps_in_time")(inputs)
    y = layers.GlobalMaxPooling2D()(layers.Dropout(0.4, name="after_maps")(y))
    return keras.Model(inputs, layers.Dense(1)(layers.Concatenate()([layers.GRU(3)(x), y])))


def transformer():
    inputs = Input((6,), dtype="int32")
    x = layers.Dropout(0.15, name="embedded")(Embeddings(name="embeddings")(inputs))
    x = TransformerBlock(name="block")(x)
    x = layers.MultiHeadAttention(2, 4, name="bare")(x, x)
    x = layers.Attention(dropout=0.25, name="dot")([x, x])
    x = layers.Attention(name="dot_without")([x, x])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(2)(layers.Dropout(0.4, name="pooled")(x)))


def u_net():
    inputs = Input((8, 8, 1))
    down = layers.Conv2D(4, 3, padding="same")(inputs)
    x = layers.MaxPooling2D()(layers.Dropout(0.1, name="down")(down))
    x = layers.SpatialDropout2D(0.2, name="bottom")(layers.Conv2D(8, 3, padding="same")(x))
    x = layers.Conv2DTranspose(4, 2, strides=2)(x)
    x = layers.Dropout(0.3, name="joined")(layers.Concatenate()([down, x]))
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


def normalized_convnet():
    normalize = layers.Normalization()
    normalize.adapt(np.random.default_rng(0).random((4, 12, 12, 1)))
    return keras.Sequential(
        [
            Input((12, 12, 1)),
            layers.Rescaling(1 / 255),
            layers.RandomFlip(),
            normalize,
            layers.Dropout(0.1, name="pixels"),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Dropout(0.2, name="maps"),
            layers.SeparableConv2D(4, 2),
            layers.SpectralNormalization(layers.Conv2D(4, 2)),
            layers.LayerNormalization(),
            layers.Dropout(0.25, name="normalized"),
            layers.Flatten(),
            layers.Dropout(0.3, name="flat"),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.PReLU(),
            layers.Dropout(0.5, name="dense"),
            layers.Dense(2),
            layers.BatchNormalization(),
            layers.Dropout(0.05, name="logits"),
            layers.Softmax(),
        ]
    )


def fully_convolutional():
    return keras.Sequential(
        [
            Input((12, 12, 1)),
            ConvBlock(name="block"),
            layers.Dropout(0.3, name="before_head"),
            layers.Conv2D(3, 1),
            layers.Dropout(0.1, name="logit_maps"),
            layers.GlobalAveragePooling2D(),
            layers.Softmax(),
        ]
    )


def every_kind():
    return keras.Sequential(
        [
            Input((4, 4, 4, 2)),
            layers.Conv3D(2, 2),
            layers.SpatialDropout3D(0.1, name="three"),
            layers.Reshape((9, 6)),
            layers.Conv1D(4, 2),
            layers.SpatialDropout1D(0.2, name="one"),
            layers.TimeDistributed(layers.Dropout(0.25), name="wrapped"),
            layers.GlobalMaxPooling1D(),
            layers.GaussianDropout(0.3, name="gaussian"),
            layers.Dense(4, activation="selu"),
            layers.AlphaDropout(0.4, name="alpha"),
            layers.Dense(2),
        ]
    )


def shared_dropout():
    drop = layers.Dropout(0.3, name="twice")
    inputs = Input((4,))
    x = drop(layers.Dense(4)(inputs))
    return keras.Model(inputs, layers.Dense(1)(drop(layers.Dense(4)(x))))


def several_inputs_and_outputs():
    image, table = Input((12, 12, 1), name="image"), Input((3,), name="table")
    x = layers.Flatten()(layers.MaxPooling2D()(layers.Conv2D(2, 3)(image)))
    y = layers.Dropout(0.2, name="table_drop")(table)
    joined = layers.Dropout(0.5, name="joined")(layers.concatenate([x, y]))
    first = layers.Dense(1, name="first")(joined)
    second = layers.Dropout(0.1, name="second_drop")(layers.Dense(2)(joined))
    second = layers.Activation("softmax", name="second")(second)
    return keras.Model({"image": image, "table": table}, {"first": first, "second": second})


def recommender():
    user, item = Input((1,), dtype="int32"), Input((1,), dtype="int32")
    left = layers.Dropout(0.1, name="user_drop")(layers.Embedding(5, 4)(user))
    right = layers.Dropout(0.2, name="item_drop")(layers.Embedding(6, 4)(item))
    return keras.Model([user, item], layers.Dot(-1)([left, right]))


def subclassed_inside():
    inputs = Input((8, 8, 1))
    x = layers.Dropout(0.2, name="after")(Subclassed(name="part")(inputs))
    return keras.Model(inputs, layers.Dense(1)(x))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 8, 8, 1)))
    return model


EXPECTED = {
    sequential: {
        "before_all": (0.2, "input"),
        "hidden": (0.5, "hidden"),
        "on_logits": (0.1, "output"),
        "after_softmax": (0.05, "output"),
    },
    not_built: {
        "before_all": (0.2, "input"),
        "maps": (0.1, "convolutional"),
        "head/flat": (0.3, "hidden"),
        "hidden": (0.5, "hidden"),
        "on_logits": (0.1, "output"),
    },
    residual: {"branch": (0.3, "hidden"), "raw": (0.2, "input"), "merged": (0.4, "hidden")},
    nested_two_deep: {
        "middle/first": (0.1, "input"),
        "middle/inner/drop": (0.3, "hidden"),
        "middle/last": (0.2, "hidden"),
    },
    siamese: {"encoder/drop": (0.3, "hidden"), "on_distance": (0.2, "hidden")},
    feature_extractor: {"base/maps": (0.1, "convolutional"), "pooled": (0.3, "hidden")},
    recurrent: {
        "embedded": (0.2, "input"),
        "lstm/cell/dropout": (0.1, "recurrent"),
        "lstm/cell/recurrent_dropout": (0.2, "recurrent"),
        "between": (0.25, "hidden"),
        "both/forward_layer/cell/dropout": (0.3, "recurrent"),
        "both/backward_layer/cell/dropout": (0.3, "recurrent"),
        "simple/cell/recurrent_dropout": (0.4, "recurrent"),
        "stacked/cell/cells_0/dropout": (0.15, "recurrent"),
        "own/cell/dropout": (0.3, "recurrent"),
        "after": (0.5, "hidden"),
    },
    video: {
        "each_frame/layer/maps": (0.1, "convolutional"),
        "each_frame/layer/features": (0.2, "hidden"),
        "maps_in_time/cell/dropout": (0.3, "recurrent"),
        "after_maps": (0.4, "convolutional"),
    },
    transformer: {
        "embeddings/drop": (0.1, "input"),
        "embedded": (0.15, "input"),
        "block/attention/dropout_layer": (0.1, "hidden"),
        "block/feed_forward/layers_1": (0.1, "hidden"),
        "block/drops_first": (0.1, "hidden"),
        "block/drops_more_0": (0.1, "hidden"),
        "bare/dropout_layer": (0.0, "hidden"),
        "dot/dropout": (0.25, "hidden"),
        "pooled": (0.4, "hidden"),
    },
    u_net: {
        "down": (0.1, "convolutional"),
        "bottom": (0.2, "convolutional"),
        "joined": (0.3, "convolutional"),
    },
    normalized_convnet: {
        "pixels": (0.1, "input"),
        "maps": (0.2, "convolutional"),
        "normalized": (0.25, "convolutional"),
        "flat": (0.3, "hidden"),
        "dense": (0.5, "hidden"),
        "logits": (0.05, "output"),
    },
    fully_convolutional: {
        "block/drop": (0.2, "convolutional"),
        "before_head": (0.3, "convolutional"),
        "logit_maps": (0.1, "output"),
    },
    every_kind: {
        "three": (0.1, "convolutional"),
        "one": (0.2, "convolutional"),
        "wrapped/layer": (0.25, "convolutional"),
        "gaussian": (0.3, "hidden"),
        "alpha": (0.4, "hidden"),
    },
    shared_dropout: {"twice": (0.3, "hidden")},
    several_inputs_and_outputs: {
        "table_drop": (0.2, "input"),
        "joined": (0.5, "hidden"),
        "second_drop": (0.1, "output"),
    },
    recommender: {"user_drop": (0.1, "input"), "item_drop": (0.2, "input")},
    subclassed_inside: {
        "part/body/layers_1": (0.1, "convolutional"),
        "part/drop": (0.3, "hidden"),
        "part/late_drop": (0.5, "hidden"),
        "after": (0.2, "hidden"),
    },
    subclassed: {
        "body/layers_1": (0.1, "convolutional"),
        "drop": (0.3, "hidden"),
        "late_drop": (0.5, "hidden"),
    },
}


def found(model):
    return [(site.path, (site.rate, site.placement)) for site in dropout_sites(model)]


@pytest.mark.parametrize("build", EXPECTED, ids=lambda build: build.__name__)
def test_sites_have_paths_rates_and_placements(build):
    model = build()
    sites = dropout_sites(model)
    assert sorted(found(model)) == sorted(EXPECTED[build].items())
    assert len({site.path for site in sites}) == len(sites)
    for site in sites:
        assert getattr(site.layer, site.argument) == site.rate


@pytest.mark.parametrize(
    "build",
    [build for build in EXPECTED if build not in (subclassed, subclassed_inside)],
    ids=lambda build: build.__name__,
)
def test_clones_and_new_builds_have_the_same_sites_in_the_same_order(build):
    model = build()
    assert found(with_rates(model, {})) == found(model)
    assert found(build()) == found(model)


def test_anything_but_a_model_is_refused():
    with pytest.raises(TypeError, match="expected a Keras model, received int"):
        dropout_sites(3)


def test_the_order_is_from_input_to_output():
    for build in (sequential, not_built, nested_two_deep, u_net, normalized_convnet, every_kind):
        assert [path for path, _ in found(build())] == list(EXPECTED[build])


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("MobileNet", {"alpha": 0.25, "dropout": 0.15}, {"dropout": (0.15, "hidden")}),
        pytest.param("DenseNet121", {}, {}, marks=pytest.mark.slow),
    ],
)
def test_sites_of_keras_applications_are_found(name, arguments, expected):
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=(32, 32, 3), classes=4, **arguments)
    assert dict(found(model)) == expected


@pytest.mark.slow
def test_sites_of_efficientnet_are_found():
    model = keras.applications.EfficientNetB0(weights=None, input_shape=(64, 64, 3), classes=4)
    sites = dropout_sites(model)
    assert len(sites) == 10
    assert (sites[-1].path, sites[-1].rate, sites[-1].placement) == ("top_dropout", 0.2, "hidden")
    # The others drop whole blocks of convolutions.
    assert {site.placement for site in sites[:-1]} == {"convolutional"}
    assert [site.rate for site in sites[:-1]] == sorted(site.rate for site in sites[:-1])


def test_the_documented_nets_have_their_sites():
    assert found(build_mlp(input_rate=0.2)) == [
        ("input_dropout", (0.2, "input")),
        ("hidden_1_dropout", (0.5, "hidden")),
        ("hidden_2_dropout", (0.3, "hidden")),
    ]
    assert found(build_cnn(conv_rates=0.1, conv_dropout="spatial")) == [
        ("conv_1_dropout", (0.1, "convolutional")),
        ("conv_2_dropout", (0.1, "convolutional")),
        ("hidden_1_dropout", (0.5, "hidden")),
    ]


def test_names_do_not_determine_placements():
    model = keras.Sequential(
        [
            Input((4,)),
            layers.Dropout(0.2, name="output_dropout"),
            layers.Dense(4, name="conv_1"),
            layers.Dropout(0.3, name="recurrent_input_dropout"),
            layers.Dense(4),
        ]
    )
    assert [site.placement for site in dropout_sites(model)] == ["input", "hidden"]


@pytest.mark.parametrize(
    ("head", "placement"),
    [
        ([layers.Flatten], "hidden"),
        ([layers.GlobalAveragePooling2D], "hidden"),
        ([lambda: layers.GlobalMaxPooling2D(keepdims=True)], "hidden"),
        ([lambda: layers.Reshape((-1, 4))], "convolutional"),
        ([lambda: layers.AveragePooling2D(2)], "convolutional"),
        ([lambda: layers.AveragePooling2D(10)], "hidden"),  # to one position
        ([lambda: layers.Dense(4)], "hidden"),  # on each position
        ([lambda: layers.Activation("relu"), layers.BatchNormalization], "convolutional"),
    ],
)
def test_dropout_after_a_feature_map_has_the_expected_placement(head, placement):
    inputs = Input((12, 12, 1))
    x = layers.Conv2D(4, 3)(inputs)
    for make in head:
        x = make()(x)
    x = layers.Dropout(0.3)(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert [site.placement for site in dropout_sites(model)] == [placement]


def test_a_mean_over_the_axes_of_a_map_pools_it():
    inputs = Input((12, 12, 1))
    x = layers.Dropout(0.3)(ops.mean(layers.Conv2D(4, 3)(inputs), axis=(1, 2)))
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert [site.placement for site in dropout_sites(model)] == ["hidden"]


def test_a_model_without_dropout_has_no_sites():
    lstm = keras.Sequential([Input((3, 2)), layers.LSTM(2), layers.Dense(1)])
    assert dropout_sites(lstm) == []
    assert dropout_sites(keras.Sequential()) == []


def test_building_a_sequential_changes_no_site():
    model = not_built()
    before = found(model)
    model.build((None, 12, 12, 1))
    assert found(model) == before


def test_sites_of_a_part_of_a_model_are_found():
    model = normalized_convnet()
    part = keras.Model(model.inputs, model.get_layer("maps").output)
    # Nothing with weights follows within the part.
    assert found(part) == [("pixels", (0.1, "input")), ("maps", (0.2, "output"))]


class Attentive(keras.Model):
    """Its attention is built by the first call."""

    def __init__(self):
        super().__init__()
        self.attention = layers.MultiHeadAttention(2, 2, dropout=0.1, name="attention")
        self.dense = layers.Dense(1)

    def call(self, x):
        return self.dense(self.attention(x, x))


def test_attention_that_is_not_built_is_named_because_its_dropout_is_not_there_yet():
    model = Attentive()
    with pytest.warns(UserWarning, match="'attention' will create dropout .* call the model on"):
        assert not dropout_sites(model)
    model(np.zeros((2, 3, 4), "float32"))
    assert [site.rate for site in dropout_sites(model)] == [0.1]
