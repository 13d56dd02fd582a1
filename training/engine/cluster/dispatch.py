"""Hands members out to the workers of a cluster, and again to others where a worker is lost."""

from __future__ import annotations

import itertools
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

from dropout_zoo.models.wording import count_of
from dropout_zoo.training.engine.interrupts import check_interrupt
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.members import Job

_LOOK_EVERY = 0.5  # seconds after which interrupts are looked for
_MOST_DEATHS = 2  # workers that may end while they have nothing but a member, their nodes living on
_MOST_LOSSES = 5  # workers that may end while they train it, for whatever reason


class Joined(NamedTuple):
    """A worker is ready.

    Attributes:
        worker: its name.
        slots: number of members that it trains at the same time.
        group: what it shares with all workers that compute the same bits.
    """

    worker: str
    slots: int
    group: str


class Lost(NamedTuple):
    """A worker has ended, or does not answer.

    Attributes:
        worker: its name.
        reason: why, as far as it is known.
        with_node: whether its node has ended too.
    """

    worker: str
    reason: str
    with_node: bool


class Finished(NamedTuple):
    """A worker has trained a member.

    Attributes:
        worker: its name.
        number: number of the job.
        outcome: what became of it; None if it was lost on the way.
    """

    worker: str
    number: int
    outcome: Any


Event: TypeAlias = Joined | Lost | Finished


class WorkerPool(Protocol):
    """The workers of a cluster, on machines that come and go."""

    def submit(self, worker: str, job: Job) -> None:
        """Hand a member to a worker; one that has ended meanwhile is reported as lost."""

    def events(self, timeout: float) -> Sequence[Event]:
        """Return what has happened, after waiting some seconds for it if necessary.

        Raises:
            Exception: whatever training has raised in a worker.
        """

    def stop(self) -> None:
        """End what the workers are training."""


@dataclass
class _Worker:
    slots: int
    group: str
    jobs: dict[int, Job] = field(default_factory=dict)  # in the order in which they are trained
    suspect: int | None = None


@dataclass
class _Group:
    """The workers that compute the same bits, and the members that only they may train."""

    idle: OrderedDict[str, None] = field(default_factory=OrderedDict)  # they have a free slot
    ahead: OrderedDict[str, None] = field(default_factory=OrderedDict)  # they can take one more
    size: int = 0
    waiting: deque[Job] = field(default_factory=deque)
    # Members that a worker had when it died. They are trained by workers that have nothing else, so
    # that the next death tells which member it is. A worker may have finished some of them, whose
    # outcomes died with it, so that all that it had are suspect.
    suspects: deque[Job] = field(default_factory=deque)
    emptying: dict[str, None] = field(default_factory=dict)  # workers that take a suspect next
    missing_since: float | None = None


class Dispatcher:
    """Hands out members, a little ahead of the workers.

    It takes the same time however many workers there are, which a thousand need. What a lost worker
    was training is handed out again. Members of one seed and split are trained by workers of one
    group, because they are compared in pairs. The first outcome of a member counts.

    Args:
        pool: the workers.
        patience: seconds to wait for workers where there are none that may train what is left.
        clock: returns the time in seconds.

    Attributes:
        slots: number of members that the present workers train at the same time.
    """

    def __init__(
        self,
        pool: WorkerPool,
        *,
        patience: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool, self._patience, self._clock = pool, patience, clock
        self.slots = 0
        self._room = 0
        self._workers: dict[str, _Worker] = {}
        self._groups: defaultdict[str, _Group] = defaultdict(_Group)
        self._group_of: dict[tuple[int, int], str] = {}  # by seed and split
        self._unbound: deque[Job] = deque()  # members whose seed no group has yet
        self._no_worker_since: float | None = None
        self._checked = clock()
        self._pending: dict[int, Job] = {}
        # By member: workers that ended while they trained it, and those that had nothing else.
        self._losses: Counter[int] = Counter()
        self._deaths: Counter[int] = Counter()

    def run(
        self,
        jobs: JobSource,
        finished: Callable[[Job, Any], None],
        failed: Callable[[Job, str], None],
    ) -> None:
        """Have members trained until the source is exhausted.

        Args:
            jobs: the members to train.
            finished: called with each member and its outcome.
            failed: called with each member that has ended too many workers, and the reason.

        Raises:
            RuntimeError: there have been no workers for the members that are left for too long.
        """
        self._finished, self._failed = finished, failed
        try:
            self.look(0.0)  # workers may have come and gone since the last run
            while True:
                limit = self._room if jobs.known else self.slots
                for job in jobs.take(len(self._pending), max(1, limit)):
                    self._pending[job.number] = job
                    self._queue(job)
                if not self._pending:
                    return
                self._hand_out()
                self.look(_LOOK_EVERY)
                self._check_workers()
                check_interrupt()
        except BaseException:
            self._forget_all()
            raise

    def look(self, timeout: float) -> None:
        """Take in what has happened; see `WorkerPool.events`."""
        for event in self._pool.events(timeout):
            if isinstance(event, Joined):
                self._join(event)
            elif isinstance(event, Lost):
                self._lose(event)
            else:
                self._finish(event)

    def _join(self, event: Joined) -> None:
        self._workers[event.worker] = _Worker(event.slots, event.group)
        self._groups[event.group].size += 1
        self.slots += event.slots
        self._room += event.slots + _ahead(event.slots)
        self._place(event.worker)

    def _lose(self, event: Lost) -> None:
        worker = self._workers.pop(event.worker, None)
        if worker is None:
            return
        group = self._groups[worker.group]
        group.size -= 1
        group.idle.pop(event.worker, None)
        group.ahead.pop(event.worker, None)
        group.emptying.pop(event.worker, None)
        self.slots -= worker.slots
        self._room -= worker.slots + _ahead(worker.slots)
        lost = [job for job in worker.jobs.values() if job.number in self._pending]
        again = group.waiting if event.with_node else group.suspects
        for position, job in reversed(list(enumerate(lost))):
            self._losses[job.number] += position < worker.slots
            self._deaths[job.number] += len(lost) == 1 and not event.with_node
            ended = self._why_failed(job.number)
            if ended is None:
                again.appendleft(job)
            else:
                self._settle(job.number)
                self._failed(job, f"{ended}; the last one: {event.reason}")

    def _why_failed(self, number: int) -> str | None:
        losses, deaths = self._losses[number], self._deaths[number]
        if deaths >= _MOST_DEATHS:
            return f"{count_of(deaths, 'worker')} ended while training nothing else"
        if losses >= _MOST_LOSSES:
            return f"{count_of(losses, 'worker')} ended while training it"
        return None

    def _finish(self, event: Finished) -> None:
        worker = self._workers.get(event.worker)
        if worker is not None:
            worker.jobs.pop(event.number, None)
            if worker.suspect == event.number:
                worker.suspect = None
            self._place(event.worker)
        job = self._pending.get(event.number)
        if job is None:  # another worker has trained it meanwhile
            return
        if event.outcome is None:
            self._groups[self._group_of[_pair(job)]].waiting.appendleft(job)
        else:
            self._settle(event.number)
            self._finished(job, event.outcome)

    def _settle(self, number: int) -> None:
        self._losses.pop(number, None)
        self._deaths.pop(number, None)
        del self._pending[number]

    def _queue(self, job: Job) -> None:
        group = self._group_of.get(_pair(job))
        (self._unbound if group is None else self._groups[group].waiting).append(job)

    def _hand_out(self) -> None:
        for name, group in self._groups.items():
            self._hand_out_suspects(group)
            while (worker := next(itertools.chain(group.idle, group.ahead), None)) is not None:
                job = self._first(group.waiting) or self._first_unbound(name)
                if job is None:
                    break
                self._submit(worker, job)

    def _hand_out_suspects(self, group: _Group) -> None:
        """Let as many workers as there are suspects finish what they have, and then train one."""
        wanted = max(0, len(group.suspects) - len(group.emptying))
        for worker in list(itertools.islice(itertools.chain(group.idle, group.ahead), wanted)):
            group.emptying[worker] = None
            self._place(worker)
        for worker in [each for each in group.emptying if not self._workers[each].jobs]:
            job = self._first(group.suspects)
            del group.emptying[worker]
            if job is None:
                self._place(worker)
            else:
                self._workers[worker].suspect = job.number
                self._submit(worker, job)

    def _submit(self, worker: str, job: Job) -> None:
        self._workers[worker].jobs[job.number] = job
        self._place(worker)
        self._pool.submit(worker, job)

    def _first(self, jobs: deque[Job]) -> Job | None:
        while jobs:
            job = jobs.popleft()
            if job.number in self._pending:
                return job
        return None

    def _first_unbound(self, name: str) -> Job | None:
        while self._unbound:
            job = self._unbound.popleft()
            bound = self._group_of.setdefault(_pair(job), name)
            if bound == name:
                return job
            self._groups[bound].waiting.append(job)
        return None

    def _place(self, name: str) -> None:
        """Put a worker behind those of its group that have as much room."""
        worker = self._workers[name]
        group = self._groups[worker.group]
        group.idle.pop(name, None)
        group.ahead.pop(name, None)
        if worker.suspect is not None or name in group.emptying:
            return
        held = len(worker.jobs)
        if held < worker.slots:
            group.idle[name] = None
        elif held < worker.slots + _ahead(worker.slots):
            group.ahead[name] = None

    def _check_workers(self) -> None:
        """Wait for workers that may train what is left, but not forever."""
        now = self._clock()
        if now - self._checked < _LOOK_EVERY:
            return
        self._checked = now
        self._no_worker_since = None if self._workers else self._no_worker_since or now
        if self._no_worker_since is not None and now - self._no_worker_since > self._patience:
            raise RuntimeError(
                f"expected a worker to train {count_of(len(self._pending), 'member')}, received "
                f"none for {self._patience:.0f} s; start nodes and resume"
            )
        for name, group in self._groups.items():
            misses = not group.size and (group.waiting or group.suspects)
            group.missing_since = (group.missing_since or now) if misses else None
            if group.missing_since is not None and now - group.missing_since > self._patience:
                raise RuntimeError(
                    f"expected a node whose processor computes the same bits as group {name}, "
                    "whose results the remaining members are compared with, received none for "
                    f"{self._patience:.0f} s; start a node of that kind, then resume"
                )

    def _forget_all(self) -> None:
        """End what is being trained; the workers join again for the next run."""
        self._pool.stop()
        self._pending.clear()
        self._losses.clear()
        self._deaths.clear()
        self._unbound.clear()
        self._workers.clear()
        self._groups.clear()
        self.slots = self._room = 0


def _ahead(slots: int) -> int:
    """How many members a worker holds beside those in training, so that it need not wait."""
    return max(1, slots // 4)


def _pair(job: Job) -> tuple[int, int]:
    """What the members that are compared in pairs have in common."""
    return job.member.seed, job.member.split
