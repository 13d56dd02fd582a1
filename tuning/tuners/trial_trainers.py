"""Which trainer trains the trial of a search."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple, Protocol

import keras

from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.models.graph.equality import ModelReading, read_model
from dropout_zoo.models.graph.model_graph import is_plain_model
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.engine.base import Trainer
from dropout_zoo.training.engine.eligibility import own_training_code
from dropout_zoo.training.engine.trainer import MemberTrainer
from dropout_zoo.training.seeding import was_trained
from dropout_zoo.training.settings import TrainSettings

MAX_TRAINERS = 4
"""Number of trainers at a time: each holds the data and traced functions in memory."""


class AssignedTrainer(NamedTuple):
    """The trainer of a model, or the reason why it has none.

    Attributes:
        trainer: its trainer; None if only `Model.fit` can train it.
        at_once: whether the model has to be trained before the next one is built, which may change
            what it refers to.
        reason: why only `Model.fit` can train the model, as the end of a sentence; empty otherwise.
    """

    trainer: Trainer | None
    at_once: bool = False
    reason: str = ""


class Trainers(Protocol):
    """Finds the trainer of a model."""

    def trainer_for(self, model: keras.Model) -> AssignedTrainer:
        """Return the trainer for a model."""


class GivenTrainer:
    """One given trainer, for models that differ only in rates.

    Args:
        trainer: the trainer.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._assigned = AssignedTrainer(trainer)

    def trainer_for(self, model: keras.Model) -> AssignedTrainer:
        """Return the given trainer."""
        return self._assigned


class TrialTrainers:
    """Trainers for the models that a hypermodel builds.

    Models share a trainer only where they are shown to be equal in all but their dropout rates;
    a model that cannot be read has its own trainer. Initial weights are part of the comparison
    unless they are drawn anew.

    Args:
        data: the data.
        settings: how each trial is trained.
        directory: directory for the weights.
        cluster: as in `MemberTrainer`.
    """

    def __init__(
        self, data: Dataset, settings: TrainSettings, directory: Path, cluster: str | None
    ) -> None:
        self._cluster = cluster
        self._data = data
        self._settings = settings
        self._directory = directory
        self._weights = "fixed" if settings.initial_weights == "fresh" else "all"
        self._shared: dict[str, MemberTrainer] = {}
        self._numbers = itertools.count()

    def trainer_for(self, model: keras.Model) -> AssignedTrainer:
        """Return the trainer for a model.

        Args:
            model: a compiled model.

        Returns:
            The trainer, or why only `Model.fit` can train the model.

        Raises:
            ValueError: model, data and settings do not fit together, or the model has custom
                training code, which fails.
        """
        if not is_plain_model(model):
            return _only_model_fit(f"{type(model).__name__} is a subclassed model without a graph")
        if model.compiled and was_trained(model):
            return _only_model_fit("its build function has already trained the model")
        reading = read_model(model, rates=False, weights=self._weights)
        trainer = self._shared.pop(reading.digest, None)
        if trainer is None:
            reason = self._why_not_cloned(model, reading)
            if reason:
                return _only_model_fit(reason)
            directory = self._directory / str(next(self._numbers))
            trainer = new_trainer(model, self._data, self._settings, directory, self._cluster)
            if own_training_code(model) is not None:
                trainer.start()  # if that code fails, only this trial fails
        if reading.unread:
            return AssignedTrainer(trainer, at_once=True)
        self._shared[reading.digest] = trainer
        while len(self._shared) > MAX_TRAINERS:  # the least recently used
            del self._shared[next(iter(self._shared))]
        return AssignedTrainer(trainer, at_once=reading.can_change)

    def _why_not_cloned(self, model: keras.Model, reading: ModelReading) -> str:
        """Why a clone would not be trained as the model itself; empty if it would."""
        if not (reading.has_own_code or reading.unread):
            return ""
        try:
            clone = with_rates(model, {})
        except TypeError as error:
            return str(error)
        if reading.equals(read_model(clone, rates=False, weights=self._weights)):
            return ""
        return "the get_config() of a layer, metric or optimizer leaves out some of its settings"


def new_trainer(
    model: keras.Model,
    data: Dataset,
    settings: TrainSettings,
    directory: Path,
    cluster: str | None = None,
) -> MemberTrainer:
    """Return a trainer whose members Hyperband can continue."""
    return MemberTrainer(
        model, data, settings, keep_state=True, directory=directory, cluster=cluster
    )


def _only_model_fit(reason: str) -> AssignedTrainer:
    return AssignedTrainer(None, reason=reason)
