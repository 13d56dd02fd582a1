"""What runs in a worker process: `Model.fit` for one member after another, on one thread."""

from __future__ import annotations

import functools
import signal
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import psutil
import torch

from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.comparison_with_fit import reference_run
from dropout_zoo.training.engine.keras_fit import fit_job
from dropout_zoo.training.engine.sent_plan import load_plan
from dropout_zoo.training.members import Job, TrainedMember
from dropout_zoo.training.objective import BestEpoch
from dropout_zoo.training.plan import Plan, Record

_LOOK_EVERY = 1.0  # seconds after which a worker looks whether its parent is still there


class Outcome(NamedTuple):
    """What a worker sends back: the record of a member without its plan, and the checkpoint.

    Attributes:
        best: as in `Record`, like the next three.
        rows: its learning curves.
        status: whether it completed.
        reason: why not.
        checkpoint: its weights, if an epoch was finished.
        seconds: duration of the training run.
    """

    best: BestEpoch
    rows: list[dict[str, float]]
    status: str
    reason: str
    checkpoint: Checkpoint | None
    seconds: float

    def result(self, plan: Plan, job: Job) -> TrainedMember:
        """Save the checkpoint, if there is one, and return the trained member."""
        record = Record(plan, job.member, job.rates, self.rows, self.status, self.reason)
        record.best = self.best
        return record.result(self.seconds, self.checkpoint, f"{job.number:06d}")


def start_worker(parent: int) -> None:
    """Set a worker process up.

    Args:
        parent: the process that has started it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # the parent has given them, since it trains as well
    _leave_tensorflow_out()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _leave_tensorflow_out() -> None:
    """Keep Keras from importing TensorFlow to look at an object, which takes half a gigabyte.

    Keras looks once whether there is TensorFlow. Code of the user's own may still import it.
    """
    if "tensorflow" not in sys.modules:
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
        keras.saving.serialize_keras_object(keras.initializers.Zeros())
        del sys.modules["tensorflow"]


def _end_with(parent: int) -> None:
    """End this process with its parent, also one that is killed while a member is trained."""
    own = psutil.Process()
    while (found := own.parent()) is not None and found.pid == parent:
        time.sleep(_LOOK_EVERY)
    own.kill()


def train(folder: Path, job: Job) -> Outcome:
    """Train a member.

    Args:
        folder: the folder of its plan.
        job: the member.

    Returns:
        What became of it.
    """
    started = time.perf_counter()
    record, checkpoint = fit_job(_plan(folder), job)
    seconds = time.perf_counter() - started
    return Outcome(record.best, record.rows, record.status, record.reason, checkpoint, seconds)


def reference_values(plan: Plan | Path) -> list[np.ndarray]:
    """Train a few examples, to see whether a worker computes what its parent does.

    Args:
        plan: the plan, or its folder.

    Returns:
        Learning curves and weights.

    Raises:
        Exception: the plan cannot be loaded, or the training fails.
    """
    if isinstance(plan, Path):
        plan = _plan(plan)
    with tempfile.TemporaryDirectory() as weights:
        run = reference_run(plan, Path(weights))
    return [run.curves, *run.weights]


@functools.lru_cache(maxsize=1)
def _plan(folder: Path) -> Plan:
    return load_plan(folder)
