"""One member trained by plain `Model.fit`: the measure that the engine is held to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras

from dropout_zoo.models.graph.cloning import with_rates
from dropout_zoo.models.graph.runtime_rates import with_runtime_rates
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.interrupts import check_interrupt
from dropout_zoo.training.engine.member_state import MemberHolder
from dropout_zoo.training.failure_reasons import reason_of
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.plan import Plan, Record


def fit_member(
    plan: Plan, member: Member, rates: Mapping[str, float], number: int
) -> TrainedMember:
    """Train one member with `Model.fit`.

    Args:
        plan: data and settings.
        member: the member.
        rates: its rate (fraction dropped) at every site.
        number: its number among the members, which names its checkpoint.

    Returns:
        The trained member. An exception in the model's own code is its reason to have failed.
    """
    started = time.perf_counter()
    record = Record(plan, member, rates)
    best = None
    model = with_rates(plan.model, rates)
    if member.schedule is not None:
        model = with_runtime_rates(model)
    holder = MemberHolder(model)
    holder.start(rates, plan.start_weights(member.seed), member.seed)
    if member.weights is not None:
        holder.resume(Checkpoint.load(member.weights))
    for epoch in range(member.initial_epoch, member.epochs or plan.settings.epochs):
        check_interrupt()
        if member.schedule is not None:
            holder.set_factor(member.schedule.factor(epoch))
        try:
            logs = _run_epoch(plan, model, epoch, member, rates)
        except Exception as error:  # the user's own code may raise anything
            record.status, record.reason = "failed", reason_of(error)
            break
        if record.add(epoch, *logs):
            best = holder.weights_now()
        if record.finished:
            break
    checkpoint = None if best is None else holder.checkpoint(best, plan.keep_state)
    return record.result(time.perf_counter() - started, checkpoint, f"{number:06d}")


class _WeightsOfEpoch(keras.callbacks.Callback):
    """Holds the weights at the end of an epoch, before `fit` ends: it may average them then."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.values = [variable.numpy() for variable in self.model.trainable_variables]

    def put_back(self) -> None:
        for variable, value in zip(self.model.trainable_variables, self.values, strict=True):
            variable.assign(value)


def _run_epoch(
    plan: Plan, model: keras.Model, epoch: int, member: Member, rates: Mapping[str, float]
) -> tuple[dict, dict, dict]:
    order = plan.batch_order(member, rates, epoch)
    weight = None if plan.sample_weight is None else plan.sample_weight[order]
    trained = _WeightsOfEpoch()
    history = model.fit(
        plan.train[0][order],
        plan.train[1][order],
        sample_weight=weight,
        batch_size=plan.settings.batch_size,
        initial_epoch=epoch,
        epochs=epoch + 1,
        shuffle=False,
        callbacks=[trained],
        verbose=0,
    )
    # One call for all epochs would average the weights once, after the last.
    trained.put_back()
    running = {name: values[-1] for name, values in history.history.items()}
    train, validation = (
        model.evaluate(*part, batch_size=plan.evaluation_batch_size, verbose=0, return_dict=True)
        for part in (plan.sample, plan.validation)
    )
    return running, train, validation
