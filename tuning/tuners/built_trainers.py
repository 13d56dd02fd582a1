"""Trains members of the models that a build function makes."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.engine.base import OnResult
from dropout_zoo.training.engine.cores import usable_cores
from dropout_zoo.training.engine.eligibility import own_training_code
from dropout_zoo.training.engine.trainer import MemberTrainer
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.plan import PlanOutline
from dropout_zoo.training.settings import TrainSettings
from dropout_zoo.tuning.build_functions.build_function import BuiltModels
from dropout_zoo.tuning.tuners.trial_trainers import MAX_TRAINERS


class BuiltModelsTrainer:
    """Trains members of several models: those with the same hyperparameters by one trainer.

    Args:
        models: the models.
        data: the data.
        settings: how each member is trained.
        directory: directory for the weights; None for temporary ones.
        cluster: as in `MemberTrainer`.
    """

    def __init__(
        self,
        models: BuiltModels,
        data: Dataset,
        settings: TrainSettings,
        directory: Path | None,
        cluster: str | None = None,
    ) -> None:
        self._cluster = cluster
        self._models = models
        self._data = data
        self._settings = settings
        self._directory = directory
        self._numbers = itertools.count()
        self._trainers: dict[str, MemberTrainer] = {}  # the most recently used last
        self._outlines: dict[str, PlanOutline] = {}

    @property
    def max_parallel(self) -> int:
        """The largest number of members that are trained at the same time."""
        return usable_cores()

    def outline_of(self, member: Member) -> PlanOutline:
        """Return the outline of the plan of a member.

        Raises:
            ValueError: the model with its hyperparameters cannot be trained on the data.
            TypeError: that model cannot be cloned.
        """
        key = _key(member)
        if key not in self._outlines:
            self._outlines[key] = self._trainer(member).plan.outline
        return self._outlines[key]

    def train(
        self, members: Sequence[Member], on_result: OnResult | None = None
    ) -> list[TrainedMember]:
        """Train members, one model after another; see `MemberTrainer.train`."""
        places: dict[str, list[int]] = defaultdict(list)
        for place, member in enumerate(members):
            places[_key(member)].append(place)
        results: dict[int, TrainedMember] = {}
        for of_model in places.values():
            group = [members[place] for place in of_model]
            trained = self._trainer(group[0]).train(group, on_result)
            results.update(zip(of_model, trained, strict=True))
        return [results[place] for place in range(len(members))]

    def _trainer(self, member: Member) -> MemberTrainer:
        key = _key(member)
        trainer = self._trainers.pop(key, None)
        if trainer is None:
            directory = self._directory
            trainer = MemberTrainer(
                self._models.model_of(member.hyperparameters),
                self._data,
                self._settings,
                directory=None if directory is None else directory / str(next(self._numbers)),
                cluster=self._cluster,
            )
            if own_training_code(trainer.plan.model) is not None:
                trainer.start()  # if that code fails, only this model fails
        self._trainers[key] = trainer
        while len(self._trainers) > MAX_TRAINERS:
            del self._trainers[next(iter(self._trainers))]
        return trainer


def _key(member: Member) -> str:
    return json.dumps(dict(member.hyperparameters), sort_keys=True)
