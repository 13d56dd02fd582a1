"""What `search_speed.py` compares: a search by KerasTuner alone, and one by `DropoutTuner`."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from floating_point_operations import flop_per_example, matmul_peak
from search_jobs import SearchJob
from torch_ensemble import run_torch

SPLIT = (5 / 7, 1 / 7, 1 / 7)  # of MNIST's 60,000: 50,000 to train on, 10,000 to validate


def contend(job: SearchJob, contender: str, mnist: str | None) -> dict[str, Any]:
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
    job: SearchJob, model: Any, data: Any, folder: str, contender: str
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
    job: SearchJob, model: Any, data: Any, folder: str, contender: str
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


def resident_mb() -> float:
    """Return the largest resident memory of this process and its children so far, in MB."""
    own, children = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return (own + children) / 1024
