"""What must hold of the dropout family on every backend; `test_dropout_family.py` runs it."""

import sys

import keras
import numpy as np
from keras import layers
from scipy.ndimage import binary_opening

from dropout_zoo.models import (
    ConcreteDropout,
    DropBlock2D,
    DropConnect,
    StochasticDepth,
    dropout_sites,
    with_rates,
)


def drawn(layer, x, training=True):
    return keras.ops.convert_to_numpy(keras.ops.cast(layer(x, training=training), "float32"))


def is_share(kept, expected):
    """Whether frequencies are an expected one, up to five standard deviations."""
    count = kept.shape[0] if kept.ndim > 1 else kept.size
    share = kept.mean(axis=0) if kept.ndim > 1 else kept.mean()
    spread = np.sqrt(expected * (1 - expected) / count)
    return bool(np.all(np.abs(share - expected) <= 5 * spread))


def stochastic_depth():
    for shape in ((4000, 6), (4000, 3, 5), (4000, 2, 2, 3)):
        values = drawn(StochasticDepth(0.3, seed=1), np.ones(shape, "float32"))
        by_example = values.reshape(len(values), -1)
        assert np.array_equal(by_example, np.broadcast_to(by_example[:, :1], by_example.shape))
        kept = by_example[:, 0] != 0
        assert is_share(kept, 0.7), kept.mean()
        assert np.allclose(by_example[kept], 1 / 0.7, rtol=1e-6)
        assert np.isclose(by_example[:, 0].var(), 0.3 / 0.7, rtol=0.1)


def drop_block():
    rate, block, side = 0.2, 3, 10
    corners = side - block + 1
    gamma = rate / block**2 * side**2 / corners**2
    # How many blocks cover a row; the same for columns.
    covering = [min(i, corners - 1) - max(0, i - block + 1) + 1 for i in range(side)]
    expected = (1 - gamma) ** np.outer(covering, covering)
    ones = np.ones((250, side, side, 16), "float32")
    values = drawn(DropBlock2D(rate, block, seed=2), ones)
    kept = values != 0
    maps = kept.transpose(0, 3, 1, 2).reshape(-1, side, side)
    assert is_share(maps, expected)
    assert np.allclose(values[kept], 1 / kept.mean(), rtol=1e-5)
    assert np.isclose(values.mean(), 1, rtol=1e-5)
    dropped = ~kept
    assert np.array_equal(binary_opening(dropped, np.ones((1, block, block, 1))), dropped)
    assert not np.array_equal(kept[..., 0], kept[..., 1])  # each feature map has its own blocks
    single = drawn(DropBlock2D(0.4, 1, seed=3), ones)
    assert is_share(single.ravel() != 0, 0.6)
    assert np.isclose(single.var(), 0.4 / 0.6, rtol=0.02)
    first = DropBlock2D(rate, block, data_format="channels_first", seed=2)
    assert np.array_equal(drawn(first, ones.transpose(0, 3, 1, 2)), values.transpose(0, 3, 1, 2))
    assert drawn(DropBlock2D(0.2, 4, seed=1), ones).mean() > 0.99  # an even side too


def drop_connect():
    rate, count = 0.3, 3000
    layer = DropConnect(5, rate, kernel_initializer="ones", seed=4)
    first_input_only = np.eye(6, dtype="float32")[np.zeros(count, int)]
    values = drawn(layer, first_input_only)
    assert is_share(values != 0, 1 - rate)
    assert np.allclose(values[values != 0], 1 / (1 - rate), rtol=1e-6)
    assert len(np.unique(values, axis=0)) == 2**5  # a mask for each example
    together = DropConnect(5, rate, kernel_initializer="ones", per_example=False, seed=4)
    masks = [drawn(together, first_input_only) for _ in range(200)]
    assert all(len(np.unique(mask, axis=0)) == 1 for mask in masks)
    assert is_share(np.array([mask[0] for mask in masks]) != 0, 1 - rate)
    biases = DropConnect(400, rate, kernel_initializer="zeros", bias_initializer="ones", seed=4)
    assert is_share(drawn(biases, first_input_only[:50]).ravel() != 0, 1 - rate)
    # Mean and variance of a sum of kept weights; all places of an example share their mask.
    random = np.random.default_rng(0)
    layer = DropConnect(4, rate, bias_initializer="ones", seed=5)
    place = random.normal(size=6).astype("float32")
    x = np.broadcast_to(place, (20_000, 2, 6))
    values = drawn(layer, x)
    assert np.allclose(values[:, 0], values[:, 1], rtol=1e-5, atol=1e-6)
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    terms = np.vstack([place[:, None] * kernel, np.ones((1, 4))])
    expected = terms.sum(axis=0)
    variance = rate / (1 - rate) * (terms**2).sum(axis=0)
    assert np.all(np.abs(values[:, 0].mean(axis=0) - expected) < 5 * np.sqrt(variance / len(x)))
    assert np.allclose(values[:, 0].var(axis=0), variance, rtol=0.1)
    assert np.allclose(drawn(layer, x, training=False)[0, 0], expected, rtol=1e-5)


def concrete_dropout():
    count = 20_000
    wrapped = layers.Dense(5, use_bias=False, kernel_initializer="identity")
    layer = ConcreteDropout(
        wrapped, initial_rate=0.3, weight_regularizer=0.01, dropout_regularizer=0.02, seed=6
    )
    ones = np.ones((count, 5), "float32")
    values = drawn(layer, ones)
    assert is_share(values > 0.5 / 0.7, 0.7)
    assert np.isclose(layer.rate, 0.3)
    expected = 0.01 * 5 / 0.7 + 0.02 * 5 * (0.3 * np.log(0.3) + 0.7 * np.log(0.7))
    assert np.isclose(keras.ops.convert_to_numpy(sum(layer.losses)), expected, rtol=1e-4)
    assert np.allclose(drawn(layer, ones, training=False), ones)
    # The rate falls where each input matters, and rises to where its entropy is highest.
    random = np.random.default_rng(0)
    x = random.normal(size=(512, 8)).astype("float32")
    clean = x @ random.normal(size=(8, 1)).astype("float32")
    learned = []
    for targets, regularizer in ((clean, 0.0), (np.zeros_like(clean), 0.1)):
        dense = layers.Dense(1, kernel_initializer="zeros")
        model = keras.Sequential(
            [
                keras.Input((8,)),
                ConcreteDropout(dense, initial_rate=0.3, dropout_regularizer=regularizer),
            ]
        )
        model.compile(keras.optimizers.Adam(0.03), "mse")
        model.fit(x, targets, batch_size=64, epochs=12, verbose=0)
        (site,) = dropout_sites(model)
        assert (site.rate, site.learned) == (model.layers[0].rate, True)
        learned.append(site.rate)
    assert learned[0] < 0.2 < 0.38 < learned[1], learned
    print("learned rates", *(f"{rate:.3f}" for rate in learned))


def every_layer():
    makers = {
        StochasticDepth: ((8, 4, 4, 3), {}),
        DropBlock2D: ((8, 9, 9, 3), {"block_size": 2}),
        DropConnect: ((8, 6), {"units": 4, "activation": "relu"}),
    }
    for layer_class, (shape, arguments) in makers.items():
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        one, same = (layer_class(rate=0.5, seed=7, **arguments) for _ in range(2))
        one(x)
        same(x)
        same.set_weights(one.get_weights())
        first, second = drawn(one, x), drawn(one, x)
        assert np.array_equal(first, drawn(same, x))
        assert not np.array_equal(first, second)
        none = layer_class(rate=0.0, **arguments)
        assert none.seed_generator is not None
        none(x)
        none.set_weights(one.get_weights())
        for untouched in (drawn(one, x, training=False), drawn(none, x)):
            assert np.array_equal(untouched, drawn(none, x, training=False))
        if layer_class is not DropConnect:
            assert np.array_equal(untouched, x)
        again = layer_class.from_config(one.get_config())
        assert again.get_config() == one.get_config()
        mixed = layer_class(rate=0.5, dtype="mixed_bfloat16", **arguments)
        for training in (True, False):
            assert keras.backend.standardize_dtype(mixed(x, training=training).dtype) == "bfloat16"
    mixed = ConcreteDropout(layers.Dense(3, dtype="mixed_bfloat16"), dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(mixed(x, training=True).dtype) == "bfloat16"


def family_model():
    inputs = keras.Input((12, 12, 2))
    x = layers.Conv2D(4, 3, activation="relu", padding="same", name="conv")(inputs)
    x = DropBlock2D(0.1, block_size=3, name="blocks")(x)
    branch = layers.Conv2D(4, 3, padding="same", name="branch")(x)
    x = layers.Add()([x, StochasticDepth(0.2, name="depth")(branch)])
    x = layers.GlobalAveragePooling2D()(x)
    x = DropConnect(8, 0.3, activation="relu", name="connect")(x)
    x = ConcreteDropout(layers.Dense(3, activation="softmax"), name="concrete")(x)
    model = keras.Model(inputs, x)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


SITES = {
    "blocks": (0.1, "convolutional"),
    "depth": (0.2, "convolutional"),
    "connect": (0.3, "hidden"),
    "concrete": (0.1, "hidden"),
}


def saved_and_reloaded(folder):
    model = family_model()
    found = {site.path: (site.rate, site.placement) for site in dropout_sites(model)}
    rounded = {path: (round(rate, 6), placement) for path, (rate, placement) in found.items()}
    assert rounded == SITES, found
    random = np.random.default_rng(0)
    x = random.normal(size=(32, 12, 12, 2)).astype("float32")
    y = keras.utils.to_categorical(random.integers(0, 3, 32), 3)
    model.fit(x, y, epochs=2, verbose=0)
    changed = with_rates(model, {"blocks": 0.3, "depth": 0.0, "connect": 0.6})
    rates = {site.path: site.rate for site in dropout_sites(changed)}
    assert rates == {
        "blocks": 0.3, "depth": 0.0, "connect": 0.6, "concrete": model.get_layer("concrete").rate
    }  # fmt: skip
    expected = drawn(model, x, training=False)
    assert np.array_equal(drawn(changed, x, training=False), expected)
    model.save(f"{folder}/family.keras")
    reloaded = keras.models.load_model(f"{folder}/family.keras")
    assert np.allclose(drawn(reloaded, x, training=False), expected, atol=1e-6)
    assert reloaded.get_layer("concrete").rate == model.get_layer("concrete").rate
    changed.fit(x, y, verbose=0)


if __name__ == "__main__":
    assert keras.backend.backend() == sys.argv[1]
    keras.utils.set_random_seed(0)
    stochastic_depth()
    drop_block()
    drop_connect()
    concrete_dropout()
    every_layer()
    saved_and_reloaded(sys.argv[2])
    print("all is well")
