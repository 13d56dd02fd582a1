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
    known = [v.value for v in (*model.variables, *model.optimizer.variables, *metrics)]
    return known + getattr(model.optimizer, "scratch", [])


_DRAWING = {
    "Multinomial", "ParameterizedTruncatedNormal", "RandomGamma", "RandomPoissonV2",
    "RandomShuffle", "RandomStandardNormal", "RandomUniform", "RandomUniformInt", "TruncatedNormal",
}  # fmt: skip
_PYTHON = {"PyFunc", "EagerPyFunc"}


def check_state(function: Any, known: Sequence[tf.Variable]) -> None:
    """Refuse a traced function that holds more state than a member can be given anew.

    Args:
        function: a `tf.types.experimental.ConcreteFunction`.
        known: the variables that are set when a member starts.

    Raises:
        ValueError: it holds other variables or tables, or it draws numbers or calls Python, over
            which a member's seed has no say.
    """
    handles = {id(variable.handle) for variable in known}
    unknown = [
        capture
        for capture in function.captured_inputs
        if capture.dtype == tf.resource and id(capture) not in handles
    ]
    if unknown:
        raise ValueError(
            "expected all state of the model in the weights of its layers, received "
            f"{len(unknown)} variables or tables that Keras does not know of"
        )
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    loose = sorted({node.op for node in nodes} & (_DRAWING | _PYTHON))
    if loose:
        raise ValueError(
            "expected layers whose random numbers follow from a seed, as those of keras.random "
            f"with a SeedGenerator do; received a model that calls {', '.join(loose)}"
        )


def on_other_variables(
    function: Any, its_own: Sequence[tf.Variable], others: Sequence[tf.Variable]
) -> Any:
    """Make the like of a traced function that works on other variables.

    Args:
        function: a `tf.types.experimental.ConcreteFunction`.
        its_own: the variables that it was traced with.
        others: those that stand in for them, in the same order.

    Returns:
        The function; it shares its graph with the other.
    """
    handles = {id(own.handle): other.handle for own, other in zip(its_own, others, strict=True)}
    like = copy.copy(function)
    like.set_external_captures(
        [handles.get(id(capture), capture) for capture in function.captured_inputs]
    )
    return like
