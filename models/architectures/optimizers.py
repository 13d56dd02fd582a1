"""Optimizers of published networks."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from dropout_zoo.models import keras_internals
from dropout_zoo.models.argument_validation import check_count


@keras.saving.register_keras_serializable("dropout_zoo")
class RampedSGD(keras.optimizers.SGD):
    """`keras.optimizers.SGD` with a momentum that increases linearly over the first steps.

    Each step computes ``velocity = momentum * velocity + gradient`` and then ``weight -=
    learning_rate * velocity``, so that a decreasing learning rate also scales past gradients.

    Args:
        learning_rate: number above 0, or a `keras.optimizers.schedules.LearningRateSchedule`.
        momentum: final momentum, in (0, 1].
        initial_momentum: momentum at the first step, in [0, 1].
        momentum_steps: number of steps over which the momentum increases, at least 1.
        name: name of the optimizer.
        **base: arguments of `keras.optimizers.Optimizer`, such as ``clipnorm``.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.9,
        *,
        initial_momentum: float = 0.5,
        momentum_steps: int = 1000,
        name: str = "ramped_sgd",
        **base: Any,
    ) -> None:
        base.pop("nesterov", None)  # in the configuration that the base class writes
        super().__init__(learning_rate, momentum=float(momentum), name=name, **base)
        check_count(momentum_steps, "momentum_steps")
        if not 0 <= initial_momentum <= 1 or not momentum:
            raise ValueError(
                "expected initial_momentum in [0, 1] and momentum in (0, 1], received "
                f"{initial_momentum!r} and {momentum!r}"
            )
        self.initial_momentum = float(initial_momentum)
        self.momentum_steps = int(momentum_steps)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable.

        Args:
            gradient: tensor of the variable's shape.
            variable: the variable.
            learning_rate: the learning rate of this step.
        """
        dtype = variable.dtype
        progress = ops.minimum(ops.cast(self.iterations, dtype) / self.momentum_steps, 1.0)
        momentum = self.initial_momentum + (self.momentum - self.initial_momentum) * progress
        velocity = self.momentums[keras_internals.variable_index(self, variable)]
        self.assign(velocity, velocity * momentum + ops.cast(gradient, dtype))
        self.assign_sub(variable, velocity * ops.cast(learning_rate, dtype))

    def get_config(self) -> dict[str, Any]:
        """The arguments that recreate the optimizer."""
        return {
            **super().get_config(),
            "initial_momentum": self.initial_momentum,
            "momentum_steps": self.momentum_steps,
        }


def srivastava_sgd(
    *,
    learning_rate: float = 1.0,
    half_life: int = 10_000,
    momentum: float = 0.95,
    initial_momentum: float = 0.5,
    momentum_steps: int = 100_000,
) -> RampedSGD:
    """Make the optimizer with which Srivastava et al. (2014) trained their networks for MNIST.

    Use it with batches of 100 and a max-norm constraint, without which so large a learning rate
    diverges: ``create_model("srivastava_1024x3", optimizer=srivastava_sgd())``. The final momentum
    of 0.95 is that of Appendix B.1 as quoted by replications. All other defaults are those of the
    first author's example for 784-1024-1024-2048-10 (deepnet, model_dropout.pbtxt and train.pbtxt),
    whose final momentum is 0.99. The paper trained for a million updates; with fewer, reduce
    `momentum_steps` and `half_life` in proportion.

    The authors' networks scale weights at test time. Keras scales activations by 1 / (1 - rate)
    during training, which increases gradients by the same factor.

    Args:
        learning_rate: learning rate at the first step.
        half_life: number of steps after which the learning rate has halved; after n times as many
            it is ``learning_rate / (n + 1)``.
        momentum: final momentum.
        initial_momentum: momentum at the first step.
        momentum_steps: number of steps over which the momentum increases linearly.

    Returns:
        A new optimizer; each model needs its own.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> from dropout_zoo.models import build_mlp, srivastava_sgd
        >>> optimizer = srivastava_sgd(half_life=1_000, momentum_steps=10_000)
        >>> model = build_mlp(units=(1024,), hidden_rates=0.5, max_norm=2, optimizer=optimizer)
        >>> model.optimizer.momentum
        0.95
    """
    check_count(half_life, "half_life")
    return RampedSGD(
        keras.optimizers.schedules.InverseTimeDecay(learning_rate, half_life, 1.0),
        momentum,
        initial_momentum=initial_momentum,
        momentum_steps=momentum_steps,
    )
