"""The plan of an experiment: each seed draws data of its own, which all settings share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from dropout_zoo.studies.claims.experiment import Experiment, ExperimentSetting
from dropout_zoo.studies.claims.held_out import held_out_scores
from dropout_zoo.studies.plan import Setting, StudyPlan, TrainingSetup, as_seeds
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import train_and_conclude
from dropout_zoo.studies.site_groups import build_with
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.settings import TrainSettings


def plan_experiment(
    experiment: Experiment, num_seeds: int | None = None
) -> StudyPlan[TrainingStudyResult]:
    """Plan the training runs of an experiment.

    Args:
        experiment: what is trained.
        num_seeds: number of seeds; None for those of the experiment.

    Returns:
        The plan; its result has no conclusions, which are those of the claims.
    """
    all_seeds = as_seeds(experiment.num_seeds if num_seeds is None else num_seeds)
    setups = _Setups(experiment)
    placements = dict.fromkeys(
        each for setting in experiment.settings.values() for each in setting.rates
    )
    settings = [
        Setting(
            name,
            {f"{each} rate": setting.rates.get(each, 0.0) for each in placements},
            setup.rates(setting.rates),
            setup,
            seeds=[seed],
            schedule=None if setting.schedule is None else setting.schedule(),
        )
        for seed in all_seeds
        for name, setting in experiment.settings.items()
        for setup in [setups.of(setting, seed)]
    ]

    def measure(setting: Setting, trained: TrainedMember) -> Mapping[str, Any]:
        model, data = trained.model(), setups.data(trained.member.seed)
        further = experiment.measure(model, data) if experiment.measure else {}
        return {**held_out_scores(model, data), **further}

    return StudyPlan(
        kind="claim",
        dataset=setups.data(all_seeds[0]),
        settings=settings,
        seeds=all_seeds,
        training=TrainSettings.from_options(experiment.training),
        procedure=train_and_conclude(lambda result: [], measure),
        arguments={"experiment": experiment.name},
    )


class _Setups:
    """Models and data of an experiment, each made once; settings that share them share a trainer.

    Args:
        experiment: what is trained.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._data: dict[int, Dataset] = {}
        self._models: list[tuple[Any, keras.Model]] = []
        self._setups: list[tuple[Any, TrainingSetup]] = []

    def data(self, seed: int) -> Dataset:
        """Return the data of a seed, as no setting has changed them."""
        if seed not in self._data:
            self._data[seed] = self._experiment.data(seed)
        return self._data[seed]

    def of(self, setting: ExperimentSetting, seed: int) -> TrainingSetup:
        """Return the setup of a setting on a seed."""
        model = self._model(setting, seed)
        key = model, setting.change, dict(setting.training), seed
        for known, setup in self._setups:
            if known == key:
                return setup
        data = self.data(seed)
        part = data if setting.change is None else setting.change(data, seed)
        setup = TrainingSetup(model, part, dict(setting.training))  # type: ignore[arg-type]
        self._setups.append((key, setup))
        return setup

    def _model(self, setting: ExperimentSetting, seed: int) -> keras.Model:
        # A list, because arguments may hold what cannot be hashed.
        arguments = {**self._experiment.arguments, **setting.arguments}
        key = setting.model or self._experiment.model, arguments
        for known, model in self._models:
            if known == key:
                return model
        model = build_with(key[0], self.data(seed), key[1])
        self._models.append((key, model))
        return model
