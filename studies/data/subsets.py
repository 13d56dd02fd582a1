"""Other training parts for the same validation part: fewer examples, or changed ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.split import stratified_sample


def with_training_part(
    dataset: Dataset, x: np.ndarray, y: np.ndarray, changed: str, weight: np.ndarray | None = None
) -> Dataset:
    """The same data with another training part.

    Args:
        dataset: the data.
        x: training inputs, float32, shape `(examples, ...)`.
        y: their labels or targets, shape `(examples, ...)`.
        changed: what was done, for the source.
        weight: weight of each training example, or None.

    Returns:
        The data; validation and test part are shared.
    """
    return replace(
        dataset, train=(x, y), sample_weight=weight, source=f"{dataset.source}, {changed}"
    )


def with_fewer_examples(dataset: Dataset, examples: int, seed: int) -> Dataset:
    """The same data with a part of the training examples, each class with its share.

    Args:
        dataset: the data.
        examples: number of training examples; all where there are not more.
        seed: decides which.

    Returns:
        The data.
    """
    x, y = dataset.train
    if examples >= len(y):
        return dataset
    groups = np.zeros(len(y), np.int32) if dataset.num_classes is None else y
    index = stratified_sample(groups, examples, seed=seed)
    weight = None if dataset.sample_weight is None else dataset.sample_weight[index]
    return with_training_part(
        dataset, x[index], y[index], f"{examples} examples, seed {seed}", weight
    )


def fold_of(dataset: Dataset, folds: int, number: int) -> Dataset:
    """The same data with one fold of training and validation part as the validation part.

    Args:
        dataset: the data.
        folds: number of folds, at least 2; of a classification each class has its share in each.
        number: which fold, from 0.

    Returns:
        The data, without weights of the training examples.
    """
    x, y = (
        np.concatenate([one, other])
        for one, other in zip(dataset.train, dataset.validation, strict=True)
    )
    maker = KFold if dataset.num_classes is None else StratifiedKFold
    splits = maker(folds, shuffle=True, random_state=0).split(x, y)
    train, validation = list(splits)[number]
    return replace(
        dataset,
        train=(x[train], y[train]),
        validation=(x[validation], y[validation]),
        sample_weight=None,
        source=f"{dataset.source}, fold {number + 1} of {folds}",
    )
