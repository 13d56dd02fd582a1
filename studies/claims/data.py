"""The data of the claims: a fresh draw of training examples for each seed, the same test set."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dropout_zoo.training.data.dataset import Dataset

MNIST = "DROPOUT_ZOO_MNIST"
"""Environment variable that names an `mnist.npz`, which is downloaded where it is not set."""

_MNIST_SPLIT = (
    0.885,
    0.015,
    0.1,
)  # 59,000 to draw from and 1,000 to validate on; the test is given

_TOPICS_PARTS = slice(6000, None), slice(1000), slice(1000, 6000)  # training, validation, test


def mnist(examples: int) -> Callable[[int], Dataset]:
    """Return a function that draws training examples of MNIST.

    Args:
        examples: number of training examples; 1,000 others are the validation set of all seeds.
    """
    return partial(_mnist, examples)


def mnist_reconstruction(examples: int) -> Callable[[int], Dataset]:
    """Return a function that draws training examples as `mnist` does, with inputs as targets."""
    return partial(_reconstruction, examples)


def _mnist(examples: int, seed: int) -> Dataset:
    return _fewer(examples, _loaded(), seed)


def _reconstruction(examples: int, seed: int) -> Dataset:
    return _mnist(examples, seed).as_reconstruction()


@cache
def _loaded() -> Dataset:
    from dropout_zoo.training.data.loaders import load_dataset

    found = load_dataset(os.environ.get(MNIST) or "mnist", split=_MNIST_SPLIT)
    return replace(found, source="mnist")


def topics(examples: int) -> Callable[[int], Dataset]:
    """Return a function that draws training sequences of tokens, whose classes are topics.

    Args:
        examples: number of training sequences; 1,000 others are the validation set of all seeds.
    """
    return partial(_topics, examples)


def fewer(examples: int) -> Callable[[Dataset, int], Dataset]:
    """Return a function that keeps some of the training examples."""
    return partial(_fewer, examples)


def wrong_labels(share: float) -> Callable[[Dataset, int], Dataset]:
    """Return a function that makes a share of the training labels wrong."""
    return partial(_wrong_labels, share)


def rare_class(ratio: int) -> Callable[[Dataset, int], Dataset]:
    """Return a function that keeps one in `ratio` training examples of class 0."""
    return partial(_rare_class, ratio)


def _topics(examples: int, seed: int) -> Dataset:
    return _fewer(examples, _generated(), seed)


@cache
def _generated() -> Dataset:
    from dropout_zoo.training.data.dataset import Dataset
    from dropout_zoo.training.data.synthetic_text import make_topics

    tokens, labels = make_topics(50_000)
    parts = [(tokens[part], labels[part]) for part in _TOPICS_PARTS]
    return Dataset.from_arrays(*parts, source="topics")


def _fewer(examples: int, data: Dataset, seed: int) -> Dataset:
    from dropout_zoo.studies.data.subsets import with_fewer_examples

    return with_fewer_examples(data, examples, seed)


def _wrong_labels(share: float, data: Dataset, seed: int) -> Dataset:
    from dropout_zoo.studies.data.corruption import with_wrong_labels

    return with_wrong_labels(data, share, seed)[0]


def _rare_class(ratio: int, data: Dataset, seed: int) -> Dataset:
    from dropout_zoo.studies.data.corruption import with_rare_class

    return with_rare_class(data, 0, ratio, seed)
