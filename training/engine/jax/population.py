"""The engine on JAX: members vectorized in one program, epoch by epoch."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dropout_zoo.models.graph.runtime_rates import why_rates_are_constants, with_runtime_rates
from dropout_zoo.models.keras_internals import symbolic_build
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.base import EngineOptions, OnResult
from dropout_zoo.training.engine.interrupts import check_interrupt
from dropout_zoo.training.engine.jax import slots
from dropout_zoo.training.engine.jax.epochs import State, VectorizedEpochs
from dropout_zoo.training.engine.jax.vectorized_layers import vectorize_layers
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.engine.member_state import MemberState
from dropout_zoo.training.members import Job, TrainedMember
from dropout_zoo.training.plan import Plan, Record

SHARE_OF_DEVICE = 0.8  # of its free memory; XLA allocates the rest
MEMORY_WHERE_UNKNOWN = 2 * 2**30  # bytes for members, where the device is the main memory
_WIDEST_RATIO = 4  # slots per member above which compiling a narrower program pays off


@dataclass
class _RunningMember:
    """A member that is being trained, and its progress."""

    job: Job
    record: Record
    epoch: int
    last: int
    seconds: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether it has trained its last epoch, perhaps in an earlier run."""
        return self.record.finished or self.epoch >= self.last


class PopulationEngine:
    """Trains members along the first axis of every array, by `jax.vmap`, one epoch at a time.

    Each index of that axis is a slot. A member that has finished, stalled or diverged leaves its
    slot to the next one between two epochs. Slots are computed independently of each other, and
    the results of empty ones are not read. The time of an epoch is shared out evenly among its
    members. An interrupt takes effect after the current steps, or the compilation of a program.

    Args:
        plan: model, data and settings.
        options: how to train; as many members as fit in memory are trained at the same time
            unless `workers` allows fewer. Keras's own optimizer updates the weights.

    Attributes:
        max_parallel: the largest number of members that are trained at the same time.
    """

    def __init__(self, plan: Plan, options: EngineOptions) -> None:
        self._plan = plan
        model = with_runtime_rates(plan.model)
        vectorize_layers(model)
        self._one_member = MemberState(model)
        symbolic_build(model, plan.one_example())
        self._epochs = VectorizedEpochs(model, plan, self._one_member.generators)
        self._epochs.check_traceable()  # raises if the model cannot be vectorized
        fitting = members_that_fit(self._epochs.bytes_per_member())
        self.max_parallel = fitting if options.workers is None else min(options.workers, fitting)
        places = [
            *model.trainable_variables,
            *model.non_trainable_variables,
            *model.optimizer.variables,
        ]
        self._places = {id(variable): place for place, variable in enumerate(places)}
        self._before_start = jax.device_get(jax.tree.leaves(self._epochs.current()))
        self._split = 0
        self._waiting: list[Job] = []
        self._widths: set[int] = set()  # numbers of slots for which programs have been compiled
        self._empty()

    def run(self, jobs: JobSource, *, on_result: OnResult | None) -> dict[int, TrainedMember]:
        """Train until the source is exhausted; see `Engine.run`."""
        trained: dict[int, TrainedMember] = {}
        try:
            while True:
                running = len(self._members())
                self._waiting += jobs.take(running + len(self._waiting), self.max_parallel)
                if not running and not self._waiting:
                    return trained
                self._start(self._next_of_one_split(running))
                check_interrupt()
                # Patience may have ended members in an earlier run: they are not trained again.
                for number, result in itertools.chain(self._finish(), self._train_epoch()):
                    trained[number] = result
                    if on_result is not None:
                        on_result(result)
        finally:
            self._empty()

    def why_not(self, job: Job) -> str | None:
        """Return why the engine cannot train a member; see `Engine.why_not`."""
        if job.callbacks:
            return "the engine on JAX calls no callbacks"
        return why_rates_are_constants(self._plan.sites, job.rates)

    def _next_of_one_split(self, running: int) -> list[Job]:
        """Take the waiting jobs that are trained on the same examples as the running ones."""
        if not running and self._waiting[0].member.split != self._split:
            self._split = self._waiting[0].member.split
            self._epochs.load(self._plan.examples_of(self._split))
        chosen = [job for job in self._waiting if job.member.split == self._split]
        self._waiting = [job for job in self._waiting if job.member.split != self._split]
        return chosen

    def _empty(self) -> None:
        self._waiting = []
        self._slots: list[_RunningMember | None] = []
        self._state: State = ([], [], [])
        self._best: list[jax.Array] = []

    def _members(self) -> list[tuple[int, _RunningMember]]:
        return [(place, slot) for place, slot in enumerate(self._slots) if slot is not None]

    def _start(self, jobs: Sequence[Job]) -> None:
        """Give each job a slot, and set the initial state of that slot."""
        plan = self._plan
        self._make_room(len(jobs))
        free = [place for place, slot in enumerate(self._slots) if slot is None][: len(jobs)]
        for job, place in zip(jobs, free, strict=True):
            member = job.member
            last = member.epochs or plan.settings.epochs
            record = Record(plan, member, job.rates)
            self._slots[place] = _RunningMember(job, record, member.initial_epoch, last)
        for batch in slots.batches(len(jobs), _bytes_of(self._before_start)):
            places = free[batch]
            earlier = [_earlier(job) for job in jobs[batch]]
            values = [
                self._start_values(job, each)
                for job, each in zip(jobs[batch], earlier, strict=True)
            ]
            self._state = slots.write(self._state, places, values)
            continued = {
                place: each
                for place, each in zip(places, earlier, strict=True)
                if each is not None and each.rows
            }
            for place, each in continued.items():
                slot = self._slots[place]
                assert slot is not None
                slot.record.resume(each.rows)
            if continued:
                best = [each.best for each in continued.values()]
                self._best = slots.write(self._best, list(continued), best)

    def _start_values(self, job: Job, resumed: Checkpoint | None) -> list[Any]:
        """The values of a member's state at its start."""
        member = job.member
        weights = self._plan.start_weights(member.seed)
        values = list(self._before_start)
        for variable, value in self._one_member.start_values(
            job.rates, weights, member.seed, resumed
        ):
            values[self._places[id(variable)]] = value
        return values

    def _make_room(self, count: int) -> None:
        """Resize the slots to what is needed, or to a little more where that saves compiling."""
        members = self._members()
        wanted, width = len(members) + count, len(self._slots)
        if wanted <= width <= _WIDEST_RATIO * wanted:
            return
        known = [w for w in self._widths if wanted <= w <= _WIDEST_RATIO * wanted]
        # A population that grows now may grow again, so its width doubles.
        enough = max(wanted, 2 * width * (wanted > width))
        width = min(known, default=min(self.max_parallel, enough))
        self._widths.add(width)
        places = [place for place, _ in members]
        rows = np.array(places + [0] * (width - len(places)))
        state = self._state
        if not self._slots:
            state = slots.alone(self._epochs.current())
        best = self._best or self._weights(state)
        self._state, self._best = slots.selected((state, best), rows)
        self._slots = [slot for _, slot in members] + [None] * (width - len(members))

    def _train_epoch(self) -> Iterator[tuple[int, TrainedMember]]:
        """Train an epoch, and yield the members for which it was the last one."""
        started = time.perf_counter()
        members = [(place, slot) for place, slot in self._members() if not slot.finished]
        improved = np.zeros(len(self._slots), bool)
        if members:
            self._schedule_rates(members)
            self._state, logs = self._epochs.run(self._state, self._orders(members))
        for place, slot in members:
            of_slot = [
                {name: _as_python(values[place]) for name, values in sorted(part.items())}
                for part in logs
            ]
            improved[place] = slot.record.add(slot.epoch, *of_slot)
            slot.epoch += 1
        if improved.any():
            self._best = _keep(self._best, self._weights(self._state), improved)
        for _, slot in members:
            slot.seconds += (time.perf_counter() - started) / len(members)
        yield from self._finish()

    def _finish(self) -> Iterator[tuple[int, TrainedMember]]:
        """Yield the members that are finished, and free their slots."""
        finished = [(place, slot) for place, slot in self._members() if slot.finished]
        for place, _ in finished:
            self._slots[place] = None
        for batch in slots.batches(len(finished), _bytes_of(self._before_start)):
            for (_, slot), checkpoint in zip(
                finished[batch], self._checkpoints(finished[batch]), strict=True
            ):
                name = f"{slot.job.number:06d}"
                result = slot.record.result(
                    slot.seconds, checkpoint if slot.record.best.epoch else None, name
                )
                yield slot.job.number, result

    def _schedule_rates(self, members: Sequence[tuple[int, _RunningMember]]) -> None:
        """Set the rates of the members with a schedule for their next epoch."""
        columns: dict[int, dict[int, float]] = defaultdict(dict)
        for place, slot in members:
            schedule = slot.job.member.schedule
            if schedule is not None:
                factor = schedule.factor(slot.epoch)
                for variable, value in self._one_member.coefficients(slot.job.rates, factor):
                    columns[self._places[id(variable)]][place] = value
        trainable, fixed, _ = self._state
        for index, by_place in columns.items():
            column = np.array(fixed[index - len(trainable)])
            column[list(by_place)] = list(by_place.values())
            fixed[index - len(trainable)] = jnp.asarray(column)

    def _orders(self, members: Sequence[tuple[int, _RunningMember]]) -> np.ndarray:
        """The orders of the data: one row per slot, or one row that all members share."""
        order = self._plan.settings.order
        drawn: dict[Any, np.ndarray] = {}
        keys = {}
        for place, slot in members:
            job = slot.job
            seed = None if order == "shared" else job.member.seed
            rates = tuple(job.rates.items()) if order == "independent" else None
            key = keys[place] = slot.epoch, seed, rates
            if key not in drawn:
                drawn[key] = self._plan.batch_order(job.member, job.rates, slot.epoch)
        first = next(iter(drawn.values()))
        if len(drawn) == 1:
            return first
        return np.stack(
            [drawn[keys[place]] if place in keys else first for place in range(len(self._slots))]
        )

    def _weights(self, state: State) -> list[Any]:
        values = jax.tree.leaves(state)
        return [values[self._places[id(variable)]] for variable in self._one_member.weights]

    def _checkpoints(self, members: Sequence[tuple[int, _RunningMember]]) -> list[Checkpoint]:
        """The weights of the best epoch and, if the plan keeps it, the state to continue from."""
        places = [place for place, _ in members]
        best = slots.read(self._best, places)
        if not self._plan.keep_state:
            return [Checkpoint(weights) for weights in best]
        states = slots.read(self._state, places)
        return [
            Checkpoint(
                weights, self._weights(state), state[2], self._seeds(state), rows=slot.record.rows
            )
            for weights, state, (_, slot) in zip(best, states, members, strict=True)
        ]

    def _seeds(self, state: State) -> list[Any]:
        values = jax.tree.leaves(state)
        return [values[self._places[id(g.state)]] for g in self._one_member.generators]


def members_that_fit(bytes_per_member: int) -> int:
    """Return how many members fit in the device's memory, at least one.

    Args:
        bytes_per_member: memory that each of them takes.

    Returns:
        Their number.
    """
    stats = jax.local_devices()[0].memory_stats()
    memory: float = MEMORY_WHERE_UNKNOWN
    if stats and "bytes_limit" in stats:
        memory = SHARE_OF_DEVICE * (stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    return max(1, int(memory / bytes_per_member))


def _earlier(job: Job) -> Checkpoint | None:
    return None if job.member.weights is None else Checkpoint.load(job.member.weights)


def _bytes_of(values: Sequence[Any]) -> int:
    return sum(value.nbytes for value in values)


@jax.jit(donate_argnums=0)
def _keep(best: list[jax.Array], now: list[jax.Array], improved: jax.Array) -> list[jax.Array]:
    def chosen(old: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.where(improved.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    kept: list[jax.Array] = jax.tree.map(chosen, best, now)
    return kept


def _as_python(value: np.ndarray) -> Any:
    """A float, as `Model.fit` reports it, or an array where there are several numbers."""
    return float(value) if np.ndim(value) == 0 else value
