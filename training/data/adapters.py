"""Converts names, files, arrays, lists, dicts and data frames to a `Dataset`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from dropout_zoo.models.caller_warnings import warn_caller
from dropout_zoo.training.data.array_checks import DataError, RawExamples
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.loaders import load_dataset
from dropout_zoo.training.data.part_adapters import (
    ARRAYS,
    adapt_pair,
    adapt_part,
    adapt_test_part,
    check_type,
    split_off_last_rows,
)
from dropout_zoo.training.data.partition import partition
from dropout_zoo.training.data.sources.batches import (
    MAX_BYTES,
    Batches,
    ChangingError,
    Source,
    TooLargeError,
    read_batches,
    source_of,
)
from dropout_zoo.training.data.sources.streams import open_stream
from dropout_zoo.training.data.structures import check_weights, num_examples, take
from dropout_zoo.training.data.tables.columns import (
    ColumnOptions,
)
from dropout_zoo.training.defaults import Task

Arrays: TypeAlias = np.ndarray | Sequence[Any] | Mapping[str, Any] | pd.DataFrame | pd.Series
"""Inputs or targets, one row per example; several of them in a list, tuple or dict."""

Data: TypeAlias = Dataset | str | Path | Arrays | Any
"""What `as_dataset` takes as its first argument: any of these, or a source of batches."""

_TRAIN = f"{ARRAYS}: train"


def as_dataset(
    x: Data,
    y: Arrays | None = None,
    *,
    validation_data: tuple[Arrays, ...] | pd.DataFrame | None = None,
    validation_split: float | None = None,
    test_data: tuple[Arrays, ...] | pd.DataFrame | None = None,
    sample_weight: Arrays | None = None,
    steps_per_epoch: int | None = None,
    target: str | None = None,
    drop: str | Sequence[str] = (),
    text: str | Sequence[str] = (),
    task: Task | None = None,
    seed: int = 0,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Return data as a `Dataset`, with the arguments of `Model.fit`.

    If neither `validation_data` nor `validation_split` is given, the examples are split at random
    into training, validation and test set (0.70, 0.15 and 0.15), each class in the same
    proportions; with `test_data`, into training and validation set in that proportion. If one of
    them is given, the only test set is `test_data`.

    Sources of batches are read into memory. Their batch size becomes that of the training unless
    another is given, but the order of the examples is that of the training, which `order` of
    `TrainSettings` describes.

    A source that is larger than `max_bytes`, that has `steps_per_epoch`, or whose examples differ
    each time it is read, as with random augmentation, is streamed: `Model.fit` trains each member
    on the batches as the source yields them, labels included. It needs `validation_data`. Members
    see the same examples if the source always yields the same ones, or if a function makes a new
    one with seeds of its own for each member; otherwise a warning says that they do not.

    Inputs reach the model as `Model.fit` would give them to it. They are never scaled, `uint8`
    values included; only a name or path for `load_dataset` may be.

    Labels are those of `Dataset.from_arrays`: integers from 0, strings, booleans or one-hot rows
    are classes, and floats are targets of a regression. If `y` is `x` itself, as for an
    autoencoder, the inputs are the targets. Targets of any other shape, such as several per
    example, masks and labels of sequences, are given to the loss as they are; so are targets in
    dicts, lists or tuples of arrays, for models with several outputs. They are split at random
    without regard to classes, and so are inputs without `y`, for a model whose own code computes
    its loss: by `add_loss`, or a `compute_loss` or `train_step`.

    Strings in data frames and tables are categories, and values may be missing. Such columns are
    encoded as numbers by Keras layers, which are adapted to the training set alone:
    `Dataset.model_for_raw_columns` puts them before a trained model. In arrays, lists and series,
    strings stay as they are, for models that look them up themselves, with `TextVectorization` or
    `StringLookup`: give the columns of a data frame as ``dict(frame)`` for such a model.

    Args:
        x: inputs of shape ``(examples, ...)``, numbers or strings, as an array, nested lists or a
            data frame; a dict or list of arrays for a model with several inputs; a pair ``(x, y)``;
            a pair ``((x, y), (x_test, y_test))``, as `keras.datasets` load them; a
            `tf.data.Dataset`, `keras.utils.PyDataset`, PyTorch `DataLoader` or generator of batches
            `x`, ``(x, y)`` or ``(x, y, sample_weight)``, or a function that returns a new one; a
            `Dataset`; or a name or path for `load_dataset`. Two inputs without `y` are given in a
            dict, or as ``((a, b), None)``, because a list or tuple of two is a pair.
        y: labels or targets, one per example; a dict or list of them for several outputs; None
            if the model needs none.
        validation_data: pair ``(x, y)`` or triple ``(x, y, sample_weight)`` to validate on, a
            source of batches or, without `y`, `x` alone; with `target`, a data frame.
        validation_split: fraction of the examples to validate on, in (0, 1). As in `Model.fit`,
            these are the last rows, so that sorted examples must be shuffled beforehand.
        test_data: pair ``(x, y)`` of the test set, a source of batches or, without `y`, `x` alone;
            with `target`, a data frame.
        sample_weight: weights of the examples in `x`, 0 or larger, of shape ``(examples,)``; or
            ``(examples, steps)``, where the loss of the model is computed for each step; or, for
            several outputs, a dict or list of them like `y`. As in `Model.fit`, what is split off
            as a validation set keeps its weights; the test set has none.
        steps_per_epoch: number of batches of an epoch, as in `Model.fit`: the next epoch continues
            where the last one ended. Infinite sources need it; for arrays an epoch is all of them.
        target: target column, if `x` is a data frame with it or the path of a table. Integers in
            it need not start from 0; see `load_dataset`.
        drop: columns of the data frame or table that are left out, one name or several.
        text: columns that hold free text; the features are the words that occur in it.
        task: ``"classification"``, ``"regression"``, ``"reconstruction"``, or ``"custom"`` to give
            `y` to the loss as it is; None infers it from `y`.
        seed: seed of the random split, from 0 to 2**32 - 1.
        max_bytes: size up to which a source of training batches is read into memory.

    Returns:
        The dataset.

    Raises:
        DataError: the data are not usable; the message names what is wrong.
        ValueError: arguments do not fit together.
        TypeError: `x` is of a type that is not supported.

    Example:
        >>> import numpy as np
        >>> from dropout_zoo.training import as_dataset
        >>> x, y = np.arange(80.0).reshape(40, 2), ["odd", "even"] * 20
        >>> data = as_dataset(x, y, validation_split=0.25)
        >>> len(data.train[1]), len(data.validation[1]), data.test
        (30, 10, None)
        >>> len(as_dataset(x, y).test[1])
        6
    """
    options = ColumnOptions.of(target, drop, text)
    if isinstance(x, (Dataset, str, Path)):
        others = {
            "y": y, "validation_data": validation_data, "validation_split": validation_split,
            "test_data": test_data, "sample_weight": sample_weight,
            "steps_per_epoch": steps_per_epoch,
        }  # fmt: skip
        unused = [name for name in others if others[name] is not None]
        return _loaded(x, options, task, seed, unused)
    batch_size = None
    source = _training_source(x, steps_per_epoch)
    if source is not None:
        _check_nothing_besides(source, y, sample_weight, options)
        read = _read_if_it_fits(source, steps_per_epoch, validation_data, max_bytes)
        if read is None:
            return _streamed(source, steps_per_epoch, validation_data, validation_split, test_data)
        x, y, sample_weight, batch_size = _with_checked_weights(read)
    elif y is None and target is None:
        x, y, test_data = _unpacked(x, test_data)
    given = adapt_part(_TRAIN, x, y, options)
    columns = given.columns
    validation = test = validation_weight = None
    if validation_data is not None and validation_split:  # 0 is the default of `Model.fit`
        raise ValueError("expected validation_data or validation_split, received both")
    if validation_data is not None:
        validation, validation_weight = adapt_pair(
            f"{ARRAYS}: validation_data", validation_data, options, columns
        )
    elif validation_split is not None:
        whole = given.part
        given, validation = split_off_last_rows(given, validation_split)
        if sample_weight is not None:
            weight = check_weights(f"{ARRAYS}: sample_weight", sample_weight, (whole.x, whole.y))
            first = num_examples(given.part.x)
            sample_weight = take(weight, slice(first))
            validation_weight = take(weight, slice(first, None))
    if test_data is not None:
        test = adapt_test_part(test_data, options, columns)
    parts = [each for each in (given, validation, test) if each is not None]
    tasks = [each.task for each in parts if each.task is not None]
    return partition(
        RawExamples(
            tuple(each.part for each in parts),
            numbered=target is None,
            validation=validation is not None,
            columns=columns,
        ),
        seed=seed,
        task=task or (tasks[0] if tasks else None),
        source=ARRAYS,
        sample_weight=sample_weight,
        validation_weight=validation_weight,
        batch_size=batch_size,
    )


def _loaded(
    x: Dataset | str | Path,
    options: ColumnOptions,
    task: Task | None,
    seed: int,
    unused: list[str],
) -> Dataset:
    """Return a dataset, or load it; what else was given is not used."""
    is_dataset = isinstance(x, Dataset)
    if is_dataset:
        unused = unused + options.given() + ["task"] * (task is not None)
    if unused:
        raise ValueError(
            f"expected no {', '.join(unused)} together with "
            f"{'a Dataset' if is_dataset else repr(x)}, received both"
        )
    if isinstance(x, Dataset):
        return x
    return load_dataset(str(x), **options._asdict(), task=task, seed=seed)


def _training_source(x: Any, steps_per_epoch: int | None) -> Source | None:
    source = source_of(x)
    if source is None and steps_per_epoch is not None:
        raise ValueError(
            "expected no steps_per_epoch with arrays, an epoch of which is all examples, received "
            f"{steps_per_epoch}; leave it out"
        )
    return source


def _check_nothing_besides(
    source: Source, y: Any, sample_weight: Any, options: ColumnOptions
) -> None:
    others = {"y": y, "sample_weight": sample_weight}
    unused = [name for name, value in others.items() if value is not None] + options.given()
    if unused:
        raise ValueError(
            f"expected no {', '.join(unused)} together with a {source.kind}, which has "
            "batches x, (x, y) or (x, y, sample_weight), received both"
        )


def _read_if_it_fits(
    source: Source, steps_per_epoch: int | None, validation_data: Any, max_bytes: int
) -> Batches | None:
    """Read the training examples; None if they have to be streamed."""
    if steps_per_epoch is not None:
        return None
    if source.is_infinite:
        raise DataError(
            f"{_TRAIN}: expected a finite {source.kind}, received an infinite one; pass "
            "steps_per_epoch and validation_data, leave out repeat(), or limit it with take(n)"
        )
    try:
        return read_batches(_TRAIN, source, max_bytes=max_bytes)
    except (TooLargeError, ChangingError) as error:
        if validation_data is None:
            raise DataError(
                f"{error}; or pass validation_data, so that it can be streamed"
            ) from None
        return None


def _with_checked_weights(read: Batches) -> Batches:
    """Check what was the third part of each batch, which may have been meant as an input."""
    if read.sample_weight is not None:
        try:
            check_weights(f"{ARRAYS}: sample_weight", read.sample_weight, (read.x, read.y))
        except DataError as error:
            raise DataError(
                f"{error}; a batch of three is (x, y, sample_weight): yield several inputs alone "
                "as a dict, or as ((a, b, c),)"
            ) from None
    return read


def _streamed(
    source: Source,
    steps_per_epoch: int | None,
    validation_data: Any,
    validation_split: float | None,
    test_data: Any,
) -> Dataset:
    if validation_data is None or validation_split is not None:
        received = "none" if validation_split is None else "validation_split"
        raise ValueError(
            f"expected validation_data, and no validation_split, with a {source.kind} that is "
            f"streamed, because examples cannot be split off it; received {received}"
        )
    options = ColumnOptions.of(None, (), ())
    validation, weight = adapt_pair(f"{ARRAYS}: validation_data", validation_data, options, None)
    sample_size = num_examples(validation.part.x)
    stream, first = open_stream(_TRAIN, source, steps_per_epoch, sample_size)
    _with_checked_weights(first)
    given = [adapt_part(_TRAIN, first.x, first.y, options), validation]
    if test_data is not None:
        given.append(adapt_test_part(test_data, options, None))
    data = partition(
        RawExamples(tuple(each.part for each in given), validation=True, streamed=True),
        task="custom",
        source=ARRAYS,
        sample_weight=first.sample_weight,
        validation_weight=weight,
        batch_size=first.batch_size,
    )
    if not stream.repeats:
        warn_caller(f"{_TRAIN}: {stream.kind}: {stream.unpaired}")
    return replace(data, stream=stream)


def _unpacked(x: Any, test_data: Any) -> tuple[Any, Any, Any]:
    """Unpack ``(x, y)``, ``((x, y), (x_test, y_test))`` of two tuples, or ``(x,)``."""
    if isinstance(x, tuple) and len(x) == 1:
        return x[0], None, test_data
    if not isinstance(x, (tuple, list)) or (isinstance(x, list) and len(x) != 2):
        check_type(ARRAYS, x)
        return x, None, test_data
    if len(x) != 2:
        raise ValueError(
            "expected x, x and y, a pair (x, y), or a data frame and the name of its target "
            f"column, received a tuple of {len(x)}; give several inputs in a dict"
        )
    first, second = x
    if test_data is None and all(isinstance(each, tuple) and len(each) == 2 for each in x):
        return *first, second
    return first, second, test_data
