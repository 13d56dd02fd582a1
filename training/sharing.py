"""One traced function on the variables of many clones: tracing and optimizing are done once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def state_of(model: keras.Model) -> list[tf.Variable]:
    """Every variable of a compiled model, its optimizer and its metrics, in one order for clones.

    Args:
        model: a compiled model whose metrics have been built.

    Returns:
        TensorFlow's variables.
    """
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    return [v.value for v in (*model.variables, *model.optimizer.variables, *metrics)]


def on_other_variables(
    function: Any, its_own: Sequence[tf.Variable], others: Sequence[tf.Variable]
) -> Any:
    """Make the like of a traced function that works on other variables.

    Args:
        function: a `tf.types.experimental.ConcreteFunction`.
        its_own: the variables that it was traced with.
        others: those that stand in for them, in the same order.

    Returns:
        The function, which shares its graph with the other; None where it holds state that is
        not among its own variables (a lookup table, say) and so cannot be given another.
    """
    handles = {id(own.handle): other.handle for own, other in zip(its_own, others, strict=True)}
    captures = function.captured_inputs
    if any(c.dtype == tf.resource and id(c) not in handles for c in captures):
        return None
    like = copy.copy(function)
    like.set_external_captures([handles.get(id(capture), capture) for capture in captures])
    return like
