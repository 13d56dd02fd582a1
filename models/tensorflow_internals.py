"""Private functions of TensorFlow that `dropout_zoo.models` uses.

Each is tested in `tests/models/test_tensorflow_internals.py`, so that a version of TensorFlow that
changes one fails there with a clear message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

_CONCRETE_FUNCTIONS = "_list_all_concrete_functions"


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
        definition = concrete.graph.as_graph_def()
        bodies = [definition.node, *(body.node_def for body in definition.library.function)]
        for node in (node for nodes in bodies for node in nodes):
            if node.op == "Const" and names.search(node.name):
                value = tf.make_ndarray(node.attr["value"].tensor)
                if value.ndim == 0:
                    yield node.name, float(np.asarray(value, "float64"))
