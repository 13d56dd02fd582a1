"""What a model returns, measured: probabilities or logits; and what its loss takes them for."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import losses

from dropout_zoo.models.graph import flat_layers
from dropout_zoo.training.targets import BINARY_LOSSES

_SOFTMAX_LOSSES = (
    losses.categorical_crossentropy,
    losses.categorical_focal_crossentropy,
    losses.sparse_categorical_crossentropy,
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
    return bool(getattr(loss, "_fn_kwargs", {}).get("from_logits", False))


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
    inputs = [x]
    indices = any(isinstance(layer, keras.layers.Embedding) for layer in flat_layers(model))
    if not indices:  # what stands for words has no larger or smaller
        inputs += [_ENLARGED * x, -_ENLARGED * x]
    for each in inputs:
        outputs = np.asarray(keras.ops.convert_to_numpy(model(each, training=False)), "float64")
        if not np.isfinite(outputs).all():
            return None
        if outputs.min() < -_ROUNDING or outputs.max() > 1 + _ROUNDING:
            return False
        if softmax and np.abs(outputs.sum(axis=1) - 1).max() > _ROUNDING:
            return False
    return None if indices and not softmax else True


def _loss(model: keras.Model) -> Any:
    loss = model.loss
    if isinstance(loss, dict):
        loss = next(iter(loss.values()))
    elif isinstance(loss, (list, tuple)):
        loss = loss[0]
    return losses.get(loss)
