"""The engine on TensorFlow: training loops on several cores, each member as if it were alone."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dropout_zoo.models.graph.runtime_rates import why_rates_are_constants
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.base import EngineOptions, OnResult
from dropout_zoo.training.engine.cores import usable_cores
from dropout_zoo.training.engine.epoch_loop import Logs, train_epochs
from dropout_zoo.training.engine.interrupts import check_interrupt
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.engine.member_callbacks import MemberCallbacks, why_not_between_epochs
from dropout_zoo.training.engine.memory import memory_budget_or_default
from dropout_zoo.training.engine.tensorflow.loop import Loop, StoppedError
from dropout_zoo.training.engine.tensorflow.streaming import InMemoryData, StreamedData, load_data
from dropout_zoo.training.engine.tensorflow.threads import prepare_threads
from dropout_zoo.training.members import Job, TrainedMember
from dropout_zoo.training.plan import Plan, Record
from dropout_zoo.training.repeated_warnings import warn_once

StartWeights = Sequence[np.ndarray]
LoadedData: TypeAlias = InMemoryData | StreamedData

_SPLITS_LOADED = 2  # splits of the data, besides the given one, that stay in memory

_SLOW_THREADS = (
    "TensorFlow runs every kernel on several threads, which makes small networks train up to twice "
    "as slowly; call dropout_zoo.training.prepare_threads() before creating a model or a tensor "
    "(in a notebook: restart the kernel and call it in the first cell)"
)


@dataclass(frozen=True)
class _Outcome:
    """What became of a job: the record of its training, or an error to raise."""

    job: Job
    record: Record
    checkpoint: Checkpoint | None
    seconds: float
    error: BaseException | None = None


class LoopEngine:
    """Training loops, each in a thread of its own, with queues between them and the caller.

    A loop is created when there is a job for it, and kept for the next run. Everything that draws
    from Python's random numbers (clones of models, initial weights) happens in the caller's
    thread, where nothing else draws at the same time.

    Args:
        plan: model, data and settings.
        options: how to train; there is one loop per usable core unless `workers` says otherwise.

    Attributes:
        max_parallel: the largest number of members that are trained at the same time.
    """

    def __init__(self, plan: Plan, options: EngineOptions) -> None:
        self.max_parallel = options.workers or usable_cores()
        if not prepare_threads(self.max_parallel):
            warn_once(_SLOW_THREADS)
        self._plan, self._fuse = plan, options.update == "auto"
        self._budget = memory_budget_or_default(options.memory_budget)
        self._data = load_data(plan.examples, self._budget, self.max_parallel)
        self._splits: dict[int, LoadedData] = {}
        self._stop = threading.Event()
        self._jobs: queue.SimpleQueue[tuple[Job, StartWeights, LoadedData] | None] = (
            queue.SimpleQueue()
        )
        # None where there is another job to take.
        self._outcomes: queue.SimpleQueue[_Outcome | None] = queue.SimpleQueue()
        self._loops: list[Loop] = []
        self._threads: list[threading.Thread] = []
        self._add_loop()  # raises if the model cannot be traced

    def run(self, jobs: JobSource, *, on_result: OnResult | None) -> dict[int, TrainedMember]:
        """Train until the source is exhausted; see `Engine.run`."""
        trained: dict[int, TrainedMember] = {}
        # Queuing twice as many jobs as loops keeps every loop busy.
        limit = self.max_parallel * (2 if jobs.known else 1)
        pending = 0
        jobs.on_arrival = lambda: self._outcomes.put(None)
        try:
            while True:
                for job in jobs.take(pending, limit):
                    start = self._plan.start_weights(job.member.seed)
                    self._jobs.put((job, start, self._examples(job.member.split)))
                    pending += 1
                    self._start_thread(pending)
                if not pending:
                    return trained
                outcome = self._next_outcome()
                if outcome is None:
                    continue
                pending -= 1
                result = self._result(outcome)
                trained[outcome.job.number] = result
                if on_result is not None:
                    on_result(result)
        finally:
            self._end_threads()

    def why_not(self, job: Job) -> str | None:
        """Return why the engine cannot train a member; see `Engine.why_not`."""
        return why_rates_are_constants(self._plan.sites, job.rates) or why_not_between_epochs(
            job.callbacks
        )

    def _examples(self, split: int) -> LoadedData:
        if split == 0:
            return self._data
        if split not in self._splits:
            if len(self._splits) >= _SPLITS_LOADED:
                self._splits.pop(next(iter(self._splits)))
            examples, share = self._plan.examples_of(split), self._budget // _SPLITS_LOADED
            self._splits[split] = load_data(examples, share, self.max_parallel)
        return self._splits[split]

    def _next_outcome(self) -> _Outcome | None:
        while True:
            check_interrupt()
            with suppress(queue.Empty):
                return self._outcomes.get(timeout=0.5)

    def _result(self, outcome: _Outcome) -> TrainedMember:
        if outcome.error is not None:
            raise outcome.error
        name = f"{outcome.job.number:06d}"
        return outcome.record.result(outcome.seconds, outcome.checkpoint, name)

    def _add_loop(self) -> None:
        template = self._loops[0] if self._loops else None
        loop = Loop(self._plan, self._data, fuse=self._fuse, stop=self._stop, template=template)
        self._loops.append(loop)

    def _start_thread(self, pending: int) -> None:
        """Start another thread if more jobs are pending than threads are running."""
        running = len(self._threads)
        if running == min(pending, self.max_parallel):
            return
        if running == len(self._loops):
            self._add_loop()
        thread = threading.Thread(
            target=self._work, args=(self._loops[running],), name=f"loop-{running}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _end_threads(self) -> None:
        self._stop.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            if thread.ident is not None:  # an interrupt may have come before it was started
                thread.join()
        self._threads.clear()
        for left in (self._jobs, self._outcomes):  # by a run that was interrupted
            with suppress(queue.Empty):
                while True:
                    left.get_nowait()
        self._stop.clear()

    def _work(self, loop: Loop) -> None:
        while (given := self._jobs.get()) is not None and not self._stop.is_set():
            job, start, loop.data = given
            started = time.perf_counter()
            record = Record(self._plan, job.member, job.rates)
            checkpoint, error = None, None
            try:
                checkpoint = train_job(loop, self._plan, job, start, record)
            except StoppedError:
                return
            except BaseException as raised:  # the caller's thread raises it
                error = raised
            seconds = time.perf_counter() - started
            self._outcomes.put(_Outcome(job, record, checkpoint, seconds, error))


def train_job(
    loop: Loop, plan: Plan, job: Job, start: StartWeights, record: Record
) -> Checkpoint | None:
    """Train a member in a loop.

    Args:
        loop: the loop.
        plan: data and settings.
        job: the member; its callbacks are called between epochs.
        start: its initial weights.
        record: records each epoch.

    Returns:
        As `train_epochs`.

    Raises:
        StoppedError: the loop was told to stop.
    """

    def run_epoch(epoch: int, callbacks: MemberCallbacks) -> tuple[Logs, Logs, Logs]:
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(epoch)
        order = plan.batch_order(job.member, job.rates, epoch)
        if callbacks.stopped:  # as `Model.fit`, which asks after each batch
            order = order[: plan.settings.batch_size]
        running = loop.train_epoch(order)
        for each in job.callbacks:  # for `TerminateOnNaN`; the others do nothing then
            each.on_train_batch_end(plan.num_steps - 1, running)
        return running, loop.evaluate("sample"), loop.evaluate("validation")

    return train_epochs(plan, job, start, loop.state, record, run_epoch)
