"""A journal of trained members, so that an interrupted run trains none of them again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from dropout_zoo.models.caller_warnings import warn_caller
from dropout_zoo.models.wording import count_of
from dropout_zoo.training.engine.base import PlannedTrainer
from dropout_zoo.training.journal_records import append_record, read_records, rewrite_records
from dropout_zoo.training.members import Member, TrainedMember, as_curves, completed_rates

_FAULTS_SHOWN = 3


class JournaledTrainer:
    """Trains members like another trainer and appends each to a journal as it finishes.

    Members that the journal has already are restored from it. An incomplete last record, left by a
    killed process, is ignored, and its member is trained again. So is a record that is damaged or
    missing, or whose weights are, with a warning.

    Args:
        trainer: trains the members that the journal does not have.
        path: the journal, a file of JSON lines; created if missing. Paths of checkpoints in it
            are relative to its directory. The checkpoints of each attempt are in a numbered folder
            beside it; see `weights_folder`.
        on_restored: called with each result that is restored from the journal.

    Attributes:
        restored: number of results that the journal had at the beginning.
        restored_seconds: how long earlier attempts took, on the clock, for the results that have
            been restored so far.
    """

    def __init__(
        self,
        trainer: PlannedTrainer,
        path: Path,
        on_restored: Callable[[TrainedMember], None] | None = None,
    ) -> None:
        self._trainer = trainer
        self._path = path
        self._on_restored = on_restored
        self._records = _whole_records(path)
        self._trained: dict[str, TrainedMember] = {}  # and those of the journal, once asked for
        self.restored = len(self._records)
        self.restored_seconds = 0.0
        self._last = time.perf_counter()

    def train(
        self,
        members: Sequence[Member],
        on_result: Callable[[TrainedMember], None] | None = None,
    ) -> list[TrainedMember]:
        """Train the members that the journal does not have.

        Args:
            members: the members; those with the same settings are trained once.
            on_result: called with each new result as it finishes.

        Returns:
            The trained members, in the order of `members`.

        Raises:
            ValueError: a member's rates do not fit the model.
            OSError: the journal cannot be written.
        """
        keys = [self._key(member) for member in members]
        missing = {
            key: member
            for key, member in zip(keys, members, strict=True)
            if key not in self._records and key not in self._trained
        }

        def finished(trained: TrainedMember) -> None:
            self._append(trained)
            if on_result is not None:
                on_result(trained)

        restored = {
            key: self._restored(member, key)
            for member, key in zip(members, keys, strict=True)
            if key not in missing
        }
        for trained in restored.values():
            if self._on_restored is not None:
                self._on_restored(trained)
        fresh = self._trainer.train(list(missing.values()), finished) if missing else []
        results = restored | {self._key(result.member): result for result in fresh}
        return [results[key] for key in keys]

    @property
    def max_parallel(self) -> int:
        """The largest number of members that are trained at the same time."""
        return self._trainer.max_parallel

    def _key(self, member: Member) -> str:
        """Everything that determines the result of a training run, as text."""
        plan = self._trainer.outline_of(member)
        rates = completed_rates(plan.rates, member)
        epochs = member.epochs or plan.settings.epochs
        key = [list(rates.items()), member.seed, member.initial_epoch, epochs]
        if member.split:
            key.append(member.split)
        if member.schedule is not None:
            key.append(keras.saving.serialize_keras_object(member.schedule))
        if member.hyperparameters:
            key.append(dict(member.hyperparameters))
        return json.dumps(key, sort_keys=True)

    def _append(self, trained: TrainedMember) -> None:
        now = time.perf_counter()
        record = {
            "key": self._key(trained.member),
            "status": trained.status,
            "reason": trained.reason,
            "curves": trained.curves.copy().to_dict("list"),  # it would keep a view of each column
            "best_epoch": trained.best_epoch,
            "score": trained.score,
            "seconds": trained.seconds,
            "elapsed": now - self._last,  # since the last result: their sum is that of the attempt
            **({"group": trained.group} if trained.group else {}),
        }
        append_record(self._path, record, trained.checkpoint)
        self._trained[record["key"]] = trained
        self._last = now

    def _restored(self, member: Member, key: str) -> TrainedMember:
        record = self._records.pop(key, None)
        if record is not None:
            self.restored_seconds += record["elapsed"]
            self._trained[key] = self._restore(member, record)
        return replace(self._trained[key], member=member)

    def _restore(self, member: Member, record: dict[str, Any]) -> TrainedMember:
        plan = self._trainer.outline_of(member)
        checkpoint = record["checkpoint"]
        return TrainedMember(
            member=member,
            rates=completed_rates(plan.rates, member),
            status=record["status"],
            reason=record["reason"],
            curves=as_curves(record["curves"]),
            objective=plan.objective,
            best_epoch=record["best_epoch"],
            score=record["score"],
            seconds=record["seconds"],
            checkpoint=None if checkpoint is None else self._path.parent / checkpoint["path"],
            _template=plan.model,
            _folder=plan.folder,
            group=record.get("group", ""),
        )


def _whole_records(path: Path) -> dict[str, dict[str, Any]]:
    """The records that can be restored, by key; the others are removed from the journal."""
    journal = read_records(path)
    if journal.faults:
        shown = "; ".join(journal.faults[:_FAULTS_SHOWN])
        more = len(journal.faults) - _FAULTS_SHOWN
        warn_caller(
            f"{'At least ' * journal.lacks_lines}"
            f"{count_of(journal.num_lost, 'finished training run')} in {path.parent} cannot be "
            f"restored and will be trained again: {shown}{f' and {more} more' * (more > 0)}",
        )
    # Once another follows it, a cut line would count as damaged, and so would weights without one.
    if journal.faults or journal.is_cut or journal.unlisted:
        rewrite_records(path, journal)
    return journal.whole
