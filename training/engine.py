"""The engine: trains members as fast as the cores allow, each as if it were alone."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.loop import Loop, Resident, Stopped, lean_executor
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.plan import Plan, Record


@dataclass(frozen=True)
class Job:
    """A member, ready for a loop.

    Attributes:
        number: its number among the members, which names its checkpoint.
        member: the member.
        rates: its rate (fraction dropped) at every site.
        weights: what it starts from.
    """

    number: int
    member: Member
    rates: Mapping[str, float]
    weights: Sequence[np.ndarray]


@dataclass(frozen=True)
class _Outcome:
    """What a loop has to say of a job: the record of its training, or an error of ours."""

    job: Job
    record: Record
    checkpoint: Checkpoint | None
    seconds: float
    error: BaseException | None = None


class Engine:
    """Loops in threads of their own, and the queues between them and the caller.

    Everything that draws from Python's random numbers (clones of models, initial weights) happens
    in the caller's thread, where nothing else draws at the same time.

    Args:
        plan: model, data and settings.
        loops: the largest number of loops.
        fused: whether TensorFlow's fused kernels do the update where there are any.
    """

    def __init__(self, plan: Plan, *, loops: int, fused: bool) -> None:
        self._plan, self._most, self._fused = plan, loops, fused
        self._data = Resident.of(plan)
        self._stop = threading.Event()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
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
        pending, exhausted = 0, False
        try:
            while True:
                while not exhausted and pending < self._most + ahead:
                    job = next(source, self)
                    if job is self:
                        exhausted = True
                    elif job is None:
                        break
                    else:
                        self._jobs.put(job)
                        pending += 1
                        if len(self._threads) < min(pending, self._most):
                            self._add_loop()
                if not pending:
                    if exhausted:
                        return trained
                    raise RuntimeError(
                        "expected a member to train, received None while none is being trained"
                    )
                outcome = self._outcomes.get()
                pending -= 1
                result = self._result(outcome)
                trained[outcome.job.number] = result
                if on_result is not None:
                    on_result(result)
        finally:
            self._close()

    def _result(self, outcome: _Outcome) -> TrainedMember:
        if outcome.error is not None:
            raise outcome.error
        name = f"{outcome.job.number:06d}"
        return outcome.record.result(outcome.seconds, outcome.checkpoint, name)

    def _add_loop(self) -> None:
        loop = Loop(self._plan, self._data, fused=self._fused, stop=self._stop)
        thread = threading.Thread(
            target=self._work, args=(loop,), name=f"loop-{len(self._threads)}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _close(self) -> None:
        self._stop.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, loop: Loop) -> None:
        with lean_executor():
            while (job := self._jobs.get()) is not None and not self._stop.is_set():
                started = time.perf_counter()
                record = Record(self._plan, job.member, job.rates)
                checkpoint, error = None, None
                try:
                    checkpoint = train_in(loop, self._plan, job, record)
                except Stopped:
                    return
                except BaseException as raised:  # the caller's thread raises it
                    error = raised
                seconds = time.perf_counter() - started
                self._outcomes.put(_Outcome(job, record, checkpoint, seconds, error))


def train_in(loop: Loop, plan: Plan, job: Job, record: Record) -> Checkpoint | None:
    """Train a member in a loop.

    Args:
        loop: the loop.
        plan: data and settings.
        job: the member.
        record: takes down what happens. An exception in the model's own code is its reason to
            have failed.

    Returns:
        The weights at the best epoch and, if the plan keeps it, the state after the last one;
        None if no epoch was finished.

    Raises:
        Stopped: the loop was told to stop.
        ValueError: the objective is not among the measured columns.
    """
    member, best = job.member, None
    loop.start(job.rates, job.weights, member.seed)
    if member.weights is not None:
        loop.resume(Checkpoint.load(member.weights))
    for epoch in range(member.initial_epoch, member.epochs or plan.epochs):
        try:
            running = loop.train_epoch(plan.batch_order(member, job.rates, epoch))
            logs = running, loop.evaluate("sample"), loop.evaluate("validation")
        except Stopped:
            raise
        except Exception as error:  # the user's own code may raise anything
            record.status, record.reason = "failed", f"{type(error).__name__}: {error}"
            break
        if record.add(epoch, *logs):
            best = loop.weights()
        if record.finished:
            break
    if best is None:
        return None
    return Checkpoint(best, *(loop.state() if plan.keep_state else ()))
