"""What the benchmark table trains: data, epochs and seeds for each model, and published figures.

A model that is added to the registry gets a row in the table once it has an entry here. Until then,
and where its data needs a download or the model is too large for two cores, the table says why it
was not run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from dropout_zoo.models.registry import ModelEntry

LOW_RATES = (0.0, 0.1, 0.2, 0.3)
"""Rates to try where the default is at most 0.1, which is below the range of the guidance."""

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
        epochs: number of epochs per training run.
        train: number of training examples, drawn from those available; None for all.
        validation: number of validation examples, likewise.
        num_seeds: number of seeds on which each setting is trained and tested.
        trials: number of trials of the search that comes first, on another seed.
        num_race_seeds: number of seeds on which the search trains its finalist and no dropout
            before it chooses the rates.
        rates: rates that the search tries at each site; None for those of the guidance.
        batch_size: batch size.
        task: ``"reconstruction"`` where the input is the target, otherwise None.
    """

    model: str
    data: str = "mnist"
    epochs: int = 10
    train: int | None = 3000
    validation: int | None = 1000
    num_seeds: int = 3
    trials: int = 3
    num_race_seeds: int = 1
    rates: tuple[float, ...] | None = None
    batch_size: int = 128
    task: str | None = None

    @property
    def num_runs(self) -> int:
        """Largest number of training runs: the search, its controls and finalist, and all seeds."""
        return self.trials + 2 + 3 * 2 + 2 * self.num_race_seeds + 3 * self.num_seeds

    def quick(self) -> BenchmarkJob:
        """Return a short rehearsal of the same job."""
        return replace(self, epochs=1, train=200, validation=200, num_seeds=2, trials=2)


JOBS = (
    BenchmarkJob("mlp", epochs=15, train=10_000, validation=2000, trials=10,
                 num_race_seeds=2, num_seeds=5),
    BenchmarkJob("cnn", epochs=5, train=4000, validation=2000, trials=4, num_race_seeds=2),
    BenchmarkJob("srivastava_800x2_logistic", epochs=10, train=3000),
    BenchmarkJob("srivastava_1024x3_logistic", epochs=8, train=3000),
    BenchmarkJob("srivastava_1024x3", epochs=8, train=3000),
    BenchmarkJob("srivastava_1024_1024_2048", epochs=8, train=3000),
    BenchmarkJob("goodfellow_maxout_240x2", epochs=8, train=3000),
    BenchmarkJob("autoencoder", train=5000, trials=5, num_race_seeds=2, num_seeds=5,
                 task="reconstruction"),
    BenchmarkJob("tabular_mlp", "breast_cancer", epochs=30, train=None, validation=None, trials=10,
                 num_race_seeds=2, num_seeds=5, rates=LOW_RATES, batch_size=32),
    BenchmarkJob("lstm", "topics", epochs=8, train=None, validation=None, batch_size=64),
    BenchmarkJob("transformer", "topics", epochs=10, train=None, validation=None, batch_size=64,
                 rates=LOW_RATES),
    BenchmarkJob("vit", epochs=5, train=1000, validation=500, batch_size=64, rates=LOW_RATES),
    BenchmarkJob("wide_resnet_10_1", epochs=5, train=1000, validation=500, batch_size=64),
    BenchmarkJob("wide_resnet_10_1_after_norm", epochs=5, train=1000, validation=500,
                 batch_size=64),
)  # fmt: skip

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
    return NotRun(entry.name, "no entry in benchmarks/zoo_jobs.py yet")
