"""Long runs: memory, open files and threads stay flat over five hundred training runs.

The trials of a search share their seed. A new seed costs a clone of the model, and each variable
that TensorFlow makes leaves some 35 kB behind for good: a few seeds do not matter.
"""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, threading
import numpy as np
import psutil
from dropout_zoo.models import build_mlp
from dropout_zoo.training import Dataset, Member, MemberTrainer, TrainSettings, prepare_threads

prepare_threads()
rng = np.random.default_rng(0)
x, y = rng.random((64, 28, 28), "float32"), np.arange(64) % 10
data = Dataset.from_arrays((x, y), (x, y), (x, y))
trainer = MemberTrainer(build_mlp(), data, TrainSettings(epochs=1))
process, seen = psutil.Process(), []

def look(trained):
    seen.append((process.memory_info().rss / 2**20, process.num_fds(), threading.active_count()))

for start in range(0, 500, 50):  # as a search asks for them
    members = [Member([0.1 + n / 1000, 0.2], seed=0) for n in range(start, start + 50)]
    trained = trainer.train(members, look)
    assert all(result.status == "completed" for result in trained)
print(json.dumps(seen))
"""


@pytest.mark.slow
def test_five_hundred_runs_do_not_accumulate_memory_files_or_threads():
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    seen = json.loads(ran.stdout.splitlines()[-1])
    assert len(seen) == 500
    memory, files, threads = zip(*seen, strict=True)
    # The first fifty warm the allocator and the caches up.
    assert memory[-1] - memory[50] < 20
    assert max(files[50:]) <= files[50] + 2
    assert max(threads) <= threads[0] + 2
