"""The engine on a cluster: members handed out to the engines of its nodes."""

from __future__ import annotations

import time
from dataclasses import replace

from dropout_zoo.training.durable_files import replacing
from dropout_zoo.training.engine.base import EngineOptions, OnResult
from dropout_zoo.training.engine.cluster.connection import connect
from dropout_zoo.training.engine.cluster.dispatch import Dispatcher
from dropout_zoo.training.engine.cluster.plan_thread import Outcome
from dropout_zoo.training.engine.interrupts import check_interrupt
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.engine.sent_plan import pack_plan
from dropout_zoo.training.failure_reasons import reason_of
from dropout_zoo.training.members import Job, TrainedMember, as_curves
from dropout_zoo.training.plan import Plan, Record

_STRAGGLERS = 30.0  # seconds to wait for other nodes once the first one is ready
_LOOK_EVERY = 0.2


class ClusterEngine:
    """Trains members on the nodes of a Ray cluster, each with the engine of one machine.

    Args:
        plan: model, data and settings.
        options: how to train; `workers` limits the members that one node trains at the same time.

    Raises:
        ValueError: the plan cannot be sent to other machines.
        RuntimeError: there is no cluster, or none of its nodes can train.
    """

    def __init__(self, plan: Plan, options: EngineOptions) -> None:
        assert options.cluster is not None
        self._plan = plan
        _check(plan)
        try:
            packed = pack_plan(plan)
        except Exception as error:  # of any part of the user's own
            remedy = ""
            if plan.stream is not None:
                remedy = (
                    f"; the {plan.stream.kind} is streamed: pass a function that opens it, which "
                    "each machine calls"
                )
            raise ValueError(
                "expected a model and data that can be sent to other machines, received "
                f"{plan.model.name!r}: {reason_of(error)}{remedy}"
            ) from error
        connect(options.cluster)
        from dropout_zoo.training.engine.cluster.ray_pool import RayPool

        self._pool = RayPool(
            packed,
            {
                "update": options.update,
                "workers": options.workers,
                "memory_budget": options.memory_budget,
            },
        )
        self._dispatcher = Dispatcher(self._pool)
        self._wait_for_workers()

    @property
    def max_parallel(self) -> int:
        """The largest number of members that the present nodes train at the same time."""
        return max(1, self._dispatcher.slots)

    def run(self, jobs: JobSource, *, on_result: OnResult | None) -> dict[int, TrainedMember]:
        """Train until the source is exhausted; see `Engine.run`."""
        trained: dict[int, TrainedMember] = {}

        def finish(job: Job, result: TrainedMember) -> None:
            trained[job.number] = result
            if on_result is not None:
                on_result(result)

        def failed(job: Job, reason: str) -> None:
            record = Record(self._plan, job.member, job.rates, status="failed", reason=reason)
            finish(job, record.result(0.0, None, ""))

        self._dispatcher.run(
            jobs, lambda job, outcome: finish(job, self._result(job, outcome)), failed
        )
        return trained

    def why_not(self, job: Job) -> str | None:
        """Return None: the workers choose how to train a member; see `Engine.why_not`."""
        return None

    def _result(self, job: Job, outcome: Outcome) -> TrainedMember:
        path = None
        if outcome.weights is not None:
            path = self._plan.directory / f"{job.number:06d}.npz"
            with replacing(path) as temporary:
                temporary.write_bytes(outcome.weights)
        return replace(
            outcome.trained,
            member=job.member,
            curves=as_curves(outcome.trained.curves.to_dict("list")),
            checkpoint=path,
            _template=self._plan.model,
            _folder=self._plan.folder,
        )

    def _wait_for_workers(self) -> None:
        first: float | None = None
        while self._pool.starting:
            self._dispatcher.look(_LOOK_EVERY)
            check_interrupt()
            now = time.monotonic()
            if self._dispatcher.slots:
                first = first or now
                if now - first > _STRAGGLERS:
                    return
        if not self._dispatcher.slots:
            reasons = [f"{host}: {why}" for host, why in self._pool.refused.items()]
            raise RuntimeError(
                "expected a node that can train, received "
                + (
                    "; ".join(reasons)
                    or "a cluster without CPUs, or whose workers end as they start"
                )
            )


def _check(plan: Plan) -> None:
    if plan.settings.callbacks is not None:
        raise ValueError(
            "expected no callbacks on a cluster, received some; what they use in this process "
            "could not be reached from other machines"
        )
