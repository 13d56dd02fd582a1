"""What the benchmark table trains: data, epochs and seeds for each model, and published figures.

A model that is added to the registry gets a row in the table once it has an entry here. Until then,
and where its data needs a download or the model is too large for two cores, the table says why it
was not run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from dropout_zoo.models.registry import ModelEntry

NO_DATA = ("SVHN", "CIFAR-10", "CIFAR-100", "ImageNet")
"""Datasets that are neither embedded nor given by `--mnist`."""

LARGEST = 5_000_000
"""Models with more parameters than this take too long on two cores."""


@dataclass(frozen=True)
class BenchmarkJob:
    """How one model is trained for the table.

    Attributes:
        model: its registered name.
        data: ``"mnist"``, ``"breast_cancer"``, or a name that `load_dataset` knows.
        train: number of training examples, drawn from those available; None for all.
        validation: number of validation examples, likewise.
        epochs: largest number of epochs per training run. At least 3,000 updates of the weights,
            unless the run ends before, because the validation error no longer falls.
        patience: number of epochs without improvement after which a run ends.
        num_seeds: number of seeds on which each setting is trained and tested.
        batch_size: batch size.
        task: ``"reconstruction"`` where the input is the target, otherwise None.
    """

    model: str
    data: str = "mnist"
    train: int | None = 3000
    validation: int | None = 1000
    epochs: int = 60
    patience: int = 15
    num_seeds: int = 6
    batch_size: int = 32
    task: str | None = None

    @property
    def num_runs(self) -> int:
        """Largest number of training runs: three settings on all seeds."""
        return 3 * self.num_seeds

    def quick(self) -> BenchmarkJob:
        """Return a short rehearsal of the same job."""
        return replace(self, epochs=1, train=200, validation=200, num_seeds=2)


JOBS = (
    BenchmarkJob("mlp", train=None, validation=None, epochs=100, batch_size=128),
    BenchmarkJob("cnn"),
    BenchmarkJob("srivastava_1024x3_logistic"),
    BenchmarkJob("srivastava_1024x3"),
    BenchmarkJob("srivastava_1024_1024_2048"),
    BenchmarkJob("goodfellow_maxout_240x2"),
    BenchmarkJob("autoencoder", epochs=200, task="reconstruction"),
    BenchmarkJob("tabular_mlp", "breast_cancer", train=None, validation=None, epochs=300,
                 patience=60),
    BenchmarkJob("lstm", "topics", train=None, validation=None, epochs=80),
    BenchmarkJob("transformer", "topics", train=None, validation=None, epochs=80),
    BenchmarkJob("wide_resnet_10_1", "noisy_digits", train=None, validation=None, epochs=100),
    BenchmarkJob("wide_resnet_10_1_after_norm", "noisy_digits", train=None, validation=None,
                 epochs=100),
)  # fmt: skip

TOO_SLOW = {"vit": "about ten minutes per training run on two cores, three hours for all"}
"""Models that no entry above trains, and why."""

PUBLISHED = {
    "cnn": "0.75 claimed, 1.01 re-run (rates 0.25 / 0.5, 12 epochs)",
    "srivastava_800x2_logistic": "1.60 without dropout (Simard et al. 2003)",
    "srivastava_1024x3_logistic": "1.35 with dropout (Srivastava et al. 2014, Table 2)",
    "srivastava_1024x3": "1.06 with dropout and max-norm (Srivastava et al. 2014, Table 2)",
    "srivastava_1024_1024_2048": "1.05 with dropout and max-norm (Srivastava et al. 2014, Table 9)",
    "goodfellow_maxout_240x2": "0.94 (Goodfellow 2013, in Srivastava et al. 2014, Table 2)",
    "srivastava_4096x2": "1.01 with dropout and max-norm (Srivastava et al. 2014, Table 2)",
    "srivastava_8192x2": "0.95 with dropout and max-norm (Srivastava et al. 2014, Table 2)",
    "srivastava_cnn": "SVHN: 3.95 without dropout, 3.02 in the dense layers, 2.55 in all "
    "(Srivastava et al. 2014, Table 3, secondary)",
}
"""Test errors in percent from the literature; "secondary" where the paper itself was not seen."""


class NotRun(NamedTuple):
    """A model that the table does not train.

    Attributes:
        model: its registered name.
        reason: why it is not trained.
    """

    model: str
    reason: str


def job_for(entry: ModelEntry) -> BenchmarkJob | NotRun:
    """Return how the table trains a registered model.

    Args:
        entry: the model.

    Returns:
        The job, or the reason why there is none.
    """
    for job in JOBS:
        if job.model == entry.name:
            return job
    if entry.data in NO_DATA:
        return NotRun(entry.name, f"{entry.data} needs a download; built and tested only")
    if entry.parameters > LARGEST:
        return NotRun(entry.name, f"{entry.parameters:,} parameters: too large for two cores")
    if entry.name in TOO_SLOW:
        return NotRun(entry.name, TOO_SLOW[entry.name])
    if not any(entry.sites.values()):
        return NotRun(entry.name, "it has no dropout by default")
    return NotRun(entry.name, "no entry in benchmarks/zoo_jobs.py yet")
