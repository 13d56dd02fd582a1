"""The rates in a traced training step, read from its TensorFlow graph."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from dropout_zoo.models import tensorflow_internals
from dropout_zoo.models.graph.sites import DROPOUT_FAMILY, DropoutSite

# Half precision keeps about three digits of a rate.
_TOLERANCE = 5e-3
# Names of the constants through which a rate enters the operations of Keras.
_PLAIN, _GAUSSIAN, _ALPHA = r"/GreaterEqual/y$", r"/stddev$", r"/Const(_\d+)?$"
_NUMBERS = re.compile("|".join((_PLAIN, _GAUSSIAN, _ALPHA)))


def traced_rates(model: keras.Model, sites: list[DropoutSite]) -> dict[str, list[float]]:
    """Find the rates that the model's `fit` was traced with.

    Args:
        model: the model.
        sites: its dropout sites.

    Returns:
        The constants that act as rates in the graph, by site path. Sites without such constants are
        left out; the result is empty if the model has not been traced, or not by TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        return {}
    constants = list(_constants(getattr(model, "train_function", None)))
    found: dict[str, list[float]] = {}
    for site in sites if constants else []:
        dropout = isinstance(site.layer, DROPOUT_FAMILY)
        layer = site.layer if dropout else site.owner  # a cell has no name scope of its own
        gaussian = isinstance(layer, keras.layers.GaussianDropout)
        alpha = isinstance(layer, keras.layers.AlphaDropout)
        number = _GAUSSIAN if gaussian else _ALPHA if alpha else _PLAIN
        # The name scopes of layers that are called more than once are numbered.
        wanted = re.compile(rf"(^|/){re.escape(layer.name)}(_\d+)?/(.*/)?{number[1:]}")
        values = [value for name, value in constants if wanted.search(name)]
        if values:
            found[site.path] = [_rate_of(value) if gaussian else value for value in values]
    return found


def is_among(rate: float, rates: list[float]) -> bool:
    """Whether a rate is one of those found, up to the precision of half-precision numbers."""
    return any(math.isclose(rate, each, rel_tol=_TOLERANCE, abs_tol=1e-6) for each in rates)


def _rate_of(stddev: float) -> float:
    return stddev**2 / (1 + stddev**2)


def _constants(function: Any) -> Iterator[tuple[str, float]]:
    """Names and values of the constants in the graphs of a traced function."""
    import tensorflow as tf

    for traced in _traced_functions(function, set()):
        for concrete in tensorflow_internals.concrete_functions(traced):
            definition = concrete.graph.as_graph_def()
            bodies = [definition.node, *(body.node_def for body in definition.library.function)]
            for node in (node for nodes in bodies for node in nodes):
                if node.op == "Const" and _NUMBERS.search(node.name):
                    value = tf.make_ndarray(node.attr["value"].tensor)
                    if value.ndim == 0:
                        yield node.name, float(np.asarray(value, "float64"))


def _traced_functions(function: Any, seen: set[int]) -> Iterator[Any]:
    """The `tf.function`s in the closure of a function, where Keras keeps them."""
    if function is None or id(function) in seen:
        return
    seen.add(id(function))
    if tensorflow_internals.is_traceable(function):
        yield function
    for cell in getattr(function, "__closure__", None) or ():
        try:
            inner = cell.cell_contents
        except ValueError:  # an empty cell
            continue
        if callable(inner) and not isinstance(inner, keras.Layer):
            yield from _traced_functions(inner, seen)
