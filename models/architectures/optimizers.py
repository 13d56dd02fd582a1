"""How published nets were optimised, as optimizers to compile with."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from dropout_zoo.models import keras_internals
from dropout_zoo.models.argument_validation import check_count


@keras.saving.register_keras_serializable("dropout_zoo")
class RampedSGD(keras.optimizers.SGD):
    """`keras.optimizers.SGD` whose momentum rises in a straight line over the first steps.

    Each step takes ``velocity = momentum * velocity + gradient`` and then ``weight -=
    learning_rate * velocity``, so that a learning rate that falls also slows what was gathered.

    Args:
        learning_rate: number above 0, or a `keras.optimizers.schedules.LearningRateSchedule`.
        momentum: momentum at the end, in (0, 1].
        initial_momentum: momentum at the first step, in [0, 1].
        momentum_steps: steps (updates) over which the momentum rises, at least 1.
        name: the optimizer's name.
        **base: what `keras.optimizers.Optimizer` takes, such as ``clipnorm``.

    Raises:
        ValueError: an argument is out of its range.
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
                "expected initial_momentum in [0, 1] and momentum in (0, 1]; received "
                f"{initial_momentum!r} and {momentum!r}"
            )
        self.initial_momentum = float(initial_momentum)
        self.momentum_steps = int(momentum_steps)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change one variable by its gradient.

        Args:
            gradient: tensor of the variable's shape.
            variable: the variable.
            learning_rate: the learning rate of this step.
        """
        dtype = variable.dtype
        risen = ops.minimum(ops.cast(self.iterations, dtype) / self.momentum_steps, 1.0)
        momentum = self.initial_momentum + (self.momentum - self.initial_momentum) * risen
        velocity = self.momentums[keras_internals.variable_index(self, variable)]
        self.assign(velocity, velocity * momentum + ops.cast(gradient, dtype))
        self.assign_sub(variable, velocity * ops.cast(learning_rate, dtype))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same optimizer again."""
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
    """Make the optimizer with which Srivastava et al. (2014) trained their nets for MNIST.

    To compile with, together with max-norm, which keeps so large a learning rate in check:
    ``create_model("srivastava_1024x3", optimizer=srivastava_sgd())``; batches of 100. The final
    momentum of 0.95 is Appendix B.1 of the paper, as quoted by replications; all other numbers are
    those of the first author's example for 784-1024-1024-2048-10 (deepnet, model_dropout.pbtxt
    and train.pbtxt), which ends at a momentum of 0.99. The paper trained for a million updates;
    over fewer, shorten `momentum_steps` and `half_life` alike.

    The authors' nets scale their weights at test time. Keras scales activations during training,
    by 1 / (1 - rate), which makes gradients larger by the same factor.

    Args:
        learning_rate: learning rate at the first step.
        half_life: steps after which the learning rate has halved; after n of them it is one
            (n + 1)-th.
        momentum: momentum at the end.
        initial_momentum: momentum at the first step.
        momentum_steps: steps over which the momentum rises in a straight line.

    Returns:
        A new optimizer; one for each model.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_count(half_life, "half_life")
    return RampedSGD(
        keras.optimizers.schedules.InverseTimeDecay(learning_rate, half_life, 1.0),
        momentum,
        initial_momentum=initial_momentum,
        momentum_steps=momentum_steps,
    )
