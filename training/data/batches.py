"""Sources that yield batches, such as `tf.data.Dataset`, read into arrays."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
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
"""Size up to which a source is read."""

# Classes by name, so that none of these libraries has to be imported to tell.
_KINDS = {
    ("tensorflow", "DatasetV2"): "tf.data.Dataset",
    ("keras", "PyDataset"): "keras.utils.PyDataset",
    ("torch", "DataLoader"): "PyTorch DataLoader",
}


class Batches(NamedTuple):
    """The examples of a source.

    Attributes:
        x: Inputs.
        y: Targets.
        sample_weight: Weight of each example, or None.
        batch_size: Number of examples of the first batch, which is the largest.
    """

    x: Structure
    y: Structure
    sample_weight: Array | None
    batch_size: int


def kind_of_source(value: Any) -> str | None:
    """Return what kind of source of batches a value is, by name; None if it is none."""
    if isinstance(value, types.GeneratorType):
        return "generator"
    names = {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(value).__mro__}
    return next((kind for name, kind in _KINDS.items() if name in names), None)


def read_batches(name: str, source: Any, *, max_bytes: int = MAX_BYTES) -> Batches:
    """Read all examples of a source of batches.

    A source other than a generator is read twice, to see that its examples are the same each
    time: members train on them in an order of their own, and none would see what a random
    augmentation makes of them later.

    Args:
        name: Name of the source, for messages.
        source: A finite `tf.data.Dataset`, `keras.utils.PyDataset`, PyTorch `DataLoader` or
            generator of batches `(x, y)` or `(x, y, sample_weight)`.
        max_bytes: Size up to which it is read.

    Returns:
        The examples in the order of the source.

    Raises:
        DataError: It is infinite, larger than `max_bytes`, has no targets or no batches, or
            yields different examples each time.
    """
    kind = kind_of_source(source)
    assert kind is not None, "the caller tells sources from arrays"
    _check_finite_source(name, kind, source)
    batches, size = [], 0
    for batch in _iterate(kind, source):
        given = _checked(name, kind, batch)
        size += sum(array.nbytes for array in arrays_of(given))
        if size > max_bytes:
            raise DataError(
                f"{name}: expected a {kind} of at most {max_bytes:,} bytes, received more; use "
                "fewer examples, or train with Model.fit"
            )
        batches.append(given)
    if not batches:
        raise DataError(f"{name}: expected batches, received an empty {kind}")
    for batch in batches:
        if shapes_of(batch) != shapes_of(batches[0]):
            raise DataError(
                f"{name}: expected batches of one shape, received examples of shape "
                f"{shapes_of(batch)} after {shapes_of(batches[0])}; pad them to one length"
            )
    whole = map_arrays(lambda *arrays: np.concatenate(arrays), *batches)
    if kind != "generator" and not _same_again(whole, _iterate(kind, source), name, kind):
        raise DataError(
            f"{name}: expected a {kind} with the same examples each time it is read, received "
            "different ones; move random augmentation into the model (keras.layers.RandomFlip and "
            "others), and split examples before they are shuffled"
        )
    x, y, *weight = whole
    return Batches(x, y, weight[0] if weight else None, num_examples(batches[0]))


def _check_finite_source(name: str, kind: str, source: Any) -> None:
    infinite = (
        int(source.cardinality()) == -1  # tf.data.INFINITE_CARDINALITY
        if kind == "tf.data.Dataset"
        else kind == "keras.utils.PyDataset" and source.num_batches is None
    )
    if infinite:
        raise DataError(
            f"{name}: expected a finite {kind}, received an infinite one; leave out repeat(), or "
            "limit it with take(n)"
        )


def _iterate(kind: str, source: Any) -> Iterable[Any]:
    if kind == "tf.data.Dataset":
        return _numpy_batches(source)
    if kind == "keras.utils.PyDataset":
        return (source[number] for number in range(source.num_batches))
    return source  # type: ignore[no-any-return]


def _numpy_batches(source: Any) -> Iterator[Any]:
    yield from source.as_numpy_iterator()


def _checked(name: str, kind: str, batch: Any) -> tuple[Structure, ...]:
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        received = type(batch).__name__
        if isinstance(batch, (tuple, list)):
            received += f" of {len(batch)}"
        raise DataError(
            f"{name}: expected batches (x, y) or (x, y, sample_weight), received a {received}"
        )
    if batch[-1] is None:  # no weights
        batch = batch[:2]
    arrays = tuple(map_arrays(lambda given: _as_array(name, given), each) for each in batch)
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


def _same_again(whole: tuple[Structure, ...], again: Iterable[Any], name: str, kind: str) -> bool:
    """Whether another reading has the same examples, in any order."""
    second = map_arrays(
        lambda *arrays: np.concatenate(arrays), *[_checked(name, kind, batch) for batch in again]
    )
    return _digests(whole) == _digests(second)


def _digests(examples: tuple[Structure, ...]) -> list[int]:
    rows = [array.reshape(len(array), -1) for array in arrays_of(examples)]
    return sorted(hash(b"".join(map(content_of, parts))) for parts in zip(*rows, strict=True))
