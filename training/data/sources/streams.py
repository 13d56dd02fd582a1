"""Sources of batches that stay where they are: each member trains on them by `Model.fit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.training.data.array_checks import DataError
from dropout_zoo.training.data.sources.batches import Batches, Source, checked_batches, joined
from dropout_zoo.training.data.structures import Structure, arrays_of, num_examples, take


@dataclass(frozen=True)
class Stream:
    """A source that `Model.fit` reads batch by batch.

    Attributes:
        source: the source, or a function that returns a new one.
        steps_per_epoch: as in `Model.fit`; None for all batches of a finite source.
        num_batches: number of batches of an epoch.
        repeats: whether its first batches were the same when they were read again. If not, members
            do not see the same examples.
    """

    source: Source
    steps_per_epoch: int | None
    num_batches: int
    repeats: bool

    @property
    def kind(self) -> str:
        """What kind of source it is, by name."""
        return self.source.kind

    @property
    def is_shuffled_by_keras(self) -> bool:
        """Whether `Model.fit` shuffles its batches, unlike those of other sources."""
        return self.kind == "keras.utils.PyDataset" and not self.source.is_infinite

    def open(self) -> Any:
        """Return what a member is trained on by `Model.fit`."""
        return self.source.open()

    def describe(self) -> str:
        """Say in a line where the training examples come from."""
        batches = f"{self.num_batches:,} batches per epoch, streamed from a {self.kind}"
        return batches if self.repeats else f"{batches}; {self.unpaired}"

    @property
    def unpaired(self) -> str:
        """What follows where members do not see the same examples."""
        words = (
            "it yields other examples each time it is read, so that members do not train on the "
            "same ones, and this randomness is part of the differences between them"
        )
        hint = self.source.hint_of_remainder
        return f"{words}; {hint}" if hint else words


def open_stream(
    name: str, source: Source, steps_per_epoch: int | None, sample_size: int
) -> tuple[Stream, Batches]:
    """Prepare to train on a source that is not read into memory.

    Args:
        name: name of the source, for messages.
        source: the source.
        steps_per_epoch: as in `Model.fit`.
        sample_size: number of examples that are read for measurements with dropout off.

    Returns:
        The stream, and its first examples.

    Raises:
        DataError: it cannot be restarted for each member, its number of batches is not known, or
            its first batches are not usable.
        ValueError: `steps_per_epoch` is not a whole number of at least 1, or does not divide the
            number of batches.
    """
    kind = source.kind
    if not source.can_start_again:
        raise DataError(
            f"{name}: expected a source that can be read again for each member, received a "
            "generator that is too large for memory or has steps_per_epoch; pass a function that "
            "returns a new one, a keras.utils.PyDataset or a tf.data.Dataset"
        )
    length = source.num_batches()
    if steps_per_epoch is not None:
        check_count(steps_per_epoch, "steps_per_epoch")
        if length is not None and length % steps_per_epoch:
            raise ValueError(
                f"expected steps_per_epoch to divide the {length:,} batches of the {kind}, "
                f"received {steps_per_epoch}; let the source repeat without end"
            )
    num_batches = steps_per_epoch or length
    if num_batches is None:
        raise DataError(
            f"{name}: expected a {kind} of known length, or steps_per_epoch, received one that "
            "does not say where an epoch ends; let it repeat without end and pass steps_per_epoch"
        )
    first = _first_batches(name, source, sample_size)
    x, y, *weight = take(joined(name, source, first), slice(sample_size))
    source.pass_epoch()
    again = _first_batches(name, source, sample_size)
    stream = Stream(source, steps_per_epoch, num_batches, _equal(first, again))
    return stream, Batches(x, y, weight[0] if weight else None, num_examples(first[0]))


def _first_batches(name: str, source: Source, examples: int) -> list[tuple[Structure, ...]]:
    batches, count = [], 0
    for batch in checked_batches(name, source):
        batches.append(batch)
        count += num_examples(batch)
        if count >= examples:
            break
    return batches


def _equal(one: list[tuple[Structure, ...]], other: list[tuple[Structure, ...]]) -> bool:
    pairs = zip(arrays_of(one), arrays_of(other), strict=False)
    return len(one) == len(other) and all(np.array_equal(*pair) for pair in pairs)
