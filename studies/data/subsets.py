"""Different training sets for the same validation set, and folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.split import stratified_sample
from dropout_zoo.training.data.structures import take


def with_training_part(
    dataset: Dataset, x: np.ndarray, y: np.ndarray, changed: str, weight: np.ndarray | None = None
) -> Dataset:
    """Return a dataset with a different training set.

    Args:
        dataset: the data.
        x: training inputs, float32, shape ``(examples, ...)``.
        y: their labels or targets, shape ``(examples, ...)``.
        changed: what was changed; appended to the name of the source.
        weight: weight of each training example, or None.

    Returns:
        The data, with the same validation and test set.

    Raises:
        ValueError: the training examples are streamed.
    """
    dataset.check_in_memory()
    return replace(
        dataset, train=(x, y), sample_weight=weight, source=f"{dataset.source}, {changed}"
    )


def with_fewer_examples(dataset: Dataset, examples: int, seed: int) -> Dataset:
    """Return a dataset with a stratified sample of the training examples.

    Args:
        dataset: the data.
        examples: number of training examples to keep; all if there are not more.
        seed: seed of the sample.

    Returns:
        The data, with the same validation and test set.

    Raises:
        ValueError: `examples` is not a whole number of at least 1, or the data are streamed.

    Example:
        >>> from dropout_zoo.studies import with_fewer_examples
        >>> from dropout_zoo.training import load_dataset
        >>> few = with_fewer_examples(load_dataset("digits"), 100, seed=0)
        >>> few.train[0].shape
        (100, 28, 28)
    """
    check_count(examples, "examples")
    dataset.check_in_memory()
    x, y = dataset.train
    if examples >= dataset.num_examples():
        return dataset
    index = stratified_sample(dataset.groups(dataset.train), examples, seed=seed)
    weight = take(dataset.sample_weight, index)
    return with_training_part(
        dataset, take(x, index), take(y, index), f"{examples} examples, seed {seed}", weight
    )


def fold_of(dataset: Dataset, folds: int, number: int) -> Dataset:
    """Return a dataset whose validation set is one fold of its training and validation set.

    Args:
        dataset: the data.
        folds: number of folds, at least 2; stratified for a classification.
        number: number of the fold, from 0.

    Returns:
        The data, without weights of the training examples.
    """
    both = dataset.train_and_validation()
    groups = dataset.groups(both)
    maker = KFold if dataset.num_classes is None else StratifiedKFold
    splits = maker(folds, shuffle=True, random_state=0).split(groups, groups)
    train, validation = list(splits)[number]
    return replace(
        dataset,
        train=take(both, train),
        validation=take(both, validation),
        sample_weight=None,
        validation_weight=None,
        source=f"{dataset.source}, fold {number + 1} of {folds}",
    )
