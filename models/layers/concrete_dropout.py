"""Concrete dropout: dropout whose rate is learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from dropout_zoo.models.guidance import check_rate


@keras.saving.register_keras_serializable(package="dropout_zoo")
class ConcreteDropout(keras.layers.Wrapper):
    """Dropout on the input of a dense layer, with a rate that gradient descent learns.

    During training, the mask is a continuous relaxation of Bernoulli variables, so that gradients
    reach the rate: ``1 - sigmoid((logit(rate) + logit(u)) / temperature)`` with uniform ``u``.
    Values are scaled by ``1 / (1 - rate)``. Inference passes the inputs through unchanged.

    Two terms are added to the loss (Gal et al. 2017). The first is ``weight_regularizer *
    sum(kernel**2) / (1 - rate)``: the paper's ``(1 - rate)`` times the squared norm of the weights,
    which correspond to ``kernel / (1 - rate)`` here because of the scaling. The second is
    ``dropout_regularizer * inputs`` times the negative entropy of the rate, which pulls the rate
    towards 0.5. Both should be smaller for larger datasets: the paper divides them by the number
    of examples.

    `dropout_zoo` reports the learned rate and leaves it out of searches.

    Args:
        layer: the `keras.layers.Dense` whose input is dropped.
        initial_rate: rate before the first step, in (0, 1).
        weight_regularizer: the paper's ``length_scale**2 / (precision * examples)``, at least 0.
        dropout_regularizer: the paper's ``2 / (precision * examples)``, or half of it with
            cross-entropy; at least 0.
        temperature: temperature of the relaxation, above 0; 0.1 in the paper.
        seed: seed of the masks, or None.
        **kwargs: arguments of `keras.layers.Layer`, such as ``name`` and ``dtype``.

    Input shape:
        ``(batch, ..., inputs)``.

    Output shape:
        That of the dense layer.

    Raises:
        ValueError: an argument is out of range, or the layer is not a dense layer.

    Example:
        >>> import keras
        >>> from dropout_zoo.models import ConcreteDropout, dropout_sites
        >>> dense = ConcreteDropout(keras.layers.Dense(8), initial_rate=0.2, name="dense")
        >>> model = keras.Sequential([keras.Input((4,)), dense, keras.layers.Dense(1)])
        >>> (site,) = dropout_sites(model)
        >>> f"{site.path}: {site.rate:.2f}, learned: {site.learned}"
        'dense: 0.20, learned: True'

    References:
        Gal, Hron and Kendall 2017, arXiv:1705.07832.
    """

    def __init__(
        self,
        layer: keras.layers.Dense,
        *,
        initial_rate: float = 0.1,
        weight_regularizer: float = 1e-6,
        dropout_regularizer: float = 1e-5,
        temperature: float = 0.1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layer, keras.layers.Dense):
            raise ValueError(
                f"expected layer to be a keras.layers.Dense, received {type(layer).__name__}"
            )
        super().__init__(layer, **kwargs)
        self.initial_rate = check_rate(initial_rate, "initial_rate")
        if self.initial_rate == 0:
            raise ValueError(
                "expected initial_rate above 0, received 0; from 0 the rate cannot be learned"
            )
        for name, value, least in (
            ("weight_regularizer", weight_regularizer, "at least 0"),
            ("dropout_regularizer", dropout_regularizer, "at least 0"),
            ("temperature", temperature, "above 0"),
        ):
            if not (value > 0 or (value == 0 and least == "at least 0")):
                raise ValueError(f"expected {name} to be {least}, received {value!r}")
        self.weight_regularizer = float(weight_regularizer)
        self.dropout_regularizer = float(dropout_regularizer)
        self.temperature = float(temperature)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def rate(self) -> float:
        """The fraction dropped, as learned so far."""
        if not self.built:
            return self.initial_rate
        return float(ops.convert_to_numpy(ops.sigmoid(self.rate_logit.value)))

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the logit of the rate and the weights of the layer; called by Keras."""
        super().build(input_shape)
        logit = math.log(self.initial_rate / (1 - self.initial_rate))
        self.rate_logit = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(logit),
            autocast=False,
            name="rate_logit",
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Apply dropout during training, and add both terms to the loss."""
        logit = ops.cast(self.rate_logit, "float32")
        rate = ops.sigmoid(logit)
        self.add_loss(self._regularization(rate, inputs.shape[-1]))
        if training:
            inputs = self._dropped(inputs, logit, rate)
        return self.layer(inputs)

    def _dropped(self, inputs: Any, logit: Any, rate: Any) -> Any:
        tiny = keras.config.epsilon()  # the logits of 0 and 1 are infinite
        u = keras.random.uniform(
            ops.shape(inputs), tiny, 1 - tiny, dtype="float32", seed=self.seed_generator
        )
        noise = ops.log(u) - ops.log(1 - u)
        kept = 1 - ops.sigmoid((logit + noise) / self.temperature)
        return inputs * ops.cast(kept / (1 - rate), inputs.dtype)

    def _regularization(self, rate: Any, inputs: int) -> Any:
        tiny = keras.config.epsilon()
        kernel = ops.cast(self.layer.kernel, "float32")
        of_weights = self.weight_regularizer * ops.sum(ops.square(kernel)) / (1 - rate)
        negative_entropy = rate * ops.log(rate + tiny) + (1 - rate) * ops.log(1 - rate + tiny)
        return of_weights + self.dropout_regularizer * inputs * negative_entropy

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The output shape of the dense layer."""
        return tuple(self.layer.compute_output_shape(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The arguments that recreate the layer; the learned rate is one of its weights."""
        return {
            **super().get_config(),
            "initial_rate": self.initial_rate,
            "weight_regularizer": self.weight_regularizer,
            "dropout_regularizer": self.dropout_regularizer,
            "temperature": self.temperature,
            "seed": self.seed,
        }
