"""The examples that loops work on: in TensorFlow's memory, or streamed there by tf.data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dropout_zoo.training.plan import Plan, as_keras_feeds_it, fed_bytes

Arrays = tuple[np.ndarray, ...]

_BLOCK_BYTES = 16 * 2**20  # more than this at a time makes streaming no faster
_BLOCKS_A_LOOP = 3  # one in the loop, one waiting, one being gathered
_NO_POSITIONS = np.zeros(0, np.int64)


class Piece(NamedTuple):
    """Some steps' worth of an epoch.

    Attributes:
        arrays: examples, targets and, where there are weights, the weight of each example.
        positions: of the examples in the arrays, in the order of their visit; empty where the
            arrays have that order.
        first: number of the first step.
        last: number of the step after the last.
    """

    arrays: tuple[tf.Tensor, ...]
    positions: tf.Tensor
    first: int
    last: int


class Resident:
    """Examples in TensorFlow's memory, once for all loops.

    Args:
        parts: the arrays of each part, as the loss wants them.
    """

    def __init__(self, parts: dict[str, Arrays]) -> None:
        with tf.device("CPU"):
            self._parts = {
                part: tuple(tf.constant(as_keras_feeds_it(array)) for array in arrays)
                for part, arrays in parts.items()
            }

    def count(self, part: str) -> int:
        """Number of the examples."""
        return len(self._parts[part][0])

    def gathers(self, part: str) -> bool:
        """Whether the examples are to be gathered by their positions."""
        return part == "train"

    def specs(self, part: str) -> tuple[tf.TensorSpec, ...]:
        """What the arrays of a piece look like."""
        return tuple(
            tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in self._parts[part]
        )

    def pieces(
        self, part: str, order: np.ndarray | None, batch_size: int, most: Callable[[], int]
    ) -> Iterator[Piece]:
        """Cut an epoch up.

        Args:
            part: ``"train"``, ``"sample"`` or ``"validation"``.
            order: positions in the order of their visit; None for that of the arrays.
            batch_size: examples a step.
            most: tells the largest number of steps that the next piece may have.

        Yields:
            The pieces.
        """
        arrays = self._parts[part]
        count = len(arrays[0]) if order is None else len(order)
        positions = _NO_POSITIONS if order is None else order
        positions = tf.constant(positions, tf.int64)
        yield from _cut(arrays, positions, -(-count // batch_size), most)


class Streamed:
    """Examples that stay where they are; tf.data brings a block of batches at a time.

    Args:
        parts: the arrays of each part, as the loss wants them.
        block_bytes: about how much to bring at a time; at least a batch.
    """

    def __init__(self, parts: dict[str, Arrays], block_bytes: int) -> None:
        self._parts, self._block_bytes = parts, block_bytes

    def count(self, part: str) -> int:
        """Number of the examples."""
        return len(self._parts[part][0])

    def gathers(self, part: str) -> bool:
        """Whether the examples are to be gathered by their positions: they come in order."""
        return False

    def specs(self, part: str) -> tuple[tf.TensorSpec, ...]:
        """What the arrays of a piece look like."""
        return tuple(
            tf.TensorSpec([None, *array.shape[1:]], as_keras_feeds_it(array[:1]).dtype)
            for array in self._parts[part]
        )

    def pieces(
        self, part: str, order: np.ndarray | None, batch_size: int, most: Callable[[], int]
    ) -> Iterator[Piece]:
        """Cut an epoch up; see `Resident.pieces`."""
        arrays = self._parts[part]
        count = len(arrays[0]) if order is None else len(order)
        batch_bytes = sum(fed_bytes(array[:1]) for array in arrays) * batch_size
        size = batch_size * max(1, self._block_bytes // batch_bytes)

        def blocks() -> Iterator[Arrays]:
            for first in range(0, count, size):
                rows = slice(first, first + size)
                chosen = rows if order is None else order[rows]
                yield tuple(as_keras_feeds_it(array[chosen]) for array in arrays)

        streamed = tf.data.Dataset.from_generator(blocks, output_signature=self.specs(part))
        for block in streamed.prefetch(1):
            steps = -(-len(block[0]) // batch_size)
            yield from _cut(block, tf.constant(_NO_POSITIONS), steps, most)


def _cut(
    arrays: tuple[tf.Tensor, ...], positions: tf.Tensor, steps: int, most: Callable[[], int]
) -> Iterator[Piece]:
    first = 0
    while first < steps:
        last = min(steps, first + most())
        yield Piece(arrays, positions, first, last)
        first = last


def examples_of(plan: Plan, budget: int, loops: int) -> Resident | Streamed:
    """Bring the data of a plan into memory where they fit, or have them streamed.

    Args:
        plan: the plan.
        budget: bytes that the data may take.
        loops: largest number of loops that work on them.

    Returns:
        What hands the examples to the loops.
    """
    weight = () if plan.sample_weight is None else (plan.sample_weight,)
    parts: dict[str, Arrays] = {
        "train": (*plan.train, *weight),
        "sample": plan.sample,
        "validation": plan.validation,
    }
    if sum(fed_bytes(array) for arrays in parts.values() for array in arrays) <= budget:
        return Resident(parts)
    return Streamed(parts, min(_BLOCK_BYTES, budget // (loops * _BLOCKS_A_LOOP)))
