"""DropConnect: a dense layer whose weights are dropped."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from dropout_zoo.models.guidance import check_rate


@keras.saving.register_keras_serializable(package="dropout_zoo")
class DropConnect(keras.layers.Dense):
    """A dense layer that drops its weights and biases, rather than activations, while training.

    Each weight and bias is dropped on its own, for each example anew as in Wan et al. (2013), or
    for all examples of a step together. What is kept is scaled by ``1 / (1 - rate)``, so that
    inference uses the weights as they are: the mean network. The paper goes one step further at
    inference, and averages the activation over a normal distribution with the mean and variance
    of its input; Monte-Carlo dropout (`dropout_zoo.studies`) averages over masks themselves.

    Args:
        units: width of the layer.
        rate: fraction of the weights and biases that is dropped, in [0, 1).
        per_example: True draws a mask for each example, which takes ``batch * inputs * units``
            numbers a step; False one for all examples of a step.
        seed: seed of the masks, or None.
        **kwargs: what `keras.layers.Dense` takes, such as ``activation`` and ``name``.

    Input shape:
        ``(batch, ..., inputs)``.

    Output shape:
        ``(batch, ..., units)``; all places of an example share its mask.

    Raises:
        ValueError: the rate is out of range.

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
        """Drop weights while training, use all of them otherwise."""
        if not training or self.rate == 0:
            return super().call(inputs)
        shape = ops.shape(inputs)
        count, features = shape[0] if self.per_example else 1, inputs.shape[-1]
        # A row more than the kernel has, for the biases. In float32: half precision has too few
        # different numbers to meet the rate.
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
        """The arguments that make the layer anew."""
        own = {"rate": self.rate, "per_example": self.per_example, "seed": self.seed}
        return super().get_config() | own
