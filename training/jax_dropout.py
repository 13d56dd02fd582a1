"""Dropout layers whose rate is a variable, with the masks that Keras draws on JAX.

Keras keeps a unit there where a uniform number is below the keep probability, not where it is at
least the rate: the same distribution, but other masks.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from dropout_zoo.models.runtime_rate import (
    RuntimeRate,
    RuntimeRateDropout,
    RuntimeRateSpatialDropout1D,
    RuntimeRateSpatialDropout2D,
    RuntimeRateSpatialDropout3D,
)


class _MasksOfJax(RuntimeRate):
    def coefficients_of(self, rate: float) -> tuple[float, ...]:
        """The keep probability."""
        return (1.0 - rate,)

    def with_noise(self, inputs: Any) -> Any:
        """The inputs with single values, or whole feature maps, set to 0."""
        (keep,) = self.coefficients
        shape = self.noise_shape_of(inputs)
        # Whatever dtype the inputs have, Keras decides in float32.
        kept = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator) < keep
        return ops.where(kept, inputs / ops.cast(keep, inputs.dtype), ops.cast(0, inputs.dtype))


class JaxDropout(_MasksOfJax, RuntimeRateDropout):
    """`keras.layers.Dropout` whose rate is a variable, on JAX."""


class JaxSpatialDropout1D(_MasksOfJax, RuntimeRateSpatialDropout1D):
    """`keras.layers.SpatialDropout1D` whose rate is a variable, on JAX."""


class JaxSpatialDropout2D(_MasksOfJax, RuntimeRateSpatialDropout2D):
    """`keras.layers.SpatialDropout2D` whose rate is a variable, on JAX."""


class JaxSpatialDropout3D(_MasksOfJax, RuntimeRateSpatialDropout3D):
    """`keras.layers.SpatialDropout3D` whose rate is a variable, on JAX."""


_ON_JAX: dict[type[keras.Layer], type[keras.Layer]] = {
    RuntimeRateDropout: JaxDropout,
    RuntimeRateSpatialDropout1D: JaxSpatialDropout1D,
    RuntimeRateSpatialDropout2D: JaxSpatialDropout2D,
    RuntimeRateSpatialDropout3D: JaxSpatialDropout3D,
}


def with_masks_of_jax(lifted: keras.Layer) -> keras.Layer:
    """Make the like of a dropout layer with a variable rate that draws the masks of JAX.

    Args:
        lifted: a layer that `lifted_layer` made.

    Returns:
        A new layer with the same settings; the same layer where its masks are those already.
    """
    if type(lifted) not in _ON_JAX:
        return lifted
    like = _ON_JAX[type(lifted)].from_config(lifted.get_config())
    like.dtype_policy = lifted.dtype_policy
    return like
