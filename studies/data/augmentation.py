"""Modified training data: augmented copies, synthetic examples, a selection of classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import ndimage
from sklearn.neighbors import NearestNeighbors

from dropout_zoo.models.argument_validation import check_choice
from dropout_zoo.studies.data.subsets import with_training_part
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.structures import map_arrays

AUGMENTATIONS = ("shift and rotate", "flip")
_SHIFT, _ANGLE = 2.0, 12.0  # pixels of 28, and degrees: a digit remains the same digit
_NEIGHBORS = 5  # Chawla et al. 2002 (SMOTE), Section 4.2


def with_augmented_copies(dataset: Dataset, kind: str, copies: int, seed: int) -> Dataset:
    """Add augmented copies of every training image.

    Args:
        dataset: images of shape ``(examples, height, width)`` or
            ``(examples, height, width, channels)``.
        kind: ``"shift and rotate"`` shifts by up to 2 of 28 pixels and rotates by up to 12
            degrees; ``"flip"`` mirrors left and right, which turns many characters into others.
        copies: number of copies of each image.
        seed: seed of the random changes.

    Returns:
        The data with `copies` + 1 times as many training examples.

    Raises:
        ValueError: the inputs are not images, or there is no such kind.
    """
    check_choice(kind, AUGMENTATIONS, "kind")
    x, y = dataset.train
    if x.ndim not in (3, 4):
        raise ValueError(
            f"expected images of shape (examples, height, width), with or without channels, "
            f"received {x.shape}; leave augmentation out"
        )
    rng = np.random.default_rng(seed)
    images = [x]
    for _ in range(copies):
        images.append(x[:, :, ::-1] if kind == "flip" else _moved(x, rng))
    changed = np.ascontiguousarray(np.concatenate(images))
    weight = dataset.sample_weight
    return with_training_part(
        dataset,
        changed,
        changed.reshape(len(changed), -1)
        if dataset.task == "reconstruction"
        else map_arrays(lambda array: np.concatenate([array] * (copies + 1)), y),
        f"{copies} copies ({kind}), seed {seed}",
        None if weight is None else np.concatenate([weight] * (copies + 1)),
    )


def with_synthetic_examples(dataset: Dataset, share: float, seed: int) -> Dataset:
    """Add training examples between neighbors of one class (SMOTE, Chawla et al. 2002).

    Args:
        dataset: a classification.
        share: number of synthetic examples, relative to the number of training examples.
        seed: seed of the choice of neighbors and of the points between them.

    Returns:
        The data; a synthetic example has the weight of the example it starts from.
    """
    x, y = dataset.train
    weight = dataset.sample_weight
    rng = np.random.default_rng(seed)
    flat = x.reshape(len(x), -1)
    made, labels, weights = [], [], [] if weight is None else [weight]
    for label in np.unique(y):
        members = flat[y == label]
        wanted = round(share * len(members))
        if len(members) < 2 or not wanted:
            continue
        near = min(_NEIGHBORS, len(members) - 1)
        search = NearestNeighbors(n_neighbors=near + 1).fit(members)
        starts = rng.integers(0, len(members), wanted)
        neighbors = search.kneighbors(members[starts], return_distance=False)[:, 1:]
        ends = neighbors[np.arange(wanted), rng.integers(0, near, wanted)]
        along = rng.random((wanted, 1), dtype=np.float32)
        made.append(members[starts] + along * (members[ends] - members[starts]))
        labels.append(np.full(wanted, label, y.dtype))
        if weight is not None:
            weights.append(weight[y == label][starts])
    return with_training_part(
        dataset,
        np.concatenate([x, *(each.reshape(-1, *x.shape[1:]).astype(x.dtype) for each in made)]),
        np.concatenate([y, *labels]),
        f"{share:g} synthetic examples each, seed {seed}",
        np.concatenate(weights) if weights else None,
    )


def split_classes(dataset: Dataset, classes: list[int]) -> tuple[Dataset, Dataset]:
    """Split a dataset by class; the classes of each part are numbered from 0.

    Args:
        dataset: a classification.
        classes: classes of the first part, at least 2; at least 2 must remain.

    Returns:
        The data of these classes, and the data of the others.

    Raises:
        ValueError: there are not enough classes, or the training examples are streamed.

    Example:
        >>> from dropout_zoo.studies import split_classes
        >>> from dropout_zoo.training import load_dataset
        >>> small, large = split_classes(load_dataset("digits"), [0, 1, 2])
        >>> small.num_classes, large.num_classes
        (3, 7)
    """
    dataset.check_in_memory()
    count = dataset.num_classes or 0
    others = [label for label in range(count) if label not in classes]
    if len(classes) < 2 or len(others) < 2 or not set(classes) <= set(range(count)):
        raise ValueError(
            f"expected classes to be at least 2 of the {count} classes, with at least 2 remaining; "
            f"received {classes}"
        )
    return _only(dataset, sorted(classes)), _only(dataset, others)


def _only(dataset: Dataset, classes: list[int]) -> Dataset:
    number = np.full(dataset.num_classes or 0, -1, np.int32)
    number[classes] = np.arange(len(classes))
    parts: dict[str, Any] = {}
    for name, (x, y) in dataset.parts().items():
        inside = number[y] >= 0
        parts[name] = (x[inside], number[y[inside]])
    names = dataset.class_names
    weight = dataset.sample_weight
    return replace(
        dataset,
        **parts,
        num_classes=len(classes),
        class_names=None if names is None else [names[label] for label in classes],
        sample_weight=None if weight is None else weight[number[dataset.train[1]] >= 0],
        source=f"{dataset.source}, classes {' '.join(map(str, classes))}",
    )


def _moved(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image rotated and shifted by its own random amount."""
    moved = np.empty_like(x)
    center = (np.array(x.shape[1:3]) - 1) / 2
    most = _SHIFT * np.array(x.shape[1:3]) / 28
    for index, image in enumerate(x):
        angle = np.deg2rad(rng.uniform(-_ANGLE, _ANGLE))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        offset = center - turn @ center + rng.uniform(-most, most)
        for channel in np.ndindex(*image.shape[2:]):
            place = (..., *channel)
            moved[index][place] = ndimage.affine_transform(
                image[place], turn, offset, order=1, mode="nearest"
            )
    return moved
