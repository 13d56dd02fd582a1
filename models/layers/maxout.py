"""Maxout units (Goodfellow et al. 2013): each returns the largest of several linear pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from dropout_zoo.models.argument_validation import check_count


@keras.saving.register_keras_serializable("dropout_zoo")
class Maxout(keras.layers.Layer):
    """A dense layer of maxout units: ``max(x @ W_k + b_k)`` over the pieces ``k``.

    Each piece has its own incoming weights, so that the layer has `num_pieces` times as many
    parameters as a dense layer with as many units. There is no other activation. The kernel has
    shape ``(inputs, units * num_pieces)``, with the pieces of a unit side by side, so that a
    constraint on axis 0 applies to each piece.

    Args:
        units: number of units.
        num_pieces: number of linear pieces per unit, at least 1; 5 in the network for MNIST of
            Goodfellow et al. 2013 (Srivastava et al. 2014, Table 2).
        kernel_initializer: initializer of the kernel.
        bias_initializer: initializer of the biases.
        kernel_regularizer: regularizer of the kernel, or None.
        kernel_constraint: constraint on the kernel, or None.
        **base: arguments of `keras.layers.Layer`, such as ``name``.

    Input shape:
        ``(batch, ..., inputs)``.

    Output shape:
        ``(batch, ..., units)``.

    Raises:
        ValueError: `units` or `num_pieces` is not a whole number of at least 1.

    Example:
        >>> import keras
        >>> from dropout_zoo.models import Maxout
        >>> model = keras.Sequential([keras.Input((4,)), Maxout(3, num_pieces=2)])
        >>> model.output_shape, model.count_params()
        ((None, 3), 30)
    """

    def __init__(
        self,
        units: int,
        num_pieces: int,
        *,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        check_count(units, "units")
        check_count(num_pieces, "num_pieces")
        self.units = int(units)
        self.num_pieces = int(num_pieces)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the kernel and the biases.

        Args:
            input_shape: shape of the inputs; the last axis must be known.
        """
        columns = self.units * self.num_pieces
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], columns),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = self.add_weight(
            name="bias", shape=(columns,), initializer=self.bias_initializer
        )
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: input_shape[-1]})
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return the largest piece of each unit.

        Args:
            inputs: tensor of shape ``(batch, ..., inputs)``.

        Returns:
            Tensor of shape ``(batch, ..., units)``.
        """
        pieces = ops.matmul(inputs, self.kernel) + self.bias
        shape = (*ops.shape(pieces)[:-1], self.units, self.num_pieces)
        return ops.max(ops.reshape(pieces, shape), axis=-1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The shape of the inputs with `units` on the last axis."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """The arguments that recreate the layer."""
        return {
            **super().get_config(),
            "units": self.units,
            "num_pieces": self.num_pieces,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
        }
