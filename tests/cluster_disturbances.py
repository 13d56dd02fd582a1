"""A program that disturbs a local cluster while it trains: see test_ray_engine.py.

    python cluster_disturbances.py KIND TIMES SEED

Members are trained here first, then on the cluster once for each disturbance, and have to be the
same. It starts its cluster by itself, because Ray is set up as it is imported.
"""

import os
import random
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass

import psutil

from dropout_zoo.models import build_mlp
from dropout_zoo.training import (
    Member,
    MemberTrainer,
    RateSchedule,
    TrainSettings,
    load_dataset,
    prepare_threads,
)
from dropout_zoo.training.engine.cluster import connection

ADDRESS = "local:2"
MEMBERS = [Member([rate], seed=seed) for seed in range(15) for rate in (0.0, 0.2, 0.5)]
SETTINGS = TrainSettings(epochs=4)


@dataclass(frozen=True)
class Deadly(RateSchedule):
    """Ends any other process than this one."""

    here: int

    def factor(self, epoch):
        if os.getpid() != self.here:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0


def workers():
    return [each for each in processes() if each.name().startswith("ray::Worker")]


def raylets():
    """Those of the other nodes than the head, which this program needs; that is the oldest one."""
    found = [each for each in processes() if each.name() == "raylet"]
    return sorted(found, key=lambda each: each.create_time())[1:]


def processes():
    found = psutil.Process().children(recursive=True)
    return [each for each in found if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def cluster():
    return connection._connected[ADDRESS]


def add_node():
    cluster().add_node(**connection._local_node(2))


def remove_node():
    cluster().remove_node(random.choice(list(cluster().worker_nodes)), allow_graceful=False)


def kill(found):
    random.choice(found).send_signal(signal.SIGKILL)


def disturb(kind):
    if kind == "worker":
        kill(workers())
    elif kind == "raylet":
        kill(raylets())
    elif kind == "node":
        remove_node()
    elif kind == "hang":
        random.choice(workers()).send_signal(signal.SIGSTOP)


def same(here, there):
    assert len(here) == len(there)
    for one, other in zip(here, there, strict=True):
        assert one.member == other.member and one.rates == other.rates
        assert (one.status, one.reason) == (other.status, other.reason), (one, other)
        assert one.curves.equals(other.curves)
        assert (one.score, one.best_epoch) == (other.score, other.best_epoch)
        assert one.checkpoint.read_bytes() == other.checkpoint.read_bytes()
        assert other.group and not one.group


def main(kind, times):
    prepare_threads()
    data = load_dataset("digits")
    model = build_mlp(units=(16,), hidden_rates=(0.5,))
    here = MemberTrainer(model, data, SETTINGS).train(MEMBERS)
    trainer = MemberTrainer(model, data, SETTINGS, cluster=ADDRESS)
    if kind == "deadly":
        deadly = Member([0.2], 0, schedule=Deadly(os.getpid()))
        first, failed, *others = trainer.train([MEMBERS[0], deadly, *MEMBERS[2:10]])
        assert failed.status == "failed"
        assert "2 workers ended while training nothing else" in failed.reason
        same([here[0], *here[2:10]], [first, *others])
        return
    started = time.monotonic()
    same(here, trainer.train(MEMBERS))
    lasts = time.monotonic() - started
    for _ in range(times):
        errors = []

        def later(errors=errors):
            try:
                time.sleep(random.uniform(0, lasts))
                disturb(kind)
            except BaseException:
                errors.append(traceback.format_exc())

        thread = threading.Thread(target=later)
        thread.start()
        finished = []

        def joins(trained, finished=finished):
            finished.append(trained)
            if kind == "join" and len(finished) == 5:
                add_node()  # not in a thread, with whose end the node would end

        same(here, trainer.train(MEMBERS, joins))
        thread.join()
        assert not errors, errors
        assert len(finished) == len(MEMBERS)
        if kind in ("raylet", "node"):
            add_node()
        # So that each disturbance finds the cluster whole.
        while len(workers()) < 2 + (kind == "join"):
            time.sleep(0.1)
            trainer._engine._dispatcher.look(0.1)


if __name__ == "__main__":
    kind, times, seed = sys.argv[1:]
    random.seed(int(seed))
    if kind == "hang":
        connection.connect(ADDRESS)
        from dropout_zoo.training.engine.cluster import ray_pool

        ray_pool._NO_ANSWER, ray_pool._PING_EVERY = 10.0, 1.0
    main(kind, int(times))
    print("all is well")
