"""A small residual network with batch normalization and dropout at one of several positions."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from dropout_zoo.models.argument_validation import check_choice
from dropout_zoo.models.layers.seeded_dropout import seeded_dropout
from dropout_zoo.studies.claims.convolutional import (
    AFTER_NORM,
    AFTER_POOLING,
    BEFORE_NORM,
    BEFORE_POOLING,
    END_OF_BRANCH,
    POSITIONS,
)

_BLOCKS, _FILTERS = 3, 16


def residual_cnn(
    input_shape: Sequence[int] = (28, 28),
    num_classes: int = 10,
    position: str = AFTER_NORM,
) -> keras.Model:
    """Build it for images of one channel.

    A convolution with strides and max pooling are followed by three residual blocks of 16 filters,
    whose branches are batch normalization, ReLU and a 3 x 3 convolution, twice; then by batch
    normalization, ReLU, global average pooling and a softmax.

    Args:
        input_shape: height and width of an image.
        num_classes: number of classes.
        position: where dropout is: before the last batch normalization of each branch, after it
            (before the last convolution), at the end of each branch, or before or after the global
            pooling; one of `POSITIONS`.

    Returns:
        A compiled model.
    """
    check_choice(position, POSITIONS, "position")
    inputs = keras.Input(input_shape)
    x = keras.layers.Reshape((*input_shape, 1))(inputs)
    x = keras.layers.MaxPooling2D()(_convolution("stem", strides=2)(x))
    for number in range(1, _BLOCKS + 1):
        block = f"block_{number}"
        y = _convolution(f"{block}_conv_1")(_normalized(x, f"{block}_1"))
        y = _dropped(y, f"{block}_conv_1_dropout", position == BEFORE_NORM)
        y = _dropped(_normalized(y, f"{block}_2"), f"{block}_dropout", position == AFTER_NORM)
        y = _convolution(f"{block}_conv_2")(y)
        y = _dropped(y, f"{block}_end_dropout", position == END_OF_BRANCH)
        x = keras.layers.Add(name=f"{block}_add")([x, y])
    x = _dropped(_normalized(x, "last"), "last_dropout", position == BEFORE_POOLING)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = _dropped(x, "hidden_dropout", position == AFTER_POOLING)
    outputs = keras.layers.Dense(num_classes, "softmax", name="classifier")(x)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _convolution(name: str, strides: int = 1) -> keras.Layer:
    return keras.layers.Conv2D(
        _FILTERS,
        3,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    # With Keras's momentum of 0.99, the averages would lag behind in so short a training.
    x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_batch_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _dropped(x: keras.KerasTensor, name: str, wanted: bool) -> keras.KerasTensor:
    # A layer in any case: initial weights are drawn by the number of the layer.
    layer = seeded_dropout(0.3, name) if wanted else keras.layers.Identity(name=name)
    return layer(x)
