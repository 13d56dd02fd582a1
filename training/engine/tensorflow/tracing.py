"""Reuses one traced function for the variables of many clones: it is traced and optimized once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.models.keras_internals import lookup_table
from dropout_zoo.models.tensorflow_internals import (
    captured_inputs,
    operation_types,
    resource_handle,
    static_table_handle,
    with_captured_inputs,
)
from dropout_zoo.training.engine.member_state import optimizer_variables


def state_of(model: keras.Model) -> list[tf.Variable]:
    """Return the variables of a compiled model, its optimizers and its metrics.

    Args:
        model: a compiled model whose metrics have been built.

    Returns:
        TensorFlow's variables, in an order that is the same for clones.
    """
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    known = [v.value for v in (*model.variables, *optimizer_variables(model), *metrics)]
    return known + getattr(model.optimizer, "scratch", [])


_RANDOM_OPERATIONS = {
    "Multinomial", "ParameterizedTruncatedNormal", "RandomGamma", "RandomPoissonV2",
    "RandomShuffle", "RandomStandardNormal", "RandomUniform", "RandomUniformInt", "TruncatedNormal",
}  # fmt: skip
_PYTHON_OPERATIONS = {"PyFunc", "EagerPyFunc"}


def vocabularies_of(model: keras.Model) -> list[tf.Tensor]:
    """Return the handles of the tables of lookup layers, which all members share: none changes.

    Args:
        model: a model, such as one with `TextVectorization` or `StringLookup`.
    """
    handles = (static_table_handle(lookup_table(layer)) for layer in flat_layers(model))
    return [handle for handle in handles if handle is not None]


def check_state(
    function: Any, known: Sequence[tf.Variable], shared: Sequence[tf.Tensor] = ()
) -> None:
    """Check that a traced function depends on no state but that of a member.

    Args:
        function: a `tf.types.experimental.ConcreteFunction`.
        known: the variables that are set when a member starts.
        shared: handles of tables that no training changes.

    Raises:
        ValueError: it uses other variables or tables, or it draws random numbers or calls Python,
            neither of which a member's seed determines.
    """
    handles = {id(handle) for handle in [*map(resource_handle, known), *shared]}
    unknown = [
        capture
        for capture in captured_inputs(function)
        if capture.dtype == tf.resource and id(capture) not in handles
    ]
    if unknown:
        raise ValueError(
            "expected all state of the model in the weights of its layers, received "
            f"{len(unknown)} variables or tables that Keras does not track"
        )
    unseeded = sorted(operation_types(function) & (_RANDOM_OPERATIONS | _PYTHON_OPERATIONS))
    if unseeded:
        raise ValueError(
            "expected layers whose random numbers follow from a seed (as those of keras.random "
            f"with a SeedGenerator do), received a model that calls {', '.join(unseeded)}"
        )


def bind_to_variables(
    function: Any, traced_with: Sequence[tf.Variable], variables: Sequence[tf.Variable]
) -> Any:
    """Return a traced function that works on different variables.

    Args:
        function: a `tf.types.experimental.ConcreteFunction`.
        traced_with: the variables that it was traced with.
        variables: those to use instead, in the same order.

    Returns:
        The function; it shares its graph with the given one.
    """
    handles = {
        id(resource_handle(old)): resource_handle(new)
        for old, new in zip(traced_with, variables, strict=True)
    }
    return with_captured_inputs(
        function, [handles.get(id(capture), capture) for capture in captured_inputs(function)]
    )
