"""Encodes the columns of a table as numbers, by Keras layers that are saved with a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dropout_zoo.training.data.array_checks import Array, Columns, DataError
from dropout_zoo.training.data.tables.columns import describe_columns

if TYPE_CHECKING:
    import keras

MAX_LEVELS = 50
"""Most levels of a column of categories that have a feature of their own."""

MAX_WORDS = 1000
"""Most words of a column of text that have a feature of their own."""

_NAME = "raw_columns"
_BATCH_SIZE = 4096


@dataclass(frozen=True)
class TableEncoder:
    """Encodes the columns of a table by what the training set held.

    Args:
        names: names of the columns that it takes; others are left out.
        model: a Keras model with one input per column, in this order, and the features as output.
        notes: what each column of the table was taken for, in words.
    """

    names: tuple[str, ...]
    model: keras.Model
    notes: tuple[str, ...]

    def encode(self, table: Array) -> Array:
        """Encode a table.

        Args:
            table: a structured array with these columns, of shape ``(rows,)``.

        Returns:
            float32 of shape ``(rows, features)``.
        """
        # Not by `predict`, which would be traced anew for each table.
        return np.concatenate([self._features(batch) for batch in _batches(table)])

    def _features(self, table: Array) -> Array:
        from keras import ops

        columns = [
            ops.convert_to_tensor(np.ascontiguousarray(table[name]), given.dtype)
            for name, given in zip(self.names, self.model.inputs, strict=True)
        ]
        features: Array = ops.convert_to_numpy(self.model(columns))
        return features

    def prepend_to(self, model: keras.Model) -> keras.Model:
        """Return a model that encodes raw columns and passes them to a trained model.

        Args:
            model: takes the features. It becomes a layer of the new model, and is renamed if a
                column has its name.

        Returns:
            A model that takes a dict with one array per column, compiled like the given model.
        """
        import keras

        from dropout_zoo.models.graph.compilation import compile_like

        model.name = _unused(model.name, (*self.names, self.model.name))
        inputs = [
            keras.Input((), name=name, dtype=given.dtype)
            for name, given in zip(self.names, self.model.inputs, strict=True)
        ]
        whole = keras.Model(inputs, model(self.model(inputs)), name=model.name)
        compile_like(model, whole)
        return whole


def without_encoder(model: keras.Model, encoder: TableEncoder | None) -> keras.Model:
    """Return the model that is trained on data, if a model encodes raw columns before it.

    Args:
        model: any model, such as what `TableEncoder.prepend_to` returned, also after it was saved.
        encoder: that of the data; None if they are given to the model as they are.

    Returns:
        The model that takes the features, compiled like the given one; any other model as it is.
    """
    from dropout_zoo.models.graph.compilation import compile_like

    layers = model.layers
    if encoder is None or not any(layer.name.rstrip("_") == _NAME for layer in layers):
        return model
    trained = next((layer for layer in layers if layer.name == model.name), model)
    compile_like(model, trained)
    return trained


def fit_encoder(source: str, train: Array, columns: Columns) -> TableEncoder:
    """Make the encoder of a table from its training set.

    Missing numbers become the median of the column, with a feature of their own that says so.
    Categories are one-hot; a missing value is a category of its own, and those of a single row are
    one category together. Text becomes one feature per word that occurs in several rows, which says
    whether it occurs. Features that do not vary in the training set are left out, so that nothing
    depends on weights that were never trained: a category that the training set does not have is
    encoded as its rare ones are or, where there are none, as no category.

    Args:
        source: name of the data, for messages.
        train: a structured array with one field per column, of shape ``(rows,)``.
        columns: the columns.

    Returns:
        The encoder.

    Raises:
        DataError: no column varies, a name is not possible for an input of a model, or the backend
            of Keras does not take strings.
    """
    import keras
    from keras import ops

    constant = [name for name in columns.kinds if len(pd.unique(train[name])) == 1]
    names = tuple(name for name in columns.kinds if name not in constant)
    if not names:
        raise _nothing_varies(source)
    _check_names(source, names)
    _check_backend(source, train[list(names)])
    inputs: dict[str, Any] = {}
    features: list[Any] = []
    details: dict[str, str] = {}
    numbers = [name for name in names if columns.kinds[name] == "numbers"]
    for name in names:
        inputs[name] = keras.Input((), dtype="float32" if name in numbers else "string")
    if numbers:
        values = np.stack([train[name] for name in numbers], axis=1)
        details |= {name: _missing(np.isnan(train[name])) for name in numbers}
        stacked = ops.stack([inputs[name] for name in numbers], axis=-1)
        missing = ops.isnan(stacked)
        median = np.nanmedian(values, axis=0).astype("float32")
        features += [ops.where(missing, median, stacked), ops.cast(missing, "float32")]
    for name in names:
        if name in numbers:
            continue
        if columns.kinds[name] == "text":
            layer, details[name] = _words(f"{source}: column {name!r}", train[name])
        else:
            layer, details[name] = _levels(train[name])
        features.append(layer(inputs[name]))
    encoded = ops.concatenate(features, axis=-1)
    every = TableEncoder(names, keras.Model(list(inputs.values()), encoded), ()).encode(train)
    varying = np.flatnonzero((every != every[0]).any(axis=0))
    if not len(varying):
        raise _nothing_varies(source)
    model = keras.Model(
        list(inputs.values()), ops.take(encoded, varying, axis=-1), name=_unused(_NAME, names)
    )
    return TableEncoder(names, model, describe_columns(columns, details, constant))


def _levels(values: Array) -> tuple[keras.layers.Layer, str]:
    """Return the one-hot encoding of a column of categories, and what to say about it."""
    import keras

    counts = Counter(values)
    repeated = [level for level in counts if counts[level] > 1]
    levels = sorted(repeated, key=lambda level: (-counts[level], level))[:MAX_LEVELS]
    layer = keras.layers.StringLookup(vocabulary=levels, output_mode="one_hot")
    named = len(counts) - ("" in counts)
    note = f"{named:,} levels"
    if len(counts) > len(levels):
        note += f", all but the {len(levels)} most frequent as one"
    missing = _missing(values == "")
    return layer, f"{note}, {missing}" if missing else note


def _words(where: str, values: Array) -> tuple[keras.layers.Layer, str]:
    """Return the encoding of a column of text, and what to say about it."""
    import keras

    layer = keras.layers.TextVectorization(MAX_WORDS + 1, output_mode="multi_hot")
    layer.adapt(values)
    _, *words = layer.get_vocabulary()  # the first stands for unknown words
    if words:
        _, *rows = sum(
            keras.ops.convert_to_numpy(layer(batch)).sum(axis=0) for batch in _batches(values)
        )
        words = [word for word, count in zip(words, rows, strict=True) if count > 1]
    if not words:
        raise DataError(
            f"{where}: expected words that occur in several rows of the training set, received "
            "none; leave out the column with drop (--drop)"
        )
    layer = keras.layers.TextVectorization(vocabulary=words, output_mode="multi_hot")
    note = f"{len(words):,} words"
    missing = _missing(values == "")
    return layer, f"{note}, {missing}" if missing else note


def _batches(values: Array) -> list[Array]:
    return np.split(values, range(_BATCH_SIZE, len(values), _BATCH_SIZE))


def _missing(missing: Array) -> str:
    return f"{missing.sum():,} missing" if missing.any() else ""


def _unused(name: str, used: Collection[str]) -> str:
    """Return a name that differs from those that are used."""
    while name in used:
        name += "_"
    return name


def _nothing_varies(source: str) -> DataError:
    return DataError(f"{source}: expected a column that varies in the training set, received none")


def _check_names(source: str, names: Sequence[str]) -> None:
    for name in names:
        if "/" in name:
            raise DataError(
                f"{source}: expected names of columns without '/', which Keras does not allow in "
                f"the names of inputs, received {name!r}; rename the column"
            )


def _check_backend(source: str, table: Any) -> None:
    import keras

    strings = [name for name in table.dtype.names if table.dtype[name].kind == "O"]
    backend = keras.backend.backend()
    if strings and backend != "tensorflow":
        raise DataError(
            f"{source}: column {strings[0]!r}: expected Keras's TensorFlow backend for columns of "
            f"strings, received {backend}; set KERAS_BACKEND=tensorflow, encode the column as "
            "numbers, or leave it out with drop (--drop)"
        )
