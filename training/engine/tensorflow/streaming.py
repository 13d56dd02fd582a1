"""The examples that loops work on: in TensorFlow's memory, or streamed there by tf.data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dropout_zoo.training.data.structures import Structure, map_arrays, num_examples, take
from dropout_zoo.training.plan import Examples, as_batch, as_input, input_bytes

_BLOCK_BYTES = 16 * 2**20  # larger blocks do not make streaming faster
_BLOCKS_PER_LOOP = 3  # one in use, one waiting, one being gathered
_NO_POSITIONS = np.zeros(0, np.int64)


class Chunk(NamedTuple):
    """Some consecutive steps of an epoch, to be made in one call.

    Attributes:
        arrays: inputs, targets and, where there are weights, the weight of each example.
        positions: positions of the examples in the arrays, in the order in which they are used;
            empty where the arrays have that order.
        first: number of the first step.
        last: number of the step after the last.
    """

    arrays: Structure
    positions: tf.Tensor
    first: int
    last: int


class InMemoryData:
    """Examples in TensorFlow's memory, shared by all loops.

    Args:
        parts: the arrays of each part, with the targets as the loss takes them.
    """

    def __init__(self, parts: dict[str, Structure]) -> None:
        with tf.device("CPU"):
            self._parts = {
                part: map_arrays(tf.constant, as_input(arrays)) for part, arrays in parts.items()
            }

    def count(self, part: str) -> int:
        """Return the number of examples."""
        return num_examples(self._parts[part])

    def gathers(self, part: str) -> bool:
        """Return whether a step has to gather its examples by their positions."""
        return part == "train"

    def specs(self, part: str) -> Structure:
        """Return the shapes and dtypes of the arrays of a chunk."""
        return map_arrays(
            lambda array: tf.TensorSpec([None, *array.shape[1:]], array.dtype), self._parts[part]
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
        count = num_examples(arrays) if order is None else len(order)
        positions = _NO_POSITIONS if order is None else order
        positions = tf.constant(positions, tf.int64)
        yield from _split_steps(arrays, positions, -(-count // batch_size), max_steps)


class StreamedData:
    """Examples that stay where they are; tf.data copies one block of batches after another.

    Args:
        parts: the arrays of each part, with the targets as the loss takes them.
        block_bytes: approximate size of a block; it has at least one batch.
    """

    def __init__(self, parts: dict[str, Structure], block_bytes: int) -> None:
        self._parts, self._block_bytes = parts, block_bytes

    def count(self, part: str) -> int:
        """Return the number of examples."""
        return num_examples(self._parts[part])

    def gathers(self, part: str) -> bool:
        """Return whether a step has to gather its examples: no, blocks have them in order."""
        return False

    def specs(self, part: str) -> Structure:
        """Return the shapes and dtypes of the arrays of a chunk."""
        return map_arrays(
            lambda array: tf.TensorSpec([None, *array.shape[1:]], array.dtype),
            as_input(take(self._parts[part], slice(1))),
        )

    def chunks(
        self, part: str, order: np.ndarray | None, batch_size: int, max_steps: Callable[[], int]
    ) -> Iterator[Chunk]:
        """Divide an epoch into chunks; see `InMemoryData.chunks`."""
        arrays = self._parts[part]
        count = num_examples(arrays) if order is None else len(order)
        batch_bytes = input_bytes(take(arrays, slice(1))) * batch_size
        size = batch_size * max(1, self._block_bytes // batch_bytes)

        # In flat tuples: tf.data takes lists for tensors.
        def blocks() -> Iterator[tuple[np.ndarray, ...]]:
            for first in range(0, count, size):
                rows = slice(first, first + size)
                chosen = rows if order is None else order[rows]
                yield tuple(tf.nest.flatten(as_input(take(arrays, chosen))))

        specs = self.specs(part)
        signature = tuple(tf.nest.flatten(specs))
        streamed = tf.data.Dataset.from_generator(blocks, output_signature=signature)
        for flat in streamed.prefetch(1):
            steps = -(-len(flat[0]) // batch_size)
            block = tf.nest.pack_sequence_as(specs, flat)
            yield from _split_steps(block, tf.constant(_NO_POSITIONS), steps, max_steps)


def _split_steps(
    arrays: Structure, positions: tf.Tensor, steps: int, max_steps: Callable[[], int]
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
    parts: dict[str, Structure] = {
        "train": as_batch(examples.training_data()),
        "sample": as_batch(examples.sample),
        "validation": as_batch(examples.validation),
    }
    if sum(map(input_bytes, parts.values())) <= budget:
        return InMemoryData(parts)
    return StreamedData(parts, min(_BLOCK_BYTES, budget // (loops * _BLOCKS_PER_LOOP)))
