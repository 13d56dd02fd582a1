"""The experiment behind claims: settings that are trained on the same seeds and the same data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from dropout_zoo.training.data.dataset import Dataset
    from dropout_zoo.training.schedules import RateSchedule

MeasureModel = Callable[["keras.Model", "Dataset"], Mapping[str, float]]
"""Measures a trained model at its best epoch; returns metrics by name."""

SeededData = Callable[[int], "Dataset"]
"""Makes the data of a seed."""

ChangeData = Callable[["Dataset", int], "Dataset"]
"""Changes the training data of a seed."""


@dataclass(frozen=True)
class ExperimentSetting:
    """A setting of an experiment, which is trained on every seed.

    Attributes:
        rates: rate (fraction dropped) by placement; sites of other placements get 0.
        arguments: arguments of the builder, beyond those of the experiment.
        model: a registered name, or ``"package.module:function"``; None for the experiment's.
        change: changes the training data; None to leave them.
        schedule: makes the schedule of the rates; None for constant rates.
        training: settings of training that differ from the experiment's.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    change: ChangeData | None = None
    schedule: Callable[[], RateSchedule] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)


def hidden(rate: float, **placements: float) -> dict[str, float]:
    """Return the rates of a setting: one for the hidden layers, and those of other placements."""
    return {"hidden": rate, **placements}


@dataclass(frozen=True)
class Experiment:
    """Settings that are trained on the same seeds, each seed on data of its own.

    Attributes:
        name: names its stored results.
        description: data, network and length of training in a sentence.
        data: makes the data of a seed.
        settings: the settings by name.
        training: how each model is trained, as `TrainSettings` takes it.
        num_seeds: number of seeds.
        model: a registered name, or ``"package.module:function"``.
        arguments: arguments of its builder.
        measure: measures each model at its best epoch, beyond its test error.
    """

    name: str
    description: str
    data: SeededData
    settings: Mapping[str, ExperimentSetting]
    training: Mapping[str, Any]
    num_seeds: int = 8
    model: str = "mlp"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    measure: MeasureModel | None = None
