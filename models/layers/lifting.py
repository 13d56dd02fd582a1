"""Turning plain layers into their equivalents with rates in variables."""

from __future__ import annotations

import keras

from dropout_zoo.models import keras_internals
from dropout_zoo.models.layers.runtime_rate import LIFTED_LAYERS, RateInVariables
from dropout_zoo.models.layers.runtime_rate_attention import LIFTED_ATTENTION
from dropout_zoo.models.layers.runtime_rate_cells import LIFTED_CELLS, RuntimeRateCell

LIFTED: dict[type[keras.Layer], type[keras.Layer]] = LIFTED_LAYERS | LIFTED_CELLS | LIFTED_ATTENTION
"""The equivalent of each plain layer that applies dropout."""


def lift(layer: keras.Layer) -> None:
    """Turn a plain layer that applies dropout into its equivalent, in place.

    It gets another class, `layer.__class__`, and keeps its attributes: a layer inside another, such
    as the dropout of `MultiHeadAttention`, cannot be exchanged for a new one. Only layers of copies
    that this package has made are lifted, never those of a caller's model.

    Args:
        layer: a layer whose class is a key of `LIFTED`, not a subclass of one.
    """
    layer.__class__ = LIFTED[type(layer)]
    with keras_internals.state_may_be_added(layer):
        layer.create_variables()


def rate_in_variables(layer: keras.Layer, argument: str) -> RateInVariables | None:
    """Return the object that holds a rate of a layer in variables.

    Args:
        layer: the layer that applies dropout.
        argument: its argument that is the rate.

    Returns:
        The layer itself or, for a recurrent cell, one of its rates; None where the rate is not a
        variable.
    """
    if isinstance(layer, RateInVariables):
        return layer
    return layer.cell_rates.get(argument) if isinstance(layer, RuntimeRateCell) else None
