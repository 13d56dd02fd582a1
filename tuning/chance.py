"""What a model that has learned nothing reaches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np

from dropout_zoo.studies.metric_names import accuracy_name
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.objective import Objective


class Chance(NamedTuple):
    """The score of a constant prediction.

    Attributes:
        objective: the metric, and which direction of it is better.
        value: the metric's value for the constant prediction.
        prediction: the prediction in words.
    """

    objective: Objective
    value: float
    prediction: str


def chance_of(model: keras.Model, dataset: Dataset, columns: Mapping[str, float]) -> Chance | None:
    """Score the prediction that ignores the input, on the validation set.

    Args:
        model: the compiled model.
        dataset: the data.
        columns: a row of learning curves, which names the metrics.

    Returns:
        For a classification, the accuracy of the most frequent training class; for a regression,
        the loss of the training mean. None where the model does not measure that.
    """
    train, validation = dataset.train[1], dataset.validation[1]
    if dataset.num_classes is not None:
        name = accuracy_name(columns)
        if name is None:
            return None
        frequent = np.bincount(train).argmax()
        share = float(np.mean(validation == frequent))
        return Chance(Objective(f"val_{name}", "max"), share, "the most frequent class")
    if not isinstance(model.loss, str | keras.losses.Loss):
        return None
    loss = keras.losses.get(model.loss)
    targets = validation.reshape(len(validation), -1).astype("float32")
    mean = np.broadcast_to(train.reshape(len(train), -1).mean(axis=0), targets.shape)
    try:
        value = float(np.mean(keras.ops.convert_to_numpy(loss(targets, mean.astype("float32")))))
    except Exception:  # the user's own code may raise anything
        return None
    return Chance(Objective("val_loss", "min"), value, "the mean of the targets")
