"""The training runs of a search, kept as they finish."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dropout_zoo.training.engine.base import OnResult, PlannedTrainer
from dropout_zoo.training.engine.journal import JournaledTrainer
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.plan import PlanOutline
from dropout_zoo.tuning.records.progress import Progress
from dropout_zoo.tuning.records.trial_tables import TrainingRecord


class RecordingTrainer:
    """Trains for a search with a journal, shows the progress, and keeps each run as it finishes.

    Finished runs are thus known if time runs out during training.

    Args:
        trainer: trains the members that the journal does not have.
        journal: the journal.
        progress: shows the results.

    Attributes:
        restored: number of results that the journal had at the beginning.
        records: the training runs in the order in which they finished, with their labels as names
            of the settings.
        controls: labels of members that are controls, whatever the others of the phase are.
    """

    def __init__(self, trainer: PlannedTrainer, journal: Path, progress: Progress) -> None:
        self._trainer = trainer
        self._journaled = JournaledTrainer(trainer, journal, on_restored=self._on_restored)
        self._progress = progress
        self._role = ""
        self.restored = self._journaled.restored
        self.records: list[TrainingRecord] = []
        self.controls: set[str | None] = set()

    @property
    def max_parallel(self) -> int:
        """The largest number of members that are trained at the same time."""
        return self._journaled.max_parallel

    @property
    def restored_seconds(self) -> float:
        """How long earlier attempts took for the results that have been restored so far."""
        return self._journaled.restored_seconds

    def outline_of(self, member: Member) -> PlanOutline:
        """Return the outline of the plan of a member."""
        return self._trainer.outline_of(member)

    def phase(self, name: str, role: str) -> None:
        """Begin a part of the search.

        Args:
            name: its name, for the progress.
            role: role of its training runs.
        """
        self._progress.phase(name, one_seed=role in ("control", "trial"))
        self._role = role

    def train(
        self, members: Sequence[Member], on_result: OnResult | None = None
    ) -> list[TrainedMember]:
        """Train members; see `JournaledTrainer.train`."""

        def finished(trained: TrainedMember) -> None:
            self._record(trained)
            self._progress.result(trained)
            if on_result is not None:
                on_result(trained)

        return self._journaled.train(members, finished)

    def _on_restored(self, trained: TrainedMember) -> None:
        self._record(trained)
        self._progress.restored(trained)

    def _record(self, trained: TrainedMember) -> None:
        role = "control" if trained.member.label in self.controls else self._role
        record = TrainingRecord(str(trained.member.label), role, trained)
        self.records.append(record)
