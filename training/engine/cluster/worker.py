"""The actor on a node of a cluster. It imports Keras only when its process is set up."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dropout_zoo.training.engine.cluster.plan_thread import Outcome, PlanThread, Ready


class Worker:
    """Trains members of several plans with the engine of one machine.

    Args:
        environment: environment variables, which the backend reads as it is imported; those with
            the value None are removed.
    """

    def __init__(self, environment: Mapping[str, str | None]) -> None:
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._plans: dict[str, PlanThread] = {}

    async def ping(self) -> None:
        """Answer, as a process does that does not hang."""

    async def start(
        self, plan: str, packed: Any, options: Mapping[str, Any], versions: Mapping[str, str]
    ) -> Ready:
        """Load a plan and start its engine.

        Args:
            plan: its name.
            packed: what `pack_plan` returned.
            options: arguments of `EngineOptions`.
            versions: the versions of the driver.

        Returns:
            How many members it trains at the same time, and what else the driver has to know.

        Raises:
            ValueError: the versions of this machine are others.
            Exception: the plan cannot be loaded.
        """

        def start() -> PlanThread:  # which imports Keras: that takes seconds
            from dropout_zoo.training.engine.cluster.plan_thread import PlanThread, check_versions

            check_versions(versions)
            thread = PlanThread(packed, options)
            thread.start()
            return thread

        self._plans[plan] = thread = await asyncio.to_thread(start)
        return await asyncio.wrap_future(thread.ready)

    async def train(self, plan: str, job: bytes, weights: bytes | None) -> Outcome:
        """Train a member.

        Args:
            plan: name of its plan.
            job: the member, pickled.
            weights: contents of the checkpoint that it continues from, if there is one.

        Returns:
            What became of it.
        """
        return await asyncio.wrap_future(self._plans[plan].train(pickle.loads(job), weights))

    async def forget(self, plan: str) -> None:
        """Free what a plan takes."""
        thread = self._plans.pop(plan, None)
        if thread is not None:
            thread.end()
