"""The number of examples of each class, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dropout_zoo.models.wording import first_few
from dropout_zoo.training.data.array_checks import Array

_SHOWN = 5
_LAST_ROWS = " If it is the last rows, by validation_split, shuffle the examples first."


def describe_counts(counts: Sequence[int], class_names: Sequence[str] | None) -> str:
    """Describe how many examples of each class a part has.

    Args:
        counts: examples of each class, in the order of the class numbers.
        class_names: names of the classes, or None.

    Returns:
        The counts, or their range if there are more than 10 classes.
    """
    if len(counts) > 10:
        return f"{min(counts):,} to {max(counts):,} per class"
    if class_names is None:
        return " ".join(str(count) for count in counts) + " by class"
    return ", ".join(f"{name} {count}" for name, count in zip(class_names, counts, strict=True))


def missing_classes(
    counts: Mapping[str, Sequence[int]], class_names: Sequence[str] | None
) -> list[str]:
    """Say which classes have no examples at all, or none in a part.

    Args:
        counts: examples of each class by part, as `Dataset.class_counts` returns them.
        class_names: names of the classes, or None.

    Returns:
        Sentences; none if every part has examples of every class.
    """
    occurring = np.sum(list(counts.values()), axis=0) > 0
    sentences = []
    if not occurring[0] and occurring[1:].all() and class_names is None:
        sentences = ["Class 0 has no examples; are the labels numbered from 1?"]
    elif not occurring.all():
        sentences = [
            f"{_listed(~occurring, class_names)} no examples; {occurring.sum()} of "
            f"{len(occurring)} classes occur."
        ]
    for part, numbers in counts.items():
        missing = occurring & (np.array(numbers) == 0)
        if missing.any():
            sentences.append(f"{_listed(missing, class_names)} no examples in the {part} set.")
            if part == "validation":
                sentences[-1] += _LAST_ROWS
    return sentences


def _listed(chosen: Array, class_names: Sequence[str] | None) -> str:
    indices = np.flatnonzero(chosen).tolist()
    names = [str(i) if class_names is None else class_names[i] for i in indices]
    listed = first_few(names, _SHOWN)
    return f"Class {listed} has" if len(indices) == 1 else f"Classes {listed} have"
