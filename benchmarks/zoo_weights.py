"""The weights that come with the package: those of small networks of the zoo's table.

They are those of the first seed with the default rates, and no choice among the seeds.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo_jobs import BenchmarkJob
from zoo_training import WEIGHTS as TRAINED

from dropout_zoo.models.trained_weights import WEIGHTS

MAX_PARAMETERS = 1_500_000
"""Weights of larger networks would make the package too large."""

LEVEL = 0.95


def store_weights(row: Mapping[str, Any], run: Path, folder: Path = WEIGHTS) -> None:
    """Write the weights of a network and their card, or say why there are none.

    Args:
        row: the row of the table.
        run: directory of its run.
        folder: where to write, in a directory per model.
    """
    reason = why_not(row)
    if reason:
        print(f"{row['model']}: no weights are stored: {reason}", file=sys.stderr)
        return
    name = BenchmarkJob(**row["work"]).data
    target = folder / row["model"] / f"{name}.npz"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / TRAINED, target)
    card = card_of(row, name) | {"sha256": hashlib.sha256(target.read_bytes()).hexdigest()}
    target.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(f"Wrote {target}.", file=sys.stderr)


def why_not(row: Mapping[str, Any]) -> str:
    """Return why the weights of a network are not stored; empty if they are."""
    if row["parameters"] > MAX_PARAMETERS:
        return f"{row['parameters']:,} parameters are more than {MAX_PARAMETERS:,}"
    if row["work"]["task"]:
        return "a card states a test error, and this network does not classify"
    reasons = [row["settings"][name]["reason"] for name in ("none", "default")]
    return next(filter(None, reasons), "")


def card_of(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what the card says, except for the checksum.

    Args:
        row: the row of the table.
        name: name of the weights, that of the data.
    """
    from dropout_zoo.studies.paired_tests import paired_difference

    work, settings = row["work"], row["settings"]
    dropout, none = (settings[each]["errors"] for each in ("default", "none"))
    found = paired_difference(none, dropout, level=LEVEL)
    given = " --mnist mnist.npz" if name == "mnist" else ""
    return {
        "model": row["model"],
        "weights": name,
        "command": f"python benchmarks/zoo_table.py --only {row['model']}{given}",
        "arguments": row["arguments"],
        "data": row["dataset"],
        "training": {
            "optimizer": row["optimizer"],
            "learning_rate": row["learning_rate"],
            **{each: work[each] for each in ("batch_size", "epochs", "patience")},
        },
        "rates": settings["default"]["rates"],
        "seeds": work["num_seeds"],
        "seed": 0,
        "best_epoch": row["best_epoch"],
        "test_error": {"dropout": described(dropout), "no dropout": described(none)},
        "gain": {"mean": found.mean, "low": found.low, "high": found.high},
        "test_error_of_weights": dropout[0],
        "versions": row["versions"],
        "processor": row["machine"]["processor"],
    }


def described(errors: list[float]) -> dict[str, Any]:
    """Mean test error in percent, and its interval over the seeds."""
    import numpy as np

    from dropout_zoo.studies.paired_tests import t_half_width

    mean, half = float(np.mean(errors)), t_half_width(errors, LEVEL)
    return {"mean": mean, "low": mean - half, "high": mean + half, "runs": errors}
