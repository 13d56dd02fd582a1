"""Sources that yield batches, such as `tf.data.Dataset`, read into arrays."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from dropout_zoo.training.data.array_checks import (
    Array,
    DataError,
    check_strings,
    content_of,
    holds_strings,
)
from dropout_zoo.training.data.structures import (
    Structure,
    arrays_of,
    map_arrays,
    num_examples,
    shapes_of,
)

MAX_BYTES = 4 * 1024**3
"""Size up to which data are read into memory."""

MAX_BATCHES = 250_000
"""Number of batches up to which a source is read that does not say whether it ends."""

_HINT_OF_CHANGES = (
    "move random augmentation into the model (keras.layers.RandomFlip and others), and split "
    "examples before they are shuffled"
)

# Classes by name, so that none of these libraries has to be imported to tell.
_KINDS = {
    ("tensorflow", "DatasetV2"): "tf.data.Dataset",
    ("keras", "PyDataset"): "keras.utils.PyDataset",
    ("torch", "DataLoader"): "PyTorch DataLoader",
}


class Batches(NamedTuple):
    """The examples of a source.

    Attributes:
        x: inputs.
        y: targets, or None.
        sample_weight: weight of each example, or a structure of them like `y`, or None.
        batch_size: number of examples of the first batch, which is the largest.
    """

    x: Structure
    y: Structure
    sample_weight: Structure | None
    batch_size: int


class TooLargeError(DataError):
    """A source is larger than what is read into memory."""


class ChangingError(DataError):
    """A source yields different examples each time it is read."""


@dataclass(frozen=True)
class Source:
    """A source of batches, or a function that returns a new one.

    Attributes:
        given: the source or the function.
        kind: what kind of source it is, by name.
    """

    given: Any
    kind: str

    @property
    def from_function(self) -> bool:
        """Whether a function makes a new source each time."""
        return kind_of_source(self.given) is None

    @property
    def can_start_again(self) -> bool:
        """Whether it can be read more than once."""
        return self.kind != "generator" or self.from_function

    def open(self) -> Any:
        """Return the source, a new one if a function makes it."""
        return self.given() if self.from_function else self.given

    def opened(self) -> Source:
        """Return the source that a training run would read epoch by epoch, without the function."""
        return replace(self, given=self.open())

    def pass_epoch(self) -> None:
        """Report that another epoch begins, at which a `PyDataset` may change its examples."""
        if self.kind == "keras.utils.PyDataset" and not self.from_function:
            self.given.on_epoch_end()
            self.given.on_epoch_begin()

    def read(self) -> Iterator[Any]:
        """Yield its batches, from the first on; an infinite source never ends."""
        source = self.open()
        if self.kind == "tf.data.Dataset":
            yield from source.as_numpy_iterator()
        elif self.kind == "keras.utils.PyDataset":
            number = 0
            while source.num_batches is None or number < source.num_batches:
                yield source[number]
                number += 1
        else:
            yield from source

    @property
    def is_infinite(self) -> bool:
        """Whether it is known to have no end."""
        source = self.open()
        if self.kind == "tf.data.Dataset":
            return int(source.cardinality()) == -1  # tf.data.INFINITE_CARDINALITY
        return self.kind == "keras.utils.PyDataset" and source.num_batches is None

    @property
    def hint_of_remainder(self) -> str:
        """What to do where it leaves out the last, incomplete batch; empty if it does not."""
        source, option = self.open(), ""
        if self.kind == "PyTorch DataLoader" and source.drop_last:
            option = "drop_last"
        if self.kind == "tf.data.Dataset":
            specs = _leaves(source.element_spec)
            # Batches are of a size that is known beforehand if none may be incomplete.
            if specs and all(spec.shape.rank and spec.shape[0] is not None for spec in specs):
                option = "drop_remainder"
        if not option:
            return ""
        return (
            f"leave out {option}=True, with which a shuffled source omits other examples each time"
        )

    def num_batches(self) -> int | None:
        """Return its number of batches; None if it is infinite, or does not say."""
        source = self.open()
        if self.is_infinite or self.kind == "generator":
            return None
        if self.kind == "keras.utils.PyDataset":
            return int(source.num_batches)
        try:
            count = len(source)
        except TypeError:  # of unknown length
            return None
        return count


def _leaves(spec: Any) -> list[Any]:
    """The specifications of the tensors in a structure of them."""
    if isinstance(spec, dict):
        return [leaf for each in spec.values() for leaf in _leaves(each)]
    if isinstance(spec, (tuple, list)):
        return [leaf for each in spec for leaf in _leaves(each)]
    return [spec] if hasattr(spec, "shape") else []


def source_of(value: Any) -> Source | None:
    """Return a source of batches, or one that a function makes; None for anything else."""
    kind = kind_of_source(value)
    if kind is None and isinstance(value, Callable):  # type: ignore[arg-type]
        kind = kind_of_source(value())
    return None if kind is None else Source(value, kind)


def kind_of_source(value: Any) -> str | None:
    """Return what kind of source of batches a value is, by name; None if it is none."""
    if isinstance(value, types.GeneratorType):
        return "generator"
    names = {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(value).__mro__}
    return next((kind for name, kind in _KINDS.items() if name in names), None)


def read_batches(name: str, source: Source, *, max_bytes: int = MAX_BYTES) -> Batches:
    """Read all examples of a source of batches.

    A source that can be read again is read twice, as in two epochs, to see that its examples are
    the same each time: members train on them in an order of their own, and none would see what a
    random augmentation makes of them later.

    Args:
        name: name of the source, for messages.
        source: a finite source of batches `x`, ``(x, y)`` or ``(x, y, sample_weight)``.
        max_bytes: size up to which it is read.

    Returns:
        The examples in the order of the source.

    Raises:
        TooLargeError: it is larger than `max_bytes`.
        ChangingError: it yields different examples each time.
        DataError: it is infinite, or has no batches; or it does not say how many batches it has,
            and has more than `MAX_BATCHES`.
    """
    kind = source.kind
    if source.is_infinite:
        raise DataError(
            f"{name}: expected a finite {kind}, received an infinite one; leave out repeat(), or "
            "limit it with take(n)"
        )
    if kind != "generator":  # which a function makes anew for each epoch
        source = source.opened()
    batches, size = [], 0
    for given in checked_batches(name, source):
        size += sum(array.nbytes for array in arrays_of(given))
        if size > max_bytes:
            raise TooLargeError(
                f"{name}: expected a {kind} of at most {max_bytes:,} bytes, received more; use "
                "fewer examples"
            )
        batches.append(given)
        if len(batches) > MAX_BATCHES and source.num_batches() is None:
            raise DataError(
                f"{name}: expected a {kind} that ends after at most {MAX_BATCHES:,} batches, "
                "received more; if it has no end, pass steps_per_epoch and validation_data (and a "
                "generator as a function that returns a new one); if it has one, give larger "
                "batches"
            )
    whole = joined(name, source, batches)
    source.pass_epoch()
    if source.can_start_again and not _same_again(whole, checked_batches(name, source)):
        remedies = "; ".join(filter(None, (source.hint_of_remainder, _HINT_OF_CHANGES)))
        raise ChangingError(
            f"{name}: expected a {kind} with the same examples each time it is read, received "
            f"different ones; {remedies}"
        )
    x, y, *weight = whole
    return Batches(x, y, weight[0] if weight else None, num_examples(batches[0]))


def checked_batches(name: str, source: Source) -> Iterator[tuple[Structure, ...]]:
    """Yield the batches of a source as arrays.

    Args:
        name: name of the source, for messages.
        source: the source.

    Yields:
        One batch after another: ``(x, y)`` or ``(x, y, sample_weight)``; `y` may be None.

    Raises:
        DataError: a batch has another form.
    """
    for batch in source.read():
        yield _checked(name, source.kind, batch)


def joined(
    name: str, source: Source, batches: list[tuple[Structure, ...]]
) -> tuple[Structure, ...]:
    """Join batches of a source.

    Args:
        name: name of the source, for messages.
        source: the source.
        batches: what `checked_batches` yielded.

    Returns:
        The examples of all of them.

    Raises:
        DataError: there are no batches, or their examples are of different shapes.
    """
    if not batches:
        raise DataError(f"{name}: expected batches, received an empty {source.kind}")
    for batch in batches:
        if shapes_of(batch) != shapes_of(batches[0]):
            raise DataError(
                f"{name}: expected batches of one shape, received examples of shape "
                f"{shapes_of(batch)} after {shapes_of(batches[0])}; pad them to one length"
            )
    whole: tuple[Structure, ...] = map_arrays(lambda *arrays: np.concatenate(arrays), *batches)
    return whole


def _checked(name: str, kind: str, batch: Any) -> tuple[Structure, ...]:
    given = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    if not 1 <= len(given) <= 3:
        raise DataError(
            f"{name}: expected batches x, (x, y) or (x, y, sample_weight), received a "
            f"{type(batch).__name__} of {len(given)}"
        )
    x, y, weight = [*given, None, None][:3]
    given = (x, y) if weight is None else (x, y, weight)
    arrays = tuple(map_arrays(lambda array: _as_array(name, array), each) for each in given)
    if any(array.dtype.kind == "O" and not holds_strings(array) for array in arrays_of(arrays)):
        raise DataError(
            f"{name}: expected batches of numbers or strings in arrays of one shape, received "
            "other Python objects, such as ragged rows; pad rows to one length"
        )
    sizes = {len(array) if array.ndim else None for array in arrays_of(arrays)}
    if None in sizes or len(sizes) != 1:
        raise DataError(
            f"{name}: expected batches with the same number of examples in each array, received "
            f"shapes {[array.shape for array in arrays_of(arrays)]}; a {kind} of single examples "
            "has to be batched"
        )
    return arrays


def _as_array(name: str, given: Any) -> Array:
    array = np.asarray(given)
    return check_strings(name, array) if array.size and holds_strings(array) else array


def _same_again(whole: tuple[Structure, ...], again: Iterable[tuple[Structure, ...]]) -> bool:
    """Whether another reading has the same examples, in any order."""
    batches = list(again)
    if not batches:
        return False
    second = map_arrays(lambda *arrays: np.concatenate(arrays), *batches)
    return _digests(whole) == _digests(second)


def _digests(examples: tuple[Structure, ...]) -> list[int]:
    rows = [array.reshape(len(array), -1) for array in arrays_of(examples)]
    return sorted(hash(b"".join(map(content_of, parts))) for parts in zip(*rows, strict=True))
