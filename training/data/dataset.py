"""A dataset of two or three parts: training, validation and perhaps test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dropout_zoo.training.data.array_checks import (
    Array,
    DataError,
    Pair,
    Pixels,
    RawExamples,
    check_sample_size,
    is_integer,
)
from dropout_zoo.training.data.arrays_fingerprint import arrays_fingerprint
from dropout_zoo.training.data.class_counts import describe_counts, missing_classes
from dropout_zoo.training.data.example_checks import (
    as_part,
    check_examples,
    copied_pair,
    scaling_of,
)
from dropout_zoo.training.data.sources.streams import Stream
from dropout_zoo.training.data.split import split_arrays, stratified_sample
from dropout_zoo.training.data.structures import (
    Structure,
    arrays_of,
    check_weights,
    is_structure,
    map_arrays,
    named_arrays,
    num_examples,
    shapes_of,
    take,
)
from dropout_zoo.training.defaults import Task

if TYPE_CHECKING:
    import keras

    from dropout_zoo.training.data.tables.encoder import TableEncoder

__all__ = ["DataError", "Dataset", "split_arrays"]

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Training, validation and test examples.

    Created by `load_dataset`, `as_dataset` or `from_arrays`.

    Args:
        train: pair ``(x, y)``: float32 inputs of shape ``(examples, ...)``, or strings in an array
            of objects, and int32 labels from 0 or float32 targets of shape ``(examples,)``; for a
            reconstruction, the inputs flattened to ``(examples, features)``. For a custom task,
            arrays of any shape, or dicts, lists and tuples of arrays; or None in place of the
            targets, where there are none. All arrays become read-only.
        validation: pair of the same form.
        test: pair of the same form, or None if there is no test set.
        task: ``"classification"``, ``"regression"`` or ``"reconstruction"``; or ``"custom"``, where
            the loss of the model receives the targets as they are.
        num_classes: number of classes; None for other tasks.
        class_names: names in the order of the class numbers, or None.
        source: where the data come from, such as `digits` or a file name.
        sample_weight: weights of the training examples, float32 of shape ``(examples,)``, or
            ``(examples, steps)`` for targets with steps; such an array for each of several targets,
            in their structure; None if there are none.
        validation_weight: weights of the validation examples, of the same form. With them, the
            metrics on the training sample are weighted too.
        validation_drawn: whether the validation set was drawn at random, so that another one may
            be drawn in its place.
        batch_size: batch size of the source, which is that of the training unless another is
            given; None if it has none.
        columns: what the columns of a table were taken for, in words.
        encoder: what encodes the raw columns of a table as the inputs; None if the inputs are the
            raw columns themselves, or not those of a table.
        target_shape: shape in which one label or target was given: ``()``, ``(1,)`` or, one-hot,
            ``(num_classes,)``. A custom loss or training code receives it so.
        stream: source that members train on batch by batch, because it is not read into memory;
            `train` then holds its first examples, on which training metrics are measured with
            dropout off. None if `train` holds all training examples.
        pixels: ``"scaled"`` if `load_dataset` scaled images or `uint8` values to [0, 1];
            ``"unscaled"`` if inputs are `uint8` values above 1, which were given so; or None.

    Example:
        >>> import numpy as np
        >>> from dropout_zoo.training import Dataset
        >>> x, y = np.arange(12.0).reshape(6, 2), [0, 1, 0, 1, 0, 1]
        >>> data = Dataset.from_arrays((x, y), validation=(x, y), test=(x, y))
        >>> data.task, data.num_classes, data.input_shape
        ('classification', 2, (2,))
        >>> data.class_counts()["train"]
        [3, 3]
    """

    train: Pair
    validation: Pair
    test: Pair | None = None
    _: KW_ONLY
    task: Task
    num_classes: int | None = None
    class_names: list[str] | None = None
    source: str = "arrays"
    sample_weight: Structure | None = None
    validation_weight: Structure | None = None
    validation_drawn: bool = False
    batch_size: int | None = None
    columns: tuple[str, ...] = ()
    encoder: TableEncoder | None = None
    target_shape: tuple[int, ...] = ()
    stream: Stream | None = None
    pixels: Pixels | None = None

    def __post_init__(self) -> None:
        for array in self._arrays():
            array.setflags(write=False)
        weights = [w for w in (self.sample_weight, self.validation_weight) if w is not None]
        shapes = [shapes_of(weight) for weight in weights]
        if len(shapes) == 2 and shapes[0] != shapes[1]:
            raise DataError(
                f"{self.source}: expected weights of one form for training and validation "
                f"examples, received {shapes[0]} for each training example and {shapes[1]} for "
                "each validation example; give both one number per example, or one per step"
            )

    @classmethod
    def from_arrays(
        cls,
        train: tuple[Any, Any],
        validation: tuple[Any, Any],
        test: tuple[Any, Any] | None = None,
        *,
        sample_weight: Any = None,
        validation_weight: Any = None,
        class_names: Sequence[str] | None = None,
        task: Task | None = None,
        source: str = "arrays",
    ) -> Dataset:
        """Create a dataset from arrays that are already split; the arrays are copied.

        Args:
            train: pair ``(x, y)``: numbers of shape ``(examples, ...)``, which are not scaled,
                or strings, and labels or targets of shape
                ``(examples,)``, ``(examples, 1)`` or one-hot ``(examples, classes)``. Integers,
                booleans, strings and one-hot rows are classes; floats are targets of a
                regression. Targets of any other shape, and those of several outputs, are given
                to the loss as they are. Several inputs or outputs are dicts, lists or tuples of
                arrays. None in place of the labels if there are none.
            validation: pair of the same form.
            test: pair of the same form; None if there is no test set.
            sample_weight: weights of the training examples, 0 or larger, of shape ``(examples,)``;
                or ``(examples, steps)`` for targets of shape ``(examples, steps, ...)``.
            validation_weight: weights of the validation examples.
            class_names: names in the order of the class numbers.
            task: ``"classification"`` or ``"regression"``; ``"custom"`` to give `y` to the loss as
                it is; None infers it from `y`.
            source: where the data come from, for reports and messages.

        Returns:
            The checked dataset.

        Raises:
            DataError: an array does not fit; the message names it.
        """
        given = dict(zip(PARTS, (train, validation, test), strict=True))
        if test is None:
            del given["test"]
        if class_names is not None and len(set(class_names)) < len(class_names):
            raise DataError(f"{source}: expected different class_names, received {class_names}")
        parts = tuple(as_part(f"{source}: {name}", pair) for name, pair in given.items())
        examples = RawExamples(parts, list(class_names) if class_names is not None else None)
        pairs, targets = check_examples(examples, task=task)
        owned = [copied_pair(pair, part) for pair, part in zip(pairs, parts, strict=True)]
        weights = [
            None if given is None else check_weights(f"{source}: {name}", given, pair)
            for name, given, pair in (
                ("sample_weight", sample_weight, owned[0]),
                ("validation_weight", validation_weight, owned[1]),
            )
        ]
        return cls(
            *owned,
            task=targets.task,
            num_classes=targets.num_classes,
            class_names=targets.class_names,
            source=source,
            sample_weight=weights[0],
            validation_weight=weights[1],
            target_shape=targets.given_shape,
            pixels=scaling_of(examples),
        )

    @property
    def input_shape(self) -> Structure:
        """Shape of one input, without the batch axis; one for each array of several inputs."""
        return shapes_of(self.train[0])

    @property
    def builder_arguments(self) -> dict[str, Any]:
        """What fits a model to the data: arguments of `resolve_model` by name."""
        if is_structure(self.train[0]) or self.stream is not None:
            return {"input_shape": None, "num_classes": self.num_classes, "adapt_to": None}
        return {
            "input_shape": self.input_shape,
            "num_classes": self.num_classes,
            "adapt_to": self.train[0],
        }

    @property
    def training_options(self) -> dict[str, Any]:
        """Settings of the training that the source of the data implies, by name."""
        return {} if self.batch_size is None else {"batch_size": self.batch_size}

    def as_reconstruction(self) -> Dataset:
        """Return the data with each input as its own target, for an autoencoder.

        Returns:
            The same examples without labels. The targets are the inputs flattened to
            ``(examples, features)``, and share their memory.

        Raises:
            DataError: there are several inputs, or the examples are streamed.
        """
        self.check_in_memory()
        if is_structure(self.train[0]):
            raise DataError(
                f"{self.source}: expected one array of inputs for a reconstruction, received a "
                f"{type(self.train[0]).__name__} of arrays; give the targets as y"
            )
        parts = {name: (x, x.reshape(len(x), -1)) for name, (x, _) in self.parts().items()}
        return replace(
            self,
            train=parts["train"],
            validation=parts["validation"],
            test=parts.get("test"),
            task="reconstruction",
            num_classes=None,
            class_names=None,
            target_shape=(),
        )

    def model_for_raw_columns(self, model: keras.Model) -> keras.Model:
        """Return a model that predicts from the raw columns of the table that the data come from.

        Args:
            model: a compiled model that takes the inputs of this dataset. It becomes a layer.

        Returns:
            A model that takes a dict with one array per column: numbers, NaN where they are
            missing, or strings in an array of objects, empty where they are missing. It needs
            nothing but Keras, and is compiled like the given model. If the inputs are not encoded,
            the given model itself.
        """
        return model if self.encoder is None else self.encoder.prepend_to(model)

    def class_counts(self) -> dict[str, list[int]] | None:
        """Count the examples of each class.

        Returns:
            For each part (`train`, `validation`, and `test` if there is one) the counts in the
            order of the class numbers; None for other tasks.
        """
        if self.num_classes is None:
            return None
        return {
            name: np.bincount(pair[1], minlength=self.num_classes).tolist()
            for name, pair in self.parts().items()
        }

    def num_examples(self, part: str = "train") -> int:
        """Return the number of examples of a part.

        Args:
            part: ``"train"``, ``"validation"`` or ``"test"``.

        Returns:
            The number; 0 if there is no test set. For training examples that are streamed, that of
            an epoch whose batches are all as large as the first one.
        """
        if part == "train" and self.stream is not None:
            return self.stream.num_batches * (self.batch_size or 1)
        return num_examples(self.parts()[part][0]) if part in self.parts() else 0

    def fingerprint(self) -> str:
        """Return a fingerprint that differs between datasets.

        Returns:
            Sixteen hexadecimal digits of a SHA-256 over the shapes, types and values of all parts;
            where training examples are streamed, over the first ones if they are always the same.
        """
        return self._fingerprint

    def training_sample(self, size: int | str | None = None, seed: int = 0) -> Pair:
        """Draw the training examples on which training metrics are measured with dropout off.

        Args:
            size: number of examples, at most all; None for the size of the validation set,
                ``"all"`` for all.
            seed: seed of the draw, 0 or larger.

        Returns:
            Pair ``(x, y)``, stratified by class (each class within one example of its share).

        Raises:
            ValueError: `size` is not a positive integer, ``"all"`` or None; or more examples of a
                streamed source than were read.
        """
        index = self.training_sample_index(size, seed)
        return take(self.train, index)  # type: ignore[no-any-return]

    def training_sample_index(self, size: int | str | None = None, seed: int = 0) -> Any:
        """Return the positions of the examples that `training_sample` returns, or a slice of all.

        Args:
            size: as in `training_sample`.
            seed: as in `training_sample`.

        Returns:
            What `train` is indexed by.
        """
        check_sample_size(size, "size")
        if self.stream is not None and size is not None:
            self._check_sample(size)
        if size is None:
            size = self.num_examples("validation")
        if size == "all":
            return slice(None)
        if int(size) >= num_examples(self.train[0]):
            return slice(None)
        return stratified_sample(self.groups(self.train), int(size), seed=seed)

    def groups(self, examples: Pair) -> Array:
        """Return the numbers of the groups that random draws keep the proportions of.

        Args:
            examples: pair ``(x, y)`` of examples of this dataset.

        Returns:
            The classes, of shape ``(examples,)``; for other tasks, 0 for each example.
        """
        x, y = examples
        return np.zeros(num_examples(x), np.int32) if self.num_classes is None else y

    def _check_sample(self, size: int | str) -> None:
        read = num_examples(self.train[0])
        if size == "all" or (is_integer(size) and int(size) > read):
            raise ValueError(
                f"expected a training_sample of at most {read:,} examples, as many as were read "
                f"of the {self.source} that are streamed, received {size!r}"
            )

    def check_in_memory(self) -> None:
        """Check that all training examples are in memory.

        Raises:
            DataError: they are streamed.
        """
        if self.stream is not None:
            raise DataError(
                f"{self.source}: expected all training examples in memory, received a "
                f"{self.stream.kind} that is streamed; use arrays, or a source that fits in memory"
            )

    @property
    def can_be_resplit(self) -> bool:
        """Whether training and validation examples can be exchanged.

        Those that are streamed cannot, nor can those of which only one part has weights.
        """
        weighted = (self.sample_weight is None) == (self.validation_weight is None)
        return weighted and self.stream is None

    def resplit(self, seed: int) -> Dataset:
        """Divide the training and validation examples anew; the test set stays the same.

        Members that are trained on another split keep the statistics of layers that were adapted to
        data, such as `Normalization`: those of the training set before the division. So does the
        encoding of a table.

        Args:
            seed: seed of the division, 0 or larger.

        Returns:
            Data of the same sizes. The validation set is drawn at random, stratified by class
            (each class within one example of its share).

        Raises:
            DataError: the training examples have weights and the validation examples have none,
                or the other way round; or the training examples are streamed.

        Example:
            >>> from dropout_zoo.training import load_dataset
            >>> digits = load_dataset("digits")
            >>> other = digits.resplit(seed=1)
            >>> len(other.validation[1]) == len(digits.validation[1])
            True
            >>> bool((other.validation[0] == digits.validation[0]).all())
            False
        """
        self.check_in_memory()
        if not self.can_be_resplit:
            raise DataError(
                f"{self.source}: expected weights for training and validation examples, or for "
                "neither, received some for one of them only, so that the two cannot be exchanged"
            )
        weight = None
        if self.sample_weight is not None and self.validation_weight is not None:
            weight = _joined(self.sample_weight, self.validation_weight)
        x, y = self.train_and_validation()
        size = self.num_examples("validation")
        chosen = np.zeros(num_examples(x), bool)
        chosen[stratified_sample(self.groups((x, y)), size, seed=seed)] = True
        return replace(
            self,
            train=(take(x, ~chosen), take(y, ~chosen)),
            validation=(take(x, chosen), take(y, chosen)),
            sample_weight=None if weight is None else take(weight, ~chosen),
            validation_weight=None if weight is None else take(weight, chosen),
        )

    def train_and_validation(self) -> Pair:
        """Return the training and validation examples together, in this order.

        Raises:
            DataError: the training examples are streamed.
        """
        self.check_in_memory()
        x, y = map(_joined, self.train, self.validation)
        return x, y

    def describe(self, model: keras.Model | None = None) -> str:
        """Describe the data in a few lines.

        Args:
            model: the model that is trained on them. If it begins with `Rescaling`, `Normalization`
                or an embedding, nothing is said of `uint8` values that are not scaled.

        Returns:
            Source, task, input shape and whether pixels were scaled; for a table what each column
            was taken for; then one line per part with its number of examples and, for a
            classification, the number per class; in the end, which classes have no examples, if
            there are any.
        """
        classes = f", {self.num_classes} classes" if self.num_classes else ""
        inputs = "inputs" if is_structure(self.train[0]) else "input"
        lines = [f"{self.source}: {self.task}{classes}, {inputs} {self.input_shape}"]
        if self.task == "custom":
            targets = shapes_of(self.train[1])
            lines[0] += ", no targets" if targets is None else f", targets {targets}"
        lines[0] += self._describe_pixels(model)
        lines += [f"  {note}" for note in self.columns]
        counts = self.class_counts()
        for name in self.parts():
            if name == "train" and self.stream is not None:
                lines.append(f"  {name:<10} {self.stream.describe()}")
                continue
            line = f"  {name:<10} {self.num_examples(name):>7,} examples"
            if counts is not None:
                line += f" ({describe_counts(counts[name], self.class_names)})"
            lines.append(line)
        if counts is not None:
            lines += missing_classes(counts, self.class_names)
        return "\n".join(lines)

    def _describe_pixels(self, model: keras.Model | None) -> str:
        if self.pixels != "unscaled":
            return ", pixels scaled to [0, 1]" if self.pixels else ""
        if model is not None:
            # Imported here because it takes seconds, and data are described without a model, too.
            from dropout_zoo.models.graph.model_graph import takes_raw_values

            if takes_raw_values(model):
                return ""
        return ", uint8 values not scaled to [0, 1]"

    def __repr__(self) -> str:
        return f"<Dataset {self.describe()}>"

    def parts(self) -> dict[str, Pair]:
        """Return the parts by name.

        Returns:
            The pairs ``(x, y)`` of `train`, `validation`, and `test` if there is one.
        """
        parts = {"train": self.train, "validation": self.validation}
        return parts if self.test is None else parts | {"test": self.test}

    def _arrays(self) -> list[Array]:
        arrays = arrays_of([list(pair) for pair in self.parts().values()])
        return arrays + arrays_of([self.sample_weight, self.validation_weight])

    @cached_property
    def _fingerprint(self) -> str:
        notes, arrays = [], self._arrays()
        if is_structure(self.train[0]) or is_structure(self.train[1]):
            named = named_arrays("", list(self.train))
            notes = [f"{name}{array.shape[1:]}" for name, array in named]
        if self.stream is not None:
            notes.append(f"{self.stream.kind}{self.stream.num_batches}")
            if not self.stream.repeats:
                notes.append(f"{shapes_of(self.train)}")
                arrays = replace(self, train=self.validation, sample_weight=None)._arrays()
        return arrays_fingerprint(arrays, notes)


def _joined(one: Structure, other: Structure) -> Structure:
    return map_arrays(lambda *both: np.concatenate(both), one, other)
