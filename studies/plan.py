"""What a study is going to train: settings on shared seeds, models and data, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.loaders import load_dataset
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.provenance import as_json, describe_data, describe_model
from dropout_zoo.training.settings import TrainOptions, TrainSettings

Model = keras.Model | str | Callable[..., keras.Model]
Measure = Callable[["Setting", TrainedMember], Mapping[str, Any]]
"""What else to measure of a training, by name of its column."""

NO_DROPOUT = "no dropout"
"""Name of the control in every study of one model on one data set."""


@dataclass(frozen=True)
class Execution:
    """Where a study runs and who hears of it; no number depends on it.

    Attributes:
        directory: folder in which finished trainings are kept, so that a study that was stopped
            goes on where it was when it is started again; None for none.
        on_plan: hears what is going to be trained, before any training.
        on_result: hears of each training as it finishes.
        on_restored: hears of each training that an earlier start had finished.
        workers: number of trainings at the same time; None for one a usable core.
    """

    directory: Path | None = None
    on_plan: Callable[[StudyPlan], None] | None = None
    on_result: Callable[[TrainedMember], None] | None = None
    on_restored: Callable[[TrainedMember], None] | None = None
    workers: int | None = None


@dataclass(frozen=True, eq=False)
class Bench:
    """A model and the data that it is trained on: settings that share them share a trainer.

    Attributes:
        model: a compiled model.
        dataset: the data, or what makes them when their turn has come.
        overrides: settings of its trainings that differ from the study's.
    """

    model: keras.Model
    dataset: Dataset | Callable[[], Dataset]
    overrides: TrainOptions = field(default_factory=TrainOptions)

    def settings(self, training: TrainSettings) -> TrainSettings:
        """Return the settings of its trainings, given those of the study."""
        return replace(training, **self.overrides)

    def rates(self, rate: float | Mapping[str, float]) -> dict[str, float]:
        """Rates of every site: one for all, or by placement, 0 where it is not named."""
        sites = settable_sites(self.model)
        if isinstance(rate, Mapping):
            return {site.path: rate.get(site.placement, 0.0) for site in sites}
        return {site.path: rate for site in sites}


@dataclass(frozen=True)
class Setting:
    """One setting of a study, to be trained on each seed.

    Attributes:
        name: its name, the same for every seed.
        factors: value of each varied factor.
        rates: rate (fraction dropped) by site path.
        bench: model and data.
        seeds: its seeds, where they are not the study's.
    """

    name: str
    factors: Mapping[str, Any]
    rates: Mapping[str, float]
    bench: Bench
    seeds: Sequence[int] | None = None


@dataclass(frozen=True)
class StudyPlan:
    """Everything that a study is going to train.

    Attributes:
        kind: name of the function that plans it.
        settings: the settings.
        controls: by name of a setting, that of the setting it is compared with.
        seeds: the seeds.
        training: how each model is trained.
        arguments: the arguments of the study, as plain data, for its record.
        keep_state: whether the weights after the last epoch are kept for what is measured.
        later: number of trainings that follow, and are decided by these.
    """

    kind: str
    settings: Sequence[Setting]
    controls: Mapping[str, str]
    seeds: Sequence[int]
    training: TrainSettings
    arguments: Mapping[str, Any] = field(default_factory=dict)
    keep_state: bool = False
    later: int = 0

    @property
    def trainings(self) -> int:
        """Number of trainings; settings with the same model, data and rates are trained once."""
        return self.later + sum(len(self.trainings_on(bench)) for bench in self.benches)

    def trainings_on(self, bench: Bench) -> dict[tuple, Member]:
        """Say what is trained on a bench: settings with the same rates are, of a seed, once.

        Returns:
            The members, by `training_key`.
        """
        members: dict[tuple, Member] = {}
        for setting in self.settings:
            if setting.bench is bench:
                for seed in setting.seeds or self.seeds:
                    member = Member(setting.rates, seed, label=setting.name)
                    members.setdefault(training_key(setting, seed), member)
        return members

    @property
    def benches(self) -> list[Bench]:
        """The models and data, each once, in the order in which they are trained."""
        return list(dict.fromkeys(setting.bench for setting in self.settings))

    @property
    def factors(self) -> list[str]:
        """Names of the varied factors."""
        return list(dict.fromkeys(name for setting in self.settings for name in setting.factors))

    def describe(self, dataset: Dataset) -> dict[str, Any]:
        """Say all that decides the numbers, as plain data.

        Args:
            dataset: the data that the study was given.

        Returns:
            What JSON can hold.
        """
        return {
            "study": self.kind,
            "arguments": as_json(self.arguments),
            "seeds": list(self.seeds),
            "training": self.training.describe(),
            "settings": {each.name: dict(each.rates) for each in self.settings},
            "models": [
                describe_model(bench.model, bench.settings(self.training).initial_weights)
                for bench in self.benches
            ],
            "data": describe_data(dataset),
        }


def training_key(setting: Setting, seed: int) -> tuple:
    """What tells the trainings of a bench apart."""
    return tuple(sorted(setting.rates.items())), seed


def as_dataset(dataset: Dataset | str | Path) -> Dataset:
    """The data that are meant: a `Dataset` as it is, anything else by `load_dataset`."""
    return dataset if isinstance(dataset, Dataset) else load_dataset(str(dataset))


def as_seeds(seeds: int | Sequence[int]) -> list[int]:
    """Read what a study was given as seeds.

    Args:
        seeds: how many, for 0, 1, 2, ...; or the seeds themselves, whole numbers >= 0.

    Returns:
        The seeds.

    Raises:
        ValueError: there is none, one is no whole number, or one is named twice.
    """
    if not isinstance(seeds, Sequence):
        check_count(seeds, "seeds")
        return list(range(seeds))
    for seed in seeds:
        check_count(seed, "each of seeds", least=0)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(
            f"expected seeds to be a number, or different whole numbers; received {list(seeds)}"
        )
    return [int(seed) for seed in seeds]
