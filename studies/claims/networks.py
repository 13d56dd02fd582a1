"""Networks of the claims that no registered builder makes."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from dropout_zoo.models.architectures.mlp import build_mlp
from dropout_zoo.models.layers.seeded_dropout import seeded_dropout


def noisy_mlp(
    input_shape: Sequence[int] = (28, 28), num_classes: int = 10, noise: str = "Dropout"
) -> keras.Sequential:
    """Build an MLP of two hidden layers of 256 units with a kind of noise after each.

    Args:
        input_shape: shape of one example.
        num_classes: number of classes.
        noise: class of the layers in `keras.layers`, such as ``"GaussianDropout"``.

    Returns:
        A compiled model.
    """
    layer = getattr(keras.layers, noise)
    stages = [
        stage
        for number in (1, 2)
        for stage in (
            keras.layers.Dense(256, "relu", name=f"hidden_{number}"),
            layer(0.5, name=f"hidden_{number}_dropout"),
        )
    ]
    model = keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            *stages,
            keras.layers.Dense(num_classes, "softmax", name="classifier"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def normalized_mlp(
    input_shape: Sequence[int] = (28, 28), num_classes: int = 10, batch_norm: str | None = None
) -> keras.Sequential:
    """Build the registered MLP with two hidden layers of 256 units and quick moving averages.

    Args:
        input_shape: shape of one example.
        num_classes: number of classes.
        batch_norm: as in `build_mlp`; its momentum is 0.9, where Keras's default is 0.99.

    Returns:
        A compiled model.
    """
    model = build_mlp(
        input_shape=input_shape,
        num_classes=num_classes,
        units=(256, 256),
        hidden_rates=0.5,
        batch_norm=batch_norm,
    )
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    return model


def shifted_mlp(
    input_shape: Sequence[int] = (28, 28), num_classes: int = 10, pixels: float = 0.0
) -> keras.Sequential:
    """Build an MLP of two hidden layers of 256 units whose training images are shifted at random.

    Args:
        input_shape: height and width of an image.
        num_classes: number of classes.
        pixels: largest shift in each direction.

    Returns:
        A compiled model.
    """
    height, width = input_shape
    shares = pixels / height, pixels / width
    model = keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Reshape((height, width, 1)),
            keras.layers.RandomTranslation(*shares, fill_mode="constant", name="shift"),
            keras.layers.Flatten(),
            *(
                layer
                for number in (1, 2)
                for layer in (
                    keras.layers.Dense(256, "relu", name=f"hidden_{number}"),
                    seeded_dropout(0.5, f"hidden_{number}_dropout"),
                )
            ),
            keras.layers.Dense(num_classes, "softmax", name="classifier"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
