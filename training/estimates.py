"""How long trainings are going to take, from a few short ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from dropout_zoo.training.members import Member
from dropout_zoo.training.train import MemberTrainer

_LONG_EPOCH = 2.0  # seconds, beside which what a training takes besides its epochs is little


@dataclass(frozen=True)
class Pace:
    """How fast a model is trained; of members that are trained side by side, each has its share.

    Attributes:
        start_up: seconds before the first step, of tracing and compiling.
        training: seconds of a training besides its epochs.
        epoch: seconds of an epoch, with what is measured after it.
    """

    start_up: float
    training: float
    epoch: float

    def seconds(self, trainings: int, epochs: int) -> float:
        """Estimate how long trainings take.

        Args:
            trainings: their number.
            epochs: epochs of each.

        Returns:
            Seconds for all of them.
        """
        return self.start_up + trainings * (self.training + epochs * self.epoch)


def measure_pace(trainer: MemberTrainer, member: Member, trainings: int) -> Pace:
    """Time a member for an epoch or three, as many times at once as the trainer would train.

    Args:
        trainer: a new trainer.
        member: the member.
        trainings: number of those that are to be estimated.

    Returns:
        The pace.
    """

    def timed(epochs: int) -> float:
        started = time.perf_counter()
        trainer.train([replace(member, epochs=epochs)] * together)
        return time.perf_counter() - started

    started = time.perf_counter()
    together = min(trainer.members_at_once, trainings)
    begun = time.perf_counter() - started
    first, one = begun + timed(1), timed(1)
    epoch = one if one > _LONG_EPOCH else max(timed(3) - one, 0.0) / 2
    return Pace(max(first - one, 0.0), max(one - epoch, 0.0) / together, epoch / together)
