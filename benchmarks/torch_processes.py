"""Members in worker processes on Keras's PyTorch backend, compared with one after another.

    python benchmarks/torch_processes.py [--only NAME] [--rounds 3] [--members 8]

Each measurement is a program of its own, and the contenders take turns. Prints a table: medians of
the seconds for all members and of the processor seconds for one, without imports. The first call of
`train` in a program starts the workers; the second one finds them running.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import psutil

if TYPE_CHECKING:
    from dropout_zoo.training import MemberTrainer

NETWORKS = {"MLP": 4096, "LSTM": 1024, "CNN": 512}
"""Numbers of examples."""


def main() -> None:
    """Measure both contenders and print the table, or measure one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="measure only networks whose names contain this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        network, workers = arguments.one
        print(json.dumps(measure(network, int(workers), arguments.members)))
        return
    print("| network | one, s | two, first, s | two, later, s | one, CPU s | two, CPU s | load |")
    print("|---|---|---|---|---|---|---|")
    for network in NETWORKS:
        if arguments.only.lower() not in network.lower():
            continue
        seconds = defaultdict(list)
        for _ in range(arguments.rounds):
            for workers in (1, 2):
                seconds["load"].append(os.getloadavg()[0])
                for name, value in run(network, workers, arguments.members).items():
                    seconds[f"{workers} {name}"].append(value)
        print({name: [round(each, 2) for each in values] for name, values in seconds.items()},
              file=sys.stderr)  # fmt: skip
        names = ("1 later", "2 first", "2 later", "1 CPU", "2 CPU", "load")
        cells = [f"{statistics.median(seconds[name]):.2f}" for name in names]
        print(f"| {network} | {' | '.join(cells)} |", flush=True)


def run(network: str, workers: int, members: int) -> dict[str, float]:
    """Measure a contender in a program of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", network, str(workers), "--members", str(members)],
        env=os.environ | {"KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    measured: dict[str, float] = json.loads(done.stdout.strip().rpartition("\n")[-1])
    return measured


def measure(network: str, workers: int, count: int) -> dict[str, float]:
    """Return the seconds that members take, by name of the measurement."""
    from dropout_zoo.training import Member

    warnings.simplefilter("ignore")
    trainer = trainer_of(network, workers)
    members = [Member({}, seed) for seed in range(count)]
    seconds = {}
    for name in ("first", "later"):
        before, started = _processor_seconds(), time.perf_counter()
        trainer.train(members)
        seconds[name] = time.perf_counter() - started
    return seconds | {"CPU": (_processor_seconds() - before) / count}


def trainer_of(network: str, workers: int) -> MemberTrainer:
    """Return a trainer of a network on random numbers."""
    import keras

    from dropout_zoo.models import build_cnn, build_mlp
    from dropout_zoo.training import Dataset, MemberTrainer, TrainSettings

    shape = (28, 28)
    if network == "LSTM":
        shape = (32, 8)
        layers = [keras.Input(shape), keras.layers.LSTM(32, dropout=0.2), keras.layers.Dropout(0.4)]
        model = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    else:
        model = build_mlp() if network == "MLP" else build_cnn()
    rng = np.random.default_rng(0)
    x = rng.random((NETWORKS[network], *shape), np.float32)
    y = rng.integers(0, 10, len(x))
    data = Dataset.from_arrays((x, y), validation=(x[:256], y[:256]))
    return MemberTrainer(model, data, TrainSettings(epochs=3, batch_size=128), workers=workers)


def _processor_seconds() -> float:
    """Those of this process and the ones below it, which all live on."""
    own = psutil.Process()
    times = [each.cpu_times() for each in (own, *own.children(recursive=True))]
    return sum(each.user + each.system for each in times)


if __name__ == "__main__":
    main()
