"""The zoo's benchmark table: no dropout, half the default rates, and the default rates.

    python benchmarks/zoo_table.py --mnist mnist.npz [--only NAME ...] [--dry-run] [--quick]

Trains each registered model as `zoo_jobs.py` says, every setting on the same seeds. After each
model it writes `zoo_table.json`, the table in docs/zoo.md and, if the network is small, the weights
that come with the package, with their card, in `models/weights`. If it is interrupted, run the same
command again: finished training runs are kept in `runs/zoo_table`, in one directory per model and
its settings, and are not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from zoo_jobs import PUBLISHED, BenchmarkJob, NotRun, job_for
from zoo_page import with_table
from zoo_training import estimate_seconds, row_of
from zoo_weights import store_weights

from dropout_zoo.models.registry import list_models, model_entry
from dropout_zoo.training import start_keras
from dropout_zoo.training.engine.cores import usable_cores
from dropout_zoo.tuning.cli.options import reporting_errors

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).with_suffix(".json")
PAGE = ROOT / "docs" / "zoo.md"
RUNS = ROOT / "runs" / "zoo_table"


def main() -> None:
    """Train the models that were asked for, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", default=os.environ.get("DROPOUT_ZOO_MNIST"))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="registered models to train")
    parser.add_argument("--dry-run", action="store_true", help="print how long it would take")
    parser.add_argument(
        "--quick", action="store_true", help="a short rehearsal that writes no table"
    )
    parser.add_argument("--page", action="store_true", help="only rewrite the table in docs/zoo.md")
    arguments = parser.parse_args()
    with reporting_errors():
        names = arguments.only or list_models()
        jobs = [job_for(model_entry(name)) for name in names]
        if arguments.page:
            jobs = []
        planned = [each for each in jobs if isinstance(each, BenchmarkJob)]
        without = [each for each in planned if each.data == "mnist" and not arguments.mnist]
        for job in without:
            print(f"{job.model}: needs MNIST, --mnist mnist.npz", file=sys.stderr)
        runnable = [each for each in planned if each not in without]
        if arguments.quick:
            runnable = [job.quick() for job in runnable]
        if runnable:
            start_keras()
        if arguments.dry_run:
            print_estimates(runnable, arguments.mnist)
            return
        known = read_rows()
        for job in runnable:
            try:
                row = row_of(job, arguments.mnist, None if arguments.quick else RUNS)
            except KeyboardInterrupt:
                print("To continue, run the same command again.", file=sys.stderr)
                raise
            run = Path(row.pop("run"))
            known[job.model] = json.loads(json.dumps(row))
            print(one_line(row), flush=True)
            if not arguments.quick:
                write(known)
                store_weights(known[job.model], run)
        if not runnable and not arguments.quick:
            write(known)


def one_line(row: Mapping[str, Any]) -> str:
    """Format a row as one line for the terminal."""
    told = [
        f"{name} {each['reason'] or format(each['mean'], '.2f')}"
        for name, each in row["settings"].items()
    ]
    return f"{row['model']}: {row['measure']}: {', '.join(told)}; {row['seconds']:.1f} s per run"


def print_estimates(jobs: Sequence[BenchmarkJob], mnist: str | None) -> None:
    """Print how long each model takes, from its last run or else from a few epochs of training."""
    from dropout_zoo.tuning.records.progress import duration

    known, total = read_rows(), 0.0
    for job in jobs:
        row = known.get(job.model)
        same = row is not None and row["work"] == json.loads(json.dumps(asdict(job)))
        seconds = estimate_seconds(job, mnist, row["seconds"] if row and same else None)
        total += seconds
        print(f"{job.model}: {job.num_runs} training runs, about {duration(seconds)}", flush=True)
    print(f"about {duration(total)} in all, on {usable_cores()} otherwise idle cores")


def read_rows() -> dict[str, dict[str, Any]]:
    """Read the rows of the table that was written last, by model."""
    if not RESULTS.exists():
        return {}
    return {row["model"]: row for row in json.loads(RESULTS.read_text())["rows"]}


def write(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the table, with every registered model, as JSON and into docs/zoo.md."""
    entries = [model_entry(name) for name in list_models()]
    reasons = {}
    for entry in entries:
        if entry.name not in rows:
            planned = job_for(entry)
            reasons[entry.name] = planned.reason if isinstance(planned, NotRun) else "not run yet"
    table = {
        "rows": [rows[entry.name] for entry in entries if entry.name in rows],
        "not_run": [
            {"model": name, "reason": reason, "published": PUBLISHED.get(name, "")}
            for name, reason in reasons.items()
        ],
    }
    RESULTS.write_text(json.dumps(table, indent=1, allow_nan=False) + "\n")
    PAGE.write_text(with_table(PAGE.read_text(), table))


if __name__ == "__main__":
    main()
