"""What the members of a trainer share: model, data and settings."""

from __future__ import annotations

import functools
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd

from dropout_zoo.models.factory import check_compiled
from dropout_zoo.models.graph.builders import builder_of, remember_builder
from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.models.graph.cloning import is_built_again, own_models, why_not_cloneable
from dropout_zoo.models.graph.model_graph import flat_layers, is_own_code, is_plain_model
from dropout_zoo.models.graph.runtime_rates import runtime_rates
from dropout_zoo.models.keras_internals import learning_rate_of
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.data.array_checks import Pair
from dropout_zoo.training.data.structures import (
    Structure,
    arrays_of,
    map_arrays,
    num_examples,
    shapes_of,
    take,
)
from dropout_zoo.training.data.targets import with_loss_targets
from dropout_zoo.training.failure_reasons import reason_of
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.objective import (
    BestEpoch,
    Objective,
    as_columns,
    did_you_mean_objective,
    parse_objective,
)
from dropout_zoo.training.seeding import batch_order, fresh_weights
from dropout_zoo.training.settings import TrainSettings

if TYPE_CHECKING:
    from dropout_zoo.training.data.dataset import Dataset

_EVALUATION_BATCH_SIZE = 256  # large enough for the kernels, small enough for the caches
_SEEDS_CACHED = 16  # seeds whose initial weights stay in memory
_SPLITS_CACHED = 2  # splits, besides the given one, whose examples stay in memory


@dataclass(frozen=True)
class Examples:
    """The examples that a member is trained and measured on.

    Attributes:
        train: training examples, and targets as the loss takes them.
        sample_weight: weight of each training example, or None.
        validation: validation examples, targets and, if there are any, weights.
        sample: the training examples on which the metrics are measured with dropout off, in the
            same form.
    """

    train: Pair
    sample_weight: np.ndarray | None
    validation: tuple[Structure, ...]
    sample: tuple[Structure, ...]

    def training_data(self) -> tuple[Structure, ...]:
        """Return what a training step takes: inputs, targets and, if there are any, weights."""
        weight = () if self.sample_weight is None else (self.sample_weight,)
        return (*self.train, *weight)


@dataclass
class Plan:
    """Everything that an engine needs besides the members.

    Attributes:
        model: the compiled model; engines train clones of it.
        examples: the examples as they were given.
        resplit: returns the examples of another split into training and validation set.
        settings: how the members are trained.
        keep_state: whether checkpoints also hold what is needed to continue the training.
        directory: where checkpoints are saved.
        folder: the temporary directory that `directory` is, if it is one.
    """

    model: keras.Model
    examples: Examples
    resplit: Callable[[int], Examples]
    settings: TrainSettings
    keep_state: bool
    directory: Path
    folder: tempfile.TemporaryDirectory[str] | None
    _starts: dict[int, list[np.ndarray]] = field(default_factory=dict)
    _splits: dict[int, Examples] = field(default_factory=dict)

    @property
    def objective(self) -> Objective:
        """The objective that determines which epoch is the best."""
        return parse_objective(self.settings.objective)

    @property
    def evaluation_batch_size(self) -> int:
        """Batch size of the measurements with dropout off."""
        return max(self.settings.batch_size, _EVALUATION_BATCH_SIZE)

    @property
    def num_steps(self) -> int:
        """Number of training steps per epoch."""
        return -(-num_examples(self.examples.train[0]) // self.settings.batch_size)

    def one_example(self) -> Structure:
        """Return one training example as `Model.fit` passes it on, to build metrics with."""
        return as_input(take(self.examples.training_data(), slice(1)))

    def examples_of(self, split: int) -> Examples:
        """Return the examples of a member with this split."""
        if split == 0:
            return self.examples
        if split not in self._splits:
            if len(self._splits) >= _SPLITS_CACHED:
                self._splits.pop(next(iter(self._splits)))
            self._splits[split] = self.resplit(split)
        return self._splits[split]

    def start_weights(self, seed: int) -> list[np.ndarray]:
        """Return the initial weights of every member with this seed."""
        if self.settings.initial_weights == "keep":
            seed = 0  # the model's own weights do not depend on it
        if seed not in self._starts:
            if len(self._starts) >= _SEEDS_CACHED:
                self._starts.pop(next(iter(self._starts)))
            self._starts[seed] = (
                self.model.get_weights()
                if self.settings.initial_weights == "keep"
                else fresh_weights(self.model, seed)
            )
        return self._starts[seed]

    def batch_order(self, member: Member, rates: Mapping[str, float], epoch: int) -> np.ndarray:
        """Return the order of the training examples in an epoch (from 0) of a member."""
        return batch_order(
            member.seed, epoch, num_examples(self.examples.train[0]), self.settings.order, rates
        )


def evaluate(
    model: keras.Model, examples: tuple[Structure, ...], **arguments: Any
) -> dict[str, Any]:
    """Call `Model.evaluate`.

    Args:
        model: a compiled model.
        examples: inputs, targets and, if there are any, weights.
        **arguments: further arguments of `Model.evaluate`.

    Returns:
        Loss and metrics by name.
    """
    x, y, *weight = examples
    measured: dict[str, Any] = model.evaluate(
        x, y, sample_weight=weight[0] if weight else None, verbose=0, return_dict=True, **arguments
    )
    return measured


def as_input(structure: Structure) -> Structure:
    """Return arrays with the dtypes that `Model.fit` gives to its inputs and targets."""
    return map_arrays(lambda array: array.astype(_input_dtype(array), copy=False), structure)


def input_bytes(structure: Structure) -> int:
    """Return the size of ``as_input(structure)`` in bytes."""
    return sum(array.size * _input_dtype(array).itemsize for array in arrays_of(structure))


def _input_dtype(array: np.ndarray) -> np.dtype:
    floating = np.issubdtype(array.dtype, np.floating)
    return np.dtype(keras.config.floatx()) if floating else array.dtype


@dataclass
class Record:
    """The record of a member's training so far.

    Attributes:
        plan: the plan.
        member: the member.
        rates: its rate at every site.
        best: its best epoch.
        rows: its learning curves, one row per epoch.
        status: as in `TrainedMember`.
        reason: as in `TrainedMember`.
    """

    plan: Plan
    member: Member
    rates: Mapping[str, float]
    best: BestEpoch = field(init=False)
    rows: list[dict[str, float]] = field(default_factory=list)
    status: str = "completed"
    reason: str = ""

    def __post_init__(self) -> None:
        self.best = BestEpoch(self.plan.objective, self.plan.settings.patience)

    def add(
        self,
        epoch: int,
        running: Mapping[str, Any],
        train: Mapping[str, Any],
        validation: Mapping[str, Any],
    ) -> bool:
        """Record an epoch.

        Args:
            epoch: its number, from 0.
            running: loss and metrics during training; a metric may be an array.
            train: the same on the training sample after the epoch, with dropout off.
            validation: the same on the validation set.

        Returns:
            Whether it is the best epoch so far.
        """
        schedule = self.member.schedule
        running, train, validation = map(as_columns, (running, train, validation))
        row = {
            "epoch": epoch + 1,
            **({} if schedule is None else {"rate_factor": schedule.factor(epoch)}),
            **running,
            **{f"train_{name}": value for name, value in train.items()},
            **{f"val_{name}": value for name, value in validation.items()},
        }
        name = self.plan.objective.name
        self.rows.append(row)
        loss = running.get("loss", 0.0)  # a train_step of the model's own may report none
        if not math.isfinite(loss) or not math.isfinite(row[name]):
            self.status = "diverged"
            self.reason = f"epoch {epoch + 1}: loss {loss:g}, {name} {row[name]:g}"
            return False
        return self.best.improves(epoch + 1, row[name])

    @contextmanager
    def user_code(self) -> Iterator[None]:
        """A context in which any error makes the member fail, as it is one of the user's code."""
        try:
            yield
        except Exception as error:
            self.status, self.reason = "failed", reason_of(error)

    @property
    def finished(self) -> bool:
        """Whether to stop training before the last epoch."""
        stalled = bool(self.rows) and self.best.out_of_patience(int(self.rows[-1]["epoch"]))
        return self.status != "completed" or stalled

    def result(self, seconds: float, checkpoint: Checkpoint | None, name: str) -> TrainedMember:
        """Save the checkpoint, if there is one, and return the trained member."""
        path = None
        if checkpoint is not None:
            path = checkpoint.save(self.plan.directory / f"{name}.npz")
        return TrainedMember(
            member=self.member,
            rates=self.rates,
            status=self.status,
            reason=self.reason,
            curves=pd.DataFrame(self.rows),
            objective=self.plan.objective,
            best_epoch=self.best.epoch,
            score=self.best.value,
            seconds=seconds,
            checkpoint=path,
            _template=self.plan.model,
            _folder=self.plan.folder,
        )


def make_plan(
    model: keras.Model,
    dataset: Dataset,
    settings: TrainSettings,
    *,
    keep_state: bool,
    directory: Path,
    folder: tempfile.TemporaryDirectory[str] | None,
) -> Plan:
    """Check that model, data and settings fit together, and prepare the data.

    Raises:
        ValueError: model, data and settings do not fit.
        TypeError: the model cannot be cloned, and the function that built it is not known.
    """
    check_compiled(model)
    model = built(model, dataset)
    _check_adapted(model)
    _check_cloneable(model)
    if runtime_rates(model) or settings.learning_rate is not None:
        model = with_rates(model, {})  # a copy, compiled in the same way
    if settings.learning_rate is not None:
        _set_learning_rate(model, settings.learning_rate)

    def examples_of(data: Dataset) -> Examples:
        index = data.training_sample_index(settings.training_sample)
        train = with_loss_targets(model, data.train, dataset)
        validation: tuple[Structure, ...] = with_loss_targets(model, data.validation, dataset)
        sample = take(train, index)
        if data.validation_weight is not None:  # both are measured alike
            weight = data.sample_weight
            if weight is None:
                weight = np.ones(data.num_examples(), "float32")
            sample, validation = (*sample, weight[index]), (*validation, data.validation_weight)
        return Examples(
            train=train,
            sample_weight=_sample_weight(data, settings.class_weight),
            validation=validation,
            sample=sample,
        )

    examples = examples_of(dataset)
    hint = ""
    if dataset.encoder is not None:
        hint = (
            "; the columns are encoded as numbers for it, so that a model that takes raw columns, "
            "such as a best.keras, has to be given without its encoder: "
            "model.get_layer(model.name)"
        )
    _try_out(model, examples, parse_objective(settings.objective), hint)
    plan = Plan(
        model=model,
        examples=examples,
        resplit=lambda split: examples_of(dataset.resplit(split)),
        settings=settings,
        keep_state=keep_state,
        directory=directory,
        folder=folder,
    )
    if settings.initial_weights == "fresh":
        _warn_of_fixed_weights(plan)
    return plan


def _check_cloneable(model: keras.Model) -> None:
    """Check that a subclassed model can be cloned: in others, only cloning itself shows it."""
    if own_models(model) and not is_built_again(model):
        reason = why_not_cloneable(model)
        if reason is not None:
            raise TypeError(reason)


def _set_learning_rate(model: keras.Model, learning_rate: float) -> None:
    """Change the learning rate of a model and of the copies that its builder makes."""
    try:
        model.optimizer.learning_rate = learning_rate
    except TypeError:
        schedule = type(learning_rate_of(model.optimizer)).__name__
        raise ValueError(
            "expected a model whose optimizer has a constant learning rate, received one with "
            f"{schedule}; leave learning_rate (--learning-rate) out, or compile the model with a "
            "number"
        ) from None
    build = builder_of(model)
    if build is not None:
        remember_builder(model, functools.partial(_built_with, build, learning_rate))


def _built_with(build: Callable[[], keras.Model], learning_rate: float) -> keras.Model:
    model = build()
    model.optimizer.learning_rate = learning_rate
    return model


def _warn_of_fixed_weights(plan: Plan) -> None:
    """Say which initial weights the code of a model fixes, so that members share them."""
    model = plan.model
    if not any(map(is_own_code, [model, *flat_layers(model)])):
        return  # seeds in configurations do not count
    fixed = [
        weight.path
        for weight, one, other in zip(
            model.weights, plan.start_weights(0), plan.start_weights(1), strict=True
        )
        if weight.trainable and np.ptp(one) > 0 and np.array_equal(one, other)
    ]
    if fixed:
        names = ", ".join(map(repr, fixed[:3])) + (", ..." if len(fixed) > 3 else "")
        warnings.warn(
            f"expected initial weights that are drawn from the seed of a member, received {names}, "
            f"which {model.name!r} gives the same values every time; remove the seeds from the "
            "initializers in its code, if that is not intended",
            stacklevel=4,
        )


def built(model: keras.Model, dataset: Dataset) -> keras.Model:
    """Return a model that has been called on an example of the data, unless it is built already.

    A caller's Sequential model stays as it is, and a copy is built. A subclassed model cannot be
    copied before it is built.

    Raises:
        ValueError: the call fails.
    """
    if model.built:
        return model
    if is_plain_model(model) and builder_of(model) is None:
        model = with_rates(model, {})
    x = take(dataset.train[0], slice(1))
    try:
        model(x)
    except Exception as error:  # the user's own code may raise anything
        raise error_of_inputs(model, x, error) from error
    return model


def _check_adapted(model: keras.Model) -> None:
    """Check that no `Normalization` still has the statistics that Keras creates it with."""
    for layer in flat_layers(model):
        if not isinstance(layer, keras.layers.Normalization) or not layer.built:
            continue
        if layer.input_mean is not None:  # it was created with its statistics
            continue
        mean, variance, count = map(
            keras.ops.convert_to_numpy, (layer.adapt_mean, layer.adapt_variance, layer.count)
        )
        if not (count or mean.any()) and (variance == 1).all():
            raise ValueError(
                f"expected Normalization layers that have been adapted, received {layer.name!r} "
                "with a mean of 0 and a variance of 1, which leaves its inputs as they are; call "
                "its adapt(x) with the training inputs, or remove it"
            )


def error_of_inputs(
    model: keras.Model, x: Structure, error: Exception, hint: str = ""
) -> ValueError:
    """Return the error to raise where a model fails on its inputs.

    Args:
        model: the model.
        x: the inputs.
        error: what the model raised.
        hint: what to do, as the end of the sentence.

    Returns:
        An error that names the model and the shape of the inputs.
    """
    return ValueError(
        f"expected a model that takes inputs of shape {shapes_of(x)}, received {model.name!r}, "
        f"which fails on the first examples: {reason_of(error)}{hint}"
    )


def _try_out(model: keras.Model, examples: Examples, objective: Objective, hint: str = "") -> None:
    """Evaluate a few examples, so that mistakes are found before any training."""
    # More than one, because weights of one example fit targets of any shape.
    x, *others = take(examples.training_data(), slice(3))
    try:
        measured = as_columns(evaluate(model, (x, *others)))
    except Exception as error:  # the user's own code may raise anything
        raise error_of_inputs(model, x, error, hint) from error
    columns = [*measured, *(f"{part}_{name}" for part in ("train", "val") for name in measured)]
    if objective.name not in columns:
        raise ValueError(
            f"expected the objective to be one of {', '.join(columns)}, received "
            f"{objective.name!r}{did_you_mean_objective(objective.name, measured)}"
        )


def _sample_weight(dataset: Dataset, class_weight: Mapping[int, float] | None) -> np.ndarray | None:
    weights = dataset.sample_weight
    if class_weight is None:
        return weights
    if dataset.num_classes is None:
        raise ValueError("expected class_weight only for a classification, received other data")
    unknown = [label for label in class_weight if label not in range(dataset.num_classes)]
    if unknown:
        raise ValueError(
            f"expected class_weight by class number from 0 to {dataset.num_classes - 1}, "
            f"received {unknown}"
        )
    by_class = np.array([class_weight.get(c, 1.0) for c in range(dataset.num_classes)], "float32")
    per_example = by_class[dataset.train[1]]
    return per_example if weights is None else weights * per_example
