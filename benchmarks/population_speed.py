"""Members vectorized on Keras's JAX backend, compared with `Model.fit` one after another.

    python benchmarks/population_speed.py [--mnist mnist.npz] [--members 256 1024] [--seeds 1 8]

Runs on the device that JAX finds. The unit is model steps per second: steps of the optimizer times
members. `Model.fit` is measured in its best case: one model, compiled before the clock starts,
validated in the same call, nothing written to disk. The time of the members includes everything but
imports and compiling: initial weights, data orders, measuring the validation set and the training
sample after every epoch, and writing the weights of all members to disk. Compiling time is reported
separately. Prints a table and writes `benchmarks/population_speed.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import numpy as np

from dropout_zoo.models import build_mlp
from dropout_zoo.training import (
    Dataset,
    Member,
    MemberTrainer,
    TrainSettings,
    load_dataset,
    targets_for,
)

RESULTS = Path(__file__).with_suffix(".json")
SPLIT = (5 / 7, 1 / 7, 1 / 7)  # of MNIST's 60,000: 50,000 to train on, 10,000 to validate
RATES = np.linspace(0.0, 0.8, 41)


def main() -> None:
    """Measure, print the table and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", default=os.environ.get("DROPOUT_ZOO_MNIST"))
    parser.add_argument("--members", type=int, nargs="+", default=[256, 1024])
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[1, 8],
        help="number of different seeds among the members",
    )
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    data = "mnist" if arguments.mnist else "digits"
    dataset = load_dataset(arguments.mnist or "digits", split=SPLIT)
    setting = {"epochs": arguments.epochs, "batch_size": arguments.batch_size}
    steps = -(-len(dataset.train[0]) // arguments.batch_size)
    device = jax.devices()[0]
    print(
        f"{device.device_kind}: documented MLP, {data}, {steps} steps per epoch, "
        f"{arguments.epochs} epochs, batch {arguments.batch_size}"
    )
    alone = sequential(dataset, steps, **setting)
    print(f"Model.fit, one after another: {alone:,.0f} model steps/s", flush=True)
    rows = []
    for count in arguments.members:
        for seeds in arguments.seeds:
            row = vectorized(dataset, steps, count, seeds, **setting)
            row["ratio"] = row["model_steps_per_second"] / alone
            rows.append(row)
            print(
                f"{count} members, {seeds} seeds: {row['model_steps_per_second']:,.0f} "
                f"model steps/s, {row['ratio']:.1f} x (compiling {row['compile_seconds']:.1f} s)",
                flush=True,
            )
    found = {
        "device": device.device_kind,
        "platform": device.platform,
        "processor": platform.processor() or platform.machine(),
        "versions": {"jax": jax.__version__, "keras": keras.__version__},
        "data": data,
        "steps_per_epoch": steps,
        **setting,
        "sequential_model_steps_per_second": alone,
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def sequential(dataset: Dataset, steps: int, *, epochs: int, batch_size: int) -> float:
    """Measure model steps per second of `Model.fit`, without compiling."""
    model = build_mlp()
    (x, y), (validation_x, validation_y) = (
        (part[0], targets_for(model, part[1], dataset.num_classes))
        for part in (dataset.train, dataset.validation)
    )
    settings: dict[str, Any] = {
        "batch_size": batch_size,
        "validation_data": (validation_x, validation_y),
        "verbose": 0,
    }
    model.fit(x, y, epochs=1, **settings)
    started = time.perf_counter()
    model.fit(x, y, epochs=epochs, **settings)
    return steps * epochs / (time.perf_counter() - started)


def vectorized(
    dataset: Dataset, steps: int, count: int, seeds: int, *, epochs: int, batch_size: int
) -> dict[str, Any]:
    """Time members trained together: a first epoch, which compiles, then a whole run."""
    members = [
        Member([RATES[i % len(RATES)], RATES[i // len(RATES) % len(RATES)]], i % seeds)
        for i in range(count)
    ]
    trainer = MemberTrainer(
        build_mlp(), dataset, TrainSettings(epochs=epochs, batch_size=batch_size)
    )
    short = [Member(member.rates, member.seed, epochs=1) for member in members]
    walls = []
    for chosen in (short, short, members):
        started = time.perf_counter()
        trained = trainer.train(chosen)
        walls.append(time.perf_counter() - started)
    first, again, whole = walls
    return {
        "members": count,
        "seeds": seeds,
        "seconds": whole,
        "compile_seconds": first - again,
        "model_steps_per_second": count * steps * epochs / whole,
        "best_val_loss": min(member.score for member in trained),
    }


if __name__ == "__main__":
    main()
