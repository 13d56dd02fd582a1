"""Training and scoring one model of the benchmark table; an interrupted run can be resumed."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from zoo_jobs import PUBLISHED, BenchmarkJob

from dropout_zoo.models.argument_validation import finite_or_none
from dropout_zoo.models.registry import model_entry
from dropout_zoo.training.engine.cores import usable_cores

DATA_NAMES = {"mnist": "MNIST", "topics": "topics", "breast_cancer": "breast cancer"}
MNIST_SPLIT = (5 / 7, 1 / 7, 1 / 7)  # of its 60,000: 50,000 to train on, 10,000 to validate
DATA_SEED = 0
SETTINGS = {"none": 0.0, "half": 0.5, "default": 1.0}
"""Settings by name, as multiples of the default rates."""

WEIGHTS = "weights.npz"
"""File of the weights of the first seed with the default rates, in the directory of a run."""

ARGUMENTS = ("input_shape", "num_classes")
"""Arguments of builders that say what data a model is for."""

SPLITS = 2
"""Divisions into training and validation examples; each seed has one of them."""


def row_of(job: BenchmarkJob, mnist: str | None, runs: Path | None) -> dict[str, Any]:
    """Train and score one model.

    Args:
        job: what to train.
        mnist: path of the MNIST file, if there is one.
        runs: directory of the runs, which are resumed; None for a temporary one.

    Returns:
        One row of the table, as plain data, and in ``"run"`` the directory of its run.
    """
    from dropout_zoo.training.provenance import processor_name

    dataset = data_of(job, mnist)
    model = model_of(job, dataset)
    print(f"{job.model}: up to {job.num_runs} training runs ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="dropout-zoo-") as temporary:
        scored = score(job, model, dataset, runs or Path(temporary))
    entry = model_entry(job.model)
    return {
        "model": job.model,
        "family": entry.family,
        "parameters": model.count_params(),
        "data": DATA_NAMES.get(job.data, job.data),
        "measure": "test loss times 100" if job.task else "test error in percent",
        **scored,
        "published": PUBLISHED.get(job.model, ""),
        "machine": {
            "cores": usable_cores(),
            "processor": processor_name(),
        },
    }


def score(job: BenchmarkJob, model: Any, dataset: Any, runs: Path) -> dict[str, Any]:
    """Train with no dropout, half the default rates and the default rates, and test.

    Returns:
        What the row says about the work and its results, and in ``"run"`` the directory of the run.
    """
    from dropout_zoo.models.graph.fingerprint import model_fingerprint
    from dropout_zoo.models.graph.sites import dropout_sites
    from dropout_zoo.studies.run_directory import RunDirectory
    from dropout_zoo.studies.run_record import read_outcome
    from dropout_zoo.training.provenance import describe_data, versions
    from dropout_zoo.tuning.results.run_files import STATE_FILES

    default = {site.path: site.rate for site in dropout_sites(model)}
    rates = {name: {path: share * rate for path, rate in default.items()}
             for name, share in SETTINGS.items()}  # fmt: skip
    described = {
        "work": asdict(job),
        "rates": rates,
        "structure": model_fingerprint(model),
        "data": describe_data(dataset),
        "versions": versions(),
    }
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:8]
    path = runs / f"{job.model}-{key}"
    with RunDirectory(
        path, described, files=(WEIGHTS,), state_files=STATE_FILES, resume=True
    ) as folder:
        if not folder.complete:
            folder.write_outcome(train(job, model, dataset, described, folder))
    return read_outcome(path) | {"run": str(path)}


def train(
    job: BenchmarkJob, model: Any, dataset: Any, described: Mapping[str, Any], folder: Any
) -> dict[str, Any]:
    """Train and test every setting, and write the weights of one member.

    Args:
        job: what to train.
        model: the model.
        dataset: the data.
        described: what determines the results, with the ``"rates"`` of the settings.
        folder: the directory of the run.

    Returns:
        The outcome of the run.
    """
    from dropout_zoo.models.trained_weights import weights_by_path
    from dropout_zoo.studies.run_directory import unused_directory
    from dropout_zoo.training import Member, MemberTrainer
    from dropout_zoo.training.engine.journal import JournaledTrainer
    from dropout_zoo.training.journal_records import weights_folder
    from dropout_zoo.tuning.results.run_files import JOURNAL

    rates, count = described["rates"], job.num_seeds
    journal = folder.state / JOURNAL
    trainer = MemberTrainer(
        model,
        dataset,
        train_settings_of(job),
        directory=unused_directory(weights_folder(journal)),
    )
    members = [
        Member(each, seed, split=seed % SPLITS) for each in rates.values() for seed in range(count)
    ]
    trained = JournaledTrainer(trainer, journal).train(members)
    groups = {
        name: trained[place * count : (place + 1) * count] for place, name in enumerate(rates)
    }
    first = groups["default"][0]
    if first.status == "completed":
        arrays = {name: each.numpy() for name, each in weights_by_path(first.model()).items()}
        folder.write_with(WEIGHTS, lambda file: save_arrays(file, arrays))
    return {
        "work": described["work"],
        "dataset": described["data"],
        "arguments": {name: dataset.builder_arguments[name] for name in ARGUMENTS},
        "optimizer": type(model.optimizer).__name__,
        "learning_rate": float(model.optimizer.learning_rate),
        "best_epoch": first.best_epoch,
        "updates": {
            name: int(np.median([updates(job, dataset, each) for each in group]))
            for name, group in groups.items()
        },
        "settings": compared(
            {name: test_errors(job, group, dataset) for name, group in groups.items()}, rates
        ),
        "seconds": float(np.mean([each.seconds for each in groups["default"]])),
        "versions": described["versions"],
    }


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays to a compressed `.npz` file, whatever the suffix of its path."""
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def estimate_seconds(job: BenchmarkJob, mnist: str | None, training: float | None = None) -> float:
    """Estimate how long a model takes on otherwise idle cores.

    Args:
        job: what to train.
        mnist: path of the MNIST file, if there is one.
        training: seconds per training run; None to measure a few epochs.

    Returns:
        Seconds for all training runs.
    """
    from dropout_zoo.training.engine.eligibility import why_only_model_fit
    from dropout_zoo.training.engine.trainer import MemberTrainer
    from dropout_zoo.training.members import Member

    dataset = data_of(job, mnist)
    model = model_of(job, dataset)
    # Model.fit trains members one after another.
    cores = usable_cores() if why_only_model_fit(model) is None else 1
    if training is None:
        trainer = MemberTrainer(model, dataset, train_settings_of(job))
        took = []
        for epochs in (1, 1, 2):  # the first one traces
            started = time.process_time()
            trainer.train([Member({}, 0, epochs=epochs)])
            took.append(time.process_time() - started)
        training = took[1] + (took[2] - took[1]) * (job.epochs - 1)
    return training * job.num_runs / cores


def test_errors(job: BenchmarkJob, group: Sequence[Any], dataset: Any) -> list[float] | str:
    """Test each trained member; if they were not trained to the end, return the reason instead."""
    from dropout_zoo.studies.training_ends import TOLERATED_SHARE, share_not_ended
    from dropout_zoo.training.data.targets import targets_for

    failed = [each for each in group if each.status != "completed"]
    if failed:
        return f"{failed[0].status} on {len(failed)} of {len(group)} seeds"
    share = share_not_ended([(each.best_epoch, len(each.curves)) for each in group], job.epochs)
    if share > TOLERATED_SHARE:
        return "not trained to the end"
    # Dropout is off, so one model, traced once, can be tested with the weights of all.
    x, y = dataset.test
    model = group[0].model()
    wanted = targets_for(model, y, dataset.num_classes)
    errors = []
    for trained in group:
        model.set_weights(trained.model().get_weights())
        measured = model.evaluate(x, wanted, batch_size=256, verbose=0, return_dict=True)
        errors.append(100 * (measured["loss"] if job.task else 1 - measured["accuracy"]))
    return [float(error) for error in errors]


def compared(
    errors: dict[str, list[float] | str], rates: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """Compute mean, standard deviation and paired difference from no dropout per setting."""
    from dropout_zoo.studies.paired_tests import holm_differences

    none = errors["none"]
    others = {name: each for name, each in errors.items()
              if name != "none" and isinstance(each, list)}  # fmt: skip
    differences = holm_differences(others, none) if others and isinstance(none, list) else {}
    settings = {}
    for name, found in errors.items():
        several = isinstance(found, list) and len(found) > 1
        difference = differences.get(name)
        settings[name] = {
            "rates": rates[name],
            "errors": found if isinstance(found, list) else None,
            "reason": "" if isinstance(found, list) else found,
            "mean": float(np.mean(found)) if isinstance(found, list) else None,
            "std": float(np.std(found, ddof=1)) if several else None,
            "difference": difference
            and {key: finite_or_none(value) for key, value in difference._asdict().items()},
        }
    return settings


def updates(job: BenchmarkJob, dataset: Any, trained: Any) -> int:
    """Number of updates of the weights in a training run."""
    return len(trained.curves) * -(-dataset.num_examples("train") // job.batch_size)


def objective_of(job: BenchmarkJob) -> str:
    """Return the objective, measured on validation data."""
    return "val_loss" if job.task else "val_accuracy"


def train_settings_of(job: BenchmarkJob) -> Any:
    """How a member of a job is trained."""
    from dropout_zoo.training import TrainSettings

    return TrainSettings(
        epochs=job.epochs,
        patience=job.patience,
        batch_size=job.batch_size,
        objective=objective_of(job),
    )


def model_of(job: BenchmarkJob, dataset: Any) -> Any:
    """Build the model with its default rates."""
    from dropout_zoo.models.factory import resolve_variant

    return resolve_variant(job.model, {}, **dataset.builder_arguments)


@cache
def data_of(job: BenchmarkJob, mnist: str | None) -> Any:
    """Load the data, reduced to the numbers of examples asked for."""
    from dropout_zoo.studies.data.subsets import with_fewer_examples
    from dropout_zoo.training import load_dataset
    from dropout_zoo.training.data.split import stratified_sample

    if job.data == "breast_cancer":
        dataset = _breast_cancer()
    elif job.data == "mnist":
        dataset = load_dataset(str(mnist), split=MNIST_SPLIT, seed=DATA_SEED)
    else:
        dataset = load_dataset(job.data, seed=DATA_SEED)
    x, y = dataset.validation
    if job.validation is not None and job.validation < len(y):
        chosen = stratified_sample(y, job.validation, seed=DATA_SEED)
        dataset = replace(dataset, validation=(x[chosen], y[chosen]))
    if job.train is not None:
        dataset = with_fewer_examples(dataset, job.train, DATA_SEED)
    return dataset.as_reconstruction() if job.task == "reconstruction" else dataset


def _breast_cancer() -> Any:
    from sklearn.datasets import load_breast_cancer

    from dropout_zoo.training import Dataset
    from dropout_zoo.training.data.split import split_arrays

    x, y = load_breast_cancer(return_X_y=True)
    parts = split_arrays(x.astype("float32"), y.astype("int32"), seed=DATA_SEED)
    return Dataset.from_arrays(*parts, source="breast_cancer")
