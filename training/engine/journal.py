"""A journal of trained members, so that an interrupted run trains none of them again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from dropout_zoo.training.engine.base import PlannedTrainer
from dropout_zoo.training.members import Member, TrainedMember, member_rates


class JournaledTrainer:
    """Trains members like another trainer and appends each to a journal as it finishes.

    Members that the journal has already are restored from it. An incomplete last record, left by a
    killed process, is ignored, and its member is trained again.

    Args:
        trainer: trains the members that the journal does not have.
        path: the journal, a file of JSON lines; created if missing. Paths of checkpoints in it
            are relative to its directory.
        on_restored: called with each result that is restored from the journal.

    Attributes:
        restored: number of results that the journal had at the beginning.
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
        self._records = _read(path)
        self.restored = len(self._records)

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
            if key not in self._records
        }

        def finished(trained: TrainedMember) -> None:
            self._append(trained)
            if on_result is not None:
                on_result(trained)

        restored = {
            key: self._restore(member, self._records[key])
            for member, key in zip(members, keys, strict=True)
            if key in self._records
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
        rates = member_rates(plan.model, member)
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
        checkpoint = trained.checkpoint
        record = {
            "key": self._key(trained.member),
            "status": trained.status,
            "reason": trained.reason,
            "curves": trained.curves.to_dict("list"),
            "best_epoch": trained.best_epoch,
            "score": trained.score,
            "seconds": trained.seconds,
            "checkpoint": checkpoint and os.path.relpath(checkpoint, self._path.parent),
        }
        # One write per line: a line that a kill cuts short does not parse and is ignored.
        try:
            with open(self._path, "ab") as file:
                file.write(b"\n" + json.dumps(record).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:  # the error of a full disk does not name the file
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self._records[record["key"]] = record

    def _restore(self, member: Member, record: dict[str, Any]) -> TrainedMember:
        plan = self._trainer.outline_of(member)
        checkpoint = record["checkpoint"]
        return TrainedMember(
            member=member,
            rates=member_rates(plan.model, member),
            status=record["status"],
            reason=record["reason"],
            curves=pd.DataFrame(record["curves"]),
            objective=plan.objective,
            best_epoch=record["best_epoch"],
            score=record["score"],
            seconds=record["seconds"],
            checkpoint=None if checkpoint is None else self._path.parent / checkpoint,
            _template=plan.model,
            _folder=plan.folder,
        )


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """The complete records of a journal, by key."""
    records: dict[str, dict[str, Any]] = {}
    if not path.is_file():
        return records
    for line in path.read_bytes().split(b"\n"):
        try:
            record = json.loads(line)
            key, checkpoint = record["key"], record["checkpoint"]
        except (ValueError, KeyError, TypeError):
            continue
        # Weights are saved before their record. If they were deleted, the member is trained again.
        if checkpoint is None or (path.parent / checkpoint).is_file():
            records[key] = record
    return records
