"""Stochastic depth: dropout of whole residual branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from dropout_zoo.models.guidance import check_rate


@keras.saving.register_keras_serializable(package="dropout_zoo")
class StochasticDepth(keras.layers.Dropout):
    """Drop the residual branch of whole examples during training.

    Place the layer on the branch, before the addition: ``x + StochasticDepth(rate)(branch(x))``.
    Each example keeps its branch with probability ``1 - rate``, and branches that are kept are
    scaled by ``1 / (1 - rate)``, so that inference uses the branch unchanged. Huang et al. (2016)
    scale by ``1 - rate`` at inference instead, and decide once per batch; the expectation is the
    same. The layer equals `keras.layers.Dropout` with a `noise_shape` of one value per example, for
    inputs of any rank.

    Args:
        rate: probability that an example loses its branch, in [0, 1).
        seed: seed of the masks, or None.
        **kwargs: arguments of `keras.layers.Layer`, such as ``name`` and ``dtype``.

    Input shape:
        ``(batch, ...)`` of any rank.

    Output shape:
        Same as the input.

    Raises:
        ValueError: the rate is out of range.

    Example:
        >>> import keras
        >>> from dropout_zoo.models import StochasticDepth
        >>> inputs = keras.Input((8,))
        >>> branch = keras.layers.Dense(8, activation="relu")(inputs)
        >>> outputs = inputs + StochasticDepth(0.2)(branch)
        >>> model = keras.Model(inputs, outputs)

    References:
        Huang et al. 2016, arXiv:1603.09382.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(check_rate(rate, "rate"), seed=seed, **kwargs)
        if not self.rate:  # Keras creates none for a rate of 0, which would shift later seeds
            self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Set the mask's shape from the rank of the inputs; called by Keras."""
        self.noise_shape = (None, *[1] * (len(input_shape) - 1))
        super().build(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments that recreate the layer."""
        config: dict[str, Any] = super().get_config()
        del config["noise_shape"]  # follows from the inputs
        return config
