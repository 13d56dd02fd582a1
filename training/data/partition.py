"""Builds a dataset from examples that were read, splitting off the sets that are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dropout_zoo.training.data.array_checks import (
    RawExamples,
)
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.example_checks import check_examples, copied_pair, scaling_of
from dropout_zoo.training.data.split import split_arrays
from dropout_zoo.training.data.structures import Structure, check_weights, num_examples, take
from dropout_zoo.training.data.tables.columns import describe_columns, is_table, with_plain_arrays
from dropout_zoo.training.data.tables.encoder import fit_encoder
from dropout_zoo.training.defaults import SPLIT, Task


def partition(
    examples: RawExamples,
    *,
    split: Sequence[float] = SPLIT,
    seed: int = 0,
    task: Task | None = None,
    source: str,
    sample_weight: Any = None,
    validation_weight: Any = None,
    batch_size: int | None = None,
) -> Dataset:
    """Check examples and split those that are not split yet.

    Args:
        examples: the examples. A validation set in them is used as it is, and so is a test set.
        split: fractions of training, validation and test set, or of the first two for no
            test set.
        seed: seed of the split, from 0 to 2**32 - 1.
        task: as in `load_dataset`.
        source: where the data come from, for reports and messages.
        sample_weight: weights of the first part, or None. A validation set that is split off has
            its share of them.
        validation_weight: weights of a validation set in the examples, or None.
        batch_size: batch size of the source, or None.

    Returns:
        The dataset; its arrays share no memory with the examples. Tables are encoded as numbers, by
        what its training set holds.

    Raises:
        DataError: the examples are not usable, or too few to be split.
        ValueError: an option is out of range.
    """
    if len(split) not in (2, 3):
        raise ValueError(
            "expected split to be three fractions (train, validation, test), or two for no test "
            f"set, received {split}"
        )
    reconstruct = task == "reconstruction"
    examples = with_plain_arrays(examples)
    pairs, targets = check_examples(examples, task=None if reconstruct else task)
    given = [copied_pair(pair, part) for pair, part in zip(pairs, examples.parts, strict=True)]
    (x, y), held_out = given[0], given[1:]
    count = num_examples(x)
    weights: list[Structure | None] = [None, None]
    if sample_weight is not None:
        weights[0] = check_weights(f"{source}: sample_weight", sample_weight, given[0])
    if validation_weight is not None:
        weights[1] = check_weights(f"{source}: validation_weight", validation_weight, given[1])
    if examples.validation:
        parts = given
    else:
        kept = sum(split[:2])
        fractions = [each / kept for each in split[:2]] if held_out else list(split)
        cut = split_arrays(
            np.arange(count),
            np.zeros(count) if targets.task == "custom" else y,
            fractions=fractions,
            seed=seed,
            task=targets.task,
            class_names=targets.class_names,
            name=examples.parts[0].y_name,
        )
        parts = [*((take(x, index), take(y, index)) for index, _ in cut), *held_out]
        if (own := weights[0]) is not None:
            weights = [take(own, index) for index, _ in cut[:2]]
    encoder = None
    notes = () if examples.columns is None else describe_columns(examples.columns)
    if examples.columns is not None and is_table(parts[0][0]):
        encoder = fit_encoder(source, parts[0][0], examples.columns)
        parts, notes = [(encoder.encode(x), y) for x, y in parts], encoder.notes
    train, validation, *test = parts
    dataset = Dataset(
        train=train,
        validation=validation,
        test=test[0] if test else None,
        task=targets.task,
        num_classes=targets.num_classes,
        class_names=targets.class_names,
        source=source,
        sample_weight=weights[0],
        validation_weight=weights[1],
        validation_drawn=not examples.validation,
        batch_size=batch_size,
        columns=notes,
        encoder=encoder,
        target_shape=targets.given_shape,
        pixels=scaling_of(examples),
    )
    return dataset.as_reconstruction() if reconstruct else dataset
