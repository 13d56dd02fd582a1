"""Splits into training, validation and test set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from dropout_zoo.training.data.array_checks import IF_QUANTITIES, Array, DataError, Pair, is_integer
from dropout_zoo.training.defaults import SPLIT, Task


def split_arrays(
    x: Array,
    y: Array,
    *,
    fractions: Sequence[float] = SPLIT,
    seed: int = 0,
    task: Task = "classification",
    class_names: Sequence[str] | None = None,
    name: str = "y",
) -> list[Pair]:
    """Split examples at random, each class in the same proportions.

    Every example is in exactly one part. The last part is split off first; in each split a class
    is within one example of its share, and every part has examples of every class.

    Args:
        x: inputs of shape ``(examples, ...)``.
        y: labels from 0 or targets, of shape ``(examples,)``.
        fractions: share of each part, all larger than 0, with sum 1.
        seed: seed of the split, from 0 to 2**32 - 1.
        task: ``"classification"`` is stratified, ``"regression"`` is not.
        class_names: names for messages, in the order of the class numbers.
        name: name of the labels, for messages.

    Returns:
        One pair ``(x, y)`` for each fraction.

    Raises:
        DataError: a class (or, for a regression, the whole dataset) has too few examples.
        ValueError: the fractions or the seed are out of range.
    """
    _check_split(fractions, seed)
    stratified = task == "classification"
    counts = np.bincount(y) if stratified else np.array([len(y)])
    classes = int(np.count_nonzero(counts))
    shares = ", ".join(f"{fraction:g}" for fraction in fractions)
    sizes = _part_sizes(len(y), fractions, least=classes)
    if sizes[0] < classes:
        needed = next(
            each
            for each in count(len(sizes))
            if _part_sizes(each * classes, fractions, least=classes)[0] >= classes
        )
    else:
        needed = _examples_needed(len(y), sizes)
    occurring = np.flatnonzero(counts)
    smallest = int(occurring[counts[occurring].argmin()])
    if sizes[0] < classes or counts[smallest] < needed:
        place, remedy = "", ""
        if stratified:
            place = f" of class {class_names[smallest] if class_names is not None else smallest}"
            remedy = ", or merge or leave out the class"
            if class_names is None or all(map(str.isdigit, class_names)):
                remedy += f"; {IF_QUANTITIES}"
        raise DataError(
            f"{name}: expected {needed} or more examples{place} for each part to get one in the "
            f"proportions {shares}, received {counts[smallest]}; add examples{remedy}"
        )
    if min(round(len(y) * fraction) for fraction in fractions) == 0:
        raise DataError(
            f"{name}: expected fractions that give each part an example, received {shares} of "
            f"{len(y):,} examples; choose larger ones (split, --split), or add examples"
        )
    parts: list[Pair] = []
    for size in sizes[:0:-1]:
        x, x_cut, y, y_cut = train_test_split(
            x, y, test_size=size, random_state=seed, stratify=y if stratified else None
        )
        parts.insert(0, (x_cut, y_cut))
    return [(x, y), *parts]


def stratified_sample(groups: Array, size: int, *, seed: int = 0) -> NDArray[np.intp]:
    """Draw a few examples, each class within one example of its share.

    Args:
        groups: class numbers from 0, of shape ``(examples,)``.
        size: how many to draw, from 1 to the number of examples; it may be smaller than the
            number of classes, which `train_test_split` does not allow.
        seed: seed of the draw, 0 or larger.

    Returns:
        Indices of the drawn examples, ascending, of shape ``(size,)``.
    """
    rng = np.random.default_rng(seed)
    share = np.bincount(groups) * (size / len(groups))
    take = np.floor(share).astype(int)
    largest_remainders = np.argsort(take - share, kind="stable")
    take[largest_remainders[: size - take.sum()]] += 1
    chosen = [
        rng.choice(np.flatnonzero(groups == group), count, replace=False)
        for group, count in enumerate(take)
    ]
    return np.sort(np.concatenate(chosen))


def _check_split(fractions: Sequence[float], seed: int) -> None:
    if (
        len(fractions) < 2
        or not all(0 < fraction < 1 for fraction in fractions)
        or abs(math.fsum(fractions) - 1) > 1e-6
    ):
        raise ValueError(
            f"expected split to be fractions larger than 0 that add up to 1, received {fractions}"
        )
    if not is_integer(seed) or not 0 <= seed < 2**32:
        raise ValueError(f"expected seed to be an integer from 0 to 2**32 - 1, received {seed!r}")


def _part_sizes(total: int, fractions: Sequence[float], least: int) -> list[int]:
    rest = [max(least, round(total * fraction)) for fraction in fractions[1:]]
    return [total - sum(rest), *rest]


def _examples_needed(total: int, sizes: Sequence[int]) -> int:
    """Size from which a class gets examples in every part, however its share is rounded."""
    needed = len(sizes)
    while needed < total:
        members, left = needed, total
        for size in sizes[:0:-1]:
            if members * size < left:
                break
            members -= math.ceil(members * size / left)
            left -= size
        else:
            if members >= 1:
                return needed
        needed += 1
    return max(total, len(sizes))
