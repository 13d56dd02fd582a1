"""A tuner of rates and other hyperparameters, each of whose trials also runs without dropout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from keras_tuner.engine.trial import Trial

from dropout_zoo.training.engine.base import OnResult
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.build_functions.build_function import BuiltModels
from dropout_zoo.tuning.records.recording import RecordingTrainer
from dropout_zoo.tuning.records.trial_tables import TrainingRecord
from dropout_zoo.tuning.trial_setting import TrialSetting
from dropout_zoo.tuning.tuners.trial_trainers import AssignedTrainer, Trainers
from dropout_zoo.tuning.tuners.tuner import DropoutTuner


class InMemoryTuner(DropoutTuner):
    """A tuner that writes no state; see `InMemoryOracle`."""

    def save(self) -> None:
        """Write nothing."""

    def _reported(self, metrics: Iterable[str]) -> Iterable[str]:
        # The others are in the results, and each takes half a kilobyte in the oracle.
        return [self.oracle.objective.name]


class JointTuner(InMemoryTuner):
    """A tuner of the models that a build function makes.

    Args:
        models: the models.
        trainer: the trainer of the search.
        **arguments: those of `DropoutTuner`.
    """

    def __init__(self, models: BuiltModels, trainer: RecordingTrainer, **arguments: Any) -> None:
        self._models = models
        self._trainer = trainer
        super().__init__(hypermodel=models.build, **arguments)

    def _member(
        self, trial: Trial, execution: int, trainers: Trainers
    ) -> tuple[AssignedTrainer, Member]:
        setting = self._models.setting(trial.hyperparameters.values)
        member = setting.member(self.seed, trial.trial_id)
        self._trainer.outline_of(member)  # if it cannot be trained, only this trial fails
        return trainers.trainer_for(self._models.model_of(setting.hyperparameters)), member

    def _fail(self, trial: Trial, reason: str, failures: set[str]) -> None:
        if trial.trial_id not in self.results:
            values = trial.hyperparameters.values
            chosen = {name: values[name] for name in self._models.names if name in values}
            member = TrialSetting({}, chosen).member(self.seed, trial.trial_id)
            objective = Objective(self.oracle.objective.name, self.oracle.objective.direction)
            self.results[trial.trial_id] = TrainedMember.failed(member, reason, objective)
        super()._fail(trial, reason, failures)


class PairedTrainer:
    """Trains every member also without dropout, from the same seed, beside it.

    So no dropout is tried with as many hyperparameters as dropout is, and with the same.

    Args:
        trainer: trains the members.
        without: returns a setting without dropout.
        control: what such a setting is called.

    Attributes:
        controls: the training runs without dropout.
    """

    def __init__(
        self,
        trainer: RecordingTrainer,
        without: Callable[[TrialSetting], TrialSetting],
        control: str,
    ) -> None:
        self._trainer = trainer
        self._without = without
        self._control = control
        self._known: set[str] = set()
        self.controls: list[TrainingRecord] = []

    @property
    def max_parallel(self) -> int:
        """The largest number of members that are trained at the same time."""
        return self._trainer.max_parallel

    def train(
        self, members: Sequence[Member], on_result: OnResult | None = None
    ) -> list[TrainedMember]:
        """Train members, whose results are returned, and their controls."""
        wanted: list[Member] = []
        for member in members:
            assert not isinstance(member.rates, Sequence)  # trials name their sites
            control = self._without(TrialSetting(member.rates, member.hyperparameters))
            wanted.append(member)
            if control.key not in self._known:
                self._known.add(control.key)
                wanted.append(control.member(member.seed, f"{member.label}, {self._control}"))
        labels = {member.label for member in members}
        self._trainer.controls |= {each.label for each in wanted} - labels
        results = self._trainer.train(wanted, on_result)
        by_label = {member.label: result for member, result in zip(wanted, results, strict=True)}
        self.controls += [
            TrainingRecord(str(label), "control", result)
            for label, result in by_label.items()
            if label not in labels
        ]
        return [by_label[member.label] for member in members]
