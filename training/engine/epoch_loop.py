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
        plan: model, data and settings.
        job: the member.
        start: its initial weights.
        state: sets and reads its state.
        record: records each epoch; its status becomes ``"failed"`` where the user's own code
            raises, be it the model's or that of callbacks.
        run_epoch: trains one epoch and measures.

    Returns:
        The weights of the best epoch, as they were measured, and, if the plan keeps it, the state
        after the last one; None if no epoch was finished.
    """
    member, best = job.member, None
    state.start(job.rates, start, member.seed)
    if member.weights is not None:
        state.resume(Checkpoint.load(member.weights))
    epochs = member.epochs or plan.settings.epochs
    callbacks = MemberCallbacks(job.callbacks, state.model, epochs=epochs, steps=plan.num_steps)
    for epoch in range(member.initial_epoch, epochs):
        if member.schedule is not None:
            state.set_factor(member.schedule.factor(epoch))
        with record.user_code():
            running, sample, validation = run_epoch(epoch, callbacks)
        if record.finished:  # it failed
            break
        if record.add(epoch, running, sample, validation):
            best = state.weights_now()
        if job.callbacks:
            with record.user_code():
                record.rows[-1] |= callbacks.end_epoch(epoch, running, validation)
        if record.finished or callbacks.stopped:
            break
    checkpoint = None if best is None else state.checkpoint(best, plan.keep_state)
    if job.callbacks and record.status != "failed":
        with record.user_code():
            callbacks.end()
        if checkpoint is not None and plan.keep_state:
            checkpoint = replace(checkpoint, final=state.weights_now())
    return checkpoint
