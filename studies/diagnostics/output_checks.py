"""What a model returns, measured: probabilities or logits; and what its loss takes them for."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import losses

from dropout_zoo.models import keras_internals
from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.training.data.targets import BINARY_LOSSES

_SOFTMAX_LOSSES = (
    losses.categorical_crossentropy,
    losses.categorical_focal_crossentropy,
    losses.sparse_categorical_crossentropy,
)
_TAKE_INDICES = (
    keras.layers.Embedding,
    keras.layers.CategoryEncoding,
    keras.layers.Discretization,
    keras.layers.Hashing,
    keras.layers.IntegerLookup,
)
_ENLARGED = 100.0  # inputs so many times as large drive logits out of [0, 1]
_ROUNDING = 1e-2  # in half precision


def expects_logits(model: keras.Model) -> bool | None:
    """Whether the loss of a compiled model takes its outputs for logits.

    Args:
        model: a compiled model with one output.

    Returns:
        True for logits, False for probabilities; None where it is no cross-entropy of Keras.
    """
    loss = _loss(model)
    if getattr(loss, "fn", loss) not in (*_SOFTMAX_LOSSES, *BINARY_LOSSES):
        return None
    return bool(keras_internals.loss_arguments(loss).get("from_logits", False))


def are_probabilities(model: keras.Model, x: np.ndarray) -> bool | None:
    """Measure whether a model returns probabilities.

    Args:
        model: a compiled model with one output of shape ``(batch, units)`` and a cross-entropy.
        x: examples.

    Returns:
        Whether all outputs lie in [0, 1] and, with a softmax, add up to 1; None where these
        examples cannot tell.
    """
    loss = _loss(model)
    softmax = getattr(loss, "fn", loss) in _SOFTMAX_LOSSES
    outputs = _outputs(model, x)
    if not np.isfinite(outputs).all():
        return None
    if outputs.min() < -_ROUNDING or outputs.max() > 1 + _ROUNDING:
        return False
    if softmax:
        return bool(np.abs(outputs.sum(axis=1) - 1).max() <= _ROUNDING)
    # A batch of logits may happen to lie in [0, 1]; it does not when it is enlarged.
    return True if _takes_numbers(model) else None


def is_always_one(model: keras.Model, x: np.ndarray) -> bool:
    """Measure whether a model with one output unit returns 1 for whatever it receives.

    Args:
        model: a model with one output.
        x: examples.

    Returns:
        Whether it does, as a softmax over one unit does.
    """
    outputs = _outputs(model, x)
    # Not every processor divides a number by itself to exactly 1, least of all in half precision.
    return outputs.shape[1:] == (1,) and np.allclose(outputs, 1, rtol=0, atol=1e-3)


def _outputs(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """What a model returns for examples, and for the same examples much enlarged."""
    inputs = [x, _ENLARGED * x, -_ENLARGED * x] if _takes_numbers(model) else [x]
    returned = [keras.ops.convert_to_numpy(model(each, training=False)) for each in inputs]
    return np.concatenate(returned).astype("float64")


def _takes_numbers(model: keras.Model) -> bool:
    """Whether inputs are quantities; what stands for words or classes has no larger or smaller."""
    return not any(isinstance(layer, _TAKE_INDICES) for layer in flat_layers(model))


def _loss(model: keras.Model) -> Any:
    loss = model.loss
    if isinstance(loss, dict):
        loss = next(iter(loss.values()))
    elif isinstance(loss, (list, tuple)):
        loss = loss[0]
    return losses.get(loss)
