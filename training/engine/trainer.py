"""Trains members of one model with the engine that fits it."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Unpack

import keras

from dropout_zoo.models.factory import ModelLike, resolve_model
from dropout_zoo.models.graph.runtime_rates import why_rates_are_fixed
from dropout_zoo.models.wording import object_of
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.data.adapters import Data, as_dataset
from dropout_zoo.training.durable_files import make_folder
from dropout_zoo.training.engine.base import Engine, EngineOptions, OnResult
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.engine.member_callbacks import CallbackSource
from dropout_zoo.training.engine.selection import jobs_for, start_engine
from dropout_zoo.training.members import Job, Member, TrainedMember, completed_rates
from dropout_zoo.training.plan import PlanOutline
from dropout_zoo.training.preparation import make_plan
from dropout_zoo.training.settings import TrainOptions, TrainSettings


class MemberTrainer:
    """Trains members of one model with the same data and settings.

    Cloning the model and tracing its graphs is done once, so that several calls of `train` cost
    less than several calls of `train_members`, which describes what members share.

    Args:
        model: a compiled model, which is not changed, except that a subclassed one is built if it
            is not yet; or a registered name, ``"package.module:function"`` or a function without
            required arguments, which build one. Give the function where Keras cannot clone the
            model: it then builds the copies too.
        dataset: the data; see `as_dataset`. A test set is not used.
        settings: how each member is trained.
        keep_state: whether checkpoints also hold the state that is needed to continue training.
        directory: where the members' weights are saved; None for a temporary directory that is
            deleted with the last trained member.
        update: ``"keras"`` lets Keras's optimizer update the weights: a member is bit for bit
            what `Model.fit` makes of it. ``"auto"`` uses TensorFlow's fused kernels where they
            are faster; they round differently.
        workers: number of members that are trained at the same time; None for one per usable core,
            as far as memory allows on PyTorch, and on JAX for as many as fit in memory. Where
            `Model.fit` has to train in one process, it trains one after another.
        memory_budget: maximum size in bytes of the data that TensorFlow copies into memory. Larger
            data are streamed, with the same results. None for half of the free memory. Read on
            TensorFlow only, and not where `Model.fit` trains.
        cluster: Ray cluster on whose nodes the members are trained, as they would be here:
            ``"auto"`` for the one that this machine is part of, ``"host:port"`` of its head, or
            ``"local:N"`` to start N nodes on this machine. `workers` and `memory_budget` are then
            those of each node. None to train in this process.

    Raises:
        ValueError: an argument is out of range, or model, data and settings do not fit.
        TypeError: the model cannot be cloned, and the function that builds it was not given.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.training import Member, MemberTrainer, TrainSettings, load_dataset
        >>> trainer = MemberTrainer(
        ...     build_mlp(units=(16,), hidden_rates=(0.5,)), load_dataset("digits"),
        ...     TrainSettings(epochs=1),
        ... )
        >>> trained = trainer.train([Member([0.2], seed=0), Member([0.5], seed=0)])
        >>> [member.status for member in trained]
        ['completed', 'completed']
    """

    def __init__(
        self,
        model: ModelLike,
        dataset: Data,
        settings: TrainSettings,
        *,
        keep_state: bool = False,
        directory: str | Path | None = None,
        update: str = "auto",
        workers: int | None = None,
        memory_budget: int | None = None,
        cluster: str | None = None,
    ) -> None:
        self._options = EngineOptions(update, workers, memory_budget, cluster)
        folder = None
        if directory is None:
            folder = tempfile.TemporaryDirectory(prefix="dropout-zoo-")
            directory = folder.name
        data = as_dataset(dataset)
        if not isinstance(model, keras.Model):
            model = resolve_model(model, **data.builder_arguments)
        self.plan = make_plan(
            model,
            data,
            settings,
            keep_state=keep_state,
            directory=Path(directory),
            folder=folder,
        )
        # Weights that an earlier trainer has saved there are kept.
        stems = [path.stem for path in Path(directory).glob("*.npz")]
        used = [int(stem) for stem in stems if stem.isdigit()]
        self._numbers = itertools.count(max(used, default=-1) + 1)
        self._callbacks = CallbackSource(settings.callbacks)
        self._fixed = why_rates_are_fixed(self.plan.model)
        self._engine: Engine | None = None

    def train(
        self, members: Iterable[Member | None], on_result: OnResult | None = None
    ) -> list[TrainedMember]:
        """Train members.

        Args:
            members: a sequence or an iterator. An iterator is advanced whenever a worker is free.
                It may yield None to wait for the next result, so that a search can react to
                earlier results.
            on_result: called in the calling thread with each result as it finishes.

        Returns:
            The trained members, in the order of `members`.

        Raises:
            ValueError: a member's rates do not fit the model; it has a schedule and its rates
                cannot be changed during training; it continues an earlier run and has callbacks; it
                shares a callback, or the file of one, with another; or the training code of the
                model fails.
            TypeError: a member is not a `Member`, or `callbacks` made something else than a list
                of callbacks.
            RuntimeError: `members` yields None although no member is being trained.
        """
        jobs: Iterator[Job | None] = (
            None if member is None else self._job(member) for member in members
        )
        known = isinstance(members, Sequence)
        if known:  # invalid members raise before any training
            jobs = iter(list(jobs))
        engine = self._start_engine()
        by_fit: dict[int, TrainedMember] = {}

        def fitted(job: Job, result: TrainedMember) -> None:
            by_fit[job.number] = result
            if on_result is not None:
                on_result(result)

        source = JobSource(jobs_for(engine, self.plan, jobs, fitted), known=known)
        trained = engine.run(source, on_result=on_result) | by_fit
        return [trained[number] for number in sorted(trained)]

    def outline_of(self, member: Member) -> PlanOutline:
        """Return what the result of a member refers to.

        Args:
            member: any member; they all have the same model and settings.

        Returns:
            The outline.
        """
        return self.plan.outline

    @property
    def max_parallel(self) -> int:
        """The largest number of members that are trained at the same time."""
        return self._start_engine().max_parallel

    def start(self) -> None:
        """Start the engine, which `train` does otherwise.

        Raises:
            ValueError: the model has custom training code, which fails.
        """
        self._start_engine()

    def _start_engine(self) -> Engine:
        if self._engine is None:
            # Once: a directory that is deleted meanwhile must not reappear half empty.
            make_folder(self.plan.directory)
            self._engine = self._new_engine()
        return self._engine

    def _new_engine(self) -> Engine:
        if self._options.cluster is None:
            return start_engine(self.plan, self._options)
        # It imports packages that need not be installed.
        from dropout_zoo.training.engine.cluster.engine import ClusterEngine

        return ClusterEngine(self.plan, self._options)

    def _job(self, member: Member) -> Job:
        if not isinstance(member, Member):
            raise TypeError(f"expected members to be Member objects, received {object_of(member)}")
        if member.schedule is not None and self._fixed is not None:
            raise ValueError(
                "expected members without a schedule, received one with "
                f"{type(member.schedule).__name__}: {self._fixed}"
            )
        if self.plan.stream is not None and (member.split or member.weights is not None):
            raise ValueError(
                "expected members that start from the beginning on the given split, received "
                "another one with streamed training examples, which can be neither split nor "
                "continued; use data in memory"
            )
        if member.weights is not None:
            _check_continues(member, Checkpoint.load(member.weights))
        if member.initial_epoch and member.weights is None:
            raise ValueError(
                f"expected weights to continue from at initial_epoch={member.initial_epoch}, "
                "received none; pass the checkpoint of the earlier run"
            )
        if member.weights is not None and self.plan.settings.callbacks is not None:
            raise ValueError(
                "expected members that start from the beginning, received one that continues with "
                "callbacks, whose state the earlier run has not kept; train all epochs in one run"
            )
        rates = completed_rates(self.plan.outline.rates, member)
        callbacks = self._callbacks.callbacks_of(member)
        return Job(next(self._numbers), member, rates, callbacks)


def _check_continues(member: Member, earlier: Checkpoint) -> None:
    """Check that a member can begin where an earlier run ended."""
    if not earlier.last:
        raise ValueError(
            "expected weights from which training can continue, received "
            f"{member.weights}, which holds only those of the best epoch; train with "
            "keep_state=True"
        )
    if earlier.rows and member.initial_epoch < len(earlier.rows):  # patience may end it before
        raise ValueError(
            f"expected initial_epoch={len(earlier.rows)}, the number of epochs that the checkpoint "
            f"{member.weights} has behind it, received {member.initial_epoch}"
        )


def train_members(
    model: ModelLike,
    members: Iterable[Member | None],
    dataset: Data,
    *,
    keep_state: bool = False,
    directory: str | Path | None = None,
    update: str = "auto",
    workers: int | None = None,
    memory_budget: int | None = None,
    cluster: str | None = None,
    on_result: OnResult | None = None,
    **settings: Unpack[TrainOptions],
) -> list[TrainedMember]:
    """Train one model with many dropout rates and seeds, each as if trained alone.

    Members with the same seed start from the same weights and see the data in the same order,
    whatever their rates, so that their scores can be compared in pairs.

    Args:
        model: as in `MemberTrainer`.
        members: what to train; see `MemberTrainer.train` for iterators.
        dataset: the data; see `as_dataset`. A test set is not used.
        keep_state: as in `MemberTrainer`, like the next five arguments.
        directory: where the members' weights are saved.
        update: what updates the weights.
        workers: number of members that are trained at the same time.
        memory_budget: maximum size in bytes of the data that are copied into memory.
        cluster: Ray cluster on whose nodes the members are trained.
        on_result: called with each result as it finishes.
        **settings: how each member is trained; see `TrainSettings`.

    Returns:
        The trained members, in the order of `members`.

    Raises:
        ValueError: an argument is out of range, or model, data and settings do not fit.
        TypeError: there is no such setting, or the model cannot be cloned.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.training import Member, load_dataset, train_members
        >>> model = build_mlp(units=(16,), hidden_rates=(0.5,))
        >>> members = [Member([rate], seed=0) for rate in (0.0, 0.5)]
        >>> trained = train_members(model, members, load_dataset("digits"), epochs=1)
        >>> [dict(member.rates) for member in trained]
        [{'hidden_1_dropout': 0.0}, {'hidden_1_dropout': 0.5}]
    """
    data = as_dataset(dataset)
    trainer = MemberTrainer(
        model,
        data,
        TrainSettings.from_options(data.training_options | settings, train_members),
        keep_state=keep_state,
        directory=directory,
        update=update,
        workers=workers,
        memory_budget=memory_budget,
        cluster=cluster,
    )
    return trainer.train(members, on_result)
