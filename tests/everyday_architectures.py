"""More models as people write them: building blocks of known architectures, on small examples."""

import keras
import numpy as np
import tensorflow as tf
from everyday_models import EXAMPLES, TransformerBlock, Work
from keras import layers, ops


def bert_for_tokens():
    """Segments and a padding mask in a dict, and weights by which padding does not count."""
    rng = np.random.default_rng(20)
    ids = keras.Input((8,), dtype="int32", name="input_ids")
    kinds = keras.Input((8,), dtype="int32", name="token_type_ids")
    mask = keras.Input((8,), dtype="bool", name="attention_mask")
    positions = layers.Embedding(8, 8)(ops.arange(8))
    x = layers.Embedding(30, 8)(ids) + layers.Embedding(2, 8)(kinds) + positions
    x = layers.Dropout(0.1)(layers.LayerNormalization(epsilon=1e-12)(x))
    attention = layers.MultiHeadAttention(2, 4, dropout=0.1)
    attended = attention(x, x, attention_mask=ops.expand_dims(mask, 1))
    x = layers.LayerNormalization()(x + layers.Dropout(0.1)(attended))
    x = layers.LayerNormalization()(x + layers.Dense(8)(layers.Dense(16, activation="gelu")(x)))
    outputs = layers.Dense(4, activation="softmax")(layers.Dropout(0.1)(x))
    model = keras.Model(
        {"input_ids": ids, "token_type_ids": kinds, "attention_mask": mask}, outputs
    )
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    model.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.01, global_clipnorm=1.0), loss)
    ids, length = rng.integers(30, size=(EXAMPLES, 8)), rng.integers(3, 9, size=(EXAMPLES, 1))
    mask = np.arange(8) < length
    x = {"input_ids": ids, "token_type_ids": (np.arange(8) > 4) & mask, "attention_mask": mask}
    x["token_type_ids"] = x["token_type_ids"].astype(int)
    return Work(model, x, np.where(mask, ids % 4, -1))


def sequence_labels():
    """Padded sequences, masked by their embedding, through a bidirectional recurrent layer."""
    rng = np.random.default_rng(21)
    tokens = keras.Input((7,), dtype="int32")
    x = layers.SpatialDropout1D(0.2)(layers.Embedding(15, 6, mask_zero=True)(tokens))
    recurrent = layers.GRU(4, return_sequences=True, dropout=0.1, recurrent_dropout=0.2)
    x = layers.LayerNormalization()(layers.Bidirectional(recurrent)(x))
    outputs = layers.TimeDistributed(layers.Dense(3, activation="softmax"))(x)
    model = keras.Model(tokens, outputs)
    model.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    x = rng.integers(1, 15, size=(EXAMPLES, 7)) * (np.arange(7) < rng.integers(2, 8, (EXAMPLES, 1)))
    return Work(model, x, x % 3)


def next_frame():
    """Short films, of which the next frame is predicted."""
    rng = np.random.default_rng(22)
    film = keras.Input((3, 6, 6, 1))
    x = layers.ConvLSTM2D(3, 3, padding="same", dropout=0.2, recurrent_dropout=0.1)(film)
    x = layers.SpatialDropout2D(0.1)(layers.BatchNormalization()(x))
    model = keras.Model(film, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy")
    films = rng.uniform(size=(EXAMPLES, 4, 6, 6, 1)).round()
    return Work(model, films[:, :3], films[:, 3])


def grouped_attention():
    """A decoder with grouped queries, a causal mask and a learning rate that decays."""
    rng = np.random.default_rng(23)
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(12, 8)(tokens)
    attention = layers.GroupQueryAttention(4, 4, 2, dropout=0.1)
    normal = layers.RMSNormalization()(x)
    x = x + layers.Dropout(0.1)(attention(normal, normal, use_causal_mask=True))
    x = x + layers.Dense(8)(layers.Dense(16, activation="silu")(layers.RMSNormalization()(x)))
    model = keras.Model(tokens, layers.Dense(12)(layers.Dropout(0.1)(x)))
    decay = keras.optimizers.schedules.CosineDecay(1e-2, 20, warmup_target=2e-2, warmup_steps=3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(decay), loss)
    text = rng.integers(12, size=(EXAMPLES, 1)) + np.arange(7) * rng.integers(1, 3, (EXAMPLES, 1))
    return Work(model, text[:, :6] % 12, text[:, 1:] % 12)


def mixed_precision():
    """Layers that compute in bfloat16, with an output in float32."""
    rng = np.random.default_rng(24)
    half = keras.DTypePolicy("mixed_bfloat16")
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, activation="relu", dtype=half)(inputs)
    x = layers.Dropout(0.3, dtype=half)(layers.GlobalAveragePooling2D(dtype=half)(x))
    x = layers.Dropout(0.2, dtype=half)(layers.Dense(8, activation="relu", dtype=half)(x))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", dtype="float32")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = rng.normal(size=(EXAMPLES, 8, 8, 1))
    return Work(model, x, x[:, 0, :3, 0].argmax(axis=1))


def wavenet():
    """Gated causal convolutions of growing dilation, which forecast several quantities."""
    rng = np.random.default_rng(25)
    inputs = keras.Input((16, 2))
    x, skips = layers.Conv1D(6, 1)(inputs), []
    for dilation in (1, 2, 4):
        gates = [
            layers.Conv1D(6, 2, padding="causal", dilation_rate=dilation, activation=each)(x)
            for each in ("tanh", "sigmoid")
        ]
        z = layers.SpatialDropout1D(0.1)(layers.Multiply()(gates))
        skips.append(layers.Conv1D(6, 1)(z))
        x = layers.Add()([x, skips[-1]])
    x = layers.Activation("relu")(layers.Add()(skips))
    x = layers.Dense(3 * 2)(layers.Dropout(0.2)(x[:, -1]))
    model = keras.Model(inputs, layers.Reshape((3, 2))(x))
    model.compile("adam", keras.losses.Huber(), metrics=["mae"])
    series = np.sin(np.arange(19)[:, None] * [0.3, 0.5] + rng.uniform(0, 6, (EXAMPLES, 1, 2)))
    return Work(model, series[:, :16], series[:, 16:])


@keras.saving.register_keras_serializable("tests")
class MixerBlock(layers.Layer):
    """Mixes the patches of an image, then its channels; built when it first sees an input."""

    def __init__(self, hidden, rate, **kwargs):
        super().__init__(**kwargs)
        self.hidden, self.rate = hidden, rate

    def build(self, shape):
        _, patches, channels = shape
        self.norms = [layers.LayerNormalization(), layers.LayerNormalization()]
        self.mixers = [self._mixer(patches), self._mixer(channels)]
        self.norms[0].build(shape)
        self.norms[1].build(shape)
        self.mixers[0].build((None, channels, patches))
        self.mixers[1].build(shape)

    def _mixer(self, units):
        return keras.Sequential(
            [
                layers.Dense(self.hidden, activation="gelu"),
                layers.Dropout(self.rate),
                layers.Dense(units),
                layers.Dropout(self.rate),
            ]
        )

    def call(self, x, training=None):
        mixed = self.mixers[0](ops.transpose(self.norms[0](x), (0, 2, 1)), training=training)
        x = x + ops.transpose(mixed, (0, 2, 1))
        return x + self.mixers[1](self.norms[1](x), training=training)

    def get_config(self):
        return super().get_config() | {"hidden": self.hidden, "rate": self.rate}


def mlp_mixer():
    """Patches of images through blocks that save and load, behind random flips."""
    rng = np.random.default_rng(26)
    image = keras.Input((8, 8, 3))
    x = layers.RandomFlip("horizontal")(layers.Rescaling(1 / 255)(image))
    x = layers.Reshape((16, 8))(layers.Conv2D(8, 2, 2)(x))
    for _ in range(2):
        x = MixerBlock(12, 0.1)(x)
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x)))
    model = keras.Model(image, layers.Dense(5, activation="softmax")(x))
    model.compile("adamw", "categorical_crossentropy", metrics=["accuracy"])
    x = rng.integers(256, size=(EXAMPLES, 8, 8, 3)).astype("float32")
    return Work(model, x, np.eye(5)[(x.mean(axis=(1, 2, 3)) // 3 % 5).astype(int)])


def dense_inception():
    """A block in which each layer sees all before it, and one of convolutions side by side."""
    rng = np.random.default_rng(27)

    def convolved(x, filters, size):
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
        return layers.Conv2D(filters, size, padding="same", use_bias=False)(x)

    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same")(image)
    for _ in range(2):
        x = layers.Concatenate()([x, layers.Dropout(0.2)(convolved(x, 3, 3))])
    x = layers.AveragePooling2D(2)(convolved(x, 4, 1))
    pooled = layers.MaxPooling2D(3, 1, padding="same")(x)
    branches = [convolved(x, 2, 1), convolved(x, 2, 3), convolved(pooled, 2, 1)]
    x = layers.GlobalMaxPooling2D()(layers.Concatenate()(branches))
    model = keras.Model(image, layers.Dense(1)(layers.Dropout(0.4)(x)))
    sgd = keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, use_ema=True)
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(sgd, loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0)])
    x = rng.normal(size=(EXAMPLES, 8, 8, 1))
    return Work(model, x, x.mean(axis=(1, 2, 3)) > 0)


class Contrastive(keras.Model):
    """Two views of each example, which have to find each other by a temperature that is learned."""

    def __init__(self, encoder, head, noise=0.3):
        super().__init__()
        self.encoder, self.head, self.noise = encoder, head, noise
        self.seeds = keras.random.SeedGenerator(11)
        self.temperature = self.add_weight(shape=(), initializer="ones", name="temperature")
        self.tracker = keras.metrics.Mean(name="loss")
        self.found = keras.metrics.SparseCategoricalAccuracy(name="found")

    @property
    def metrics(self):
        return [self.tracker, self.found]

    def call(self, x, training=False):
        codes = self.head(self.encoder(x, training=training), training=training)
        return codes / ops.norm(codes, axis=1, keepdims=True)

    def contrast(self, x, training):
        views = [
            self(x + self.noise * noise, training=training)
            for noise in (keras.random.normal(ops.shape(x), seed=self.seeds) for _ in range(2))
        ]
        scores = ops.matmul(views[0], ops.transpose(views[1])) * ops.exp(self.temperature)
        labels = ops.arange(ops.shape(scores)[0])
        losses = [
            ops.sparse_categorical_crossentropy(labels, each, from_logits=True)
            for each in (scores, ops.transpose(scores))
        ]
        loss = ops.mean(ops.stack(losses))
        self.tracker.update_state(loss)
        self.found.update_state(labels, scores)
        return loss

    def train_step(self, data):
        x, _ = data
        with tf.GradientTape() as tape:
            loss = self.contrast(x, training=True)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, data):
        self.contrast(data[0], training=False)
        return {metric.name: metric.result() for metric in self.metrics}


def build_contrastive():
    encoder = keras.Sequential(
        [keras.Input((6,)), layers.Dense(12, activation="relu"), layers.Dropout(0.2)]
    )
    head = keras.Sequential([keras.Input((12,)), layers.Dense(8), layers.Dropout(0.1)])
    model = Contrastive(encoder, head)
    model.compile("adam")
    return model


def contrastive_from_its_builder():
    """A subclassed model with a weight, a metric and a generator of its own."""
    x = np.random.default_rng(28).normal(size=(EXAMPLES, 6))
    return Work(build_contrastive, x, x, loads=False)


def vision_transformer():
    """Patches, a class token that is a weight of a layer, and blocks without `get_config`."""
    rng = np.random.default_rng(29)
    image = keras.Input((8, 8, 1))
    patches = layers.Reshape((4, 8))(layers.Conv2D(8, 4, 4)(image))
    x = ClassToken()(patches)
    x = TransformerBlock(8, 2)(x)
    x = layers.Dropout(0.5)(layers.LayerNormalization()(x)[:, 0])
    model = keras.Model(image, layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = rng.normal(size=(EXAMPLES, 8, 8, 1))
    return Work(model, x, x[:, 0, :3, 0].argmax(axis=1), loads=False)


class ClassToken(layers.Layer):
    """A vector that is learned, before those of the patches, and their positions."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal")
        self.positions = self.add_weight(shape=(1, shape[1] + 1, shape[-1]))

    def call(self, x):
        token = ops.broadcast_to(self.token, (ops.shape(x)[0], 1, x.shape[-1]))
        return ops.concatenate([token, x], axis=1) + self.positions


ARCHITECTURES = [
    bert_for_tokens, sequence_labels, next_frame, grouped_attention, mixed_precision, wavenet,
    mlp_mixer, dense_inception, contrastive_from_its_builder, vision_transformer,
]  # fmt: skip
