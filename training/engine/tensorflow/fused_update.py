"""Optimizers that change each variable by one of TensorFlow's fused kernels.

Keras's Adam makes some twenty small operations a variable; where the net is small too, they take
as long as a quarter of a step. The fused kernels compute the same formulas, but round otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dropout_zoo.models.graph.model_graph import flat_layers

# Layers that use each weight once an example. Convolutions use theirs at every position: beside
# that, what the update costs cannot be measured.
_LAYERS_THAT_GAIN: tuple[type[keras.Layer], ...] = (
    keras.layers.Dense,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
)


class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`, its update a fused kernel a variable."""

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        step = tf.cast(self.iterations.value + 1, tf.float32)
        # The kernel computes 1 - beta in float32, where Keras rounds the difference of the exact
        # numbers: its moments are larger by these factors, which the two settings take back.
        first = _ratio_of_complements(self.beta_1)
        second = _ratio_of_complements(self.beta_2)
        lr = tf.convert_to_tensor(learning_rate) * np.float32(second**0.5 / first)
        beta_1, beta_2 = np.float32(self.beta_1), np.float32(self.beta_2)
        beta_1_power, beta_2_power = tf.pow(beta_1, step), tf.pow(beta_2, step)
        for grad, variable in zip(grads, trainable_variables, strict=True):
            index = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyAdam(
                var=_handle(variable),
                m=_handle(self._momentums[index]),
                v=_handle(self._velocities[index]),
                beta1_power=beta_1_power,
                beta2_power=beta_2_power,
                lr=lr,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=np.float32(self.epsilon * second**0.5),
                grad=tf.convert_to_tensor(grad),
            )


class FusedSGD(keras.optimizers.SGD):
    """`keras.optimizers.SGD`, its update a fused kernel a variable."""

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        lr = tf.convert_to_tensor(learning_rate)
        for grad, variable in zip(grads, trainable_variables, strict=True):
            if self.momentum:
                tf.raw_ops.ResourceApplyKerasMomentum(
                    var=_handle(variable),
                    accum=_handle(self.momentums[self._get_variable_index(variable)]),
                    lr=lr,
                    grad=tf.convert_to_tensor(grad),
                    momentum=np.float32(self.momentum),
                    use_nesterov=self.nesterov,
                )
            else:
                tf.raw_ops.ResourceApplyGradientDescent(
                    var=_handle(variable), alpha=lr, delta=tf.convert_to_tensor(grad)
                )


class FusedRMSprop(keras.optimizers.RMSprop):
    """`keras.optimizers.RMSprop`, its update a fused kernel a variable."""

    def build(self, var_list: Sequence[keras.Variable]) -> None:
        """Create the slots; the kernel wants one for momentum even where there is none."""
        super().build(var_list)
        self.scratch = [] if self.momentum else [tf.Variable(tf.zeros(v.shape)) for v in var_list]

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        momentums = self._momentums or self.scratch
        for grad, variable in zip(grads, trainable_variables, strict=True):
            index = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyRMSProp(
                var=_handle(variable),
                ms=_handle(self._velocities[index]),
                mom=_handle(momentums[index]),
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
"""Each optimizer that has a fused kernel, and its like that uses it."""


def gains_from_fusion(model: keras.Model) -> bool:
    """Whether a compiled model's optimizer has a fused kernel, and is slow beside its net."""
    optimizer = model.optimizer
    return (
        type(optimizer) in FUSED
        and _is_plain(optimizer)
        and all(v.dtype == "float32" for v in model.trainable_variables)
        and all(
            isinstance(layer, _LAYERS_THAT_GAIN) or not layer._trainable_variables
            for layer in flat_layers(model)
        )
    )


def fused(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Make the like of an optimizer that uses a fused kernel, without its state.

    Args:
        optimizer: of one of the classes in `FUSED`.

    Returns:
        A new optimizer with the same settings.
    """
    return FUSED[type(optimizer)].from_config(optimizer.get_config())


def _is_plain(optimizer: keras.optimizers.Optimizer) -> bool:
    settings = optimizer.get_config()
    extras = (
        "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema",
        "gradient_accumulation_steps", "loss_scale_factor", "amsgrad", "centered",
    )  # fmt: skip
    return isinstance(settings["learning_rate"], float) and not any(
        settings.get(name) for name in extras
    )


def _ratio_of_complements(beta: float) -> float:
    """How much larger 1 - beta is in float32 arithmetic than rounded from the exact number."""
    return float(np.float32(1) - np.float32(beta)) / float(np.float32(1 - beta))


def _handle(variable: Any) -> tf.Tensor:
    """What kernels know a variable by; Keras wraps TensorFlow's."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle
