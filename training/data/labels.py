"""Labels and targets: their task, and the form in which a dataset holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dropout_zoo.models.wording import first_few
from dropout_zoo.training.data.array_checks import (
    IF_QUANTITIES,
    Array,
    DataError,
    as_finite_floats,
    copy_if_shared,
    describe_dtype,
)
from dropout_zoo.training.defaults import Task

MAX_INTEGER_CLASSES = 100
LONGEST_LABEL = 1000
_SHOWN = 5  # labels in a message


class Targets(NamedTuple):
    """Checked labels or targets of every part, and their task."""

    parts: tuple[Array | None, ...]
    task: Task
    num_classes: int | None
    class_names: list[str] | None
    given_shape: tuple[int, ...] = ()


def check_targets(
    parts: Sequence[tuple[str, Array]],
    *,
    task: Task | None = None,
    class_names: Sequence[str] | None = None,
    numbered: bool = True,
) -> Targets:
    """Convert labels to integers from 0, or targets to floats, by one rule for all parts.

    If `task` is None, strings, booleans and one-hot rows are classes, and floats are targets of a
    regression. Integers are classes; if they only name classes (`numbered` is False), this holds
    if at most 100 different ones, and fewer than half as many as examples, occur.

    Args:
        parts: name (for messages) and array of each part, the training set first; shape
            ``(examples,)``, ``(examples, 1)`` or one-hot ``(examples, classes)``.
        task: ``"classification"`` or ``"regression"``; None infers it.
        class_names: names in the order of the class numbers, if known.
        numbered: True if integers are class numbers, kept as they are; False if they only name
            classes, which are then numbered in sorted order.

    Returns:
        Labels as int32 or targets as float32, each of shape ``(examples,)``, the task, the number
        of classes (None for a regression), the class names where there are any, and the shape in
        which the label or target of one example was given.

    Raises:
        DataError: they are not labels or targets of one output.
    """
    targets = _checked_targets(parts, task, class_names, numbered)
    return targets._replace(given_shape=parts[0][1].shape[1:])


def _checked_targets(
    parts: Sequence[tuple[str, Array]],
    task: Task | None,
    class_names: Sequence[str] | None,
    numbered: bool,
) -> Targets:
    arrays: list[Array] = []
    widths: set[int] = set()
    for name, y in parts:
        column, width = _one_output(name, _without_objects(name, y), task)
        arrays.append(column)
        if width is not None:
            widths.add(width)
    if len(widths) > 1:
        raise DataError(
            f"{parts[0][0]}: expected one-hot rows of one width in every part, "
            f"received {sorted(widths)}"
        )
    names = [name for name, _ in parts]
    if task is None:
        task = _infer_task(names, arrays, numbered)
    if task == "regression":
        return Targets(_as_floats(names, arrays), "regression", None, None)

    labels = [_as_labels(name, y) for name, y in zip(names, arrays, strict=True)]
    train_values = np.unique(labels[0])
    if len(train_values) < 2:
        only = train_values[0]
        if class_names is not None and only.dtype.kind != "U" and only < len(class_names):
            only = class_names[only]
        raise DataError(
            f"{names[0]}: expected at least two classes, received a single class ({only})"
        )
    _check_known(names, labels, train_values)
    if labels[0].dtype.kind == "U" or not numbered:
        return _encode(names[0], labels, train_values, class_names)
    num_classes = _count_classes(names[0], labels, widths, class_names)
    integers = tuple(y.astype(np.int32) for y in labels)
    listed = list(class_names) if class_names is not None else None
    return Targets(integers, "classification", num_classes, listed)


def are_labels(y: Array) -> bool:
    """Return whether an array can be the labels or targets of one output.

    Args:
        y: any array.

    Returns:
        True for shape ``(examples,)`` and ``(examples, 1)``, and for one-hot rows; False for other
        numbers.
    """
    return y.ndim < 2 or y.dtype.kind not in "biuf" or _is_column(y) or _is_one_hot(y)


def _is_column(y: Array) -> bool:
    return y.ndim == 2 and y.shape[1] == 1


def _is_one_hot(y: Array) -> bool:
    if y.ndim != 2:
        return False
    ones = y == 1
    return bool((ones | (y == 0)).all() and (ones.sum(axis=1) == 1).all())


def _without_objects(name: str, y: Array) -> Array:
    if y.dtype.kind == "S":
        try:
            return np.char.decode(y, "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{name}: expected text in UTF-8, received other bytes") from None
    if y.dtype.kind == "O" and y.size and all(isinstance(value, str) for value in y.flat):
        longest = max(map(len, y.flat))
        if longest > LONGEST_LABEL:  # of which each would take as much memory as the longest
            raise DataError(
                f"{name}: expected labels of at most {LONGEST_LABEL:,} characters, received one of "
                f"{longest:,}; give the classes short names"
            )
        return y.astype(str)
    if y.dtype.kind not in "biufU":
        raise DataError(f"{name}: expected labels or numbers, received {describe_dtype(y)}")
    return y


def _one_output(name: str, y: Array, task: Task | None) -> tuple[Array, int | None]:
    if y.size == 0:
        raise DataError(
            f"{name}: expected at least one label, received an empty array of shape {y.shape}"
        )
    if y.ndim == 1:
        return y, None
    if _is_column(y):
        return y[:, 0], None
    if task != "regression" and y.dtype.kind != "U" and _is_one_hot(y):
        return y.argmax(axis=1).astype(np.int32), y.shape[1]
    task_given = "a classification" if task is None else f"a {task}"
    raise DataError(
        f"{name}: expected one label or target per example for {task_given}, received shape "
        f"{y.shape}; choose one column"
    )


def _infer_task(names: list[str], arrays: list[Array], numbered: bool) -> Task:
    kinds = {{"u": "i"}.get(y.dtype.kind, y.dtype.kind) for y in arrays}
    if len(kinds) > 1:
        found = ", ".join(f"{name} {y.dtype}" for name, y in zip(names, arrays, strict=True))
        raise DataError(f"{names[0]}: expected one type in every part, received {found}")
    kind = kinds.pop()
    if kind == "f":
        return "regression"
    if kind == "i" and not numbered:
        distinct = len(np.unique(arrays[0]))
        class_like = distinct <= MAX_INTEGER_CLASSES and 2 * distinct < len(arrays[0])
        # A single value is a single class, which has a message of its own.
        return "classification" if class_like or distinct == 1 else "regression"
    if kind == "U" and all(map(_is_number, np.unique(arrays[0]))):
        raise DataError(
            f"{names[0]}: expected numbers or class names, received numbers stored as "
            f"strings ({str(arrays[0][0])!r}); store them as numbers, or set the task to "
            "classification"
        )
    return "classification"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _as_floats(names: list[str], arrays: list[Array]) -> tuple[Array, ...]:
    floats = []
    for name, y in zip(names, arrays, strict=True):
        if y.dtype.kind == "U":
            raise DataError(f"{name}: expected numbers for a regression, received strings")
        floats.append(copy_if_shared(as_finite_floats(name, y), y))
    return tuple(floats)


def _as_labels(name: str, y: Array) -> Array:
    """Labels as integers or strings; booleans become the strings False and True."""
    if y.dtype.kind in "Ub":
        return y.astype(str)
    if y.dtype.kind == "f":
        as_finite_floats(name, y)
        broken = y != np.rint(y)
        if broken.any():
            raise DataError(
                f"{name}: expected integer labels, received {y[broken.argmax()]} in example "
                f"{broken.argmax()}; set the task to regression if they are quantities"
            )
        y = y.astype(np.int64)
    if y.min() < 0:
        raise DataError(
            f"{name}: expected labels from 0, received negative labels (smallest {y.min()}); "
            f"number the classes from 0; {IF_QUANTITIES}"
        )
    return y


def _check_known(names: list[str], labels: list[Array], train_values: Array) -> None:
    for name, y in zip(names[1:], labels[1:], strict=True):
        if (y.dtype.kind == "U") != (train_values.dtype.kind == "U"):
            raise DataError(
                f"{name}: expected labels of type {train_values.dtype} as in training, "
                f"received {y.dtype}"
            )
        unknown = np.setdiff1d(y, train_values)
        if len(unknown):
            raise DataError(
                f"{name}: expected only labels that occur in training ({names[0]}), received "
                f"{first_few(list(map(str, unknown)), _SHOWN)}; a model cannot learn a class that "
                "it never sees"
            )


def _encode(
    name: str, labels: list[Array], train_values: Array, class_names: Sequence[str] | None
) -> Targets:
    text = [str(value) for value in train_values]
    order = np.arange(len(text), dtype=np.int32)
    if class_names is not None:
        missing = [value for value in text if value not in class_names]
        if missing:
            raise DataError(
                f"{name}: expected labels from class_names, received "
                f"{first_few(list(map(str, missing)), _SHOWN)}"
            )
        order = np.array([list(class_names).index(value) for value in text], dtype=np.int32)
    encoded = tuple(order[np.searchsorted(train_values, y)] for y in labels)
    names = list(class_names) if class_names is not None else text
    return Targets(encoded, "classification", len(names), names)


def _count_classes(
    name: str, labels: list[Array], widths: set[int], class_names: Sequence[str] | None
) -> int:
    largest = int(labels[0].max())
    if class_names is not None:
        if largest >= len(class_names) or widths - {len(class_names)}:
            raise DataError(
                f"{name}: expected {len(class_names)} classes, as many as class_names, received "
                f"{max(largest + 1, *widths, 0)}"
            )
        return len(class_names)
    if widths:
        return widths.pop()
    # A label larger than the number of examples is a quantity or an identifier, and a model with
    # that many outputs might not fit in memory.
    if largest >= sum(map(len, labels)):
        raise DataError(
            f"{name}: expected class numbers from 0 to classes - 1, received label {largest} among "
            f"{sum(map(len, labels))} examples; {IF_QUANTITIES}"
        )
    return largest + 1
