"""How long trainings are going to take, from a few short ones."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dropout_zoo.training.engine.base import Trainer
from dropout_zoo.training.members import Member

_LONG_EPOCH = 2.0  # seconds, beside which what a training takes besides its epochs is little
_LONG_ROUND = 30.0  # seconds, after which no more is spent on an estimate


@dataclass(frozen=True)
class Pace:
    """How fast a model is trained.

    Attributes:
        start_up: seconds before the first step, of tracing and compiling.
        training: seconds of a training besides its epochs.
        epoch: seconds of an epoch, with what is measured after it.
        together: number of trainings at the same time, each of which takes that long.
    """

    start_up: float
    training: float
    epoch: float
    together: int

    def seconds(self, trainings: int, epochs: int) -> float:
        """Estimate how long trainings take.

        Args:
            trainings: their number.
            epochs: epochs of each.

        Returns:
            Seconds for all of them.
        """
        rounds = math.ceil(trainings / self.together)
        return self.start_up + rounds * (self.training + epochs * self.epoch)


def measure_pace(trainer: Trainer, members: Sequence[Member]) -> Pace:
    """Time the first of some trainings for an epoch or three.

    Args:
        trainer: a new trainer.
        members: what is to be trained, at least one; as many as the trainer trains at the same
            time are timed.

    Returns:
        The pace.
    """

    def timed(epochs: int) -> tuple[float, float]:
        """Seconds, and epochs that were made: a training may stop before its last one."""
        started = time.perf_counter()
        trained = trainer.train([replace(member, epochs=epochs) for member in chosen])
        seconds = time.perf_counter() - started
        return seconds, max(1.0, sum(len(each.curves) for each in trained) / len(trained))

    begun = time.perf_counter()
    together = trainer.max_parallel
    traced = time.perf_counter() - begun
    chosen = members[:together]
    first, _ = timed(1)
    if first > _LONG_ROUND:
        return Pace(traced, 0.0, first, together)
    one, _ = timed(1)
    epoch = one
    if one < _LONG_EPOCH:
        several, epochs = timed(3)
        epoch = max(several - one, 0.0) / (epochs - 1) if epochs > 1 else one
    return Pace(traced + max(first - one, 0.0), max(one - epoch, 0.0), epoch, together)
