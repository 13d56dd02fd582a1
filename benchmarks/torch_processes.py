"""Members in worker processes on Keras's PyTorch backend, compared with one after another.

    python benchmarks/torch_processes.py [--only NAME] [--rounds 3] [--members 8]

Each measurement is a program of its own, and the contenders take turns. Prints a table: the median
seconds for all members, without imports. The first call of `train` in a program starts the workers;
the second one finds them running.
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

import numpy as np

NETWORKS = ("MLP", "LSTM", "CNN")
CONTENDERS = ("threads", "one thread", "processes")
_SHARE = 4  # a quarter of the members is trained with PyTorch's threads, because that may take long


def main() -> None:
    """Measure all contenders and print the table, or measure one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="measure only networks whose names contain this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one, arguments.members)))
        return
    print(
        "| network | Model.fit, PyTorch's threads | one thread | processes, first | later | load |"
    )
    print("|---|---|---|---|---|---|")
    for network in NETWORKS:
        if arguments.only.lower() not in network.lower():
            continue
        seconds = defaultdict(list)
        loads = []
        for _ in range(arguments.rounds):
            for contender in CONTENDERS:
                loads.append(os.getloadavg()[0])
                for key, value in run(network, contender, arguments.members).items():
                    seconds[key].append(value)
                    print(f"{network}, {key}: {value:.1f} s", file=sys.stderr, flush=True)
        cells = [f"{statistics.median(values):.1f}" for values in seconds.values()]
        print(f"| {network} | {' | '.join(cells)} | {statistics.median(loads):.1f} |", flush=True)


def run(network: str, contender: str, members: int) -> dict[str, float]:
    """Measure a contender in a program of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", network, contender, "--members", str(members)],
        env=os.environ | {"KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
        capture_output=True,
        text=True,
    )
    measured: dict[str, float] = json.loads(done.stdout.strip().rpartition("\n")[-1])
    return measured


def measure(network: str, contender: str, count: int) -> dict[str, float]:
    """Return the seconds that one contender takes, by name of the measurement."""
    import keras

    from dropout_zoo.models import build_cnn, build_mlp
    from dropout_zoo.training import Dataset, Member, MemberTrainer, TrainSettings
    from dropout_zoo.training.engine.jobs import JobSource
    from dropout_zoo.training.engine.keras_fit import FitEngine
    from dropout_zoo.training.members import Job

    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    if network == "LSTM":
        model = keras.Sequential(
            [
                keras.Input((32, 8)),
                keras.layers.LSTM(32, dropout=0.2),
                keras.layers.Dropout(0.4),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        shape, examples = (32, 8), 768
    else:
        model = build_mlp() if network == "MLP" else build_cnn()
        shape, examples = (28, 28), {"MLP": 4096, "CNN": 384}[network]
    x = rng.random((examples, *shape), np.float32)
    y = rng.integers(0, 10, examples)
    data = Dataset.from_arrays((x, y), validation=(x[:256], y[:256]))
    workers = 1 if contender == "one thread" else None
    trainer = MemberTrainer(model, data, TrainSettings(epochs=3, batch_size=128), workers=workers)
    members = [Member({}, seed) for seed in range(count)]
    if contender == "threads":
        rates = trainer.plan.outline.rates
        few = members[: max(1, count // _SHARE)]
        jobs = [Job(number, member, rates) for number, member in enumerate(few)]
        started = time.perf_counter()
        FitEngine(trainer.plan).run(JobSource(iter(jobs), known=True), on_result=None)
        return {contender: (time.perf_counter() - started) * count / len(few)}
    seconds = {}
    for name in (contender,) if contender == "one thread" else (contender, "later"):
        started = time.perf_counter()
        trainer.train(members)
        seconds[name] = time.perf_counter() - started
    return seconds


if __name__ == "__main__":
    main()
