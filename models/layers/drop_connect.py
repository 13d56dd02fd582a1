"""DropConnect: a dense layer with dropout on its weights."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from dropout_zoo.models.guidance import check_rate


@keras.saving.register_keras_serializable(package="dropout_zoo")
class DropConnect(keras.layers.Dense):
    """A dense layer that drops weights and biases, instead of activations, during training.

    Weights and biases are dropped independently, with one mask per example as in Wan et al. (2013),
    or with one mask per training step. Values that are kept are scaled by ``1 / (1 - rate)``, so
    that inference uses the weights unchanged (the mean network). The paper instead averages the
    activation over a normal approximation of its input at inference; Monte Carlo dropout
    (`dropout_zoo.studies`) averages over the masks themselves.

    Args:
        units: number of units.
        rate: fraction of weights and biases dropped, in [0, 1).
        per_example: True for one mask per example, which needs ``batch * inputs * units`` numbers
            per step; False for one mask per step.
        seed: seed of the masks, or None.
        **kwargs: arguments of `keras.layers.Dense`, such as ``activation`` and ``name``.

    Input shape:
        ``(batch, ..., inputs)``.

    Output shape:
        ``(batch, ..., units)``; all positions of an example share its mask.

    Raises:
        ValueError: the rate is out of range.

    Example:
        >>> import keras
        >>> from dropout_zoo.models import DropConnect, dropout_sites
        >>> dense = DropConnect(16, 0.5, activation="relu", name="dense")
        >>> model = keras.Sequential([keras.Input((4,)), dense, keras.layers.Dense(1)])
        >>> [(site.path, site.rate) for site in dropout_sites(model)]
        [('dense', 0.5)]

    References:
        Wan et al. 2013, "Regularization of Neural Networks using DropConnect", ICML.
    """

    def __init__(
        self,
        units: int,
        rate: float,
        *,
        per_example: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, **kwargs)
        self.rate = check_rate(rate, "rate")
        self.per_example = per_example
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop weights during training; otherwise use all of them."""
        if not training or self.rate == 0:
            return super().call(inputs)
        shape = ops.shape(inputs)
        count, features = shape[0] if self.per_example else 1, inputs.shape[-1]
        # One more row than the kernel has, for the biases. Float32, because half precision has
        # too few distinct values to match the rate.
        drawn = keras.random.uniform(
            (count, features + 1, self.units), dtype="float32", seed=self.seed_generator
        )
        mask = ops.cast(drawn >= self.rate, inputs.dtype) / (1 - self.rate)
        outputs = ops.matmul(
            ops.reshape(inputs, (count, -1, features)), self.kernel * mask[:, :features]
        )
        if self.bias is not None:
            outputs = outputs + self.bias * mask[:, features:]
        outputs = ops.reshape(outputs, (*shape[:-1], self.units))
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        """The arguments that recreate the layer."""
        own = {"rate": self.rate, "per_example": self.per_example, "seed": self.seed}
        return {**super().get_config(), **own}
