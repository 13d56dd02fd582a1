"""The epochs of one member in one model, whatever trains each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.member_callbacks import MemberCallbacks
from dropout_zoo.training.engine.member_state import MemberState
from dropout_zoo.training.members import Job
from dropout_zoo.training.plan import Plan, Record

Logs = Mapping[str, Any]
RunEpoch = Callable[[int, MemberCallbacks], tuple[Logs, Logs, Logs]]
"""Trains an epoch (from 0), reporting its beginning to the callbacks; returns what was measured
while training, on the training sample and on the validation set."""


class MemberEpochs:
    """What surrounds the epochs of one member, whatever trains them.

    Args:
        plan: model, data and settings.
        job: the member.
        start: its initial weights.
        state: sets and reads its state.
        record: records each epoch; its status becomes ``"failed"`` where the user's own code
            raises, be it the model's or that of callbacks.

    Attributes:
        callbacks: the callbacks of the member.
        last: the number of epochs.
    """

    def __init__(
        self,
        plan: Plan,
        job: Job,
        start: Sequence[np.ndarray],
        state: MemberState,
        record: Record,
    ) -> None:
        self._plan, self._job, self._state, self._record = plan, job, state, record
        self._best: list[np.ndarray] | None = None
        state.start(job.rates, start, job.member.seed)
        if job.member.weights is not None:
            earlier = Checkpoint.load(job.member.weights)
            state.resume(earlier)
            record.resume(earlier.rows)
            self._best = list(earlier.best) if earlier.rows else None
        self.last = job.member.epochs or plan.settings.epochs
        self.callbacks = MemberCallbacks(
            job.callbacks, state.model, epochs=self.last, steps=plan.num_steps
        )

    def begin(self, epoch: int) -> None:
        """Begin an epoch, counted from 0."""
        if self._job.member.schedule is not None:
            self._state.set_factor(self._job.member.schedule.factor(epoch))

    def end(self, epoch: int, running: Logs, sample: Logs, validation: Logs) -> bool:
        """Record an epoch and report its end to the callbacks.

        Args:
            epoch: its number, from 0.
            running: what was measured while training.
            sample: the same on the training sample, with dropout off.
            validation: the same on the validation set.

        Returns:
            Whether it was the last one.
        """
        record = self._record
        if record.add(epoch, running, sample, validation):
            self._best = self._state.weights_now()
        if self._job.callbacks:
            with record.user_code():
                record.rows[-1] |= self.callbacks.end_epoch(epoch, running, validation)
        return record.finished or self.callbacks.stopped

    def finish(self) -> Checkpoint | None:
        """End the training.

        Returns:
            The weights of the best epoch, as they were measured, and, if the plan keeps it, the
            state after the last one; None if no epoch was finished.
        """
        keep_state, best = self._plan.keep_state, self._best
        checkpoint = None if best is None else self._state.checkpoint(best, keep_state)
        if checkpoint is not None and keep_state:
            checkpoint = replace(checkpoint, rows=self._record.rows)
        if self._job.callbacks and self._record.status != "failed":
            with self._record.user_code():
                self.callbacks.end()
            if checkpoint is not None and keep_state:
                checkpoint = replace(checkpoint, final=self._state.weights_now())
        return checkpoint


def train_epochs(
    plan: Plan,
    job: Job,
    start: Sequence[np.ndarray],
    state: MemberState,
    record: Record,
    run_epoch: RunEpoch,
) -> Checkpoint | None:
    """Train a member from its start, or from where an earlier run ended.

    Args:
        plan: as in `MemberEpochs`, like the next four arguments.
        job: the member.
        start: its initial weights.
        state: sets and reads its state.
        record: records each epoch.
        run_epoch: trains one epoch and measures.

    Returns:
        What `MemberEpochs.finish` returns.
    """
    epochs = MemberEpochs(plan, job, start, state, record)
    for epoch in range(job.member.initial_epoch, epochs.last):
        if record.finished:  # the earlier run had ended
            break
        epochs.begin(epoch)
        with record.user_code():
            measured = run_epoch(epoch, epochs.callbacks)
        if record.finished or epochs.end(epoch, *measured):  # finished already: it failed
            break
    return epochs.finish()
