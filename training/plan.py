"""What the members of a trainer share: model, data and settings."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from dropout_zoo.models.graph.sites import DropoutSite, settable_sites
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.data.array_checks import Pair
from dropout_zoo.training.data.keras_inputs import as_keras_inputs
from dropout_zoo.training.data.structures import (
    Structure,
    arrays_of,
    map_arrays,
    num_examples,
    take,
)
from dropout_zoo.training.failure_reasons import reason_of
from dropout_zoo.training.members import Member, TrainedMember, as_curves
from dropout_zoo.training.objective import (
    BestEpoch,
    Objective,
    as_columns,
    parse_objective,
)
from dropout_zoo.training.seeding import batch_order, fresh_weights
from dropout_zoo.training.settings import TrainSettings

if TYPE_CHECKING:
    from dropout_zoo.training.data.sources.streams import Stream

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
    sample_weight: Structure | None
    validation: tuple[Structure, ...]
    sample: tuple[Structure, ...]

    def training_data(self) -> tuple[Structure, ...]:
        """Return inputs, targets (None if there are none) and, if there are any, weights."""
        weight = () if self.sample_weight is None else (self.sample_weight,)
        return (*self.train, *weight)


class PlanOutline(NamedTuple):
    """What the results of a trainer refer to, without the data; see `MemberTrainer.outline_of`.

    Attributes:
        model: the compiled model, of which clones are trained.
        settings: how the members are trained.
        objective: what determines which epoch is the best.
        folder: the temporary directory of the weights; None if a directory was given.
        rates: rate (fraction dropped) of the model itself by path of the sites that can be set.
        columns: names of what is measured after each epoch.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.training import Member, MemberTrainer, TrainSettings, load_dataset
        >>> model = build_mlp(units=(16,), hidden_rates=0.5)
        >>> trainer = MemberTrainer(model, load_dataset("digits"), TrainSettings(epochs=3))
        >>> outline = trainer.outline_of(Member({}, seed=0))
        >>> outline.rates, outline.settings.epochs
        ({'hidden_1_dropout': 0.5}, 3)
    """

    model: keras.Model
    settings: TrainSettings
    objective: Objective
    folder: tempfile.TemporaryDirectory[str] | None
    rates: Mapping[str, float]
    columns: Sequence[str]


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
        columns: names of what is measured after each epoch.
        stream: source that the members are trained on instead of the training examples, which are
            its first ones; None if there is none.
    """

    model: keras.Model
    examples: Examples
    resplit: Callable[[int], Examples]
    settings: TrainSettings
    keep_state: bool
    directory: Path
    folder: tempfile.TemporaryDirectory[str] | None
    columns: Sequence[str]
    stream: Stream | None = None
    _starts: dict[int, list[np.ndarray]] = field(default_factory=dict)
    _splits: dict[int, Examples] = field(default_factory=dict)

    @property
    def outline(self) -> PlanOutline:
        """What results refer to."""
        rates = {site.path: site.rate for site in self.sites}
        return PlanOutline(
            self.model, self.settings, self.objective, self.folder, rates, self.columns
        )

    @cached_property
    def sites(self) -> list[DropoutSite]:
        """The sites of the model whose rates can be set."""
        return settable_sites(self.model)

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
        if self.stream is not None:
            return self.stream.num_batches
        return -(-num_examples(self.examples.train[0]) // self.settings.batch_size)

    def one_example(self) -> Structure:
        """Return one training example as `Model.fit` passes it on, to build metrics with."""
        return as_input(as_batch(take(self.examples.training_data(), slice(1))))

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
        as_keras_inputs(x),
        y,
        sample_weight=weight[0] if weight else None,
        verbose=0,
        return_dict=True,
        **arguments,
    )
    return measured


def as_batch(examples: tuple[Structure, ...]) -> Structure:
    """Return examples in the form in which `Model.fit` gives them to a step of training.

    Args:
        examples: inputs, targets or None and, if there are any, weights.

    Returns:
        The same in a tuple; without targets, the inputs alone.
    """
    return keras.utils.pack_x_y_sample_weight(*examples)


def as_input(structure: Structure) -> Structure:
    """Return arrays with the dtypes that `Model.fit` gives to its inputs and targets."""
    return map_arrays(lambda array: array.astype(_input_dtype(array), copy=False), structure)


def input_bytes(structure: Structure) -> int:
    """Return the size of ``as_input(structure)`` in bytes."""
    return sum(map(_array_bytes, arrays_of(structure)))


def _array_bytes(array: np.ndarray) -> int:
    size = int(array.size) * _input_dtype(array).itemsize
    # Strings are elsewhere in memory; objects are nothing else.
    return size + (sum(map(len, array.flat)) if array.dtype == object else 0)


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

    def resume(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Continue the record of an earlier run, whose best epoch and patience count on.

        Args:
            rows: its learning curves.
        """
        for row in rows:
            self.rows.append(dict(row))
            self.best.improves(int(row["epoch"]), row[self.plan.objective.name])

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
            curves=as_curves(self.rows),
            objective=self.plan.objective,
            best_epoch=self.best.epoch,
            score=self.best.value,
            seconds=seconds,
            checkpoint=path,
            _template=self.plan.model,
            _folder=self.plan.folder,
        )
