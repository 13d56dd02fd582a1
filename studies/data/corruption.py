"""Corrupted data: wrong labels, a rare class, and noise, missing pixels or rotation of inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from dropout_zoo.models.argument_validation import check_choice, check_not_negative, did_you_mean
from dropout_zoo.models.guidance import check_rate
from dropout_zoo.studies.data.subsets import with_training_part
from dropout_zoo.training.data.dataset import Dataset

CORRUPTIONS = ("gaussian noise", "missing pixels", "rotation")


def corruption_name(kind: str) -> str:
    """The name of a kind of corruption in sentences and plots."""
    return kind.replace("gaussian", "Gaussian")


def with_wrong_labels(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, np.ndarray]:
    """Replace some training labels with another class at random.

    Args:
        dataset: a classification.
        share: share of the training examples, in [0, 1).
        seed: seed of the choice of examples and of their new classes.

    Returns:
        The data, and the indices of the examples with wrong labels.
    """
    x, y = dataset.train
    classes = dataset.num_classes or 2
    rng = np.random.default_rng(seed)
    # The examples of a smaller share are among those of a larger one, so that levels are nested.
    wrong = np.sort(rng.permutation(len(y))[: round(share * len(y))])
    steps = np.random.default_rng(seed + 1).integers(1, classes, len(y))
    changed = y.copy()
    changed[wrong] = (y[wrong] + steps[wrong]) % classes
    name = f"{share:g} of the labels wrong, seed {seed}"
    return with_training_part(dataset, x, changed, name, dataset.sample_weight), wrong


def with_rare_class(dataset: Dataset, rare_class: int, ratio: int, seed: int) -> Dataset:
    """Keep one in `ratio` training examples of a class, at least one.

    Args:
        dataset: a classification.
        rare_class: number of the class.
        ratio: one example in this many is kept.
        seed: seed of the choice of examples.

    Returns:
        The data.
    """
    x, y = dataset.train
    if ratio == 1:
        return dataset
    members = np.random.default_rng(seed).permutation(np.flatnonzero(y == rare_class))
    kept = members[: max(1, round(len(members) / ratio))]
    index = np.sort(np.concatenate([np.flatnonzero(y != rare_class), kept]))
    weight = None if dataset.sample_weight is None else dataset.sample_weight[index]
    name = f"class {rare_class} at {ratio}:1, seed {seed}"
    return with_training_part(dataset, x[index], y[index], name, weight)


def corrupt(x: np.ndarray, kind: str, level: float, seed: int) -> np.ndarray:
    """Corrupt inputs.

    Args:
        x: inputs, float32, shape ``(examples, ...)``.
        kind: ``"gaussian noise"``, ``"missing pixels"``, or, for images, ``"rotation"``.
        level: standard deviation of the noise, relative to the largest absolute input; share of
            the values that are set to 0, in [0, 1); or degrees counterclockwise.
        seed: seed of noise and missing pixels.

    Returns:
        The corrupted inputs.

    Raises:
        ValueError: there is no such kind, the level is out of range, or a rotation is asked of
            inputs that are not images.

    Example:
        >>> import numpy as np
        >>> from dropout_zoo.studies import corrupt
        >>> x = np.ones((2, 4, 4), "float32")
        >>> corrupt(x, "gaussian noise", 0.1, seed=0).shape
        (2, 4, 4)
    """
    check_choice(kind, CORRUPTIONS, "kind")
    _check_level(kind, level, "level")
    if kind == "rotation":
        if x.ndim not in (3, 4):
            raise ValueError(
                "expected images of shape (examples, height, width), with or without channels, to "
                f"rotate, received {x.shape}; use another corruption"
            )
        rotated: np.ndarray = ndimage.rotate(x, level, axes=(2, 1), reshape=False, order=1)
        return rotated
    rng = np.random.default_rng(seed)
    if kind == "missing pixels":
        # The pixels that a smaller level removes are among those that a larger one removes.
        return x * (rng.random(x.shape, dtype=np.float32) >= level)
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    noisy: np.ndarray = x + np.float32(level * np.abs(x).max()) * noise
    return noisy


def check_levels(levels: Mapping[str, Sequence[float]]) -> None:
    """Check the levels of a study of corrupted inputs, by kind of corruption.

    Raises:
        ValueError: there is no such corruption, or a level is out of range.
    """
    for kind, each in levels.items():
        if kind not in CORRUPTIONS:
            raise ValueError(
                f"expected levels of corruptions ({', '.join(map(repr, CORRUPTIONS))}), received "
                f"{kind!r}{did_you_mean(str(kind), CORRUPTIONS)}"
            )
        for level in each:
            _check_level(kind, level, f"levels[{kind!r}]")


def _check_level(kind: str, level: float, name: str) -> None:
    if kind == "missing pixels":
        check_rate(level, name)
    elif kind == "gaussian noise":
        check_not_negative(level, name)
