"""What every engine offers, so that a trainer need not know which one trains its members."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from dropout_zoo.models.argument_validation import check_choice, check_count
from dropout_zoo.training.engine.cluster_address import check_address
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.members import Job, Member, TrainedMember
from dropout_zoo.training.plan import PlanOutline

OnResult = Callable[[TrainedMember], None]

UPDATES = ("auto", "keras")


@dataclass(frozen=True)
class EngineOptions:
    """Options that affect speed and rounding only.

    Where an option is set that the chosen engine does not read, a warning says so. The loops on
    TensorFlow read all; the population on JAX and the processes on PyTorch read `workers`;
    `Model.fit` in one process reads none. On these three, Keras's own optimizer always updates the
    weights.

    Attributes:
        update: ``"keras"`` updates the weights with Keras's own optimizer, bit for bit as
            `Model.fit` does; ``"auto"`` allows faster updates that round differently.
        workers: the largest number of members to train at the same time; None for as many as the
            engine finds best.
        memory_budget: bytes that the data may take in the engine's memory; None for a share of
            the free memory.
        cluster: address of the Ray cluster on whose nodes members are trained, as in
            `MemberTrainer`; None to train on this machine.

    Raises:
        ValueError: an option is out of range.
    """

    update: str = "auto"
    workers: int | None = None
    memory_budget: int | None = None
    cluster: str | None = None

    def __post_init__(self) -> None:
        if self.cluster is not None:
            check_address(self.cluster)
        check_choice(self.update, UPDATES, "update")
        for name in ("workers", "memory_budget"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name)

    def without_effect(self, read: Collection[str]) -> list[str]:
        """List the options that are set although an engine does not read them.

        `update` is not among them, because the other engines round as Keras does, nor is a single
        worker, which every engine satisfies.

        Args:
            read: names of the options that the engine reads.

        Returns:
            Names with their values, such as ``"workers=4"``.
        """
        given = {"memory_budget": self.memory_budget}
        if self.workers != 1:
            given = {"workers": self.workers} | given
        return [
            f"{name}={value}"
            for name, value in given.items()
            if value is not None and name not in read
        ]


class Engine(Protocol):
    """Trains the members of one plan.

    `dropout_zoo.training.engine.selection` chooses the engine of a trainer. An engine takes jobs
    from a source, several of them at a time if it can, and returns for each what `Model.fit`
    would have made of it alone.
    """

    @property
    def max_parallel(self) -> int:
        """The largest number of members that are trained at the same time."""

    def run(self, jobs: JobSource, *, on_result: OnResult | None) -> dict[int, TrainedMember]:
        """Train until the source is exhausted.

        Args:
            jobs: the members to train.
            on_result: called in this thread with each result as it finishes.

        Returns:
            The trained members by job number.

        Raises:
            RuntimeError: the source has no job at present although none is being trained.
        """

    def why_not(self, job: Job) -> str | None:
        """Return why only `Model.fit` can train a member, as the end of a sentence.

        Args:
            job: the member; it must not be passed to `run` if there is a reason.

        Returns:
            The reason; None if the engine can train it.
        """


class Trainer(Protocol):
    """Trains members: a `MemberTrainer`, or one that also keeps a journal."""

    @property
    def max_parallel(self) -> int:
        """The largest number of members that are trained at the same time."""

    def train(
        self, members: Sequence[Member], on_result: OnResult | None = None
    ) -> list[TrainedMember]:
        """Train members and return the results in their order; see `MemberTrainer.train`."""


class PlannedTrainer(Trainer, Protocol):
    """A trainer that says with which model and settings a member is trained."""

    def outline_of(self, member: Member) -> PlanOutline:
        """Return what the result of a member refers to."""
