"""Files of weights."""

import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dropout_zoo.training.checkpoint import Checkpoint


class Cyclic:
    """Is collected by the garbage collector only, which then runs Python code."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        sum(range(200))


@pytest.fixture
def switching_threads():
    """Collect garbage and switch threads as often as possible."""
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(5)
    sys.setswitchinterval(1e-6)
    yield
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)


def test_several_threads_read_checkpoints_at_the_same_time(tmp_path, switching_threads):
    path = Checkpoint(best=[np.arange(3.0)] * 20).save(tmp_path / "weights.npz")

    def load(depth):
        # Threads that call from different depths disturb each other's parsing of array headers.
        if depth:
            return next(map(load, [depth - 1]))
        Cyclic()
        return len(Checkpoint.load(path).best)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(load, list(range(5)) * 60)) == {20}
