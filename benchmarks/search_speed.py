"""A whole search by KerasTuner alone, by `DropoutTuner`, and as a vmap ensemble in PyTorch.

    python benchmarks/search_speed.py [--mnist mnist.npz] [--only NAME ...] [--repeat 3]

Each contender runs in its own process, one after another, with the same trials, data, batch size,
epochs and validation. Everything around the training counts (validation after every epoch,
checkpoints, state on disk, tracing); imports do not. Prints a table and writes
`benchmarks/search_speed.json`. Searches on MNIST need its file and are left out without it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from search_contenders import contend
from search_jobs import JOBS, SearchJob

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
RESULTS = Path(__file__).with_suffix(".json")


def main() -> None:
    """Run all contenders on all searches or, with --run, one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", default=os.environ.get("DROPOUT_ZOO_MNIST"))
    parser.add_argument(
        "--only", nargs="*", help="run only searches whose names contain one of these"
    )
    parser.add_argument(
        "--repeat", type=int, default=1, help="number of rounds; medians are reported"
    )
    parser.add_argument("--run", nargs=2, metavar=("WORK", "CONTENDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        name, contender = arguments.run
        job = next(job for job in JOBS if job.name == name)
        print(json.dumps(contend(job, contender, arguments.mnist)))
        return
    jobs = [
        job
        for job in JOBS
        if (arguments.mnist or job.data != "mnist")
        and (not arguments.only or any(part in job.name for part in arguments.only))
    ]
    rows = [row for job in jobs for row in compare(job, arguments.mnist, arguments.repeat)]
    # Imported late: it imports Keras, which would take memory and cores beside the contenders.
    from dropout_zoo.training.provenance import processor_name

    peak = in_process("--run", jobs[0].name, "peak", mnist=arguments.mnist)
    for row in rows:
        row["share_of_peak"] = row["flop_per_second"] / peak["flop_per_second"]
        row["machine"] = {
            "cores": len(os.sched_getaffinity(0)),
            "processor": processor_name(),
            "matmul_flop_per_second": peak["flop_per_second"],
        }
    report(rows, peak["flop_per_second"])
    # Rows of other searches stay, with the machine that they were measured on.
    known = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    kept = {job.name for job in JOBS} - {row["work"] for row in rows}
    rows = [row for row in known if row["work"] in kept] + rows
    RESULTS.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


def compare(job: SearchJob, mnist: str | None, repeat: int) -> list[dict[str, Any]]:
    """Return the medians of all contenders on one search."""
    rounds: dict[str, list[dict[str, Any]]] = {contender: [] for contender in job.contenders}
    for _ in range(repeat):
        for contender in job.contenders:
            print(f"{job.name}: {contender} ...", file=sys.stderr, flush=True)
            rounds[contender].append(in_process("--run", job.name, contender, mnist=mnist))
    rows = []
    for contender, results in rounds.items():
        if any("missing" in result for result in results):
            continue
        median = statistics.median(result["seconds"] for result in results)
        rows.append(
            {
                "work": job.name,
                **{key: value for key, value in asdict(job).items() if key in ("epochs", "goal")},
                "trials": job.trials,
                "contender": contender,
                "seconds": median,
                "model_steps_per_second": results[0]["steps"] / median,
                "flop_per_second": results[0]["flop"] / median,
                "best_val_loss": results[0]["best_val_loss"],
                "memory_mb": max(result["memory_mb"] for result in results),
            }
        )
    stock = next(row["seconds"] for row in rows if row["contender"] == "stock")
    for row in rows:
        row["times_stock"] = stock / row["seconds"]
        row["goal"] = job.goal if row["contender"] == job.goal_of else None
    return rows


def in_process(*arguments: str, mnist: str | None) -> dict[str, Any]:
    """Run one contender in its own process."""
    command = [sys.executable, __file__, *arguments, *(["--mnist", mnist] if mnist else [])]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(ran.stderr[-3000:])
    return json.loads(ran.stdout.splitlines()[-1])


def report(rows: list[dict[str, Any]], peak: float) -> None:
    """Print the table."""
    print(f"matrix-multiply peak measured here: {peak / 1e9:.0f} GFLOP/s, float32")
    print(
        f"{'work':<37}{'contender':<16}{'s':>7}{'steps/s':>9}{'x stock':>9}{'goal':>6}"
        f"{'of peak':>9}{'val_loss':>10}{'MB':>7}"
    )
    for row in rows:
        goal = f"{row['goal']:g}" if row["goal"] else ""
        share = f"{row['share_of_peak']:.1%}" if row["share_of_peak"] else ""
        print(
            f"{row['work']:<37}{row['contender']:<16}{row['seconds']:>7.1f}"
            f"{row['model_steps_per_second']:>9.0f}{row['times_stock']:>9.1f}{goal:>6}"
            f"{share:>9}{row['best_val_loss']:>10.4f}{row['memory_mb']:>7.0f}"
        )


if __name__ == "__main__":
    main()
