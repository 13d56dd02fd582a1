"""The workers of a Ray cluster: an actor on each node, or one for each GPU."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import time
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import keras
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from dropout_zoo.models.wording import count_of, one_line
from dropout_zoo.training.engine.cluster.dispatch import Event, Finished, Joined, Lost
from dropout_zoo.training.engine.cluster.worker import Worker
from dropout_zoo.training.engine.sent_plan import pack_job
from dropout_zoo.training.members import Job
from dropout_zoo.training.provenance import versions
from dropout_zoo.training.repeated_warnings import warn_once

logger = logging.getLogger("dropout_zoo.cluster")

_LOOK_FOR_NODES = 1.0  # seconds between two looks at the nodes
_PING_EVERY = 5.0
_NO_ANSWER = 60.0  # seconds after which a worker that does not answer is given up
_TO_START = 600.0  # the same while its process is started
_MOST_STARTS = 3  # of workers on a node that end before they are ready
_START, _PING = "start", "ping"
_REASON = 900  # characters of the reason why a node is not used

# Environment variables on which the results depend, which workers take over.
_SHARED_VARIABLES = ("TF_ENABLE_ONEDNN_OPTS", "TF_DETERMINISTIC_OPS", "XLA_FLAGS")


class _Place(NamedTuple):
    """Where there is to be a worker."""

    node: str
    host: str
    number: int  # among those of the node
    cpus: float
    gpus: int


@dataclass
class _Actor:
    """A worker that all plans of this process use."""

    name: str
    place: _Place
    handle: Any
    pinged: float = 0.0  # when the last ping was sent
    answered: bool = True


_actors: dict[_Place, _Actor] = {}
_names = itertools.count()
_plans = itertools.count()


@dataclass
class _Call:
    """A finished call: to train the job of this number, to start the plan, or to answer."""

    actor: _Actor
    what: int | str
    future: Any = field(repr=False)


class RayPool:
    """Trains the members of one plan on the nodes of the cluster that this process is part of.

    Args:
        packed: what `pack_plan` returned.
        options: arguments of `EngineOptions` for each worker.

    Attributes:
        refused: reasons why nodes are not used, by host.
    """

    def __init__(self, packed: Any, options: Mapping[str, Any]) -> None:
        self._name = f"{os.getpid()}-{next(_plans)}"
        self._packed, self._options = ray.put(packed), dict(options)
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._using: dict[str, _Actor] = {}  # the workers that have the plan, or are loading it
        self._slots: dict[str, int] = {}  # of those that are ready
        self.refused: dict[str, str] = {}
        self._failed_starts: Counter[_Place] = Counter()
        self._looked = -_LOOK_FOR_NODES
        forget = weakref.finalize(self, _forget, self._name)
        forget.atexit = False

    @property
    def starting(self) -> bool:
        """Whether there are workers that are not ready yet."""
        self._look_for_nodes()
        return len(self._slots) < len(self._using)

    def submit(self, worker: str, job: Job) -> None:
        """Hand a member to a worker; see `WorkerPool.submit`."""
        actor, weights = self._using.get(worker), job.member.weights
        if actor is not None:
            content = None if weights is None else weights.read_bytes()
            self._call(
                actor, job.number, actor.handle.train.remote(self._name, pack_job(job), content)
            )

    def events(self, timeout: float) -> list[Event]:
        """Return what has happened; see `WorkerPool.events`."""
        events = list(self._look_for_nodes())
        try:
            call = self._calls.get(timeout=0.0 if events else timeout)
            while True:
                events += self._events_of(call)
                call = self._calls.get_nowait()
        except queue.Empty:
            return events

    def stop(self) -> None:
        """End the workers; new ones are started when they are needed."""
        for actor in self._using.values():
            _end(actor)
        self._using.clear()
        self._slots.clear()

    def _look_for_nodes(self) -> Iterator[Event]:
        now = time.monotonic()
        if now - self._looked < _LOOK_FOR_NODES:
            return iter(())
        self._looked = now
        for place in _places():
            if place.host not in self.refused and self._failed_starts[place] < _MOST_STARTS:
                self._use(place)
        return iter([*self._gone(), *self._silent(now)])

    def _use(self, place: _Place) -> None:
        actor = _actors.get(place)
        if actor is None:
            actor = _actors[place] = _started(place)
        if actor.name not in self._using:
            self._using[actor.name] = actor
            workers = min(int(place.cpus), self._options["workers"] or int(place.cpus))
            start = actor.handle.start.remote(
                self._name, self._packed, self._options | {"workers": workers}, versions()
            )
            self._call(actor, _START, start)

    def _gone(self) -> Iterator[Event]:
        """Workers that another plan of this process has found to have ended."""
        for actor in list(self._using.values()):
            if _actors.get(actor.place) is not actor:
                yield from self._lose(actor, "ended")

    def _silent(self, now: float) -> Iterator[Event]:
        """Workers that do not answer; the others are asked to."""
        for actor in list(self._using.values()):
            if now - actor.pinged < _PING_EVERY:
                continue
            if actor.answered:
                actor.pinged, actor.answered = now, False
                self._call(actor, _PING, actor.handle.ping.remote())
                continue
            limit = _NO_ANSWER if actor.name in self._slots else _TO_START
            if now - actor.pinged > limit:
                _end(actor)
                yield from self._lose(actor, f"did not answer for {limit:.0f} s")

    def _call(self, actor: _Actor, what: int | str, reference: Any) -> None:
        reference.future().add_done_callback(partial(_put, self._calls, actor, what))

    def _events_of(self, call: _Call) -> Iterator[Event]:
        actor, error = call.actor, call.future.exception()
        if isinstance(error, ray.exceptions.RayActorError):
            yield from self._lose(actor, "ended, as a process does that runs out of memory")
        elif isinstance(call.what, int):
            yield self._finished(actor, call.what, error, call.future)
        elif error is None:
            yield from self._joined(actor, call.future.result())
        else:
            self._refuse(actor, error)

    def _finished(self, actor: _Actor, number: int, error: Any, future: Any) -> Finished:
        if isinstance(error, ray.exceptions.RayTaskError):
            raise error.cause
        if error is not None:  # the outcome was on a node that has left
            return Finished(actor.name, number, None)
        outcome = future.result()
        for message in outcome.warnings:
            warn_once(message)
        return Finished(actor.name, number, outcome)

    def _joined(self, actor: _Actor, ready: Any) -> Iterator[Event]:
        if actor.name not in self._using:
            return
        self._slots[actor.name] = ready.slots
        self._failed_starts.pop(actor.place, None)
        for message in ready.warnings:
            warn_once(message)
        logger.info(
            "Node %s has joined with %s on %s (group %s); %s",
            actor.place.host, count_of(ready.slots, "loop"), ready.processor, ready.group,
            self._totals(),
        )  # fmt: skip
        yield Joined(actor.name, ready.slots, ready.group)

    def _totals(self) -> str:
        slots = count_of(sum(self._slots.values()), "loop")
        return f"{count_of(len(self._slots), 'worker')} with {slots}"

    def _lose(self, actor: _Actor, reason: str) -> Iterator[Event]:
        if self._using.pop(actor.name, None) is None:
            return
        if _actors.get(actor.place) is actor:
            del _actors[actor.place]
        with_node = actor.place.node not in {place.node for place in _places()}
        if self._slots.pop(actor.name, None) is None:
            self._failed_starts[actor.place] += not with_node
        what = "has left" if with_node else f"has lost its worker, which {reason}"
        logger.warning("Node %s %s; %s", actor.place.host, what, self._totals())
        yield Lost(actor.name, f"on {actor.place.host}, it {reason}", with_node)

    def _refuse(self, actor: _Actor, error: Any) -> None:
        cause = getattr(error, "cause", error)
        reason = one_line(str(cause) or type(cause).__name__, _REASON)
        self.refused[actor.place.host] = reason
        self._using.pop(actor.name, None)
        warn_once(f"the node {actor.place.host} is not used: {reason}")


def _put(calls: queue.SimpleQueue[_Call], actor: _Actor, what: int | str, future: Any) -> None:
    """Take in a finished call, in a thread of Ray: also while this process does something else."""
    if what == _PING and future.exception() is None:
        actor.answered = True
    else:
        calls.put(_Call(actor, what, future))


def _places() -> list[_Place]:
    """One on each node with CPUs, or for each of its GPUs where JAX uses them."""
    places = []
    for node in ray.nodes():
        resources = node["Resources"] if node["Alive"] else {}
        cpus = resources.get("CPU", 0)
        gpus = int(resources.get("GPU", 0)) if keras.backend.backend() == "jax" else 0
        for number in range(gpus or int(cpus >= 1)):
            host = node["NodeManagerAddress"]
            places.append(_Place(node["NodeID"], host, number, cpus // (gpus or 1), int(gpus > 0)))
    return places


def _started(place: _Place) -> _Actor:
    environment = {name: os.environ.get(name) for name in _SHARED_VARIABLES}
    environment |= {"KERAS_BACKEND": keras.backend.backend(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if not place.gpus:  # that Ray gives it none does not hide them
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
    actor = ray.remote(Worker).options(
        num_cpus=place.cpus,
        num_gpus=place.gpus,
        max_restarts=0,
        max_task_retries=0,
        scheduling_strategy=NodeAffinitySchedulingStrategy(place.node, soft=False),
    )
    return _Actor(f"{place.host}-{next(_names)}", place, actor.remote(environment))


def _end(actor: _Actor) -> None:
    if _actors.get(actor.place) is actor:
        del _actors[actor.place]
    ray.kill(actor.handle, no_restart=True)


def _forget(plan: str) -> None:
    if ray.is_initialized():
        for actor in _actors.values():
            actor.handle.forget.remote(plan)
