"""False alarms are faults: of every model here, each finding is right and listed, or absent."""

import keras
import pytest
from keras import layers, ops

from dropout_zoo.models import audit, build_cnn, build_mlp, create_model, list_models

APPLICATIONS = {
    # name: (side of the images, findings with the classifier, findings without it)
    "VGG16": (32, {("DZ112", "fc2")}, set()),  # Keras left out the dropout that VGG had
    "ResNet50": (32, set(), set()),
    "DenseNet121": (32, set(), set()),
    "MobileNet": (32, {("DZ204", "dropout")}, set()),  # a rate of 0.001
    "MobileNetV2": (32, set(), set()),
    "MobileNetV3Small": (32, set(), set()),
    "EfficientNetB0": (32, set(), set()),  # stochastic depth on its residual branches
    "EfficientNetV2B0": (32, set(), set()),
    "Xception": (71, set(), set()),
    "ConvNeXtTiny": (32, set(), set()),
}


QUICK = ("VGG16",)
"""Those that are built in about a second and have findings."""
NIGHTLY = ("DenseNet121", "EfficientNetV2B0", "MobileNetV2", "MobileNetV3Small", "Xception")
"""Relatives of the others; none has a finding."""


def marks(name):
    if name in NIGHTLY:
        return [pytest.mark.nightly]
    return [] if name in QUICK else [pytest.mark.slow]


def found(model):
    return {(finding.code, finding.site) for finding in audit(model)}


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in APPLICATIONS])
def test_keras_applications_have_the_expected_findings(name):
    side, with_top, without_top = APPLICATIONS[name]
    build = getattr(keras.applications, name)
    for include_top, expected in ((True, with_top), (False, without_top)):
        keras.backend.clear_session()  # names of layers count up
        model = build(weights=None, include_top=include_top, input_shape=(side, side, 3))
        assert found(model) == expected


ZOO = {
    "mlp": (build_mlp, {}, set()),
    "mlp with input dropout": (build_mlp, {"input_rate": 0.2}, set()),
    "mlp without dropout, a control": (
        build_mlp,
        {"hidden_rates": 0.0},
        {("DZ203", "hidden_1_dropout"), ("DZ203", "hidden_2_dropout")},
    ),
    "mlp, batch norm before": (
        build_mlp,
        {"batch_norm": "before_dropout"},
        {("DZ104", "hidden_1_dropout")},
    ),
    "mlp, batch norm after": (
        build_mlp,
        {"batch_norm": "after_dropout"},
        {("DZ102", "hidden_1_dropout"), ("DZ102", "hidden_2_dropout")},
    ),
    "mlp with selu": (
        build_mlp,
        {"activation": "selu"},
        {("DZ110", "hidden_1_dropout"), ("DZ110", "hidden_2_dropout")},
    ),
    "mlp with sigmoid": (build_mlp, {"activation": "sigmoid"}, set()),
    "mlp for regression": (build_mlp, {"num_classes": None}, set()),
    "cnn": (build_cnn, {}, set()),
    "cnn, dropout everywhere": (
        build_cnn,
        {"conv_rates": 0.25, "input_rate": 0.2},
        {("DZ105", "conv_1_dropout")},
    ),
    "cnn, spatial dropout": (build_cnn, {"conv_rates": 0.25, "conv_dropout": "spatial"}, set()),
    "cnn, batch norm after": (
        build_cnn,
        {"conv_rates": 0.25, "conv_dropout": "spatial", "batch_norm": "after_dropout"},
        {
            ("DZ103", "conv_1_dropout"),
            ("DZ103", "conv_2_dropout"),
            ("DZ102", "hidden_1_dropout"),
        },
    ),
}


@pytest.mark.parametrize("name", ZOO)
def test_models_of_the_zoo_have_the_expected_findings(name):
    build, arguments, expected = ZOO[name]
    assert found(build(**arguments)) == expected


# Of every registered model that has any; the control comes without dropout, the small rate is
# that of its source, and single values of feature maps are dropped as the papers did.
REGISTERED = {
    "lstm": {("DZ125", "lstm_1/cell/recurrent_dropout")},
    "srivastava_800x2_logistic": {
        ("DZ112", "hidden_2"),
        ("DZ203", "hidden_1_dropout"),
        ("DZ203", "hidden_2_dropout"),
    },
    "srivastava_cnn": {
        ("DZ105", "conv_1_dropout"),
        ("DZ105", "conv_2_dropout"),
        ("DZ204", "input_dropout"),
    },
    "tabular_mlp": {("DZ204", "hidden_1_dropout"), ("DZ204", "hidden_2_dropout")},
    "wide_resnet_10_1": {("DZ105", f"group_{group}_block_1_dropout") for group in (1, 2, 3)},
    "wide_resnet_16_4": {
        ("DZ105", f"group_{group}_block_{block}_dropout") for group in (1, 2, 3) for block in (1, 2)
    },
}


LARGEST = "srivastava_8192x2"  # seventy million parameters


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=[pytest.mark.slow] * (each == LARGEST)) for each in list_models()],
)
def test_registered_models_have_the_expected_findings(name):
    assert found(create_model(name)) == REGISTERED.get(name, set())


def transformer_block():
    """After Vaswani et al. 2017: rate 0.1 in attention and on both residual branches."""
    tokens = keras.Input((16,), dtype="int32")
    x = layers.Embedding(100, 32)(tokens)
    x = layers.Dropout(0.1, name="embedding_dropout")(x)
    attended = layers.MultiHeadAttention(4, 8, dropout=0.1)(x, x)
    attended = layers.Dropout(0.1, name="attention_dropout")(attended)
    x = layers.LayerNormalization()(layers.Add()([x, attended]))
    forward = layers.Dense(64, activation="gelu")(x)
    forward = layers.Dropout(0.1, name="inner_dropout")(forward)
    forward = layers.Dropout(0.1, name="outer_dropout")(layers.Dense(32)(forward))
    x = layers.LayerNormalization()(layers.Add()([x, forward]))
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dropout(0.2, name="head_dropout")(x)
    return keras.Model(tokens, layers.Dense(2, activation="softmax")(x))


def transformer_encoder():
    """The same block without a head: what it ends with is dropped on the residual branch only."""
    x = inputs = keras.Input((16, 32))
    attended = layers.MultiHeadAttention(4, 8)(x, x)
    x = layers.LayerNormalization()(x + layers.Dropout(0.1)(attended))
    forward = layers.Dense(32)(layers.Dense(64, activation="relu")(x))
    return keras.Model(inputs, layers.LayerNormalization()(x + layers.Dropout(0.1)(forward)))


def attention_by_hand():
    """Scaled dot-product attention of single layers; its weights are dropped, as in the paper."""
    inputs = keras.Input((16, 32))
    query, key, value = (layers.Dense(32)(inputs) for _ in range(3))
    scores = layers.Dot(axes=2)([query, key])
    weights = layers.Dropout(0.1)(layers.Softmax()(scores))
    x = layers.Dot(axes=(2, 1))([weights, value])
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalMaxPooling1D()(x)))


def vision_transformer():
    """After the Keras example: rate 0.1 in blocks, 0.5 before the head."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Reshape((16, 64))(layers.Conv2D(64, 8, strides=8)(inputs))
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([layers.MultiHeadAttention(2, 32, dropout=0.1)(y, y), x])
        y = layers.LayerNormalization()(x)
        for units in (128, 64):
            y = layers.Dropout(0.1)(layers.Dense(units, activation="gelu")(y))
        x = layers.Add()([y, x])
    x = layers.Dropout(0.5)(layers.Flatten()(layers.LayerNormalization()(x)))
    x = layers.Dropout(0.5)(layers.Dense(128, activation="gelu")(x))
    return keras.Model(inputs, layers.Dense(10)(x))


def lstm():
    return keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(100, 32),
            layers.LSTM(32, dropout=0.2, return_sequences=True),
            layers.Dropout(0.3),
            layers.LSTM(32),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def spatial_dropout_and_lstm():
    """A pattern from many tutorials: the embedding is dropped twice, and cuDNN is ruled out."""
    return keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(100, 32),
            layers.SpatialDropout1D(0.4),
            layers.LSTM(32, dropout=0.2, recurrent_dropout=0.2, name="lstm"),
            layers.Dense(2, activation="softmax"),
        ]
    )


def univariate_lstm():
    """One number per step: dropping the input drops the whole series."""
    return keras.Sequential(
        [keras.Input((30, 1)), layers.LSTM(32, dropout=0.2, name="lstm"), layers.Dense(1)]
    )


def gru():
    return keras.Sequential(
        [
            keras.Input((20, 16)),
            layers.Bidirectional(layers.GRU(16, recurrent_dropout=0.25), name="both"),
            layers.Dense(2),
        ]
    )


def simple_rnn():
    return keras.Sequential(
        [
            keras.Input((20, 16)),
            layers.SimpleRNN(16, dropout=0.2, recurrent_dropout=0.2),
            layers.Dense(2),
        ]
    )


def u_net():
    """After Ronneberger et al. 2015: dropout at the end of the contracting path."""
    inputs = keras.Input((32, 32, 1))

    def twice(x, filters):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        return x

    down_1 = twice(inputs, 8)
    down_2 = layers.Dropout(0.5, name="drop4")(twice(layers.MaxPooling2D()(down_1), 16))
    bottom = layers.Dropout(0.5, name="drop5")(twice(layers.MaxPooling2D()(down_2), 32))
    up_2 = layers.Conv2DTranspose(16, 2, strides=2)(bottom)
    up_2 = twice(layers.Concatenate()([up_2, down_2]), 16)
    up_1 = layers.Conv2DTranspose(8, 2, strides=2)(up_2)
    up_1 = twice(layers.Concatenate()([up_1, down_1]), 8)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(up_1))


def wide_resnet():
    """After Zagoruyko and Komodakis 2016: dropout between the convolutions of a block."""
    x = layers.Conv2D(16, 3, padding="same")(keras.Input((16, 16, 3)))
    inputs = x._keras_history.operation.input
    for number in range(2):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        y = layers.Conv2D(16, 3, padding="same")(y)
        y = layers.Dropout(0.3, name=f"block_{number}_dropout")(y)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        x = layers.Add()([x, layers.Conv2D(16, 3, padding="same")(y)])
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def dense_net_with_dropout():
    """After Huang et al. 2017, with the dropout that Li et al. 2018 measured."""
    x = inputs = keras.Input((16, 16, 8))
    for number in range(3):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        y = layers.Conv2D(8, 3, padding="same")(y)
        x = layers.Concatenate()([x, layers.Dropout(0.2, name=f"drop_{number}")(y)])
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def vgg_with_dropout():
    """As VGG was trained: 0.5 after both hidden dense layers."""
    model = keras.Sequential([keras.Input((32, 32, 3))])
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    for _ in range(2):
        model.add(layers.Dense(64, activation="relu"))
        model.add(layers.Dropout(0.5))
    model.add(layers.Dense(10, activation="softmax"))
    return model


def vgg_with_batch_norm():
    """A widespread net for CIFAR-10: Conv, batch norm, ReLU, dropout, and again."""
    model = keras.Sequential([keras.Input((32, 32, 3))])
    for number in range(2):
        model.add(layers.Conv2D(16, 3, padding="same"))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
        model.add(layers.Dropout(0.3, name=f"drop_{number}"))
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.5, name="top_dropout"))  # of what drop_1 has dropped
    model.add(layers.Dense(10, activation="softmax"))
    return model


def mnist_convnet():
    """The Keras example of that name."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def lenet():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="tanh"),
            layers.Dense(84, activation="tanh"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def squeeze_net():
    """After Iandola et al. 2016: dropout before the last convolution, which is 1 x 1."""
    x = inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Conv2D(10, 1, activation="relu")(x)
    return keras.Model(inputs, layers.Softmax()(layers.GlobalAveragePooling2D()(x)))


def squeeze_and_excitation():
    """A sigmoid gate without dropout, and dropout behind the product."""
    x = inputs = keras.Input((16, 16, 16))
    gate = layers.Dense(4, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, layers.Dense(16, activation="sigmoid")(gate)])
    x = layers.SpatialDropout2D(0.2)(x)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def selu_net():
    model = keras.Sequential([keras.Input((20,))])
    for _ in range(3):
        model.add(layers.Dense(64, activation="selu", kernel_initializer="lecun_normal"))
        model.add(layers.AlphaDropout(0.1 + 0.1))
    model.add(layers.Dense(2, activation="softmax"))
    return model


def text_cnn():
    """After Kim 2014: several widths of kernels, dropout 0.5 before the classifier."""
    tokens = keras.Input((30,), dtype="int32")
    embedded = layers.Dropout(0.2)(layers.Embedding(100, 32)(tokens))
    maps = [layers.Conv1D(16, size, activation="relu")(embedded) for size in (3, 4, 5)]
    x = layers.Concatenate()([layers.GlobalMaxPooling1D()(each) for each in maps])
    return keras.Model(tokens, layers.Dense(2, activation="softmax")(layers.Dropout(0.5)(x)))


def siamese():
    """One encoder on two inputs, dropout inside and outside."""
    encoder = keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(32, activation="relu"),
        ]
    )
    left, right = keras.Input((20,)), keras.Input((20,))
    distance = ops.abs(encoder(left) - encoder(right))
    return keras.Model([left, right], layers.Dense(1, activation="sigmoid")(distance))


def shared_dropout():
    """One dropout layer in two places, of which neither is before the batch normalization."""
    left, right = keras.Input((20,)), keras.Input((20,))
    drop = layers.Dropout(0.3)
    normed = layers.BatchNormalization()(layers.Dense(32)(left))
    x = layers.Concatenate()([drop(normed), drop(layers.Dense(32, activation="relu")(right))])
    return keras.Model([left, right], layers.Dense(1)(x))


def several_inputs_and_outputs():
    image, table = keras.Input((16, 16, 3)), keras.Input((8,))
    seen = layers.GlobalMaxPooling2D()(layers.Conv2D(16, 3, activation="relu")(image))
    x = layers.Concatenate()(
        [seen, layers.Dropout(0.2)(layers.Dense(16, activation="relu")(table))]
    )
    x = layers.Dropout(0.4)(layers.Dense(32, activation="relu")(x))
    return keras.Model(
        [image, table], [layers.Dense(3, activation="softmax")(x), layers.Dense(1)(x)]
    )


def monte_carlo():
    """The old recipe for Monte Carlo dropout, which `predict` of Keras 3 overrides."""
    inputs = keras.Input((20,))
    x = layers.Dense(64, activation="relu")(inputs)
    x = layers.Dropout(0.5, name="drop")(x, training=True)
    return keras.Model(inputs, layers.Dense(1)(x))


def autoencoder():
    """Denoising by input dropout; a bottleneck that must not be dropped."""
    return keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dropout(0.2),
            layers.Dense(32, activation="relu"),
            layers.Dense(3, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(64, activation="sigmoid"),
        ]
    )


def variational_bottleneck():
    """The same with its bottleneck of three dropped."""
    return keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(3, activation="relu"),
            layers.Dropout(0.2, name="drop"),
            layers.Dense(64, activation="sigmoid"),
        ]
    )


def tab_net():
    """Gated linear units in steps, batch normalized, as TabNet has them; no dropout."""
    x = inputs = keras.Input((16,))
    x = layers.BatchNormalization()(x)
    for _ in range(2):
        gate = layers.Dense(16, activation="sigmoid")(x)
        y = layers.BatchNormalization()(layers.Multiply()([layers.Dense(16)(x), gate]))
        x = layers.Add()([x, y])
    return keras.Model(inputs, layers.Dense(2)(x))


def tabular_mlp():
    """An MLP for tables that drops before it normalizes."""
    model = keras.Sequential([keras.Input((16,))])
    for number in range(2):
        model.add(layers.Dense(64, activation="relu"))
        model.add(layers.Dropout(0.3, name=f"drop_{number}"))
        model.add(layers.BatchNormalization())
    model.add(layers.Dense(2))
    return model


def sequence_to_sequence():
    source, target = keras.Input((12,), dtype="int32"), keras.Input((10,), dtype="int32")
    encoded = layers.Embedding(50, 16)(source)
    _, state_h, state_c = layers.LSTM(32, return_state=True, dropout=0.2)(encoded)
    decoded = layers.Embedding(50, 16)(target)
    decoded = layers.LSTM(32, return_sequences=True, dropout=0.2)(
        decoded, initial_state=[state_h, state_c]
    )
    decoded = layers.Dropout(0.3)(decoded)
    return keras.Model([source, target], layers.Dense(50, activation="softmax")(decoded))


def transfer():
    """A frozen base with dropout in it, and a head with its own."""
    base = keras.applications.EfficientNetB0(
        weights=None, include_top=False, input_shape=(32, 32, 3), name="base"
    )
    base.trainable = False
    inputs = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(base(inputs, training=False))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.Dropout(0.3)(x)))


def frozen_without_dropout():
    """A frozen base that drops nothing, and a head that does."""
    base = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35
    )
    base.trainable = False
    inputs = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(base(inputs, training=False))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.Dropout(0.3)(x)))


def adversarial():
    """A generator before a frozen discriminator, whose dropout is meant to fire."""
    generator = keras.Sequential([keras.Input((8,)), layers.Dense(64, activation="tanh")])
    discriminator = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(32, activation="leaky_relu"),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    discriminator.trainable = False
    noise = keras.Input((8,))
    return keras.Model(noise, discriminator(generator(noise)))


def generator():
    """Dropout between transposed convolutions, as in pix2pix (Isola et al. 2017)."""
    x = inputs = keras.Input((8, 8, 16))
    for number in range(2):
        x = layers.Conv2DTranspose(16, 4, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(
            layers.Dropout(0.5, name=f"drop_{number}")(layers.BatchNormalization()(x))
        )
    return keras.Model(inputs, layers.Conv2DTranspose(3, 4, padding="same", activation="tanh")(x))


def mixer():
    """After Tolstikhin et al. 2021: transposed dense layers, dropout on the residual branch."""
    x = inputs = keras.Input((16, 32))
    y = layers.Permute((2, 1))(layers.LayerNormalization()(x))
    y = layers.Dropout(0.1)(layers.Dense(16)(layers.Dense(32, activation="gelu")(y)))
    x = layers.Add()([x, layers.Permute((2, 1))(y)])
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def wavenet():
    """tanh times sigmoid, dropout before the convolution, not between gate and product."""
    inputs = keras.Input((40, 1))
    x = layers.Conv1D(16, 3, padding="causal")(inputs)
    y = layers.SpatialDropout1D(0.1)(x)
    filtered = layers.Conv1D(16, 3, padding="causal", activation="tanh")(y)
    gate = layers.Conv1D(16, 3, padding="causal", activation="sigmoid")(y)
    x = layers.Add()([x, layers.Conv1D(16, 1)(layers.Multiply()([filtered, gate]))])
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalMaxPooling1D()(x)))


EXAMPLES = {
    transformer_block: set(),
    transformer_encoder: set(),
    attention_by_hand: set(),
    vision_transformer: set(),
    lstm: set(),
    spatial_dropout_and_lstm: {
        ("DZ106", "lstm/cell/dropout"),
        ("DZ125", "lstm/cell/recurrent_dropout"),
    },
    univariate_lstm: {("DZ111", "lstm/cell/dropout")},
    gru: {
        ("DZ125", "both/forward_layer/cell/recurrent_dropout"),
        ("DZ125", "both/backward_layer/cell/recurrent_dropout"),
    },
    simple_rnn: set(),
    u_net: {("DZ105", "drop4"), ("DZ105", "drop5")},
    wide_resnet: {(code, f"block_{n}_dropout") for n in range(2) for code in ("DZ103", "DZ105")},
    dense_net_with_dropout: {
        ("DZ103", "drop_0"),
        ("DZ103", "drop_1"),
        ("DZ103", "drop_2"),
        ("DZ105", "drop_0"),
        ("DZ105", "drop_1"),
    },
    vgg_with_dropout: set(),
    vgg_with_batch_norm: {("DZ104", "drop_0"), ("DZ105", "drop_0"), ("DZ106", "top_dropout")},
    mnist_convnet: set(),
    lenet: set(),
    squeeze_net: set(),
    squeeze_and_excitation: set(),
    selu_net: set(),
    text_cnn: set(),
    siamese: set(),
    shared_dropout: set(),
    several_inputs_and_outputs: set(),
    monte_carlo: {("DZ121", "drop")},
    autoencoder: set(),
    variational_bottleneck: {("DZ111", "drop")},
    tab_net: set(),
    tabular_mlp: {("DZ102", "drop_0"), ("DZ102", "drop_1")},
    sequence_to_sequence: set(),
    transfer: {("DZ113", "base")},
    frozen_without_dropout: set(),
    adversarial: set(),
    generator: {("DZ104", "drop_0"), ("DZ105", "drop_0"), ("DZ105", "drop_1")},
    mixer: set(),
    wavenet: set(),
}


@pytest.mark.parametrize("build", EXAMPLES, ids=lambda build: build.__name__)
def test_example_architectures_have_the_expected_findings(build):
    assert found(build()) == EXAMPLES[build]


def test_there_are_enough_models():
    assert len(APPLICATIONS) * 2 + len(ZOO) + len(EXAMPLES) >= 25


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(each, marks=[pytest.mark.slow] * (each is frozen_without_dropout))
        for each in EXAMPLES
    ],
    ids=lambda build: build.__name__,
)
def test_saved_and_loaded_models_have_the_same_findings(build, tmp_path):
    if build is transfer:
        pytest.skip("large, and its base is saved as any other nested model is")
    build().save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert found(loaded) == EXAMPLES[build]
