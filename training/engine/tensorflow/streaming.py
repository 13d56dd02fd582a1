"""The examples that loops work on: in TensorFlow's memory, or streamed there by tf.data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dropout_zoo.training.plan import Examples, as_input, input_bytes

Arrays = tuple[np.ndarray, ...]

_BLOCK_BYTES = 16 * 2**20  # larger blocks do not make streaming faster
_BLOCKS_PER_LOOP = 3  # one in use, one waiting, one being gathered
_NO_POSITIONS = np.zeros(0, np.int64)


class Chunk(NamedTuple):
    """Some consecutive steps of an epoch, to be made in one call.

    Attributes:
        arrays: examples, targets and, where there are weights, the weight of each example.
        positions: positions of the examples in the arrays, in the order in which they are used;
            empty where the arrays have that order.
        first: number of the first step.
        last: number of the step after the last.
    """

    arrays: tuple[tf.Tensor, ...]
    positions: tf.Tensor
    first: int
    last: int


class InMemoryData:
    """Examples in TensorFlow's memory, shared by all loops.

    Args:
        parts: the arrays of each part, with the targets as the loss takes them.
    """

    def __init__(self, parts: dict[str, Arrays]) -> None:
        with tf.device("CPU"):
            self._parts = {
                part: tuple(tf.constant(as_input(array)) for array in arrays)
                for part, arrays in parts.items()
            }

    def count(self, part: str) -> int:
        """Return the number of examples."""
        return len(self._parts[part][0])

    def gathers(self, part: str) -> bool:
        """Return whether a step has to gather its examples by their positions."""
        return part == "train"

    def specs(self, part: str) -> tuple[tf.TensorSpec, ...]:
        """Return the shapes and dtypes of the arrays of a chunk."""
        return tuple(
            tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in self._parts[part]
        )

    def chunks(
        self, part: str, order: np.ndarray | None, batch_size: int, max_steps: Callable[[], int]
    ) -> Iterator[Chunk]:
        """Divide an epoch into chunks.

        Args:
            part: ``"train"``, ``"sample"`` or ``"validation"``.
            order: positions of the examples in the order in which they are used; None for that
                of the arrays.
            batch_size: batch size.
            max_steps: returns the largest number of steps that the next chunk may have.

        Yields:
            The chunks.
        """
        arrays = self._parts[part]
        count = len(arrays[0]) if order is None else len(order)
        positions = _NO_POSITIONS if order is None else order
        positions = tf.constant(positions, tf.int64)
        yield from _split_steps(arrays, positions, -(-count // batch_size), max_steps)


class StreamedData:
    """Examples that stay where they are; tf.data copies one block of batches after another.

    Args:
        parts: the arrays of each part, with the targets as the loss takes them.
        block_bytes: approximate size of a block; it has at least one batch.
    """

    def __init__(self, parts: dict[str, Arrays], block_bytes: int) -> None:
        self._parts, self._block_bytes = parts, block_bytes

    def count(self, part: str) -> int:
        """Return the number of examples."""
        return len(self._parts[part][0])

    def gathers(self, part: str) -> bool:
        """Return whether a step has to gather its examples: no, blocks have them in order."""
        return False

    def specs(self, part: str) -> tuple[tf.TensorSpec, ...]:
        """Return the shapes and dtypes of the arrays of a chunk."""
        return tuple(
            tf.TensorSpec([None, *array.shape[1:]], as_input(array[:1]).dtype)
            for array in self._parts[part]
        )

    def chunks(
        self, part: str, order: np.ndarray | None, batch_size: int, max_steps: Callable[[], int]
    ) -> Iterator[Chunk]:
        """Divide an epoch into chunks; see `InMemoryData.chunks`."""
        arrays = self._parts[part]
        count = len(arrays[0]) if order is None else len(order)
        batch_bytes = sum(input_bytes(array[:1]) for array in arrays) * batch_size
        size = batch_size * max(1, self._block_bytes // batch_bytes)

        def blocks() -> Iterator[Arrays]:
            for first in range(0, count, size):
                rows = slice(first, first + size)
                chosen = rows if order is None else order[rows]
                yield tuple(as_input(array[chosen]) for array in arrays)

        streamed = tf.data.Dataset.from_generator(blocks, output_signature=self.specs(part))
        for block in streamed.prefetch(1):
            steps = -(-len(block[0]) // batch_size)
            yield from _split_steps(block, tf.constant(_NO_POSITIONS), steps, max_steps)


def _split_steps(
    arrays: tuple[tf.Tensor, ...], positions: tf.Tensor, steps: int, max_steps: Callable[[], int]
) -> Iterator[Chunk]:
    first = 0
    while first < steps:
        last = min(steps, first + max_steps())
        yield Chunk(arrays, positions, first, last)
        first = last


def load_data(examples: Examples, budget: int, loops: int) -> InMemoryData | StreamedData:
    """Copy examples into memory if they fit, or stream them.

    Args:
        examples: the examples.
        budget: number of bytes that the data may take.
        loops: largest number of loops that work on them.

    Returns:
        The source of the loops' examples.
    """
    weight = () if examples.sample_weight is None else (examples.sample_weight,)
    parts: dict[str, Arrays] = {
        "train": (*examples.train, *weight),
        "sample": examples.sample,
        "validation": examples.validation,
    }
    if sum(input_bytes(array) for arrays in parts.values() for array in arrays) <= budget:
        return InMemoryData(parts)
    return StreamedData(parts, min(_BLOCK_BYTES, budget // (loops * _BLOCKS_PER_LOOP)))
