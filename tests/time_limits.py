"""A clock on which time ends when a test wants it to."""

from contextlib import contextmanager
from math import inf

import pytest

from dropout_zoo.training.engine import interrupts
from dropout_zoo.training.engine.journal import JournaledTrainer


@contextmanager
def time_ends(condition=lambda finished: False):
    """Let time end as soon as the training runs that have finished fulfil a condition.

    Gives the list of the members that are trained meanwhile.
    """
    append, finished, now = JournaledTrainer._append, [], [0.0]

    def appended(self, trained):
        append(self, trained)
        finished.append(trained.member)
        if condition(finished):
            now[0] = inf

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(JournaledTrainer, "_append", appended)
        patched.setattr(interrupts, "monotonic", lambda: now[0])
        yield finished


def after(count):
    return lambda finished: len(finished) == count
