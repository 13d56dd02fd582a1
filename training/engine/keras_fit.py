"""Members trained by plain `Model.fit`, one after another: the reference for the other engines."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras

from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.models.graph.runtime_rates import with_runtime_rates
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.data.structures import take
from dropout_zoo.training.engine.base import OnResult
from dropout_zoo.training.engine.interrupts import check_interrupt
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.engine.member_state import MemberState, optimizers_of
from dropout_zoo.training.failure_reasons import reason_of
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.plan import Plan, Record, evaluate


class FitEngine:
    """Trains one member after another with `Model.fit`: for every model and every backend.

    Args:
        plan: model, data and settings.

    Attributes:
        max_parallel: the largest number of members that are trained at the same time: 1.
    """

    max_parallel = 1

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def run(self, jobs: JobSource, *, on_result: OnResult | None) -> dict[int, TrainedMember]:
        """Train until the source is exhausted; see `Engine.run`."""
        trained: dict[int, TrainedMember] = {}
        while not jobs.exhausted:
            for job in jobs.take(0, self.max_parallel):
                result = fit_member(self._plan, job.member, job.rates, job.number)
                trained[job.number] = result
                if on_result is not None:
                    on_result(result)
        return trained


def fit_member(
    plan: Plan, member: Member, rates: Mapping[str, float], number: int
) -> TrainedMember:
    """Train one member with `Model.fit`.

    Args:
        plan: model, data and settings.
        member: the member.
        rates: its rate (fraction dropped) at every site.
        number: the job number, which names its checkpoint.

    Returns:
        The trained member; its status is ``"failed"`` where the model's own code raises.
    """
    started = time.perf_counter()
    record = Record(plan, member, rates)
    best = None
    model = with_rates(plan.model, rates)
    if member.schedule is not None:
        model = with_runtime_rates(model)
    state = MemberState(model)
    state.start(rates, plan.start_weights(member.seed), member.seed)
    if member.weights is not None:
        if not all(each.built for each in optimizers_of(model)):
            # Those that the code of the model holds create their variables in its first step.
            x, y, *_ = take(plan.examples.training_data(), slice(1))
            model.fit(x, y, verbose=0)
        state.resume(Checkpoint.load(member.weights))
    for epoch in range(member.initial_epoch, member.epochs or plan.settings.epochs):
        if member.schedule is not None:
            state.set_factor(member.schedule.factor(epoch))
        try:
            logs = _run_epoch(plan, model, epoch, member, rates)
        except Exception as error:  # the user's own code may raise anything
            record.status, record.reason = "failed", reason_of(error)
            break
        if record.add(epoch, *logs):
            best = state.weights_now()
        if record.finished:
            break
    checkpoint = None if best is None else state.checkpoint(best, plan.keep_state)
    return record.result(time.perf_counter() - started, checkpoint, f"{number:06d}")


class _Interrupts(keras.callbacks.Callback):
    """Ends `fit` and `evaluate` between two batches.

    It checks at the start of a batch, because an end-of-batch callback makes Keras compute the logs
    of every batch.
    """

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        check_interrupt()

    def on_test_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        check_interrupt()


class _WeightsOfEpoch(keras.callbacks.Callback):
    """Keeps the weights at the end of an epoch, before the end of `fit` may average them."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.values = [variable.numpy() for variable in self.model.trainable_variables]

    def restore(self) -> None:
        for variable, value in zip(self.model.trainable_variables, self.values, strict=True):
            variable.assign(value)


def _run_epoch(
    plan: Plan, model: keras.Model, epoch: int, member: Member, rates: Mapping[str, float]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    order = plan.batch_order(member, rates, epoch)
    examples = plan.examples_of(member.split)
    x, y, *weight = take(examples.training_data(), order)
    weights_of_epoch = _WeightsOfEpoch()
    history = model.fit(
        x,
        y,
        sample_weight=weight[0] if weight else None,
        batch_size=plan.settings.batch_size,
        initial_epoch=epoch,
        epochs=epoch + 1,
        shuffle=False,
        callbacks=[weights_of_epoch, _Interrupts()],
        verbose=0,
    )
    # One call of `fit` for all epochs would average the weights once, after the last.
    weights_of_epoch.restore()
    running = {name: values[-1] for name, values in history.history.items()}
    train, validation = (
        evaluate(model, part, batch_size=plan.evaluation_batch_size, callbacks=[_Interrupts()])
        for part in (examples.sample, examples.validation)
    )
    return running, train, validation
