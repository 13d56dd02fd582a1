"""A program that kills a search at random moments and resumes it: see test_resume.py.

It imports TensorFlow once and forks a child for each attempt, before TensorFlow's runtime starts:
importing it anew for each would take most of the time.

    python killing.py FOLDER KILLS SEED
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import keras_tuner  # noqa: F401 - imported once, here
import numpy as np

from dropout_zoo.models import build_mlp
from dropout_zoo.training import Dataset, load_dataset
from dropout_zoo.training.journal import JournaledTrainer
from dropout_zoo.training.threads import prepare_threads
from dropout_zoo.tuning import tune


def few_digits() -> Dataset:
    (x, y), validation, test = (getattr(load_dataset(), p) for p in ("train", "validation", "test"))
    keep = np.random.default_rng(0).permutation(len(x))[:120]
    return Dataset.from_arrays((x[keep], y[keep]), validation, test)


def search(folder: Path, data: Dataset) -> None:
    """Run the search in this process, and log which members it has trained."""
    append = JournaledTrainer._append

    def logged(self, trained):
        append(self, trained)
        with open(folder.with_suffix(".log"), "a") as log:
            log.write(self._key(trained.member) + "\n")

    JournaledTrainer._append = logged
    prepare_threads()
    tune(
        build_mlp(units=(8,), hidden_rates=(0.4,)),
        data,
        rates=[0.1, 0.2, 0.3],
        epochs=2,
        finalists=1,
        seeds=2,
        directory=folder,
        resume=True,
        progress=False,
    )


def attempt(folder: Path, data: Dataset, delay: float | None) -> bool:
    """Whether the search in a child of this process came to its end before it was killed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            search(folder, data)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("a search failed by itself")
    return os.WIFEXITED(status)


def main(folder: Path, kills: int, seed: int) -> None:
    data, draw = few_digits(), random.Random(seed)
    attempt(folder / "reference", data, None)
    started = time.monotonic()
    attempt(folder / "again", data, None)
    whole = time.monotonic() - started
    killed, runs = 0, 0
    while killed < kills:
        run = folder / f"run-{runs}"
        while not attempt(run, data, draw.uniform(0, whole)):
            killed += 1
        runs += 1
    print(json.dumps({"kills": killed, "runs": runs, "seconds": whole}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
