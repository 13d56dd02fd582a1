"""The engine on PyTorch: members trained by `Model.fit` in several processes."""

from __future__ import annotations

import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cloudpickle
import keras
import loky
import numpy as np
import psutil
import torch

from dropout_zoo.training.engine.base import EngineOptions, OnResult
from dropout_zoo.training.engine.cores import usable_cores
from dropout_zoo.training.engine.interrupts import OutOfTimeError, TimeLimit, check_interrupt
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.engine.keras_fit import fit_member
from dropout_zoo.training.engine.memory import memory_budget_or_default
from dropout_zoo.training.engine.sent_plan import check_can_be_sent, send_plan
from dropout_zoo.training.engine.torch.worker import reference_values, start_worker, train
from dropout_zoo.training.failure_reasons import reason_of
from dropout_zoo.training.members import Job, TrainedMember
from dropout_zoo.training.plan import Plan
from dropout_zoo.training.repeated_warnings import warn_once

_START_UP = 7.0  # seconds that workers take to import Keras and PyTorch
_SENDING = 1.5  # seconds that sending a plan to workers takes, and comparing what they compute
_IDLE = 300.0  # seconds after which workers without work end

Finished = Callable[[Job, TrainedMember], None]

_started: set[int] = set()  # numbers of workers that this program has started


def why_no_workers(plan: Plan) -> str | None:
    """Return why no worker process can train the members of a plan.

    Args:
        plan: model, data and settings.

    Returns:
        The reason, as the end of a sentence; None if one may.
    """
    if keras.ops.zeros(()).device.type != "cpu":
        return "worker processes on PyTorch train on CPUs only"
    try:
        check_can_be_sent(plan)
    except Exception as error:  # of any part of the user's own
        return f"the model cannot be sent to a worker process: {reason_of(error)}"
    return None


class ProcessEngine:
    """Trains members by `Model.fit`, in this process first and then in several worker processes.

    Starting workers takes seconds. So members are trained here until that has taken as long as
    starting workers would; then the members that are left, and the one that had been begun, are
    trained by workers. That takes at most about twice as long as the better of the two would have.
    Workers serve all engines of a program.

    Each member is trained on one thread, here too, because rounding depends on the number of
    threads: the results are the same wherever a member is trained.

    Args:
        plan: model, data and settings.
        options: how to train; there is one worker per usable core, as far as memory allows, unless
            `workers` says otherwise.

    Attributes:
        max_parallel: the largest number of members that are trained at the same time.
    """

    def __init__(self, plan: Plan, options: EngineOptions) -> None:
        self._plan = plan
        self.max_parallel = options.workers or min(usable_cores(), _workers_that_fit())
        self._seconds_here = 0.0
        self._here_only = self.max_parallel == 1
        self._folder: tempfile.TemporaryDirectory[str] | None = None  # of the plan, once it is sent

    def run(self, jobs: JobSource, *, on_result: OnResult | None) -> dict[int, TrainedMember]:
        """Train until the source is exhausted; see `Engine.run`."""
        trained: dict[int, TrainedMember] = {}

        def finished(job: Job, result: TrainedMember) -> None:
            trained[job.number] = result
            if on_result is not None:
                on_result(result)

        waiting: deque[Job] = deque()
        with _one_thread():
            while True:
                waiting.extend(jobs.take(len(waiting), self._limit(jobs)))
                if not waiting:
                    return trained
                if self._use_workers(len(waiting)):
                    self._train_in_workers(waiting, jobs, finished)
                else:
                    self._train_here(waiting, finished)

    def why_not(self, job: Job) -> str | None:
        """Return why the engine cannot train a member; see `Engine.why_not`."""
        if self._here_only:
            return None
        if job.callbacks:
            return "a worker process could not reach what their callbacks use in this one"
        try:
            cloudpickle.dumps(job.member)
        except Exception as error:  # of a schedule of the user's own
            return f"a schedule cannot be sent to a worker process: {reason_of(error)}"
        return None

    def _limit(self, jobs: JobSource) -> int:
        # Queuing twice as many jobs as workers keeps every worker busy.
        return self.max_parallel * (2 if jobs.known else 1)

    def _use_workers(self, num_waiting: int) -> bool:
        """Whether workers shall train from now on, which are then ready to."""
        if self._here_only or num_waiting == 1:
            return False
        if self._seconds_here < _worth(self._folder is not None):
            return False
        if self._folder is None:
            reason = self._send(min(num_waiting, self.max_parallel))
            if reason is not None:
                self._train_here_only(reason)
        return not self._here_only

    def _send(self, count: int) -> str | None:
        """Send the plan to workers, and return why they cannot train as this process does."""
        folder = tempfile.TemporaryDirectory(prefix="dropout-zoo-", ignore_cleanup_errors=True)
        try:
            send_plan(self._plan, Path(folder.name))
            with _workers(count) as workers:
                theirs = workers.submit(reference_values, Path(folder.name))
                ours = reference_values(self._plan)
                while not loky.wait([theirs], timeout=0.5).done:
                    check_interrupt()
                pairs = zip(ours, theirs.result(), strict=True)
                if all(np.array_equal(one, other, equal_nan=True) for one, other in pairs):
                    self._folder = folder
                    return None
            return "a worker process comes to other results with the model"
        except Exception as error:  # of the user's own code too
            return f"a worker process cannot train the model: {reason_of(error)}"

    def _train_here_only(self, reason: str) -> None:
        self._here_only = True
        message = f"Model.fit trains the members, one after another, because {reason}"
        warn_once(message)

    def _train_here(self, waiting: deque[Job], finished: Finished) -> None:
        """Train the first job, or stop when workers should train it."""
        job, started = waiting[0], time.perf_counter()
        left = _worth(self._folder is not None) - self._seconds_here
        limit = TimeLimit(float("inf") if self._here_only or len(waiting) == 1 else left)
        try:
            with limit:
                result = fit_member(self._plan, job.member, job.rates, job.number, job.callbacks)
        except OutOfTimeError:
            check_interrupt()  # it may have been the time of the caller
            return
        finally:
            self._seconds_here += time.perf_counter() - started
        waiting.popleft()
        finished(job, result)

    def _train_in_workers(self, waiting: deque[Job], jobs: JobSource, finished: Finished) -> None:
        assert self._folder is not None
        folder, running = Path(self._folder.name), dict[loky.Future, Job]()
        try:
            with _workers(min(len(waiting), self.max_parallel)) as workers:
                while True:
                    for job in waiting:
                        running[workers.submit(train, folder, job)] = job
                    waiting.clear()
                    waiting.extend(jobs.take(len(running), self._limit(jobs)))
                    if waiting:
                        continue
                    if not running:
                        return
                    for future in loky.wait(
                        running, timeout=0.5, return_when=loky.FIRST_COMPLETED
                    ).done:
                        outcome = future.result()
                        job = running.pop(future)
                        finished(job, outcome.result(self._plan, job))
                    check_interrupt()
        except loky.BrokenProcessPool:
            waiting.extendleft(reversed(running.values()))
            self._train_here_only("a worker process ended, as one that runs out of memory does")


def _worth(sent: bool) -> float:
    """After how many seconds of training in this process workers are worth what they take.

    Args:
        sent: whether they have been sent the plan.
    """
    if not _started:
        return _START_UP
    return 0.0 if sent else _SENDING


def _workers_that_fit() -> int:
    """How many more processes like this one half of the free memory holds, at least 1."""
    free = memory_budget_or_default(None)
    return max(1, free // int(psutil.Process().memory_info().rss))


@contextmanager
def _workers(count: int) -> Iterator[loky.ProcessPoolExecutor]:
    """At least this many workers; they are killed if the block is left by an error."""
    _started.add(count)
    workers = loky.get_reusable_executor(
        max_workers=max(_started),
        timeout=_IDLE,
        initializer=start_worker,
        initargs=(os.getpid(),),
        env={"KERAS_BACKEND": "torch"},
    )
    try:
        yield workers
    except BaseException:
        workers.shutdown(kill_workers=True)
        _started.clear()
        raise


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
