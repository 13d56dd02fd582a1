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
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
RESULTS = Path(__file__).with_suffix(".json")
SPLIT = (5 / 7, 1 / 7, 1 / 7)  # of MNIST's 60,000: 50,000 to train on, 10,000 to validate
SEARCHED = [0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5]


@dataclass(frozen=True)
class BenchmarkJob:
    """One row of the comparison: a grid of rates on a model and data."""

    name: str
    model: str
    data: str
    batch_size: int
    epochs: int
    rates: tuple[tuple[float, ...], ...]  # per searched site; these are the first ones of the model
    contenders: tuple[str, ...]
    goal: float
    goal_of: str = "zoo"
    argument: str = "hidden_rates"  # of the builder, which sets these rates

    @property
    def trials(self) -> int:
        """Number of settings in the grid."""
        count = 1
        for rates in self.rates:
            count *= len(rates)
        return count


JOBS = (
    BenchmarkJob(
        "MLP, MNIST, batch 128", "mlp", "mnist", 128, 3,
        (tuple(SEARCHED[:6]), tuple(SEARCHED[:4])), ("stock", "zoo", "zoo_keras", "torch"), 8,
    ),
    BenchmarkJob(
        "MLP, MNIST, batch 32", "mlp", "mnist", 32, 2,
        (tuple(SEARCHED[:4]), tuple(SEARCHED[:3])), ("stock", "zoo", "zoo_keras", "torch"), 12,
    ),
    BenchmarkJob(
        "MLP, digits, batch 32", "mlp", "digits", 32, 20,
        (tuple(SEARCHED), tuple(SEARCHED)), ("stock", "zoo", "zoo_keras", "torch"), 15,
    ),
    BenchmarkJob(
        "CNN, MNIST, batch 128, float32", "cnn", "mnist", 128, 1,
        (tuple(SEARCHED[:6]),), ("stock", "stock_onednn", "zoo"), 2.2,
    ),
    BenchmarkJob(
        "CNN, MNIST, batch 128, bfloat16", "cnn", "mnist", 128, 1,
        (tuple(SEARCHED[:6]),), ("stock", "stock_bfloat16", "zoo_bfloat16"), 4.8, "zoo_bfloat16",
    ),
    BenchmarkJob(
        "LSTM, topics, batch 32", "lstm", "topics", 32, 5,
        (tuple(SEARCHED),), ("stock", "zoo", "zoo_keras"), 5, argument="embedding_rate",
    ),
    BenchmarkJob(
        "transformer, topics, batch 32", "transformer", "topics", 32, 5,
        (tuple(SEARCHED),), ("stock", "zoo", "zoo_keras"), 5, argument="embedding_rate",
    ),
    BenchmarkJob(
        "vision transformer, digits, batch 32", "vit", "digits", 32, 5,
        (tuple(SEARCHED),), ("stock", "zoo", "zoo_keras"), 5, argument="embedding_rate",
    ),
)  # fmt: skip


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
    peak = in_process("--run", jobs[0].name, "peak", mnist=arguments.mnist)
    known = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    kept = {job.name for job in JOBS} - {row["work"] for row in rows}
    rows = [row for row in known if row["work"] in kept] + rows
    for row in rows:
        row["share_of_peak"] = row["flop_per_second"] / peak["flop_per_second"]
    report(rows, peak["flop_per_second"])
    machine = {
        "cores": len(os.sched_getaffinity(0)),
        "processor": platform.processor() or platform.machine(),
        "matmul_flop_per_second": peak["flop_per_second"],
    }
    RESULTS.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


def compare(job: BenchmarkJob, mnist: str | None, repeat: int) -> list[dict[str, Any]]:
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


def contend(job: BenchmarkJob, contender: str, mnist: str | None) -> dict[str, Any]:
    """Run one contender in this process."""
    if contender == "peak":
        return {"flop_per_second": matmul_peak()}
    if contender == "torch":
        try:
            import torch  # noqa: F401
        except ImportError:
            return {"missing": "torch"}
    if contender.startswith("zoo"):
        from dropout_zoo.training import start_keras

        start_keras(announce=False, model=job.model)  # as the command line does
    elif contender == "stock_onednn":
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    import keras

    if contender.endswith("bfloat16"):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    from dropout_zoo.models import create_model
    from dropout_zoo.training import load_dataset

    data = load_dataset(mnist if job.data == "mnist" else job.data, split=SPLIT)

    model = create_model(job.model, input_shape=data.input_shape, num_classes=data.num_classes)
    steps = -(-len(data.train[0]) // job.batch_size) * job.epochs * job.trials
    stock = ("stock", "stock_onednn", "stock_bfloat16")
    run = run_torch if contender == "torch" else run_stock if contender in stock else run_zoo
    before = resident_mb()
    with tempfile.TemporaryDirectory() as folder:
        seconds, best = run(job, model, data, folder, contender)
    return {
        "seconds": seconds,
        "steps": steps,
        "flop": flop_per_example(model) * len(data.train[0]) * job.epochs * job.trials,
        "best_val_loss": best,
        "memory_mb": resident_mb() - before,
    }


def run_stock(
    job: BenchmarkJob, model: Any, data: Any, folder: str, contender: str
) -> tuple[float, float]:
    """Run KerasTuner's own grid search, with a model function as its users write it."""
    import keras_tuner

    from dropout_zoo.models import create_model
    from dropout_zoo.training import targets_for

    def build(hp: Any) -> Any:
        rates = [hp.Choice(f"rate_{n}", list(r), ordered=True) for n, r in enumerate(job.rates)]
        return create_model(
            job.model,
            input_shape=data.input_shape,
            num_classes=data.num_classes,
            **{job.argument: rates if job.argument == "hidden_rates" else rates[0]},
        )

    train, validation = (
        (x, targets_for(model, y, data.num_classes)) for x, y in (data.train, data.validation)
    )
    tuner = keras_tuner.GridSearch(build, "val_loss", seed=1, directory=folder)
    started = time.perf_counter()
    tuner.search(
        *train,
        validation_data=validation,
        epochs=job.epochs,
        batch_size=job.batch_size,
        verbose=0,
    )
    seconds = time.perf_counter() - started
    assert len(tuner.oracle.trials) == job.trials
    return seconds, tuner.oracle.get_best_trials()[0].score


def run_zoo(
    job: BenchmarkJob, model: Any, data: Any, folder: str, contender: str
) -> tuple[float, float]:
    """Run the same search by `DropoutTuner`."""
    import keras_tuner
    from keras_tuner import oracles

    from dropout_zoo.models import dropout_sites
    from dropout_zoo.training import MemberTrainer, TrainSettings
    from dropout_zoo.tuning import DropoutHyperModel, DropoutTuner

    sites = {site.path: (site.rate,) for site in dropout_sites(model)}  # the others keep theirs
    rates = sites | dict(zip(sites, job.rates, strict=False))
    tuner = DropoutTuner(
        oracles.GridSearchOracle(keras_tuner.Objective("val_loss", "min"), seed=1),
        DropoutHyperModel(model, rates),
        parallel_trials=64,
        directory=folder,
        project_name="search",
    )
    tuner.oracle.verbose = 0
    started = time.perf_counter()
    trainer = MemberTrainer(
        model,
        data,
        TrainSettings(epochs=job.epochs, batch_size=job.batch_size),
        directory=Path(folder) / "weights",
        update="keras" if contender == "zoo_keras" else "auto",
    )
    tuner.search_with(trainer)
    seconds = time.perf_counter() - started
    assert len(tuner.oracle.trials) == job.trials
    return seconds, tuner.oracle.get_best_trials()[0].score


def run_torch(
    job: BenchmarkJob, model: Any, data: Any, folder: str, contender: str
) -> tuple[float, float]:
    """Train all settings at once, as an ensemble under `torch.func.vmap`, with a simple Adam."""
    import itertools

    import numpy as np
    import torch
    from torch.func import functional_call, grad, stack_module_state, vmap

    torch.manual_seed(0)
    settings = torch.tensor(list(itertools.product(*job.rates)))
    x, y = (torch.from_numpy(np.array(a)) for a in data.train)
    x_validation, y_validation = (torch.from_numpy(np.array(a)) for a in data.validation)
    x, x_validation = x.flatten(1), x_validation.flatten(1)
    y, y_validation = y.long(), y_validation.long()

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1 = torch.nn.Linear(784, 128)
            self.fc2 = torch.nn.Linear(128, 64)
            self.fc3 = torch.nn.Linear(64, 10)

        def forward(self, x: Any, rates: Any, training: bool) -> Any:
            for index, layer in enumerate((self.fc1, self.fc2)):
                x = torch.relu(layer(x))
                if training:
                    keep = torch.rand_like(x) >= rates[index]
                    x = x * keep / (1 - rates[index])
            return self.fc3(x)

    started = time.perf_counter()
    nets = [Net() for _ in settings]
    weights, _ = stack_module_state(nets)
    first = {name: torch.zeros_like(w) for name, w in weights.items()}
    second = {name: torch.zeros_like(w) for name, w in weights.items()}

    def loss_of(member: Any, rates: Any, x: Any, y: Any, training: bool) -> Any:
        logits = functional_call(nets[0], member, (x, rates, training))
        return torch.nn.functional.cross_entropy(logits, y)

    gradients = vmap(
        grad(lambda m, r, x, y: loss_of(m, r, x, y, True)),
        in_dims=(0, 0, None, None),
        randomness="different",
    )
    losses = vmap(lambda m, r: loss_of(m, r, x_validation, y_validation, False))
    count, best = 0, float("inf")
    for _ in range(job.epochs):
        order = torch.randperm(len(x))
        for batch in order.split(job.batch_size):
            count += 1
            found = gradients(weights, settings, x[batch], y[batch])
            with torch.no_grad():
                for name, g in found.items():
                    first[name].mul_(0.9).add_(g, alpha=0.1)
                    second[name].mul_(0.999).addcmul_(g, g, value=0.001)
                    scale = (1 - 0.999**count) ** 0.5 / (1 - 0.9**count)
                    weights[name] = weights[name] - 1e-3 * scale * first[name] / (
                        second[name].sqrt() + 1e-7
                    )
        with torch.no_grad():
            best = min(best, float(losses(weights, settings).min()))
    return time.perf_counter() - started, best


def flop_per_example(model: Any) -> float:
    """Count floating-point operations per training example, in dense and conv layers.

    Returns 0 for models of sequences, most of whose operations are in other layers.
    """
    import keras

    if any(
        isinstance(layer, keras.layers.LayerNormalization | keras.layers.LSTM)
        for layer in model.layers
    ):
        return 0.0
    total, first = 0.0, True
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D):
            kernel = layer.kernel.shape
            positions = 1
            if isinstance(layer, keras.layers.Conv2D):
                positions = layer.output.shape[1] * layer.output.shape[2]
            forward = 2.0 * positions
            for axis in kernel:
                forward *= axis
            # The backward pass costs as much again for the weights and for the inputs; the first
            # layer needs no gradient of its inputs.
            total += forward * (2 if first else 3)
            first = False
    return total


def matmul_peak() -> float:
    """Measure FLOP/s of a large float32 matrix multiplication on all cores."""
    import tensorflow as tf

    a = tf.random.normal((3072, 3072))
    times = []
    for _ in range(8):
        started = time.perf_counter()
        (a @ a)[0, 0].numpy()
        times.append(time.perf_counter() - started)
    return 2 * 3072**3 / min(times)


def resident_mb() -> float:
    """Return the largest resident memory of this process and its children so far, in MB."""
    own, children = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return (own + children) / 1024


if __name__ == "__main__":
    main()
