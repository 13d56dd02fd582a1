"""A program that kills a run at random moments and resumes it: see test_resume.py.

It imports TensorFlow once and forks a child for each attempt, before TensorFlow's runtime starts:
importing it anew for each would take most of the time.

    python killing.py tune|jointly|sweep FOLDER KILLS SEED
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import keras_tuner  # noqa: F401 - imported once, here
import numpy as np

from dropout_zoo.models import build_mlp
from dropout_zoo.training import Dataset, load_dataset
from dropout_zoo.training.engine.journal import JournaledTrainer
from dropout_zoo.training.engine.tensorflow.threads import prepare_threads
from dropout_zoo.tuning import tune
from dropout_zoo.tuning.cli.main import main as command


def few_digits() -> Dataset:
    (x, y), validation, test = (getattr(load_dataset(), p) for p in ("train", "validation", "test"))
    keep = np.random.default_rng(0).permutation(len(x))[:120]
    return Dataset.from_arrays((x[keep], y[keep]), validation, test)


def log_trainings(folder: Path) -> None:
    """Log which members are trained in this process, each under its journal."""
    append = JournaledTrainer._append

    def logged(self, trained):
        append(self, trained)
        with open(folder.with_suffix(".log"), "a") as log:
            log.write(f"{self._path.relative_to(folder)} {self._key(trained.member)}\n")

    JournaledTrainer._append = logged


def search(folder: Path, data: Dataset) -> None:
    """A race over several splits with two looks, so that kills fall between these too."""
    tune(
        build_mlp(units=(8,), hidden_rates=(0.4,)),
        data,
        rates=[0.1, 0.2, 0.3],
        epochs=2,
        num_finalists=1,
        num_seeds=20,
        resplit=True,
        directory=folder,
        resume=True,
        progress=False,
    )


def build(hp):
    """A model with other hyperparameters than dropout rates."""
    model = build_mlp(units=(hp.Choice("units", [4, 8]),), hidden_rates=(0.4,))
    model.optimizer.learning_rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    return model


def search_jointly(folder: Path, data: Dataset) -> None:
    """A search of several models, so that kills fall between these too."""
    tune(
        build,
        data,
        rates=[0.1, 0.3],
        epochs=2,
        max_trials=3,
        num_seeds=3,
        directory=folder,
        resume=True,
        progress=False,
    )


def sweep(folder: Path, data: Dataset) -> None:
    """Several models and journals, so that kills fall between them too."""
    file = folder.parent / "data.npz"
    if not file.exists():
        names = ("x_train", "y_train", "x_test", "y_test")
        np.savez(file, **dict(zip(names, (*data.train, *data.test), strict=True)))
    command(
        ["sweep", "capacity", f"{__name__}:small_mlp", "--data", str(file), "--units", "4,8-4",
         "--rates", "0.3", "--epochs", "2", "--num-seeds", "2", "--out", str(folder), "--resume"],
        standalone_mode=False,
    )  # fmt: skip


def small_mlp(units=(8,), input_shape=(28, 28), num_classes=10):
    return build_mlp(
        units=units, input_shape=input_shape, num_classes=num_classes, hidden_rates=0.0
    )


def attempt(run: Callable, folder: Path, data: Dataset, delay: float | None) -> bool:
    """Whether a run in a child of this process came to its end before it was killed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            prepare_threads()
            log_trainings(folder)
            run(folder, data)
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
        raise SystemExit("a run failed by itself")
    return os.WIFEXITED(status)


def main(run: Callable, folder: Path, kills: int, seed: int) -> None:
    data, draw = few_digits(), random.Random(seed)
    started = time.monotonic()
    attempt(run, folder / "reference", data, None)
    whole = time.monotonic() - started
    killed, runs = 0, 0
    while killed < kills:
        # A run that has been killed as often as was asked for is left to end.
        while not attempt(
            run, folder / f"run-{runs}", data, draw.uniform(0, whole) if killed < kills else None
        ):
            killed += 1
        runs += 1
    print(json.dumps({"kills": killed, "runs": runs, "seconds": whole}))


if __name__ == "__main__":
    kind, folder, kills, seed = sys.argv[1:]
    main(
        {"tune": search, "jointly": search_jointly, "sweep": sweep}[kind],
        Path(folder),
        int(kills),
        int(seed),
    )
