"""Models as people write them that take strings, and one of KerasHub."""

import keras
import numpy as np
import pytest
from everyday_models import EXAMPLES, Work
from keras import layers

WORDS = np.array(["good", "bad", "fine", "poor", "film", "plot", "the", "a"])


def texts(rng):
    """Sentences of different lengths, and whether they have more good words than bad ones."""
    rows = [rng.choice(WORDS, size=rng.integers(2, 9)) for _ in range(EXAMPLES)]
    good = [
        np.isin(row, ["good", "fine"]).sum() > np.isin(row, ["bad", "poor"]).sum() for row in rows
    ]
    return [" ".join(row) for row in rows], np.array(good)


def sentences():
    """Strings that the model itself splits and numbers, with a vocabulary that was adapted."""
    rng = np.random.default_rng(40)
    x, y = texts(rng)
    x = np.array(x, dtype=object)
    vectorize = layers.TextVectorization(max_tokens=20, output_sequence_length=8)
    vectorize.adapt(x)
    text = keras.Input((), dtype="string")
    z = layers.Dropout(0.2)(layers.Embedding(20, 8)(vectorize(text)))
    z = layers.Dropout(0.4)(layers.GlobalAveragePooling1D()(z))
    model = keras.Model(text, layers.Dense(1, activation="sigmoid")(z))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Work(model, x, y)


def bag_of_words():
    """Strings of shape (examples, 1) in a Sequential model that weighs rare words more."""
    rng = np.random.default_rng(41)
    x, y = texts(rng)
    vectorize = layers.TextVectorization(output_mode="tf_idf")
    vectorize.adapt(x)
    model = keras.Sequential(
        [
            keras.Input((1,), dtype="string"),
            vectorize,
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return Work(model, np.array(x)[:, None], y.astype(int))


def wide_and_deep():
    """Categories by name that the model looks up, crosses and embeds, beside numbers."""
    rng = np.random.default_rng(42)
    cities, jobs = (
        np.array(["Rome", "Oslo", "Bonn"]),
        np.array(["cook", "nurse", "driver", "smith"]),
    )
    city = keras.Input((1,), dtype="string", name="city")
    job = keras.Input((1,), dtype="string", name="job")
    age = keras.Input((1,), name="age")
    wide = layers.StringLookup(vocabulary=cities, output_mode="one_hot")(city)
    crossed = layers.HashedCrossing(8, output_mode="one_hot")((city, job))
    lookup = layers.StringLookup()
    lookup.adapt(jobs)
    deep = layers.Flatten()(layers.Embedding(lookup.vocabulary_size(), 4)(lookup(job)))
    deep = layers.Concatenate()([deep, age])
    for _ in range(2):
        deep = layers.Dropout(0.3)(layers.Dense(8, activation="relu")(deep))
    outputs = layers.Dense(1)(layers.Concatenate()([wide, crossed, deep]))
    model = keras.Model({"city": city, "job": job, "age": age}, outputs)
    model.compile("adam", "mse", metrics=["mae"])
    x = {
        "city": rng.choice(cities, (EXAMPLES, 1)),
        "job": rng.choice(jobs, (EXAMPLES, 1)),
        "age": rng.normal(size=(EXAMPLES, 1)),
    }
    return Work(model, x, x["age"][:, 0] * (x["city"][:, 0] == "Oslo"))


def keras_hub_classifier():
    """A backbone of KerasHub with random weights, and a head."""
    hub = pytest.importorskip("keras_hub")
    rng = np.random.default_rng(43)
    backbone = hub.models.BertBackbone(
        vocabulary_size=20, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16,
        dropout=0.1, max_sequence_length=6,
    )  # fmt: skip
    x = layers.Dropout(0.2)(backbone.output["pooled_output"])
    model = keras.Model(backbone.input, layers.Dense(2, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    ids = rng.integers(1, 20, size=(EXAMPLES, 6))
    x = {"token_ids": ids, "segment_ids": ids * 0, "padding_mask": ids * 0 + 1}
    return Work(model, x, ids[:, 0] % 2)


TEXTS = [sentences, bag_of_words, wide_and_deep, keras_hub_classifier]
