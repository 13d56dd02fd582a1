"""The engine: trains members as fast as the cores allow, each as if it were alone."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.interrupts import check_interrupt
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.engine.tensorflow.loop import Loop, StoppedError
from dropout_zoo.training.engine.tensorflow.streaming import examples_of
from dropout_zoo.training.failure_reasons import reason_of
from dropout_zoo.training.members import Job, TrainedMember
from dropout_zoo.training.plan import Plan, Record

Start = Sequence[np.ndarray]  # weights that a member starts from


@dataclass(frozen=True)
class _Outcome:
    """What a loop has to say of a job: the record of its training, or an error of ours."""

    job: Job
    record: Record
    checkpoint: Checkpoint | None
    seconds: float
    error: BaseException | None = None


class Engine:
    """Loops, each run in a thread of its own, and the queues between them and the caller.

    Loops are made when there is work for them, and stay for the next run. Everything that draws
    from Python's random numbers (clones of models, initial weights) happens in the caller's
    thread, where nothing else draws at the same time.

    Args:
        plan: model, data and settings.
        loops: the largest number of loops.
        fuse: whether TensorFlow's fused kernels do the update where there are any.
        memory_budget: bytes up to which the data are brought into memory; larger ones are
            streamed.

    Attributes:
        most: the largest number of members that are trained at the same time.
    """

    def __init__(self, plan: Plan, *, loops: int, fuse: bool, memory_budget: int) -> None:
        self._plan, self.most, self._fuse = plan, loops, fuse
        self._data = examples_of(plan, memory_budget, loops)
        self._stop = threading.Event()
        self._jobs: queue.SimpleQueue[tuple[Job, Start] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
        self._loops: list[Loop] = []
        self._threads: list[threading.Thread] = []
        self._add_loop()  # a model that cannot be traced says so here

    def run(
        self,
        source: Iterator[Job | None],
        *,
        ahead: int,
        on_result: Callable[[TrainedMember], None] | None,
    ) -> dict[int, TrainedMember]:
        """Train what the source yields until it is exhausted.

        Args:
            source: yields jobs; None means that none can be given before another one is done.
            ahead: how many jobs to take from the source before a loop is free for them.
            on_result: hears of each trained member, in this thread.

        Returns:
            The trained members by number.

        Raises:
            RuntimeError: the source yields nothing although no job is under way.
        """
        trained: dict[int, TrainedMember] = {}
        jobs, pending = JobSource(source), 0
        try:
            while True:
                for job in jobs.take(pending, self.most + ahead):
                    self._jobs.put((job, self._plan.start_weights(job.member.seed)))
                    pending += 1
                    self._start_thread(pending)
                if not pending:
                    return trained
                outcome = self._next_outcome()
                pending -= 1
                result = self._result(outcome)
                trained[outcome.job.number] = result
                if on_result is not None:
                    on_result(result)
        finally:
            self._end_threads()

    def _next_outcome(self) -> _Outcome:
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
        like = self._loops[0] if self._loops else None
        loop = Loop(self._plan, self._data, fuse=self._fuse, stop=self._stop, like=like)
        self._loops.append(loop)

    def _start_thread(self, pending: int) -> None:
        """Start one more thread where more jobs are pending than threads are running."""
        running = len(self._threads)
        if running == min(pending, self.most):
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
        for left in (self._jobs, self._outcomes):  # of a run that was cut off
            with suppress(queue.Empty):
                while True:
                    left.get_nowait()
        self._stop.clear()

    def _work(self, loop: Loop) -> None:
        while (given := self._jobs.get()) is not None and not self._stop.is_set():
            job, start = given
            started = time.perf_counter()
            record = Record(self._plan, job.member, job.rates)
            checkpoint, error = None, None
            try:
                checkpoint = train_in(loop, self._plan, job, start, record)
            except StoppedError:
                return
            except BaseException as raised:  # the caller's thread raises it
                error = raised
            seconds = time.perf_counter() - started
            self._outcomes.put(_Outcome(job, record, checkpoint, seconds, error))


def train_in(loop: Loop, plan: Plan, job: Job, start: Start, record: Record) -> Checkpoint | None:
    """Train a member in a loop.

    Args:
        loop: the loop.
        plan: data and settings.
        job: the member.
        start: the weights it starts from.
        record: takes down what happens. An exception in the model's own code is its reason to
            have failed.

    Returns:
        The weights at the best epoch and, if the plan keeps it, the state after the last one;
        None if no epoch was finished.

    Raises:
        StoppedError: the loop was told to stop.
    """
    member, best, holder = job.member, None, loop.holder
    holder.start(job.rates, start, member.seed)
    if member.weights is not None:
        holder.resume(Checkpoint.load(member.weights))
    for epoch in range(member.initial_epoch, member.epochs or plan.settings.epochs):
        if member.schedule is not None:
            holder.set_factor(member.schedule.factor(epoch))
        try:
            running = loop.train_epoch(plan.batch_order(member, job.rates, epoch))
            logs = running, loop.evaluate("sample"), loop.evaluate("validation")
        except StoppedError:
            raise
        except Exception as error:  # the user's own code may raise anything
            record.status, record.reason = "failed", reason_of(error)
            break
        if record.add(epoch, *logs):
            best = holder.weights_now()
        if record.finished:
            break
    return None if best is None else holder.checkpoint(best, plan.keep_state)
