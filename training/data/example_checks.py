"""Checks that the inputs and targets of all parts fit together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from dropout_zoo.models.argument_validation import check_choice
from dropout_zoo.training.data.array_checks import (
    DataError,
    Pair,
    Pixels,
    RawExamples,
    RawPart,
    check_features,
    copy_if_shared,
)
from dropout_zoo.training.data.labels import Targets, are_labels, check_targets
from dropout_zoo.training.data.structures import (
    Structure,
    arrays_of,
    check_structure,
    is_structure,
    map_arrays,
    num_examples,
    shapes_of,
)
from dropout_zoo.training.data.tables.columns import is_table
from dropout_zoo.training.defaults import Task


def as_part(name: str, pair: Any) -> RawPart:
    """Return a pair that was given for a part as inputs and targets with names for messages.

    Args:
        name: name of the part.
        pair: the pair ``(x, y)``.

    Returns:
        The part.

    Raises:
        DataError: it is no pair, or not of arrays.
    """
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise DataError(f"{name}: expected a pair (x, y), received {type(pair).__name__}")
    try:
        x, y = (each if _is_kept(each) else np.asarray(each) for each in pair)
    except ValueError as error:
        raise DataError(f"{name}: expected arrays, received nested lists: {error}") from None
    return RawPart(f"{name} x", x, f"{name} y", y)


def _is_kept(given: Any) -> bool:
    return given is None or is_structure(given)


def check_examples(
    examples: RawExamples, *, task: Task | None = None
) -> tuple[list[Pair], Targets]:
    """Check that inputs and labels of all parts fit together.

    Args:
        examples: the parts, the training set first.
        task: ``"classification"``, ``"regression"`` or ``"custom"``; None infers it from the
            labels.

    Returns:
        Pairs ``(x, y)`` as a `Dataset` holds them, and the checked labels with their task.

    Raises:
        DataError: an array is not valid or does not fit the others.
        ValueError: `task` is unknown.
    """
    if task is not None:
        check_choice(task, get_args(Task), "task")
    task = task or examples.task
    without_targets = _are_without_targets(examples.parts, task)
    if task is None and not without_targets and not all(map(_has_labels, examples.parts)):
        task = "custom"
    first = examples.parts[0]
    inputs = []
    for part in examples.parts:
        inputs.append(_check_inputs(part, examples))
        _check_shapes(part.x_name, inputs[-1], first.x_name, inputs[0])
        if examples.pixels and (part.x.dtype == np.uint8) != (first.x.dtype == np.uint8):
            # Only uint8 is scaled, so the parts would be in different units.
            raise DataError(
                f"{part.x_name}: expected {first.x.dtype} as in {first.x_name}, "
                f"received {part.x.dtype}"
            )
    if without_targets:
        return [(x, None) for x in inputs], Targets((None,) * len(inputs), "custom", None, None)
    if task == "custom":
        targets = _check_custom(examples.parts, [num_examples(x) for x in inputs])
        return list(zip(inputs, targets.parts, strict=True)), targets
    for part, x in zip(examples.parts, inputs, strict=True):
        if not _has_labels(part) or part.y.ndim == 0 or len(part.y) != num_examples(x):
            received = shapes_of(part.y) if is_structure(part.y) else part.y.shape
            raise DataError(
                f"{part.y_name}: expected one label for each of the {num_examples(x):,} examples "
                f"of {part.x_name}, received shape {received}"
            )
    targets = check_targets(
        [(part.y_name, part.y) for part in examples.parts],
        task=task,
        class_names=examples.class_names,
        numbered=examples.numbered,
    )
    return list(zip(inputs, targets.parts, strict=True)), targets


def scaling_of(examples: RawExamples) -> Pixels | None:
    """Say whether pixels were scaled.

    Args:
        examples: the parts as they were read.

    Returns:
        What `Dataset` has as `pixels`.
    """
    if examples.pixels:
        return "scaled"
    x = examples.parts[0].x
    arrays = [] if is_table(x) else [np.asarray(each) for each in arrays_of(x)]
    large = any(each.dtype == np.uint8 and each.max(initial=0) > 1 for each in arrays)
    return "unscaled" if large else None


def _are_without_targets(parts: Sequence[RawPart], task: Task | None) -> bool:
    """Whether the parts are inputs alone, which all of them or none must be."""
    first = parts[0]
    for part in parts:
        if (part.y is None) != (first.y is None):
            expected, received = (
                ("none, as train has none", "some") if first.y is None
                else ("targets, as train has some", "none")
            )  # fmt: skip
            raise DataError(f"{part.y_name}: expected {expected}, received {received}")
    if first.y is None and task in ("classification", "regression"):
        raise ValueError(f"expected y for the task {task!r}, received x alone; pass y")
    return first.y is None


def _has_labels(part: RawPart) -> bool:
    """Whether the targets of a part can be one label or quantity for each example."""
    return not is_structure(part.y) and are_labels(part.y)


def _check_inputs(part: RawPart, examples: RawExamples) -> Structure:
    if is_table(part.x):
        return part.x  # its reader has checked it
    if examples.streamed or is_structure(part.x):
        return check_structure(part.x_name, part.x, strings=True)
    return check_features(part.x_name, part.x, pixels=examples.pixels)


def _check_custom(parts: Sequence[RawPart], sizes: Sequence[int]) -> Targets:
    """Check targets that the loss receives as they are."""
    checked = [
        check_structure(part.y_name, part.y, examples=size)
        for part, size in zip(parts, sizes, strict=True)
    ]
    for part, y in zip(parts, checked, strict=True):
        _check_shapes(part.y_name, y, parts[0].y_name, checked[0])
    return Targets(tuple(checked), "custom", None, None)


def _check_shapes(name: str, given: Structure, first_name: str, first: Structure) -> None:
    if shapes_of(given) != shapes_of(first):
        raise DataError(
            f"{name}: expected examples of shape {shapes_of(first)} as in {first_name}, "
            f"received {shapes_of(given)}"
        )


def copied_pair(pair: Pair, given: RawPart) -> Pair:
    """Return checked examples as arrays that share no memory with those that were given."""
    x, y = (
        map_arrays(lambda array, other: copy_if_shared(array, np.asarray(other)), *both)
        for both in ((pair[0], given.x), (pair[1], given.y))
    )
    return x, y
