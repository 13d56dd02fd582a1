"""Models that several tests train, and how."""

from dataclasses import fields

import keras
from keras import layers, ops

from dropout_zoo.training import TrainSettings


class Scaled(keras.losses.Loss):
    """A loss whose configuration leaves out its factor."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * ops.mean((y_true - y_pred) ** 2, axis=-1)


def net_with_initializer(initializer):
    """A net for the digits whose first dense layer uses the given initializer."""
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            # Not relu, which oneDNN fuses with the layer: on some processors it makes 0 of NaN.
            layers.Dense(8, "tanh", kernel_initializer=initializer),
            layers.Dropout(0.4),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def split_settings(arguments):
    """The `TrainSettings` among keyword arguments, and the others."""
    names = {field.name for field in fields(TrainSettings)}
    settings = {name: value for name, value in arguments.items() if name in names}
    return TrainSettings(**settings), {
        name: value for name, value in arguments.items() if name not in names
    }
