"""Members trained by plain `Model.fit`, one after another: the reference for the other engines."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.models.graph.runtime_rates import with_runtime_rates
from dropout_zoo.models.random_state import variables_restored
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.data.keras_inputs import as_keras_inputs
from dropout_zoo.training.data.sources.streams import Stream
from dropout_zoo.training.data.structures import take
from dropout_zoo.training.engine.base import OnResult
from dropout_zoo.training.engine.epoch_loop import Logs, MemberEpochs, train_epochs
from dropout_zoo.training.engine.interrupts import check_interrupt
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.engine.member_callbacks import MemberCallbacks
from dropout_zoo.training.engine.member_state import MemberState, optimizers_of
from dropout_zoo.training.members import Job, Member, TrainedMember
from dropout_zoo.training.plan import Plan, Record, evaluate
from dropout_zoo.training.seeding import seeded_globals


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
                result = fit_member(self._plan, job.member, job.rates, job.number, job.callbacks)
                trained[job.number] = result
                if on_result is not None:
                    on_result(result)
        return trained

    def why_not(self, job: Job) -> str | None:
        """Return None: it can train every member; see `Engine.why_not`."""
        return None


def fit_member(
    plan: Plan,
    member: Member,
    rates: Mapping[str, float],
    number: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainedMember:
    """Train one member with `Model.fit` and save its weights.

    Args:
        plan: model, data and settings.
        member: the member.
        rates: its rate (fraction dropped) at every site.
        number: the job number, which names its checkpoint.
        callbacks: its callbacks.

    Returns:
        The trained member; its status is ``"failed"`` where the user's own code raises.
    """
    started = time.perf_counter()
    record, checkpoint = fit_job(plan, Job(number, member, rates, callbacks))
    return record.result(time.perf_counter() - started, checkpoint, f"{number:06d}")


def fit_job(plan: Plan, job: Job) -> tuple[Record, Checkpoint | None]:
    """Train one member with `Model.fit`.

    Args:
        plan: model, data and settings.
        job: the member.

    Returns:
        The record of its training, and its checkpoint, if an epoch was finished.
    """
    member, rates = job.member, job.rates
    record = Record(plan, member, rates)
    model = with_rates(plan.model, rates)
    if member.schedule is not None:
        model = with_runtime_rates(model)
    if member.weights is not None and not all(each.built for each in optimizers_of(model)):
        # Those that the code of the model holds create their variables in its first step.
        x, y, *_ = take(plan.examples.training_data(), slice(1))
        model.fit(as_keras_inputs(x), y, verbose=0)
    start, state = plan.start_weights(member.seed), MemberState(model)
    if plan.stream is None:
        checkpoint = train_epochs(
            plan,
            job,
            start,
            state,
            record,
            lambda epoch, called: _run_epoch(plan, state, epoch, job, called),
        )
    else:
        epochs = MemberEpochs(plan, job, start, state, record)
        checkpoint = _train_on_stream(plan, plan.stream, state, job, record, epochs)
    return record, checkpoint


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
    plan: Plan, state: MemberState, epoch: int, job: Job, callbacks: MemberCallbacks
) -> tuple[Logs, Logs, Logs]:
    order = plan.batch_order(job.member, job.rates, epoch)
    examples = plan.examples_of(job.member.split)
    x, y, *weight = take(examples.training_data(), order)
    weights_of_epoch = _WeightsOfEpoch()
    # Where there are none, the logs of each batch need not be computed.
    called = [callbacks] if job.callbacks else []
    history = state.model.fit(
        as_keras_inputs(x),
        y,
        sample_weight=weight[0] if weight else None,
        batch_size=plan.settings.batch_size,
        initial_epoch=epoch,
        epochs=epoch + 1,
        shuffle=False,
        callbacks=[*called, weights_of_epoch, _Interrupts()],
        verbose=0,
    )
    # One call of `fit` for all epochs would average the weights once, after the last.
    weights_of_epoch.restore()
    running = {name: values[-1] for name, values in history.history.items()}
    return running, *_measure(plan, state, job, callbacks)


def _measure(
    plan: Plan, state: MemberState, job: Job, callbacks: MemberCallbacks
) -> tuple[Logs, Logs]:
    """Measure the training sample and the validation set, with dropout off."""
    called, model = [callbacks] if job.callbacks else [], state.model
    examples = plan.examples_of(job.member.split)
    size = plan.evaluation_batch_size
    # One call of `Model.fit` evaluates no training sample: it must not advance the generators.
    with variables_restored([generator.state for generator in state.generators]):
        sample = evaluate(model, examples.sample, batch_size=size, callbacks=[_Interrupts()])
    validation = evaluate(
        model, examples.validation, batch_size=size, callbacks=[*called, _Interrupts()]
    )
    return sample, validation


class _EpochsOfStream(keras.callbacks.Callback):
    """Begins and ends the epochs of a member inside the one call of `fit` that trains them.

    A call for each epoch would start an infinite source anew, and report more ends of epochs to a
    `PyDataset` than there are.
    """

    def __init__(self, plan: Plan, state: MemberState, job: Job, epochs: MemberEpochs) -> None:
        super().__init__()
        self._plan, self._state, self._job, self._epochs = plan, state, job, epochs

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epochs.begin(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        measured = _measure(self._plan, self._state, self._job, self._epochs.callbacks)
        if self._epochs.end(epoch, dict(logs or {}), *measured):
            self.model.stop_training = True


def _train_on_stream(
    plan: Plan,
    stream: Stream,
    state: MemberState,
    job: Job,
    record: Record,
    epochs: MemberEpochs,
) -> Checkpoint | None:
    """Train a member for all epochs in one call of `fit`."""
    weights_of_epoch = _WeightsOfEpoch()
    called = [epochs.callbacks] if job.callbacks else []
    around = _EpochsOfStream(plan, state, job, epochs)
    # `Model.fit` shuffles the batches of a `PyDataset` with the generator of Python.
    with record.user_code(), seeded_globals(job.member.seed), warnings.catch_warnings():
        # A source that ends too early would leave epochs without training.
        warnings.filterwarnings("error", message="Your input ran out of data")
        state.model.fit(
            stream.open(),
            steps_per_epoch=stream.steps_per_epoch,
            epochs=epochs.last,
            shuffle=stream.is_shuffled_by_keras,
            callbacks=[around, *called, weights_of_epoch, _Interrupts()],
            verbose=0,
        )
        # The state of a member that can be continued is not that of averages of its weights.
        weights_of_epoch.restore()
    return epochs.finish()
