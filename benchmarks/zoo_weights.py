"""Trains the documented MLP, and stores its weights and what they are worth in `models/weights`.

    python benchmarks/zoo_weights.py mlp --mnist mnist.npz

It trains the network with its default rates and without dropout, on the same seeds and until the
validation loss has turned, and tests each run. The weights that are stored are those of the first
seed with the default rates, and no choice among the seeds. It takes ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from dropout_zoo.training import prepare_threads

prepare_threads()

import numpy as np  # noqa: E402
from zoo_jobs import BenchmarkJob  # noqa: E402
from zoo_training import data_of, model_of, test_errors  # noqa: E402

from dropout_zoo.models import dropout_sites  # noqa: E402
from dropout_zoo.models.trained_weights import WEIGHTS, weights_by_path  # noqa: E402
from dropout_zoo.studies.paired_tests import paired_difference, t_half_width  # noqa: E402
from dropout_zoo.studies.training_ends import has_ended  # noqa: E402
from dropout_zoo.training import Member, train_members  # noqa: E402
from dropout_zoo.training.provenance import describe_data, processor_name, versions  # noqa: E402

LEVEL = 0.95
PATIENCE = 10


def main() -> None:
    """Train, test and store."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", choices=("mlp",))
    parser.add_argument("--mnist", required=True, help="an mnist.npz")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--examples", type=int, help="fewer training examples, for a rehearsal")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    job = BenchmarkJob(
        given.model, epochs=given.epochs, train=given.examples, validation=None,
        num_seeds=given.seeds, batch_size=128,
    )  # fmt: skip
    data = data_of(job, given.mnist)
    model = model_of(job, data)
    default = {site.path: site.rate for site in dropout_sites(model)}
    settings = {"dropout": default, "no dropout": dict.fromkeys(default, 0.0)}
    members = [
        Member(rates, seed, label=f"{name}, seed {seed}")
        for seed in range(given.seeds)
        for name, rates in settings.items()
    ]

    def report(trained: Any) -> None:
        print(
            f"{trained.member.label}: best val_loss {trained.score:.4f} after epoch "
            f"{trained.best_epoch} of {len(trained.curves)}, {trained.seconds:.0f} s",
            file=sys.stderr, flush=True,
        )  # fmt: skip

    trained = train_members(
        model, members, data, epochs=job.epochs, patience=PATIENCE, batch_size=job.batch_size,
        on_result=report,
    )  # fmt: skip
    not_ended = [
        each.member.label
        for each in trained
        if not has_ended(each.best_epoch, len(each.curves), job.epochs)
    ]
    if not_ended:
        sys.exit(f"not trained to the end: {', '.join(not_ended)}; allow more epochs")
    groups = {name: trained[place::2] for place, name in enumerate(settings)}
    errors = {name: test_errors(job, group, data) for name, group in groups.items()}
    card = {
        "model": job.model,
        "weights": "mnist",
        "command": f"python benchmarks/zoo_weights.py {job.model} --mnist mnist.npz "
        f"--seeds {given.seeds} --epochs {job.epochs}",
        "data": describe_data(data),
        "training": {
            "optimizer": "Adam",
            "learning_rate": float(model.optimizer.learning_rate),
            "batch_size": job.batch_size,
            "epochs": job.epochs,
            "patience": PATIENCE,
        },
        "rates": default,
        "seeds": given.seeds,
        "seed": 0,
        "best_epoch": groups["dropout"][0].best_epoch,
        "test_error": {name: described(values) for name, values in errors.items()},
        "gain": gain(errors),
        "test_error_of_weights": errors["dropout"][0],
        "versions": versions(),
        "processor": processor_name(),
    }
    store(groups["dropout"][0].model(), card, given.out)


def described(errors: Any) -> dict[str, Any]:
    """Mean test error in percent, and its interval over the seeds."""
    if isinstance(errors, str):
        sys.exit(errors)
    mean, half = float(np.mean(errors)), t_half_width(errors, LEVEL)
    return {"mean": mean, "low": mean - half, "high": mean + half, "runs": errors}


def gain(errors: dict[str, Any]) -> dict[str, float]:
    """By how much dropout lowers the test error, with the interval of the paired difference."""
    found = paired_difference(errors["no dropout"], errors["dropout"], level=LEVEL)
    return {"mean": found.mean, "low": found.low, "high": found.high}


def store(model: Any, card: dict[str, Any], folder: Path) -> None:
    """Write the weights and their card."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{card['model']}_{card['weights']}"
    file = folder / f"{name}.npz"
    arrays = {path: each.numpy() for path, each in weights_by_path(model).items()}
    np.savez_compressed(file, **arrays)
    card["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / f"{name}.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(f"Wrote {file}.", file=sys.stderr)


if __name__ == "__main__":
    main()
