"""Error and loss of a trained model on the test set."""

from __future__ import annotations

import keras
import numpy as np

from dropout_zoo.studies.experiments.monte_carlo import proper_scores
from dropout_zoo.training.data.dataset import Dataset

_BATCH_SIZE = 1000


def held_out_scores(model: keras.Model, data: Dataset) -> dict[str, float]:
    """Score a classifier on the test set.

    Args:
        model: a model with one probability per class.
        data: the data.

    Returns:
        ``test_error`` in percent and ``test_loss`` in nats; nothing where the task is another one.
    """
    if data.test is None or data.num_classes is None:
        return {}
    x, y = data.test
    found = proper_scores(predictions(model, x), y)
    return {"test_error": found["error"], "test_loss": found["loss"]}


def predictions(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Predict with dropout off.

    Args:
        model: a model.
        x: inputs, shape ``(examples, ...)``.

    Returns:
        Outputs, float64.
    """
    # Called eagerly: `predict` would trace each model anew, which takes longer than these calls.
    parts = [
        keras.ops.convert_to_numpy(model(x[begin : begin + _BATCH_SIZE], training=False))
        for begin in range(0, len(x), _BATCH_SIZE)
    ]
    return np.concatenate(parts).astype(float)
