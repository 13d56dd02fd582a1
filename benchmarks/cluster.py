"""What training on a cluster costs: a local one measured, one of many nodes simulated.

    python benchmarks/cluster.py overhead [--only mlp|cnn] [--members 100] [--epochs 20]
    python benchmarks/cluster.py simulation [--nodes 1000] [--members 100000] [--failures 0.1]

`overhead` trains the same members with as many loops in this process as there are cores, and on a
local cluster of two nodes that share these cores; each measurement is a program of its own, and the
contenders take turns. Start-up, until the first member can be trained, is stated apart.

`simulation` runs the code that hands members out with workers that only pretend to train, on a
clock of their own: nodes of 16 slots, members of 30 to 90 s. Each node fails `failures` times an
hour on average and returns after 5 minutes. It checks that each member has one outcome.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil

from dropout_zoo.training.engine.cluster.dispatch import (
    Dispatcher,
    Event,
    Finished,
    Joined,
    Lost,
)
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.members import Job, Member

SLOTS = 16
SHORTEST, LONGEST = 30.0, 90.0  # seconds that a member takes
AWAY = 300.0  # seconds until a node that has failed is back
HOUR = 3600.0
EXAMPLES = {"mlp": 8000, "cnn": 2000}


class PretendingWorkers:
    """Workers that finish members after a random time, and fail at random.

    Args:
        nodes: their number.
        failures: how often a node fails in an hour, on average.
    """

    def __init__(self, nodes: int, failures: float) -> None:
        self.now, self.failed = 0.0, 0
        self._rate = failures / HOUR
        self._draw = random.Random(0)
        self._names = itertools.count()
        self._free: dict[str, list[float]] = {}  # when each slot of a worker is free
        self._due: list[Event] = []
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        for _ in range(nodes):
            self._join()

    def submit(self, worker: str, job: Job) -> None:
        """Finish a member once a slot is free and some time has passed."""
        slots = self._free.get(worker)
        if slots is None:
            return
        end = max(self.now, heapq.heappop(slots)) + self._draw.uniform(SHORTEST, LONGEST)
        heapq.heappush(slots, end)
        self._at(end, lambda: self._finish(worker, job.number))

    def events(self, timeout: float) -> list[Event]:
        """Advance the clock to what happens next."""
        limit = self.now + timeout
        while not self._due and self._heap and self._heap[0][0] <= limit:
            self.now, _, happening = heapq.heappop(self._heap)
            happening()
        if not self._due:
            self.now = limit
        due, self._due = self._due, []
        return due

    def stop(self) -> None:
        """Do nothing: nothing is being trained."""

    def _at(self, when: float, happening: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (when, next(self._order), happening))

    def _join(self) -> None:
        worker = str(next(self._names))
        self._free[worker] = [self.now] * SLOTS
        self._due.append(Joined(worker, SLOTS, "group"))
        if self._rate:
            self._at(self.now + self._draw.expovariate(self._rate), lambda: self._fail(worker))

    def _fail(self, worker: str) -> None:
        self.failed += 1
        del self._free[worker]
        self._due.append(Lost(worker, "failed", self._draw.random() < 0.9))
        self._at(self.now + AWAY, self._join)

    def _finish(self, worker: str, number: int) -> None:
        if worker in self._free:
            self._due.append(Finished(worker, number, worker))


def simulate(nodes: int, members: int, failures: float) -> dict[str, Any]:
    """Hand members out to pretending workers, and check that each has one outcome."""
    jobs = [Job(n, Member({"site": 0.1 * (n % 5)}, n // 5), {}) for n in range(members)]
    outcomes = [0] * members
    failed: list[int] = []
    before = psutil.Process().memory_info().rss
    pool = PretendingWorkers(nodes, failures)
    dispatcher = Dispatcher(pool, clock=lambda: pool.now)

    def finished(job: Job, outcome: Any) -> None:
        outcomes[job.number] += 1

    def refused(job: Job, reason: str) -> None:
        outcomes[job.number] += 1
        failed.append(job.number)

    started = time.process_time()
    dispatcher.run(JobSource(iter(jobs), known=True), finished, refused)
    seconds = time.process_time() - started
    assert outcomes == [1] * members, "a member was lost or counted twice"
    least = members * (SHORTEST + LONGEST) / 2 / (nodes * SLOTS)
    return {
        "nodes": nodes,
        "members": members,
        "members per second of the driver": round(members / seconds),
        "MiB beside the members": round((psutil.Process().memory_info().rss - before) / 2**20, 1),
        "nodes that failed": pool.failed,
        "members marked failed": len(failed),
        "simulated seconds": round(pool.now),
        "least possible": round(least),
    }


def measure(network: str, cluster: str | None, count: int, epochs: int) -> dict[str, float]:
    """Train members of a network twice, and time the second call alone."""
    from dropout_zoo.models import build_cnn, build_mlp
    from dropout_zoo.training import (
        Dataset,
        MemberTrainer,
        TrainSettings,
        load_dataset,
        prepare_threads,
    )

    prepare_threads()
    whole = load_dataset(os.environ.get("DROPOUT_ZOO_MNIST") or "mnist")
    keep = EXAMPLES[network]
    (x, y), (vx, vy) = whole.train, whole.validation
    data = Dataset.from_arrays((x[:keep], y[:keep]), (vx[:1000], vy[:1000]))
    model = build_mlp() if network == "mlp" else build_cnn()
    settings = TrainSettings(epochs=epochs, batch_size=128)
    started = time.perf_counter()
    trainer = MemberTrainer(model, data, settings, cluster=cluster)
    trainer.start()
    trainer.train([Member({}, seed=1000), Member({}, seed=1001)])  # every loop is traced
    ready = time.perf_counter()
    trainer.train([Member({}, seed=seed) for seed in range(count)])
    return {"start-up": ready - started, "training": time.perf_counter() - ready}


def overhead(network: str, count: int, epochs: int, rounds: int) -> None:
    """Print a row of the table of one network."""
    found: dict[str, list[dict[str, float]]] = {"": [], "local:2": []}
    loads = []
    for _ in range(rounds):
        for cluster, results in found.items():
            loads.append(os.getloadavg()[0])
            command = [sys.executable, __file__, "one", network, cluster, str(count), str(epochs)]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            results.append(json.loads(output.splitlines()[-1]))
    print(found, file=sys.stderr)
    here, there = (
        {name: statistics.median(each[name] for each in results) for name in results[0]}
        for results in found.values()
    )
    print(
        f"| {network} | {count} | {epochs} | {here['training']:.1f} | {there['training']:.1f} | "
        f"{there['training'] / here['training'] - 1:+.1%} | {here['start-up']:.1f} | "
        f"{there['start-up']:.1f} | {statistics.median(loads):.1f} |",
        flush=True,
    )


def main() -> None:
    """Measure what the arguments name."""
    if sys.argv[1:2] == ["one"]:
        network, cluster, count, epochs = sys.argv[2:]
        print(json.dumps(measure(network, cluster or None, int(count), int(epochs))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["overhead", "simulation"])
    parser.add_argument("--only", choices=list(EXAMPLES), help="one network")
    parser.add_argument("--members", type=int)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--failures", type=float, default=0.1)
    given = parser.parse_args()
    if given.what == "simulation":
        result = simulate(given.nodes, given.members or 100_000, given.failures)
        print(json.dumps(result, indent=2))
        return
    print("| network | members | epochs | here, s | cluster, s | more | started | cluster | load |")
    print("|---|---|---|---|---|---|---|---|---|")
    for network in EXAMPLES:
        if given.only in (None, network):
            overhead(network, given.members or 100, given.epochs, given.rounds)


if __name__ == "__main__":
    main()
