"""Dot-product and additive attention whose rate is a variable."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from dropout_zoo.models.keras_internals import DropsAttentionWeights
from dropout_zoo.models.layers.runtime_rate import RateInVariables, dropped, save_all_but_last


class _RateOfAttention(RateInVariables, DropsAttentionWeights):
    """Base class of attention layers whose `dropout`, if it is not 0, is held in variables.

    The masks and, on TensorFlow, the outputs equal those of the plain layer, at a rate of 0 too.
    """

    dropout: float
    seed_generator: keras.random.SeedGenerator

    def create_variables(self) -> None:
        """Create the variables that hold the rate."""
        if self.dropout > 0:  # what Keras reads, as for recurrent cells; it stays as it is
            self.rate = float(self.dropout)
            self.create_coefficients(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.Layer:
        """Create a plain layer, also inside layers that are cloned from their configuration."""
        plain = {lifted: each for each, lifted in LIFTED_ATTENTION.items()}[cls]
        return plain.from_config(config)

    def with_dropout(self, weights: Any) -> Any:
        """The attention weights with single values set to 0."""
        if self.dropout == 0:
            return weights
        return dropped(weights, ops.shape(weights), self.coefficients, self.seed_generator)

    def save_own_variables(self, store: Any) -> None:
        """Save the weights of a plain layer; called by Keras."""
        save_all_but_last(
            len(self.coefficients) if self.dropout > 0 else 0,
            super().save_own_variables,  # type: ignore[misc]
            store,
        )


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateAttention(_RateOfAttention, keras.layers.Attention):
    """`keras.layers.Attention` with its rate in a variable."""


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateAdditiveAttention(_RateOfAttention, keras.layers.AdditiveAttention):
    """`keras.layers.AdditiveAttention` with its rate in a variable."""


LIFTED_ATTENTION: dict[type[keras.Layer], type[keras.Layer]] = {
    keras.layers.Attention: RuntimeRateAttention,
    keras.layers.AdditiveAttention: RuntimeRateAdditiveAttention,
}
"""The equivalent of each plain attention layer that applies dropout itself."""
