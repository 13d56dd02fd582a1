"""Models as people write them, each with examples that it can be trained on."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

EXAMPLES = 100  # of them 70 to train on: with batches of 32, the last one is short


class Work(NamedTuple):
    """A compiled model or the function that builds it, and the inputs and targets of its examples.

    `loads` is False where Keras itself cannot load the model that it has saved, or cannot save it.
    """

    model: keras.Model
    x: Any
    y: Any
    loads: bool = True


def two_inputs():
    """An image and a few numbers, in a list."""
    rng = np.random.default_rng(0)
    image, numbers = keras.Input((8, 8, 1)), keras.Input((3,))
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(image))
    x = layers.Concatenate()([layers.Dropout(0.3)(x), layers.Dropout(0.1)(numbers)])
    x = layers.Dropout(0.5)(layers.Dense(8, activation="relu")(x))
    model = keras.Model([image, numbers], layers.Dense(1)(x))
    model.compile("adam", "mse", metrics=["mae"])
    x = [rng.normal(size=(EXAMPLES, 8, 8, 1)), rng.normal(size=(EXAMPLES, 3))]
    return Work(model, x, x[1].sum(axis=1))


def features_by_name():
    """Numbers and a category in a dict, with the category embedded."""
    rng = np.random.default_rng(1)
    age = keras.Input((1,), name="age")
    city = keras.Input((), dtype="int32", name="city")
    x = layers.Concatenate()([age, layers.Embedding(7, 3)(city)])
    x = layers.Dropout(0.4)(layers.Dense(8, activation="relu")(x))
    model = keras.Model({"age": age, "city": city}, layers.Dense(1, activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    age, city = rng.normal(size=(EXAMPLES, 1)), rng.integers(7, size=EXAMPLES)
    return Work(model, {"age": age, "city": city}, (age[:, 0] > city - 3).astype(int))


def multi_task():
    """A class and a quantity, with their own losses, weights and metrics."""
    rng = np.random.default_rng(2)
    inputs = keras.Input((6,))
    x = layers.Dropout(0.3)(layers.Dense(8, activation="relu")(inputs))
    kind = layers.Dense(3, activation="softmax", name="kind")(x)
    size = layers.Dense(1, name="size")(layers.Dropout(0.2)(x))
    model = keras.Model(inputs, {"kind": kind, "size": size})
    model.compile(
        "adam",
        {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        loss_weights={"kind": 1.0, "size": 0.3},
        metrics={"kind": ["accuracy"], "size": ["mae"]},
    )
    x = rng.normal(size=(EXAMPLES, 6))
    return Work(model, x, {"kind": x[:, :3].argmax(axis=1), "size": x.sum(axis=1)})


def multi_label():
    """Several labels for each example."""
    rng = np.random.default_rng(3)
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.4),
            layers.Dense(4, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=[keras.metrics.AUC(multi_label=True)])
    x = rng.normal(size=(EXAMPLES, 10))
    return Work(model, x, (x[:, :4] > 0.5).astype(int))


def forecast():
    """The next three steps of a series."""
    rng = np.random.default_rng(4)
    model = keras.Sequential(
        [
            keras.Input((12, 1)),
            layers.LSTM(6, dropout=0.2, recurrent_dropout=0.2),
            layers.Dropout(0.1),
            layers.Dense(3),
        ]
    )
    model.compile("adam", "mse")
    steps = np.arange(15) * 0.4 + rng.uniform(0, 6, (EXAMPLES, 1))
    return Work(model, np.sin(steps)[:, :12, None], np.sin(steps)[:, 12:])


class TransformerBlock(layers.Layer):
    """As in the Keras examples: no `get_config`, no `**kwargs`."""

    def __init__(self, embed_dim, num_heads, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads, embed_dim, dropout=rate)
        self.ffn = keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = layers.Dropout(rate)
        self.dropout2 = layers.Dropout(rate)

    def call(self, inputs, training=False):
        x = self.dropout1(self.att(inputs, inputs, training=training), training=training)
        x = self.layernorm1(inputs + x)
        return self.layernorm2(x + self.dropout2(self.ffn(x), training=training))


def token_tags():
    """A label for each token of a sequence, from a transformer."""
    rng = np.random.default_rng(5)
    tokens = keras.Input((10,), dtype="int32")
    x = layers.Dropout(0.1)(layers.Embedding(20, 8)(tokens))
    x = TransformerBlock(8, 2)(x)
    model = keras.Model(tokens, layers.Dense(3)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    x = rng.integers(20, size=(EXAMPLES, 10))
    return Work(model, x, x % 3, loads=False)


def u_net():
    """A mask of an image, with a skip connection."""
    rng = np.random.default_rng(6)
    image = keras.Input((8, 8, 1))
    down = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    x = layers.Dropout(0.2)(layers.MaxPooling2D()(down))
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = layers.SpatialDropout2D(0.2)(x)
    x = layers.Concatenate()([layers.UpSampling2D()(x), down])
    model = keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy", metrics=[keras.metrics.BinaryIoU([1])])
    x = rng.uniform(size=(EXAMPLES, 8, 8, 1))
    return Work(model, x, x > 0.6)


def encoder_decoder():
    """Two sequences of tokens, the second shifted by one against the targets."""
    rng = np.random.default_rng(7)
    source = keras.Input((6,), dtype="int32", name="source")
    target = keras.Input((5,), dtype="int32", name="target")
    embedding = layers.Embedding(12, 8)
    _, state = layers.GRU(8, return_state=True, dropout=0.2)(embedding(source))
    x = layers.GRU(8, return_sequences=True, dropout=0.2)(embedding(target), initial_state=state)
    outputs = layers.Dense(12, activation="softmax")(layers.Dropout(0.3)(x))
    model = keras.Model({"source": source, "target": target}, outputs)
    model.compile("rmsprop", "sparse_categorical_crossentropy")
    source = rng.integers(1, 12, size=(EXAMPLES, 6))
    shifted = np.concatenate([np.zeros((EXAMPLES, 1), int), source[:, :4]], axis=1)
    return Work(model, {"source": source, "target": shifted}, source[:, :5])


def convolutional_autoencoder():
    """Images as targets."""
    rng = np.random.default_rng(8)
    image = keras.Input((8, 8, 1))
    x = layers.Dropout(0.2)(layers.Conv2D(4, 3, 2, padding="same", activation="relu")(image))
    outputs = layers.Conv2DTranspose(1, 3, 2, padding="same")(x)
    model = keras.Model(image, outputs)
    model.compile("adam", "mse")
    x = rng.uniform(size=(EXAMPLES, 8, 8, 1))
    return Work(model, x, x)


def crnn():
    """Convolutions, then a recurrent layer over the columns, with a class for each."""
    rng = np.random.default_rng(9)
    image = keras.Input((8, 6, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    x = layers.Reshape((6, 32))(layers.Permute((2, 1, 3))(layers.Dropout(0.2)(x)))
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True, dropout=0.2))(x)
    outputs = layers.TimeDistributed(layers.Dense(3, activation="softmax"))(x)
    model = keras.Model(image, outputs)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    x = rng.uniform(size=(EXAMPLES, 8, 6, 1))
    return Work(model, x, np.eye(3)[x[:, :3, :, 0].argmax(axis=1)])


def siamese():
    """One encoder for two inputs."""
    rng = np.random.default_rng(10)
    encoder = keras.Sequential(
        [keras.Input((5,)), layers.Dense(8, activation="relu"), layers.Dropout(0.3)]
    )
    one, other = keras.Input((5,)), keras.Input((5,))
    difference = layers.Subtract()([encoder(one), encoder(other)])
    model = keras.Model((one, other), layers.Dense(1, activation="sigmoid")(difference))
    model.compile("adam", "binary_crossentropy")
    x = rng.normal(size=(EXAMPLES, 5)), rng.normal(size=(EXAMPLES, 5))
    return Work(model, x, (x[0].sum(axis=1) > x[1].sum(axis=1)).astype(int))


class Classifier(keras.Model):
    """As in the guides: its layers and rates are made in `__init__`."""

    def __init__(self, units=8):
        super().__init__()
        self.dense = layers.Dense(units, activation="relu")
        self.dropout = layers.Dropout(0.5)
        self.classifier = layers.Dense(3)

    def call(self, inputs, training=False):
        return self.classifier(self.dropout(self.dense(inputs), training=training))


def subclassed():
    """A subclassed model that is not built before it is trained."""
    rng = np.random.default_rng(11)
    model = Classifier()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    x = rng.normal(size=(EXAMPLES, 6))
    return Work(model, x, x[:, :3].argmax(axis=1), loads=False)


@keras.saving.register_keras_serializable("tests")
class Recommender(keras.Model):
    """Two inputs in a dict, a block of layers, and a configuration."""

    def __init__(self, users, rate=0.2, **kwargs):
        super().__init__(**kwargs)
        self.users, self.rate = users, rate
        self.embedding = layers.Embedding(users, 4)
        self.block = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dropout(rate)])
        self.score = layers.Dense(1)

    def call(self, inputs, training=False):
        x = layers.concatenate([self.embedding(inputs["user"]), inputs["item"]])
        return self.score(self.block(x, training=training))

    def get_config(self):
        return super().get_config() | {"users": self.users, "rate": self.rate}


def subclassed_with_configuration():
    """A subclassed model with several inputs that saves and loads."""
    rng = np.random.default_rng(12)
    model = Recommender(5)
    model.compile("adam", "mse")
    user, item = rng.integers(5, size=EXAMPLES), rng.normal(size=(EXAMPLES, 3))
    return Work(model, {"user": user, "item": item}, item[:, 0] * user)


class ActivityLoss(layers.Layer):
    """Adds a loss of its own, as the sampling layer of a variational autoencoder does."""

    def call(self, x):
        self.add_loss(0.01 * keras.ops.mean(keras.ops.square(x)))
        return x


def autoencoder_with_its_own_loss():
    """An autoencoder with `add_loss` and weight decay in its layers."""
    rng = np.random.default_rng(13)
    inputs = keras.Input((6,))
    x = layers.Dense(4, activation="relu", kernel_regularizer="l2")(inputs)
    x = layers.Dropout(0.2)(ActivityLoss()(x))
    model = keras.Model(inputs, layers.Dense(6)(x))
    model.compile("adam", "mse")
    x = rng.normal(size=(EXAMPLES, 6))
    return Work(model, x, x, loads=False)


class MixupClassifier(keras.Model):
    """Mixed and smoothed examples, and clipped gradients."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seeds = keras.random.SeedGenerator(7)

    def train_step(self, data):
        x, y = data
        count = ops.shape(x)[0]
        y = 0.9 * ops.one_hot(ops.cast(y, "int32"), 3) + 0.1 / 3
        share = keras.random.beta((count, 1), 0.2, 0.2, seed=self.seeds)
        other = keras.random.shuffle(ops.arange(count), seed=self.seeds)
        x, y = (share * a + (1 - share) * ops.take(a, other, axis=0) for a in (x, y))
        with tf.GradientTape() as tape:
            loss = ops.mean(keras.losses.categorical_crossentropy(y, self(x, training=True)))
        gradients = tape.gradient(loss, self.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss, "share": ops.mean(share)}


def mixup():
    """A functional model with its own training step, and logs besides its metrics."""
    rng = np.random.default_rng(14)
    inputs = keras.Input((6,))
    x = layers.Dropout(0.3)(layers.Dense(16, activation="relu")(inputs))
    x = layers.Dropout(0.2)(layers.Dense(8, activation="relu")(x))
    model = MixupClassifier(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    x = rng.normal(size=(EXAMPLES, 6))
    return Work(model, x, x[:, :3].argmax(axis=1), loads=False)


class Regularized(Classifier):
    """A subclassed model with a loss that prefers unsure outputs."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss + 0.01 * ops.mean(ops.square(y_pred)) if training else loss


def own_loss():
    """A subclassed model with its own `compute_loss`."""
    rng = np.random.default_rng(15)
    model = Regularized()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    x = rng.normal(size=(EXAMPLES, 6))
    return Work(model, x, x[:, :3].argmax(axis=1), loads=False)


class Sampling(layers.Layer):
    """As in the Keras examples, with a generator of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        mean, log_variance = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise


class Divergence(layers.Layer):
    """Adds the loss by which codes stay close to a normal distribution."""

    def call(self, inputs):
        mean, log_variance = inputs
        terms = 1 + log_variance - ops.square(mean) - ops.exp(log_variance)
        self.add_loss(-0.05 * ops.mean(terms))
        return inputs


def _encoded(x):
    x = layers.Dropout(0.2)(layers.Dense(12, activation="relu")(x))
    return layers.Dense(2)(x), layers.Dense(2)(x)


def _decoded(x):
    return layers.Dense(6)(layers.Dropout(0.1)(layers.Dense(12, activation="relu")(x)))


def variational_autoencoder():
    """A layer that draws numbers itself, and the loss of another."""
    rng = np.random.default_rng(16)
    inputs = keras.Input((6,))
    model = keras.Model(inputs, _decoded(Sampling()(Divergence()(_encoded(inputs)))))
    model.compile("adam", "mse")
    x = rng.normal(size=(EXAMPLES, 6))
    return Work(model, x, x, loads=False)


class VAE(keras.Model):
    """As in the Keras examples: two models in one, and metrics of its own."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.total = keras.metrics.Mean(name="loss")
        self.divergence = keras.metrics.Mean(name="divergence")

    @property
    def metrics(self):
        return [self.total, self.divergence]

    def call(self, x, training=False):
        return self.decoder(self.encoder(x, training=training)[-1], training=training)

    def measured(self, x, training):
        mean, log_variance, code = self.encoder(x, training=training)
        error = ops.mean(ops.square(x - self.decoder(code, training=training)))
        terms = 1 + log_variance - ops.square(mean) - ops.exp(log_variance)
        divergence = -0.05 * ops.mean(terms)
        loss = ops.sum(ops.stack([error, divergence]))
        self.total.update_state(loss)
        self.divergence.update_state(divergence)
        return loss

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = self.measured(data[0], training=True)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, data):
        self.measured(data[0], training=False)
        return {metric.name: metric.result() for metric in self.metrics}


def build_vae():
    inputs, codes = keras.Input((6,)), keras.Input((2,))
    encoded = _encoded(inputs)
    encoder = keras.Model(inputs, [*encoded, Sampling()(encoded)], name="encoder")
    model = VAE(encoder, keras.Model(codes, _decoded(codes), name="decoder"))
    model.compile(keras.optimizers.Adam())
    return model


def vae_from_its_builder():
    """A model that Keras cannot clone, compiled without a loss."""
    x = np.random.default_rng(17).normal(size=(EXAMPLES, 6))
    return Work(build_vae, x, x, loads=False)


class GAN(keras.Model):
    """As in the Keras examples: two optimizers in a `compile` of its own."""

    def __init__(self, dim):
        super().__init__()
        self.dim, self.seeds = dim, keras.random.SeedGenerator(5)
        self.discriminator = keras.Sequential(
            [layers.Dense(16, activation="leaky_relu"), layers.Dropout(0.3), layers.Dense(1)]
        )
        self.generator = keras.Sequential(
            [layers.Dense(16, activation="relu"), layers.Dropout(0.2), layers.Dense(6)]
        )
        self.d_loss, self.g_loss = keras.metrics.Mean(name="d"), keras.metrics.Mean(name="g")

    def build(self, shape):
        self.discriminator.build(shape)
        self.generator.build((None, self.dim))

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

    @property
    def metrics(self):
        return [self.d_loss, self.g_loss]

    def call(self, x, training=False):
        return self.discriminator(x, training=training)

    def made(self, count):
        noise = keras.random.normal((count, self.dim), seed=self.seeds)
        return self.generator(noise, training=True)

    def train_step(self, data):
        count = ops.shape(data[0])[0]
        x = ops.concatenate([self.made(count), data[0]])
        labels = ops.concatenate([ops.ones((count, 1)), ops.zeros((count, 1))])
        with tf.GradientTape() as tape:
            d_loss = self.loss_fn(labels, self.discriminator(x, training=True))
        weights = self.discriminator.trainable_weights
        gradients = tape.gradient(d_loss, weights)
        self.d_optimizer.apply_gradients(zip(gradients, weights, strict=True))
        with tf.GradientTape() as tape:
            g_loss = self.loss_fn(ops.zeros((count, 1)), self.discriminator(self.made(count)))
        weights = self.generator.trainable_weights
        gradients = tape.gradient(g_loss, weights)
        self.g_optimizer.apply_gradients(zip(gradients, weights, strict=True))
        self.d_loss.update_state(d_loss)
        self.g_loss.update_state(g_loss)
        return {"d": self.d_loss.result(), "g": self.g_loss.result(), "loss": d_loss}

    def test_step(self, data):
        real = ops.zeros((ops.shape(data[0])[0], 1))
        return {"loss": self.loss_fn(real, self.discriminator(data[0]))}


def build_gan():
    model = GAN(4)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(2e-3), loss)
    return model


def gan_from_its_builder():
    """Two models that train each other, by an optimizer each."""
    x = np.random.default_rng(18).normal(size=(EXAMPLES, 6))
    return Work(build_gan, x, x, loads=False)


WORKS = [
    two_inputs, features_by_name, multi_task, multi_label, forecast, token_tags, u_net,
    encoder_decoder, convolutional_autoencoder, crnn, siamese, subclassed,
    subclassed_with_configuration, autoencoder_with_its_own_loss, mixup, own_loss,
    variational_autoencoder, vae_from_its_builder, gan_from_its_builder,
]  # fmt: skip
