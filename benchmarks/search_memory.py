"""The memory of a long search: resident memory after every 50 trials.

    python benchmarks/search_memory.py tune 2000
    python benchmarks/search_memory.py jointly 300
    python benchmarks/search_memory.py DropoutTuner 500

The model, the data and the training are as small as they can be, so that what a trial leaves behind
shows. It takes some minutes; ``jointly``, where each trial has a model of its own, takes a second a
trial.
"""

import argparse
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from dropout_zoo.training import prepare_threads

prepare_threads()

import keras  # noqa: E402
import keras_tuner  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
from keras_tuner.oracles import RandomSearchOracle  # noqa: E402

from dropout_zoo.models import build_mlp  # noqa: E402
from dropout_zoo.tuning import DropoutHyperModel, DropoutTuner, tune  # noqa: E402

EVERY = 50  # trials
# 62,500 settings: KerasTuner's random search ends where it finds no new ones.
RATES = {f"hidden_{layer}_dropout": [step / 500 for step in range(250)] for layer in (1, 2)}
LOOK = 0.05  # seconds

Report = Callable[[int], None]


def main() -> None:
    """Run a search, and print its memory as it goes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("search", choices=("tune", "jointly", "DropoutTuner"))
    parser.add_argument("trials", type=int)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    x, y = rng.random((64, 8), "float32"), np.arange(64) % 2
    model = build_with_learning_rate if given.search == "jointly" else build()
    process, first = psutil.Process(), 0.0

    def report(done: int) -> None:
        nonlocal first
        if done % EVERY:
            return
        memory = process.memory_info().rss / 2**20
        first = first or memory
        print(f"{done:5} trials {memory:8.1f} MiB {memory / first - 1:+7.2%}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        search = search_by_tuner if given.search == "DropoutTuner" else search_by_tune
        search(model, x, y, given.trials, Path(folder), report)


def build() -> keras.Model:
    """Build the model."""
    return build_mlp(input_shape=(8,), num_classes=2, units=(4, 4), hidden_rates=(0.5, 0.5))


def build_with_learning_rate(hp: keras_tuner.HyperParameters) -> keras.Model:
    """Build the model with a learning rate that is searched too."""
    model = build()
    model.optimizer.learning_rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
    return model


def search_by_tune(
    model: Callable[..., keras.Model] | keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    trials: int,
    folder: Path,
    report: Report,
) -> None:
    """Search by `tune`, whose journal says how many trials have finished."""
    ended = threading.Event()

    def watch() -> None:
        done, place = 0, 0
        while not ended.wait(LOOK):
            with open(journal, "rb") if journal.exists() else tempfile.TemporaryFile() as file:
                file.seek(place)
                added = file.read()
            place += len(added)
            for _ in range(added.count(b'"key"')):
                done += 1
                if done <= trials:  # the finalists follow
                    report(done)

    rates = RATES if isinstance(model, keras.Model) else [0.2, 0.35, 0.5]
    journal = folder / "run" / "state" / "journal.jsonl"
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        tune(
            model, x, y, rates=rates, oracle="random", max_trials=trials, epochs=1,
            num_finalists=1, num_seeds=2, progress=False, directory=folder / "run",
        )  # fmt: skip
    finally:
        ended.set()
        watcher.join()


def search_by_tuner(
    model: keras.Model, x: np.ndarray, y: np.ndarray, trials: int, folder: Path, report: Report
) -> None:
    """Search by `DropoutTuner`, which calls a method after each trial."""

    class ReportingTuner(DropoutTuner):
        done = 0

        def on_trial_end(self, trial: object) -> None:
            super().on_trial_end(trial)
            self.done += 1
            report(self.done)

    tuner = ReportingTuner(
        RandomSearchOracle("val_loss", max_trials=trials),
        DropoutHyperModel(model, RATES),
        directory=folder,
    )
    tuner.search(x[:48], y[:48], validation_data=(x[48:], y[48:]), epochs=1, verbose=0)


if __name__ == "__main__":
    main()
