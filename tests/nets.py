"""Models that several tests train."""

import keras
from keras import layers


def net_with_initializer(initializer):
    """A net for the digits whose first dense layer begins as told."""
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(8, "relu", kernel_initializer=initializer),
            layers.Dropout(0.4),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
