"""Checks of outputs: whether a model returns probabilities or logits, and its loss expects them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import losses

from dropout_zoo.models import keras_internals
from dropout_zoo.models.graph.model_graph import flat_layers, reads_indices
from dropout_zoo.training.data.targets import BINARY_LOSSES

_SOFTMAX_LOSSES = (
    losses.categorical_crossentropy,
    losses.categorical_focal_crossentropy,
    losses.sparse_categorical_crossentropy,
)
_SCALE = 100.0  # inputs scaled by this factor drive logits out of [0, 1]
_TOLERANCE = 1e-2  # rounding in half precision


def expects_logits(model: keras.Model) -> bool | None:
    """Return whether the loss of a compiled model expects logits.

    Args:
        model: a compiled model with one output.

    Returns:
        True for logits, False for probabilities; None where it is not a cross-entropy of Keras.
    """
    loss = _loss(model)
    if getattr(loss, "fn", loss) not in (*_SOFTMAX_LOSSES, *BINARY_LOSSES):
        return None
    return bool(keras_internals.loss_arguments(loss).get("from_logits", False))


def are_probabilities(model: keras.Model, x: np.ndarray) -> bool | None:
    """Return whether a model returns probabilities, as measured.

    Args:
        model: a compiled model with one output of shape ``(batch, units)`` and a cross-entropy.
        x: examples.

    Returns:
        Whether all outputs are in [0, 1] and, for a softmax, sum to 1; None where these examples
        do not show it.
    """
    loss = _loss(model)
    softmax = getattr(loss, "fn", loss) in _SOFTMAX_LOSSES
    outputs = _outputs(model, x)
    if not np.isfinite(outputs).all():
        return None
    if outputs.min() < -_TOLERANCE or outputs.max() > 1 + _TOLERANCE:
        return False
    if softmax:
        return bool(np.abs(outputs.sum(axis=1) - 1).max() <= _TOLERANCE)
    # A batch of logits may happen to be in [0, 1]; for scaled inputs it is not.
    return True if _can_be_scaled(model) else None


def is_always_one(model: keras.Model, x: np.ndarray) -> bool:
    """Return whether a model with one output unit returns 1 for all inputs, as measured.

    Args:
        model: a model with one output.
        x: examples.

    Returns:
        Whether it does, as a softmax over one unit does.
    """
    outputs = _outputs(model, x)
    # A number divided by itself is not exactly 1 on every processor or in half precision.
    return outputs.shape[1:] == (1,) and np.allclose(outputs, 1, rtol=0, atol=1e-3)


def _outputs(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The outputs of a model for examples, and for the same examples scaled up."""
    inputs = [x, _SCALE * x, -_SCALE * x] if _can_be_scaled(model) else [x]
    returned = [keras.ops.convert_to_numpy(model(each, training=False)) for each in inputs]
    return np.concatenate(returned).astype("float64")


def _can_be_scaled(model: keras.Model) -> bool:
    """Whether larger inputs lead to larger outputs: not if they are indices, or put into bins."""
    binned = any(isinstance(layer, keras.layers.Discretization) for layer in flat_layers(model))
    return not binned and not reads_indices(model)


def _loss(model: keras.Model) -> Any:
    loss = model.loss
    if isinstance(loss, dict):
        loss = next(iter(loss.values()))
    elif isinstance(loss, (list, tuple)):
        loss = loss[0]
    return losses.get(loss)
