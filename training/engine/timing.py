"""Estimates of how long training runs take, from a few short ones."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dropout_zoo.training.engine.base import Trainer
from dropout_zoo.training.members import Member

_LONG_EPOCH = 2.0  # seconds above which the fixed cost of a run hardly matters
_LONG_ROUND = 30.0  # seconds after which an estimate takes no more measurements


@dataclass(frozen=True)
class TrainingSpeed:
    """How fast a model is trained.

    Attributes:
        start_up: seconds before the first step, for tracing and compiling.
        training: seconds per run in addition to its epochs.
        epoch: seconds per epoch, including the measurements after it.
        parallel: number of training runs at the same time; the times above are those of each.
    """

    start_up: float
    training: float
    epoch: float
    parallel: int

    def seconds(self, num_runs: int, epochs: int) -> float:
        """Estimate how long training runs take.

        Args:
            num_runs: number of training runs.
            epochs: number of epochs of each.

        Returns:
            Seconds for all of them.
        """
        rounds = math.ceil(num_runs / self.parallel)
        return self.start_up + rounds * (self.training + epochs * self.epoch)


def measure_speed(trainer: Trainer, members: Sequence[Member]) -> TrainingSpeed:
    """Measure how long one and three epochs of some training runs take.

    Args:
        trainer: a new trainer.
        members: the members to be trained, at least one; the first of them, as many as are
            trained at the same time, are timed.

    Returns:
        The speed.
    """

    def timed(epochs: int) -> tuple[float, float]:
        """Seconds, and mean number of epochs: a training run may stop before its last one."""
        started = time.perf_counter()
        trained = trainer.train([replace(member, epochs=epochs) for member in chosen])
        seconds = time.perf_counter() - started
        return seconds, max(1.0, sum(len(each.curves) for each in trained) / len(trained))

    begun = time.perf_counter()
    parallel = trainer.max_parallel
    traced = time.perf_counter() - begun
    chosen = members[:parallel]
    first, _ = timed(1)
    if first > _LONG_ROUND:
        return TrainingSpeed(traced, 0.0, first, parallel)
    one, _ = timed(1)
    epoch = one
    if one < _LONG_EPOCH:
        several, epochs = timed(3)
        epoch = max(several - one, 0.0) / (epochs - 1) if epochs > 1 else one
    return TrainingSpeed(traced + max(first - one, 0.0), max(one - epoch, 0.0), epoch, parallel)
