"""The score of a model that has learned nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
import numpy as np

from dropout_zoo.models.keras_internals import compile_arguments
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.structures import is_structure
from dropout_zoo.training.objective import Objective


class Chance(NamedTuple):
    """The score of a constant prediction.

    Attributes:
        objective: the metric, and which direction of it is better.
        value: the metric's value for the constant prediction.
        prediction: the prediction in words.
        by_split: the value on each split of the data over which `value` is averaged.
    """

    objective: Objective
    value: float
    prediction: str
    by_split: Mapping[int, float] = MappingProxyType({})

    def is_beaten_by(self, score: float) -> bool:
        """Return whether a score is better than chance by more than rounding."""
        same = math.isclose(score, self.value, rel_tol=1e-6)
        return not same and self.objective.is_better(score, self.value)


def chance_of(
    model: keras.Model, dataset: Dataset, objective: Objective, splits: Sequence[int] = (0,)
) -> Chance | None:
    """Score the prediction that ignores the input, on validation sets.

    Args:
        model: the compiled model.
        dataset: the data.
        objective: what a search is judged by: the validation loss, or the validation accuracy.
        splits: splits of the data, as `Member` has them, over which the score is averaged; 0 is
            the given one.

    Returns:
        For a classification, the accuracy of the most frequent training class, or the cross-entropy
        of the class frequencies; for a regression, the loss of the training mean. None for other
        objectives and losses, for weighted and streamed examples, and where the loss contains more
        than that of the targets, such as a penalty.
    """
    if dataset.stream is not None:
        return None  # its first examples need not be like all of them
    if objective.name == "val_loss" and (
        compile_arguments(model).get("loss_weights") is not None or model.losses
    ):
        return None
    found = {split: _chance_on(model, _split_of(dataset, split), objective) for split in {*splits}}
    first = found[splits[0]]
    if first is None:
        return None
    values = [each.value for split in splits if (each := found[split]) is not None]
    by_split = {split: each.value for split, each in found.items() if each is not None}
    return first._replace(value=float(np.mean(values)), by_split=by_split)


def _split_of(dataset: Dataset, split: int) -> Dataset:
    return dataset if split == 0 else dataset.resplit(split)


def _chance_on(model: keras.Model, dataset: Dataset, objective: Objective) -> Chance | None:
    """The chance on one split of the data."""
    train, validation = dataset.train[1], dataset.validation[1]
    if dataset.sample_weight is not None or dataset.validation_weight is not None:
        return None  # the constant that is best depends on the weights, and the metric may
    if train is None or is_structure(train):
        return None
    if dataset.num_classes is not None:
        counts = np.bincount(train, minlength=dataset.num_classes)
        if objective.name in ACCURACIES:
            share = float(np.mean(validation == counts.argmax()))
            return Chance(objective, share, "the most frequent class")
        if objective.name != "val_loss" or not _is_cross_entropy(model.loss):
            return None
        frequencies = np.maximum(counts / len(train), 1e-7)
        value = float(-np.log(frequencies[validation]).mean())
        return Chance(objective, value, "the class frequencies")
    if objective.name != "val_loss" or not isinstance(model.loss, str | keras.losses.Loss):
        return None
    loss = keras.losses.get(model.loss)
    targets = validation.reshape(len(validation), -1).astype("float32")
    mean = np.broadcast_to(train.reshape(len(train), -1).mean(axis=0), targets.shape)
    try:
        value = float(np.mean(keras.ops.convert_to_numpy(loss(targets, mean.astype("float32")))))
    except Exception:  # the user's own code may raise anything
        return None
    return Chance(objective, value, "the mean of the targets")


ACCURACIES = ("val_accuracy", "val_acc", "val_sparse_categorical_accuracy",
               "val_categorical_accuracy", "val_binary_accuracy")  # fmt: skip


def _is_cross_entropy(loss: Any) -> bool:
    """Whether a loss is the plain cross-entropy of classes."""
    kinds = ("categorical_crossentropy", "sparse_categorical_crossentropy", "binary_crossentropy")
    if isinstance(loss, str):
        return loss in kinds
    smoothed = getattr(loss, "label_smoothing", 0) or 0
    return getattr(loss, "name", "") in kinds and smoothed == 0
