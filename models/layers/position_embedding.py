"""Learned position embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="dropout_zoo")
class PositionEmbedding(keras.layers.Layer):
    """Add a learned vector to each position of a sequence, the same for every example.

    Input shape:
        ``(batch, length, features)`` with a known length.

    Output shape:
        Same as the input.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create one vector per position; called by Keras."""
        self.positions = self.add_weight(
            shape=tuple(input_shape[1:]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="positions",
        )

    def call(self, inputs: Any) -> Any:
        """Add the vectors."""
        return inputs + self.positions

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The shape of the inputs."""
        return tuple(input_shape)
