"""The audit takes as long as the graph is large: its layers and their connections."""

import sys

import keras
import pytest
from keras import layers

from dropout_zoo.models import audit


def running_concatenation(blocks: int) -> keras.Model:
    """Each block adds features to those of all blocks before it, as DenseNet does."""
    x = inputs = keras.Input((8,))
    for _ in range(blocks):
        features = layers.ReLU()(layers.BatchNormalization()(x))
        features = layers.Dropout(0.2)(layers.Dense(4)(features))
        x = layers.Concatenate()([x, features])
    return compiled(inputs, x)


def concatenations_of_all(blocks: int) -> keras.Model:
    """The same, but each block concatenates the outputs of all blocks before it anew."""
    inputs = keras.Input((8,))
    found = [layers.Dense(4)(inputs)]
    for _ in range(blocks):
        x = layers.Concatenate()(found) if len(found) > 1 else found[0]
        x = layers.ReLU()(layers.BatchNormalization()(x))
        found.append(layers.Dropout(0.2)(layers.Dense(4)(x)))
    return compiled(inputs, layers.Concatenate()(found))


def residual_blocks(blocks: int) -> keras.Model:
    x = inputs = keras.Input((8,))
    for _ in range(blocks):  # dropout that no other layer separates: the longest searches
        x = layers.Dropout(0.3)(x)
    for _ in range(blocks):
        branch = layers.Dense(8, activation="relu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dropout(0.2)(branch)])
    return compiled(inputs, x)


def embedded_chain(blocks: int) -> keras.Model:
    x = inputs = keras.Input((8,))
    x = layers.Flatten()(layers.Embedding(10, 4)(x))
    for _ in range(blocks):
        x = layers.Dropout(0.2)(layers.Dense(8, activation="relu")(x))
    return compiled(inputs, x)


def compiled(inputs, x) -> keras.Model:
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def size_of(model: keras.Model) -> int:
    """The number of its layers and of the connections between them."""
    inputs = (layer.input for layer in model.layers)
    return sum(1 + (len(each) if isinstance(each, list) else 1) for each in inputs)


def steps_of_audit(model: keras.Model) -> int:
    """The number of functions that are called; unlike a time, it is always the same."""
    audit(model)  # what Keras computes once
    steps = 0

    def count(frame, event, argument):
        nonlocal steps
        steps += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        audit(model)
    finally:
        sys.setprofile(before)
    return steps


@pytest.mark.parametrize(
    "make", [running_concatenation, concatenations_of_all, residual_blocks, embedded_chain]
)
def test_the_audit_of_a_larger_model_takes_no_more_for_each_layer(make):
    small, large = make(6), make(24)
    ratio = size_of(large) / size_of(small)
    assert steps_of_audit(large) < 1.1 * ratio * steps_of_audit(small)
