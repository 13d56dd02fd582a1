"""The rates in a traced training step, read from its TensorFlow graph."""

from __future__ import annotations

import math
import re

import keras

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
    constants = [
        constant
        for function in tensorflow_internals.traced_functions(
            getattr(model, "train_function", None), apart_from=keras.Layer
        )
        for constant in tensorflow_internals.constants_of(function, _NUMBERS)
    ]
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
