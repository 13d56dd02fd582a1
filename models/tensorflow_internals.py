"""Private and undocumented parts of TensorFlow that this project uses, all in one place.

None of them has a public equivalent; the docstring of each function gives the reason. Each is
tested in `tests/models/test_tensorflow_internals.py`, so that a version of TensorFlow that changes
one fails there with a clear message. TensorFlow is imported when a function needs it, because Keras
also runs without it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

_CONCRETE_FUNCTIONS = "_list_all_concrete_functions"


def is_of_tracking(name: str) -> bool:
    """Whether an attribute of an object is the bookkeeping of checkpoints, and none of its own."""
    return name.startswith("_self_")


def is_traceable(function: Any) -> bool:
    """Whether an object is a `tf.function`; its class has no public name."""
    return hasattr(function, _CONCRETE_FUNCTIONS)


def concrete_functions(function: Any) -> list[Any]:
    """The graphs that have been traced for a `tf.function` so far.

    The public `get_concrete_function` traces one more and does not list those that exist.
    """
    return list(getattr(function, _CONCRETE_FUNCTIONS)())


def traced_functions(function: Any, apart_from: type) -> Iterator[Any]:
    """The `tf.function`s that a function encloses, at any depth, and the function if it is one.

    Keras wraps the traced step of a model in functions, and no attribute of the model refers to it.

    Args:
        function: any function, such as `Model.train_function`; None has none.
        apart_from: objects of this class are not looked into.
    """
    yield from _traced_functions(function, apart_from, set())


def _traced_functions(function: Any, apart_from: type, seen: set[int]) -> Iterator[Any]:
    if function is None or id(function) in seen:
        return
    seen.add(id(function))
    if is_traceable(function):
        yield function
    for cell in getattr(function, "__closure__", None) or ():
        try:
            inner = cell.cell_contents
        except ValueError:  # an empty cell
            continue
        if callable(inner) and not isinstance(inner, apart_from):
            yield from _traced_functions(inner, apart_from, seen)


def constants_of(function: Any, names: re.Pattern[str]) -> Iterator[tuple[str, float]]:
    """The scalar constants in the graphs that have been traced for a `tf.function` so far.

    A function's operations are public only through its graph, and only the serialized graph lists
    inner functions.

    Args:
        function: a `tf.function`.
        names: pattern that is searched for in the names of constants; others are left out.

    Yields:
        Name and value.
    """
    import tensorflow as tf

    for concrete in concrete_functions(function):
        for node in _nodes(concrete):
            if node.op == "Const" and names.search(node.name):
                value = tf.make_ndarray(node.attr["value"].tensor)
                if value.ndim == 0:
                    yield node.name, float(np.asarray(value, "float64"))


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
    return {node.op for node in _nodes(function)}


def resource_handle(variable: tf.Variable) -> tf.Tensor:
    """The tensor through which kernels refer to a variable; `tf.Variable` does not document it."""
    return variable.handle


def static_table_handle(table: Any) -> tf.Tensor | None:
    """The tensor through which kernels refer to a lookup table that cannot change.

    `tf.lookup` does not document it. None for anything else.
    """
    import tensorflow as tf

    return table.resource_handle if isinstance(table, tf.lookup.StaticHashTable) else None


def _nodes(function: Any) -> Iterator[Any]:
    """The nodes of a concrete function's graph and of all inner functions."""
    graph = function.graph.as_graph_def()
    yield from graph.node
    for inner in graph.library.function:
        yield from inner.node_def
