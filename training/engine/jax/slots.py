"""The states of many members in arrays: writing and reading those of some in few transfers.

A transfer and a call cost the same for one member as for many, and a program is compiled for each
number of members. So members are written and read in batches, padded to a power of two with copies
of the last one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

_BYTES_PER_BATCH = 2**28


def batches(count: int, bytes_each: int) -> Iterator[slice]:
    """Cut members into batches that take little memory outside the device.

    Args:
        count: number of members.
        bytes_each: size of what is written or read for each of them, in bytes.

    Yields:
        The members of each batch.
    """
    size = max(1, _BYTES_PER_BATCH // max(1, bytes_each))
    size = 1 << (size.bit_length() - 1)  # a full batch needs no padding
    yield from (slice(begin, begin + size) for begin in range(0, count, size))


def write(states: Any, places: Sequence[int], members: Sequence[Sequence[Any]]) -> Any:
    """Set the states of some members.

    Args:
        states: a tree of arrays with the members along their first axis, which must not be read
            afterwards.
        places: a different index for each of the members to set.
        members: for each of them, its values in the order of the tree's leaves. Values that are
            the same object for all members are transferred once.

    Returns:
        The tree with the new states.
    """
    leaves, structure = jax.tree.flatten(states)
    columns = [
        _column([member[number] for member in members], leaf.dtype, _padding(places))
        for number, leaf in enumerate(leaves)
    ]
    return _set(states, jax.tree.unflatten(structure, columns), _padded(places))


def read(states: Any, places: Sequence[int]) -> list[Any]:
    """Copy the states of some members from the device.

    Args:
        states: a tree of arrays with the members along their first axis.
        places: their indices.

    Returns:
        For each of them, the tree of its NumPy arrays.
    """
    found = jax.device_get(selected(states, _padded(places)))
    arrays, structure = jax.tree.flatten(found)
    return [
        jax.tree.unflatten(structure, [array[row] for array in arrays])
        for row in range(len(places))
    ]


@jax.jit
def alone(state: Any) -> Any:
    """Return the state of one member as that of many, of which there is one.

    Args:
        state: a tree of arrays without an axis of members.

    Returns:
        The tree with that axis.
    """
    return jax.tree.map(lambda array: array[None], state)


def _column(values: Sequence[Any], dtype: Any, padding: int) -> np.ndarray:
    if all(value is values[0] for value in values):
        return np.asarray(values[:1], dtype)
    return np.asarray([*values, *(values[-1] for _ in range(padding))], dtype)


def _padding(places: Sequence[int]) -> int:
    return (1 << (len(places) - 1).bit_length()) - len(places)


def _padded(places: Sequence[int]) -> np.ndarray:
    return np.array([*places, *[places[-1]] * _padding(places)])


@jax.jit(donate_argnums=0)
def _set(states: Any, columns: Any, places: jax.Array) -> Any:
    return jax.tree.map(lambda old, new: old.at[places].set(new), states, columns)


@jax.jit
def selected(states: Any, places: Any) -> Any:
    """Return a tree with the states of some members on the device, in the given order.

    Args:
        states: a tree of arrays with the members along their first axis.
        places: their indices, which may repeat.

    Returns:
        The tree.
    """
    return jax.tree.map(lambda array: array[places], states)
