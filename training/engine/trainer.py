"""Training members: the engine where it can, `Model.fit` where it must."""

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import keras

from dropout_zoo.models.argument_validation import check_choice, check_count
from dropout_zoo.models.graph.runtime_rates import why_rates_are_fixed
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.eligibility import why_not_liftable
from dropout_zoo.training.engine.keras_fit import fit_member
from dropout_zoo.training.engine.memory import memory_budget_or_default
from dropout_zoo.training.engine.tensorflow.threads import prepare_threads, usable_cores
from dropout_zoo.training.members import Job, Member, TrainedMember, member_rates
from dropout_zoo.training.plan import make_plan
from dropout_zoo.training.settings import TrainOptions, TrainSettings

if TYPE_CHECKING:
    from dropout_zoo.training.data.dataset import Dataset
    from dropout_zoo.training.engine.jax.population import Population
    from dropout_zoo.training.engine.tensorflow.loops import Engine

UPDATES = ("auto", "keras")
_SLOW_THREADS = (
    "TensorFlow runs every kernel on several threads, which makes small nets train up to twice as "
    "slowly: call dropout_zoo.training.prepare_threads() before the first model or tensor is made "
    "(in a notebook, restart the kernel and call it in the first cell)"
)


class MemberTrainer:
    """Trains members of one model, batch after batch of them, with the same data and settings.

    What it takes to begin (clones, traced graphs) is done once. See `train_members` for what
    members of the same seed share.

    Args:
        model: a compiled Sequential or Functional model; it is left as it is.
        dataset: training, validation and test part; the test part is not touched.
        settings: how the members are trained.
        keep_state: whether checkpoints hold what it takes to continue the training.
        directory: where the members' weights are kept; None for a temporary folder that goes
            with the last trained member.
        update: ``"keras"`` has Keras's own optimizer change the weights: a member is what
            `Model.fit` makes of it, bit for bit; ``"auto"`` allows TensorFlow's fused kernels,
            which round otherwise, where they are faster.
        workers: number of members that are trained at the same time; None for one a usable core,
            and with JAX for as many as memory holds.
        memory_budget: bytes up to which TensorFlow keeps the data in memory of its own; larger
            data are streamed, which changes no result. None for half of the free memory.

    Raises:
        ValueError: a setting is out of range, or model and data do not fit.
        TypeError: the model cannot be cloned.
    """

    def __init__(
        self,
        model: keras.Model,
        dataset: Dataset,
        settings: TrainSettings,
        *,
        keep_state: bool = False,
        directory: str | Path | None = None,
        update: str = "auto",
        workers: int | None = None,
        memory_budget: int | None = None,
    ) -> None:
        check_choice(update, UPDATES, "update")
        for name, value in (("workers", workers), ("memory_budget", memory_budget)):
            if value is not None:
                check_count(value, name)
        folder = None
        if directory is None:
            folder = tempfile.TemporaryDirectory(prefix="dropout-zoo-")
            directory = folder.name
        self.plan = make_plan(
            model,
            dataset,
            settings,
            keep_state=keep_state,
            directory=Path(directory),
            folder=folder,
        )
        self._update, self._workers, self._memory_budget = update, workers, memory_budget
        # Weights that are there already, of an earlier trainer, stay.
        stems = [path.stem for path in Path(directory).glob("*.npz")]
        used = [int(stem) for stem in stems if stem.isdigit()]
        self._numbers = itertools.count(max(used, default=-1) + 1)
        self._fixed = why_rates_are_fixed(self.plan.model)
        self._engine: Engine | Population | None = None
        self._began = False

    def train(
        self,
        members: Iterable[Member | None],
        on_result: Callable[[TrainedMember], None] | None = None,
    ) -> list[TrainedMember]:
        """Train members.

        Args:
            members: what to train. An iterator that is no sequence is asked for the next member
                whenever a core is free, and may yield None to be asked again after the next
                result: so a search can decide by what it has seen.
            on_result: hears of each member as it finishes, in the thread that called.

        Returns:
            The trained members, in the order of `members`.

        Raises:
            ValueError: a member's rates do not fit the model, or it has a schedule and they
                cannot be changed while training.
            RuntimeError: `members` yields None although no member is being trained.
        """
        jobs: Iterator[Job | None] = (
            None if member is None else self._job(member) for member in members
        )
        known = isinstance(members, Sequence)
        if known:  # what does not fit is found before any training
            jobs = iter(list(jobs))
        engine = self._begun_engine()
        if engine is None:
            return [self._fit(job, on_result) for job in jobs]
        ahead = (self._workers or usable_cores()) if known else 0
        trained = engine.run(jobs, ahead=ahead, on_result=on_result)
        return [trained[number] for number in sorted(trained)]

    @property
    def members_at_once(self) -> int:
        """The largest number of members that are trained at the same time."""
        engine = self._begun_engine()
        return 1 if engine is None else engine.most

    def _job(self, member: Member) -> Job:
        if member.schedule is not None and self._fixed is not None:
            raise ValueError(f"expected members without a schedule of the rate: {self._fixed}")
        if member.weights is not None and not Checkpoint.load(member.weights).last:
            raise ValueError(
                f"expected weights to continue from, received {member.weights}, which holds those "
                "of the best epoch alone; train with keep_state=True to continue later"
            )
        if member.initial_epoch and member.weights is None:
            raise ValueError(
                f"expected weights to continue from at initial_epoch={member.initial_epoch}, "
                "received none"
            )
        return Job(next(self._numbers), member, member_rates(self.plan.model, member))

    def _begun_engine(self) -> Engine | Population | None:
        if not self._began:
            # Once: a folder that is deleted meanwhile is not to rise again half empty.
            self.plan.directory.mkdir(parents=True, exist_ok=True)
            self._engine, self._began = self._start_engine(), True
        return self._engine

    def _start_engine(self) -> Engine | Population | None:
        """The engine, or None where `Model.fit` has to train, which a warning tells."""
        reason = why_not_liftable(self.plan.model)
        if reason is None:
            try:
                if keras.backend.backend() == "jax":
                    from dropout_zoo.training.engine.jax.population import Population  # imports JAX

                    return Population(self.plan, most=self._workers)
                return self._start_loops()
            except Exception as error:  # the user's own code may not run in a graph
                reason = f"{type(error).__name__}: {error}"
        warnings.warn(
            f"Model.fit trains the members, one after another, because {reason}", stacklevel=4
        )
        return None

    def _start_loops(self) -> Engine:
        from dropout_zoo.training.engine.tensorflow.loops import Engine  # imports TensorFlow

        workers = self._workers or usable_cores()
        if not prepare_threads(workers):
            warnings.warn(_SLOW_THREADS, stacklevel=5)
        return Engine(
            self.plan,
            loops=workers,
            fuse=self._update == "auto",
            memory_budget=memory_budget_or_default(self._memory_budget),
        )

    def _fit(
        self, job: Job | None, on_result: Callable[[TrainedMember], None] | None
    ) -> TrainedMember:
        if job is None:
            raise RuntimeError(
                "expected a member to train, received None while none is being trained"
            )
        trained = fit_member(self.plan, job.member, job.rates, job.number)
        if on_result is not None:
            on_result(trained)
        return trained


def train_members(
    model: keras.Model,
    members: Iterable[Member | None],
    dataset: Dataset,
    *,
    keep_state: bool = False,
    directory: str | Path | None = None,
    update: str = "auto",
    workers: int | None = None,
    memory_budget: int | None = None,
    on_result: Callable[[TrainedMember], None] | None = None,
    **settings: Unpack[TrainOptions],
) -> list[TrainedMember]:
    """Train members of one model, each as if it were trained alone.

    Members with the same seed start from the same weights and see the data in the same order,
    whatever their rates, so that their scores can be compared in pairs.

    Args:
        model: a compiled Sequential or Functional model; it is left as it is.
        members: what to train; see `MemberTrainer.train` for iterators.
        dataset: training, validation and test part; the test part is not touched.
        keep_state: whether checkpoints hold what it takes to continue the training.
        directory: where the members' weights are kept; None for a temporary folder that goes
            with the last trained member.
        update: ``"keras"`` has Keras's own optimizer change the weights: a member is what
            `Model.fit` makes of it, bit for bit; ``"auto"`` allows TensorFlow's fused kernels,
            which round otherwise, where they are faster.
        workers: number of members that are trained at the same time; None for one a usable core,
            and with JAX for as many as memory holds.
        memory_budget: bytes up to which TensorFlow keeps the data in memory of its own; larger
            data are streamed, which changes no result. None for half of the free memory.
        on_result: called with each result as it finishes.
        **settings: how each member is trained; see `TrainSettings`.

    Returns:
        The trained members, in the order of `members`.

    Raises:
        ValueError: a setting is out of range, or model and data do not fit.
        TypeError: the model cannot be cloned.
    """
    trainer = MemberTrainer(
        model,
        dataset,
        TrainSettings.from_options(settings, train_members),
        keep_state=keep_state,
        directory=directory,
        update=update,
        workers=workers,
        memory_budget=memory_budget,
    )
    return trainer.train(members, on_result)
