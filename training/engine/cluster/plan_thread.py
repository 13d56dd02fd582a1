"""The thread of a worker that trains the members of one plan."""

from __future__ import annotations

import hashlib
import queue
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras

from dropout_zoo.training.engine.base import EngineOptions
from dropout_zoo.training.engine.comparison_with_fit import reference_run
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.engine.selection import jobs_for, start_engine
from dropout_zoo.training.engine.sent_plan import PackedPlan, load_packed_plan
from dropout_zoo.training.members import Job, TrainedMember
from dropout_zoo.training.plan import Plan
from dropout_zoo.training.provenance import processor_name, versions

_DIGITS = 8  # of the name of a group


class Ready(NamedTuple):
    """What a driver has to know of a worker.

    Attributes:
        slots: number of members that it trains at the same time.
        group: name that it shares with all workers that compute the same bits.
        processor: name of its processor.
        warnings: messages for the user.
    """

    slots: int
    group: str
    processor: str
    warnings: list[str]


class Outcome(NamedTuple):
    """What became of a member.

    Attributes:
        trained: the result, without the model and without a checkpoint.
        weights: contents of the file of its checkpoint, if an epoch was finished.
        warnings: messages for the user.
    """

    trained: TrainedMember
    weights: bytes | None
    warnings: list[str]


def check_versions(expected: Mapping[str, str]) -> None:
    """Check that this machine has the versions of another one.

    Args:
        expected: what `versions` returns there.

    Raises:
        ValueError: it has others.
    """
    own = versions()
    differences = [
        f"{name} {own.get(name, 'none')} in place of {version}"
        for name, version in expected.items()
        if own.get(name) != version
    ]
    if differences:
        raise ValueError(
            f"expected the versions of the driver, received {', '.join(differences)}; install the "
            "same versions on every machine"
        )


class PlanThread(threading.Thread):
    """Loads a plan, starts its engine and trains members until it is told to end.

    Args:
        packed: the plan, from `pack_plan`.
        options: arguments of `EngineOptions`.

    Attributes:
        ready: what the driver has to know, once members can be trained.
    """

    def __init__(self, packed: PackedPlan, options: Mapping[str, Any]) -> None:
        super().__init__(daemon=True)
        self.ready: Future[Ready] = Future()
        self._packed, self._options = packed, EngineOptions(**options)
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._futures: dict[int, Future[Outcome]] = {}
        self._source: JobSource | None = None
        self._ended = False
        self._warned: list[str] = []

    def train(self, job: Job, weights: bytes | None) -> Future[Outcome]:
        """Train a member, from any thread; see `Worker.train`."""
        self._futures[job.number] = future = Future[Outcome]()
        if weights is not None:
            path = self._folder / f"start-{job.number:06d}.npz"
            path.write_bytes(weights)
            job = replace(job, member=replace(job.member, weights=path))
        self._put(job)
        return future

    def end(self) -> None:
        """End when the members are trained that have been handed in."""
        self._put(None)

    def _put(self, job: Job | None) -> None:
        self._jobs.put(job)
        if self._source is not None:
            self._source.on_arrival()

    def run(self) -> None:
        """Do all this."""
        warnings.simplefilter("always")
        warnings.showwarning = self._keep_warning  # type: ignore[assignment]
        try:
            with tempfile.TemporaryDirectory(prefix="dropout-zoo-") as folder:
                self._folder = Path(folder)
                if keras.backend.backend() == "tensorflow" and self._options.workers:
                    from dropout_zoo.training.engine.tensorflow.threads import prepare_threads

                    prepare_threads(self._options.workers)  # before there is a model
                plan = replace(load_packed_plan(*self._packed), directory=self._folder)
                self._warned.clear()  # those of Keras as it loads a model
                engine = start_engine(plan, self._options)
                self._group = _group(plan)
                slots, processor = engine.max_parallel, processor_name()
                self.ready.set_result(Ready(slots, self._group, processor, self._warnings_now()))
                while not self._ended:
                    self._train(engine, plan)
        except BaseException as error:
            if not self.ready.done():
                self.ready.set_exception(error)

    def _train(self, engine: Any, plan: Plan) -> None:
        """Train until the end, or until the training raises, which the driver then does too."""
        self._given = self._finished = 0
        jobs = jobs_for(engine, plan, self._next_jobs(), lambda _, result: self._finish(result))
        self._numbers: dict[int, int] = {}
        self._source = JobSource(jobs, known=True)
        try:
            engine.run(self._source, on_result=self._finish)
        except BaseException as error:
            for future in self._futures.values():
                future.set_exception(error)
            self._futures.clear()

    def _next_jobs(self) -> Iterator[Job | None]:
        while True:
            try:
                # Only where nothing is being trained may the engine wait here.
                job = self._jobs.get(block=self._given == self._finished)
            except queue.Empty:
                yield None
                continue
            if job is None:
                self._ended = True
                return
            self._given += 1
            self._numbers[id(job.member)] = job.number
            yield job

    def _finish(self, result: TrainedMember) -> None:
        self._finished += 1
        number = self._numbers.pop(id(result.member))
        weights = None
        if result.checkpoint is not None:
            weights = result.checkpoint.read_bytes()
            result.checkpoint.unlink()
        if result.member.weights is not None:
            result.member.weights.unlink()
        bare = replace(result, checkpoint=None, _template=None, _folder=None, group=self._group)
        self._futures.pop(number).set_result(Outcome(bare, weights, self._warnings_now()))

    def _keep_warning(self, message: Warning | str, category: type[Warning], *_: object) -> None:
        if category is UserWarning:
            self._warned.append(str(message))

    def _warnings_now(self) -> list[str]:
        warned, self._warned = self._warned, []
        return warned


def _group(plan: Plan) -> str:
    """A digest of what training a few examples gives, to the last bit."""
    digest = hashlib.sha256()
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = reference_run(plan, Path(folder))
    except ValueError:  # the model fails with some rates
        digest.update(processor_name().encode())
    else:
        for array in (run.curves, *run.weights):
            digest.update(array.tobytes())
    return digest.hexdigest()[:_DIGITS]
