"""Structures of arrays: an array, or dicts, lists and tuples of arrays, as for `Model.fit`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dropout_zoo.training.data.array_checks import (
    Array,
    DataError,
    as_finite_floats,
    check_strings,
    copy_if_shared,
    describe_dtype,
    holds_strings,
)

Structure: TypeAlias = Any
"""An array, or a dict, list or tuple of structures; the first axis of each array is that of the
examples. Targets that there are none of are None, which has no arrays."""


def is_structure(value: Any) -> bool:
    """Return whether a value holds several arrays, rather than being one.

    Args:
        value: what was given as inputs or targets.

    Returns:
        True for a dict, and for a list or tuple of arrays or dicts; False for an array and for
        nested lists of numbers, which are one.
    """
    if isinstance(value, dict):
        return True
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(np.ndim(each) > 0 if hasattr(each, "__array__") else is_structure(each)
                for each in value)
    )  # fmt: skip


def map_arrays(function: Callable[..., Any], *structures: Structure) -> Structure:
    """Apply a function to the arrays at the same place of one or several structures.

    Args:
        function: takes one array of each structure.
        *structures: structures of the same form.

    Returns:
        A structure of that form with the results.
    """
    first = structures[0]
    if first is None:
        return None
    if isinstance(first, dict):
        return {key: map_arrays(function, *(s[key] for s in structures)) for key in first}
    if isinstance(first, (list, tuple)):
        each = [map_arrays(function, *both) for both in zip(*structures, strict=True)]
        return each if isinstance(first, list) else tuple(each)
    return function(*structures)


def arrays_of(structure: Structure) -> list[Array]:
    """Return the arrays of a structure, those of dicts in the order of their keys."""
    return [array for _, array in named_arrays("", structure)]


def named_arrays(name: str, structure: Structure) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of a structure with names for messages, such as ``x['age']``.

    Args:
        name: name of the structure.
        structure: the structure.

    Yields:
        Name and array.
    """
    if isinstance(structure, dict):
        for key in sorted(structure, key=str):
            yield from named_arrays(f"{name}[{key!r}]", structure[key])
    elif isinstance(structure, (list, tuple)):
        for number, each in enumerate(structure):
            yield from named_arrays(f"{name}[{number}]", each)
    elif structure is not None:
        yield name, structure


def num_examples(structure: Structure) -> int:
    """Return the number of examples of a structure."""
    return len(arrays_of(structure)[0])


def take(structure: Structure, index: Any) -> Structure:
    """Return some examples of a structure.

    Args:
        structure: the structure.
        index: positions of the examples, a mask or a slice.

    Returns:
        A structure of the same form.
    """
    return map_arrays(lambda array: array[index], structure)


def shapes_of(structure: Structure) -> Structure:
    """Return the shape of one example: a tuple for an array, else a structure of tuples."""
    return map_arrays(lambda array: tuple(array.shape[1:]), structure)


def shape_of_one(structure: Structure) -> tuple[int, ...]:
    """Return the shape of one example of an array; that of a number where there are several."""
    return () if structure is None or is_structure(structure) else tuple(structure.shape[1:])


def check_structure(
    name: str, structure: Structure, *, examples: int | None = None, strings: bool = False
) -> Structure:
    """Check arrays that a model takes as they are.

    Args:
        name: name of the structure, for messages.
        structure: the arrays; pandas series and other objects that convert to arrays are taken too.
        examples: number of examples that each array must have; None for that of the first one.
        strings: whether arrays may hold strings.

    Returns:
        A structure of the same form with contiguous arrays: floats as float32, integers and
        booleans in their own type, strings as Python objects.

    Raises:
        DataError: there is no array, one has other values than these, not all of them have the
            same number of examples, or floats are not finite.
    """
    if not list(named_arrays(name, structure)):
        raise DataError(f"{name}: expected at least one array, received none")
    first_name = None
    checked = {}
    for array_name, given in named_arrays(name, structure):
        array = _check_array(array_name, given, strings)
        if examples is None:
            examples, first_name = len(array), array_name
        if len(array) != examples:
            as_in = "" if first_name is None else f" as in {first_name}"
            raise DataError(
                f"{array_name}: expected {examples:,} examples{as_in}, received {len(array):,}"
            )
        checked[id(given)] = array
    return map_arrays(lambda given: checked[id(given)], structure)


def check_weights(name: str, weight: Any, examples: tuple[Structure, Structure]) -> Structure:
    """Check weights of examples, and convert them to float32 numbers.

    Args:
        name: name of the weights, for messages.
        weight: numbers of shape ``(examples,)``; for targets of shape ``(examples, steps, ...)``,
            also ``(examples, steps)`` and so on; for several outputs, also a structure of such
            arrays of the form of the targets.
        examples: inputs and targets.

    Returns:
        New arrays, in a structure of the form of the targets if `weight` is one.

    Raises:
        DataError: the examples have no targets, there is not one weight per example or step, or the
            weights are not finite, all 0, or one is negative.
    """
    x, y = examples
    count = num_examples(x)
    if y is None:
        raise DataError(
            f"{name}: expected no weights of examples without y, since Model.fit does not use "
            "them, received some; let the model multiply its loss by them"
        )
    if not is_structure(weight):
        return _check_weight(name, weight, count, shape_of_one(y))
    keys = _keys_of(y)
    if keys is None or _keys_of(weight) != keys:
        form = "one array" if keys is None else f"one array, or one for each of {keys}"
        raise DataError(
            f"{name}: expected {form}, as in y, received {_keys_of(weight)}; whole outputs are "
            "weighted by loss_weights of compile"
        )
    checked = {key: check_weights(f"{name}[{key!r}]", weight[key], (x, y[key])) for key in keys}
    return checked if isinstance(y, dict) else type(y)(checked.values())


def _keys_of(structure: Structure) -> list[Any] | None:
    if isinstance(structure, dict):
        return sorted(structure, key=str)
    return list(range(len(structure))) if isinstance(structure, (list, tuple)) else None


def _check_weight(
    name: str, weight: Any, examples: int, target_shape: tuple[int, ...]
) -> NDArray[np.float32]:
    given = np.asarray(weight)
    shapes = [(examples, *target_shape[:axes]) for axes in range(len(target_shape) + 1)]
    if given.dtype.kind not in "biuf" or given.shape not in shapes:
        raise DataError(
            f"{name}: expected numbers of shape {' or '.join(map(str, shapes))}, one for each "
            f"training example{' or part of its target' if target_shape else ''}, received "
            f"{given.dtype} {given.shape}"
        )
    checked = copy_if_shared(as_finite_floats(name, given), given)
    if checked.min() < 0 or checked.max() == 0:
        raise DataError(
            f"{name}: expected weights of 0 or larger, some above 0, received weights from "
            f"{checked.min():g} to {checked.max():g}"
        )
    return checked


def _check_array(name: str, given: Any, strings: bool) -> Array:
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise DataError(f"{name}: expected arrays, received nested lists: {error}") from None
    if strings and holds_strings(array):
        return check_strings(name, array)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name}: expected numbers, received {describe_dtype(array)}")
    if array.ndim == 0 or array.size == 0:
        raise DataError(
            f"{name}: expected examples, received an empty array of shape {array.shape}"
        )
    if array.dtype.kind != "f":
        return np.ascontiguousarray(array)
    return as_finite_floats(name, array)
