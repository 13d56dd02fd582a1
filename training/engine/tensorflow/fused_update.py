"""Optimizers that update each variable with one of TensorFlow's fused kernels.

Keras's Adam runs some twenty small operations per variable; in a small network, these take up to a
quarter of a training step. The fused kernels compute the same formulas, but round differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.models.keras_internals import (
    UpdatesAllVariables,
    learning_rate_of,
    momentums,
    own_trainable_variables,
    variable_index,
    velocities,
)
from dropout_zoo.models.tensorflow_internals import resource_handle

# Layers that use each weight once per example. Convolutions use theirs at every position, which
# makes the cost of the update negligible.
_LAYERS_THAT_GAIN: tuple[type[keras.Layer], ...] = (
    keras.layers.Dense,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
)


class FusedAdam(UpdatesAllVariables, keras.optimizers.Adam):
    """`keras.optimizers.Adam` with one fused kernel per variable as its update."""

    def update_all(
        self, grads: Sequence[Any], variables: Sequence[Any], learning_rate: Any
    ) -> None:
        """Update all variables."""
        step = tf.cast(self.iterations.value + 1, tf.float32)
        # The kernel computes 1 - beta in float32, whereas Keras rounds the difference of the exact
        # numbers. The kernel's moments are larger by these factors; learning rate and epsilon
        # compensate for them.
        first = _ratio_of_complements(self.beta_1)
        second = _ratio_of_complements(self.beta_2)
        lr = tf.convert_to_tensor(learning_rate) * np.float32(second**0.5 / first)
        beta_1, beta_2 = np.float32(self.beta_1), np.float32(self.beta_2)
        beta_1_power, beta_2_power = tf.pow(beta_1, step), tf.pow(beta_2, step)
        for grad, variable in zip(grads, variables, strict=True):
            index = variable_index(self, variable)
            tf.raw_ops.ResourceApplyAdam(
                var=_handle(variable),
                m=_handle(momentums(self)[index]),
                v=_handle(velocities(self)[index]),
                beta1_power=beta_1_power,
                beta2_power=beta_2_power,
                lr=lr,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=np.float32(self.epsilon * second**0.5),
                grad=tf.convert_to_tensor(grad),
            )


class FusedSGD(UpdatesAllVariables, keras.optimizers.SGD):
    """`keras.optimizers.SGD` with one fused kernel per variable as its update."""

    def update_all(
        self, grads: Sequence[Any], variables: Sequence[Any], learning_rate: Any
    ) -> None:
        """Update all variables."""
        lr = tf.convert_to_tensor(learning_rate)
        for grad, variable in zip(grads, variables, strict=True):
            if self.momentum:
                tf.raw_ops.ResourceApplyKerasMomentum(
                    var=_handle(variable),
                    accum=_handle(self.momentums[variable_index(self, variable)]),
                    lr=lr,
                    grad=tf.convert_to_tensor(grad),
                    momentum=np.float32(self.momentum),
                    use_nesterov=self.nesterov,
                )
            else:
                tf.raw_ops.ResourceApplyGradientDescent(
                    var=_handle(variable), alpha=lr, delta=tf.convert_to_tensor(grad)
                )


class FusedRMSprop(UpdatesAllVariables, keras.optimizers.RMSprop):
    """`keras.optimizers.RMSprop` with one fused kernel per variable as its update."""

    def build(self, var_list: Sequence[keras.Variable]) -> None:
        """Create the slots; the kernel needs one for momentum even without momentum."""
        super().build(var_list)
        self.scratch = [] if self.momentum else [tf.Variable(tf.zeros(v.shape)) for v in var_list]

    def update_all(
        self, grads: Sequence[Any], variables: Sequence[Any], learning_rate: Any
    ) -> None:
        """Update all variables."""
        moments = momentums(self) or self.scratch
        for grad, variable in zip(grads, variables, strict=True):
            index = variable_index(self, variable)
            tf.raw_ops.ResourceApplyRMSProp(
                var=_handle(variable),
                ms=_handle(velocities(self)[index]),
                mom=_handle(moments[index]),
                lr=tf.convert_to_tensor(learning_rate),
                rho=np.float32(self.rho),
                momentum=np.float32(self.momentum),
                epsilon=np.float32(self.epsilon),
                grad=tf.convert_to_tensor(grad),
            )


FUSED: dict[type[keras.optimizers.Optimizer], type[keras.optimizers.Optimizer]] = {
    keras.optimizers.Adam: FusedAdam,
    keras.optimizers.SGD: FusedSGD,
    keras.optimizers.RMSprop: FusedRMSprop,
}
"""By optimizer class, the subclass that uses a fused kernel."""


def gains_from_fusion(model: keras.Model) -> bool:
    """Return whether a fused kernel exists for a model's optimizer and would save time."""
    optimizer = model.optimizer
    return (
        type(optimizer) in FUSED
        and _is_plain(optimizer)
        and all(v.dtype == "float32" for v in model.trainable_variables)
        and all(
            isinstance(layer, _LAYERS_THAT_GAIN) or not own_trainable_variables(layer)
            for layer in flat_layers(model)
        )
    )


def fused(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return an optimizer that uses a fused kernel, without the state of the given one.

    Args:
        optimizer: an instance of one of the classes in `FUSED`.

    Returns:
        A new optimizer with the same settings.
    """
    return FUSED[type(optimizer)].from_config(optimizer.get_config())


def _handle(variable: keras.Variable | tf.Variable) -> tf.Tensor:
    return resource_handle(variable.value if isinstance(variable, keras.Variable) else variable)


def _is_plain(optimizer: keras.optimizers.Optimizer) -> bool:
    if not isinstance(learning_rate_of(optimizer), keras.Variable):
        return False  # a schedule, which need not have a configuration
    settings = optimizer.get_config()
    extras = (
        "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema",
        "gradient_accumulation_steps", "loss_scale_factor", "amsgrad", "centered",
    )  # fmt: skip
    return not any(settings.get(name) for name in extras)


def _ratio_of_complements(beta: float) -> float:
    """Return the ratio of 1 - beta in float32 arithmetic to its exact value in float32."""
    return float(np.float32(1) - np.float32(beta)) / float(np.float32(1 - beta))
