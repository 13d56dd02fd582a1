"""Private parts of TensorFlow, and of Keras's optimizers on TensorFlow, that the loops use.

None of them has a public equivalent; each function gives the reason. Each is tested in
`tests/training/engine/test_tensorflow_internals.py`, so that a version that changes one fails
there with a clear message.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def captured_inputs(function: Any) -> list[tf.Tensor]:
    """The tensors outside a concrete function that its graph reads, in the order of its inputs.

    The public `tf.types.experimental.ConcreteFunction` has no list of them.
    """
    return list(function.captured_inputs)


def with_captured_inputs(function: Any, inputs: Sequence[tf.Tensor]) -> Any:
    """Copy a concrete function so that it reads other tensors; both share one graph.

    Public functions trace a new graph for different variables, which takes seconds.
    """
    copied = copy.copy(function)
    copied.set_external_captures(list(inputs))
    return copied


def operation_types(function: Any) -> set[str]:
    """The types of all operations in a concrete function and in the functions that it calls.

    The public `ConcreteFunction` gives no access to its graph.
    """
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    return {node.op for node in nodes}


def resource_handle(variable: keras.Variable | tf.Variable) -> tf.Tensor:
    """The tensor through which kernels refer to a variable; `tf.Variable` does not document it."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


def table_handle(layer: keras.Layer) -> tf.Tensor | None:
    """The tensor through which kernels refer to the table of a lookup layer that cannot change.

    Keras documents neither the table of `StringLookup` and `IntegerLookup`, of which
    `TextVectorization` holds one, nor that it is static. None for other layers and tables.
    """
    table = getattr(layer, "lookup_table", None)
    return table.resource_handle if isinstance(table, tf.lookup.StaticHashTable) else None


class UpdatesAllVariables:
    """Mixin of an optimizer of Keras that updates all of its variables in one method.

    The public `update_step` handles one variable at a time, and repeats work that they all share.
    Keras's TensorFlow optimizers call `_backend_update_step` once.
    """

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        self.update_all(grads, trainable_variables, learning_rate)

    def update_all(
        self, grads: Sequence[Any], variables: Sequence[Any], learning_rate: Any
    ) -> None:
        """Update variables.

        Args:
            grads: the gradient of each variable.
            variables: the variables.
            learning_rate: the learning rate, a tensor.
        """
        raise NotImplementedError


def momentums(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The first moments of Adam or RMSprop, one per variable; Keras names them for itself only."""
    return list(optimizer._momentums)


def velocities(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The second moments of Adam or RMSprop, one per variable; see `momentums`."""
    return list(optimizer._velocities)
