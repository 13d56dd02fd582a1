"""The engine on Keras's JAX backend: members side by side in one program, epoch by epoch."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dropout_zoo.models.graph.runtime_rates import with_runtime_rates
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.interrupts import check_interrupt
from dropout_zoo.training.engine.jax.epochs import State, VectorisedEpochs
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.engine.member_state import MemberHolder
from dropout_zoo.training.members import Job, TrainedMember
from dropout_zoo.training.plan import Plan, Record

SHARE_OF_DEVICE = 0.8  # of its free memory; the rest is for what XLA allocates besides
MEMORY_WHERE_UNKNOWN = 2 * 2**30  # bytes for members; main memory holds much besides
_WIDEST_RATIO = 4  # slots a member, from which on a narrower program is worth compiling


@dataclass
class _Slot:
    """A member under way."""

    job: Job
    record: Record
    epoch: int
    last: int
    seconds: float = 0.0


class Population:
    """Members in slots, vectorised by `jax.vmap`: all slots train an epoch at the same time.

    A member that is finished, stalled or diverged hands its slot to the next one between two
    epochs. Slots compute independently of each other: what one holds touches no other, and
    nobody reads what an empty one computes. The seconds of a member are its share of those that
    all took together. An interrupt waits for the steps under way, or for a program to be compiled.

    Args:
        plan: model, data and settings.
        most: the largest number of members at once; None for as many as memory holds.

    Attributes:
        most: the largest number of members that are trained at the same time.
    """

    def __init__(self, plan: Plan, *, most: int | None) -> None:
        self._plan = plan
        model = with_runtime_rates(plan.model)
        self._holder = MemberHolder(model)
        model._symbolic_build(data_batch=plan.one_example())
        self._epochs = VectorisedEpochs(model, plan)
        self._epochs.traced()  # a model that cannot be vectorised says so here
        fitting = members_that_fit(self._epochs.bytes_a_member())
        self.most = fitting if most is None else min(most, fitting)
        places = [
            *model.trainable_variables,
            *model.non_trainable_variables,
            *model.optimizer.variables,
        ]
        self._places = {id(variable): place for place, variable in enumerate(places)}
        self._widths: set[int] = set()  # those that programs have been compiled for
        self._empty()

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
            ahead: without effect: jobs are taken between epochs, when slots are free.
            on_result: hears of each trained member, in this thread.

        Returns:
            The trained members by number.

        Raises:
            RuntimeError: the source yields nothing although no job is under way.
        """
        trained: dict[int, TrainedMember] = {}
        jobs = JobSource(source)
        try:
            while True:
                under_way = len(self._members())
                new = list(jobs.take(under_way, self.most))
                if not under_way and not new:
                    return trained
                self._start(new)
                check_interrupt()
                for number, result in self._train_epoch():
                    trained[number] = result
                    if on_result is not None:
                        on_result(result)
        finally:
            self._empty()

    def _empty(self) -> None:
        self._slots: list[_Slot | None] = []
        self._state: State = ([], [], [])
        self._best: list[jax.Array] = []

    def _members(self) -> list[tuple[int, _Slot]]:
        return [(place, slot) for place, slot in enumerate(self._slots) if slot is not None]

    def _start(self, jobs: Sequence[Job]) -> None:
        """Give each job a slot, and its slot the state that it begins with."""
        plan = self._plan
        self._make_room(len(jobs))
        free = (place for place, slot in enumerate(self._slots) if slot is None)
        for job, place in zip(jobs, free, strict=False):
            member = job.member
            self._holder.start(job.rates, plan.start_weights(member.seed), member.seed)
            if member.weights is not None:
                self._holder.resume(Checkpoint.load(member.weights))
            self._state = _put(self._state, self._epochs.current(), place)
            last = member.epochs or plan.settings.epochs
            record = Record(plan, member, job.rates)
            self._slots[place] = _Slot(job, record, member.initial_epoch, last)

    def _make_room(self, count: int) -> None:
        """Have as many slots as are wanted, or some more where that saves compiling."""
        members = self._members()
        wanted, width = len(members) + count, len(self._slots)
        if wanted <= width <= _WIDEST_RATIO * wanted:
            return
        known = [w for w in self._widths if wanted <= w <= _WIDEST_RATIO * wanted]
        # One that grows now may grow again.
        width = min(known, default=min(self.most, max(wanted, 2 * width * (wanted > width))))
        self._widths.add(width)
        places = [place for place, _ in members]
        rows = np.array(places + [0] * (width - len(places)))
        state = self._state
        if not self._slots:
            state = jax.tree.map(lambda value: value[None], self._epochs.current())
        best = self._best or self._weights(state)
        self._state, self._best = jax.tree.map(lambda value: value[rows], (state, best))
        self._slots = [slot for _, slot in members] + [None] * (width - len(members))

    def _train_epoch(self) -> Iterator[tuple[int, TrainedMember]]:
        """Train an epoch; the members for which it was the last one."""
        started = time.perf_counter()
        members = [(place, slot) for place, slot in self._members() if slot.epoch < slot.last]
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
        for place, slot in self._members():
            if slot.record.finished or slot.epoch >= slot.last:
                self._slots[place] = None
                name = f"{slot.job.number:06d}"
                result = slot.record.result(slot.seconds, self._checkpoint(place, slot), name)
                yield slot.job.number, result

    def _schedule_rates(self, members: Sequence[tuple[int, _Slot]]) -> None:
        """Have the members with a schedule drop as much as it says for their next epoch."""
        columns: dict[int, dict[int, float]] = defaultdict(dict)
        for place, slot in members:
            schedule = slot.job.member.schedule
            if schedule is not None:
                factor = schedule.factor(slot.epoch)
                for variable, value in self._holder.coefficients(slot.job.rates, factor):
                    columns[self._places[id(variable)]][place] = value
        trainable, fixed, _ = self._state
        for index, by_place in columns.items():
            column = np.array(fixed[index - len(trainable)])
            column[list(by_place)] = list(by_place.values())
            fixed[index - len(trainable)] = jnp.asarray(column)

    def _orders(self, members: Sequence[tuple[int, _Slot]]) -> np.ndarray:
        """The orders of the data: a row a slot, or one row where all members share it."""
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
        return [values[self._places[id(variable)]] for variable in self._holder.weights]

    def _checkpoint(self, place: int, slot: _Slot) -> Checkpoint | None:
        """The weights at the best epoch, and what it takes to continue, if the plan keeps it."""
        if not slot.record.best.epoch:
            return None
        best = jax.device_get(_take(self._best, place))
        if not self._plan.keep_state:
            return Checkpoint(best)
        _, _, optimizer = state = jax.device_get(_take(self._state, place))
        values = jax.tree.leaves(state)
        seeds = [values[self._places[id(g.state)]] for g in self._holder.generators]
        return Checkpoint(best, self._weights(state), optimizer, seeds)


def members_that_fit(bytes_a_member: int) -> int:
    """How many members a device holds at the same time, at least one.

    Args:
        bytes_a_member: memory that each of them takes.

    Returns:
        Their number.
    """
    stats = jax.local_devices()[0].memory_stats()
    memory: float = MEMORY_WHERE_UNKNOWN
    if stats and "bytes_limit" in stats:
        memory = SHARE_OF_DEVICE * (stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    return max(1, int(memory / bytes_a_member))


@jax.jit(donate_argnums=0)
def _put(state: State, of_one: State, place: int) -> State:
    return jax.tree.map(lambda values, value: values.at[place].set(value), state, of_one)


@jax.jit
def _take(state: Any, place: int) -> Any:
    return jax.tree.map(lambda values: values[place], state)


@jax.jit(donate_argnums=0)
def _keep(best: list[jax.Array], now: list[jax.Array], improved: jax.Array) -> list[jax.Array]:
    def chosen(old: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.where(improved.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(chosen, best, now)


def _as_python(value: np.ndarray) -> Any:
    """A number, as `Model.fit` reports it; values that are no single number stay arrays."""
    return float(value) if np.ndim(value) == 0 else value
