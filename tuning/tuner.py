"""A KerasTuner tuner whose trials are trained together, as members of one model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import keras_tuner
from keras_tuner.engine import trial as trial_module

from dropout_zoo.models.cloning import with_rates
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.tuning.space import DropoutHyperModel

Status = trial_module.TrialStatus


class Trainer(Protocol):
    """What trains members: a `MemberTrainer`, or one that keeps a journal."""

    def train(
        self,
        members: Sequence[Member],
        on_result: Callable[[TrainedMember], None] | None = None,
    ) -> list[TrainedMember]:
        """Train members; see `MemberTrainer.train`."""


class DropoutTuner(keras_tuner.Tuner):
    """Searches the dropout rates of a model, many trials at a time.

    Args:
        oracle: any oracle of KerasTuner; it decides what is tried.
        hypermodel: the model and the rates to try.
        batch: number of trials that are asked for at once; larger ones keep all cores busy,
            smaller ones let an oracle that learns learn sooner.
        seed: seed of every trial's initial weights, data order and masks, a whole number >= 0.
        directory: folder that holds projects; state and weights go there.
        project_name: name of this search's folder in it.
        overwrite: whether to begin anew where the project exists; else it is continued.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        hypermodel: DropoutHyperModel,
        *,
        batch: int = 8,
        seed: int = 0,
        directory: str | Path | None = None,
        project_name: str | None = None,
        overwrite: bool = False,
    ) -> None:
        self.batch = batch
        self.seed = seed
        self.results: dict[str, TrainedMember] = {}
        super().__init__(
            oracle=oracle,
            hypermodel=hypermodel,
            directory=None if directory is None else str(directory),
            project_name=project_name,
            overwrite=overwrite,
        )

    def search(
        self,
        trainer: Trainer,
        on_result: Callable[[TrainedMember], None] | None = None,
    ) -> None:
        """Search until the oracle stops.

        Args:
            trainer: the data, and how to train on them.
            on_result: hears of each trial as it finishes.

        Raises:
            RuntimeError: every trial of the first batch failed; the message says why.
        """
        # Without state on disk, trials cut off before the first one ended would be lost.
        self.save()
        self.on_search_begin()
        while batch := self._next_batch():
            members = [self._member(trial) for trial in batch]
            for trial, result in zip(batch, trainer.train(members, on_result), strict=True):
                self._report(trial, result)
            if all(result.status != "completed" for result in self.results.values()):
                reasons = {result.reason for result in self.results.values()}
                raise RuntimeError(f"every trial failed: {'; '.join(sorted(reasons))}")
        self.on_search_end()

    def load_model(self, trial: trial_module.Trial) -> keras.Model:
        """Build the plain Keras model of a trial, with its weights at the best epoch.

        Args:
            trial: a completed trial.

        Returns:
            A compiled model.
        """
        model = with_rates(self.hypermodel.model, self._rates(trial))
        model.set_weights(list(Checkpoint.load(self._checkpoint(trial.trial_id)).best))
        return model

    def _next_batch(self) -> list[trial_module.Trial]:
        """Trials to be trained together; none when the oracle has stopped."""
        trials: list[trial_module.Trial] = []
        # Trials that a stopped search left running come first: their ids are theirs again.
        for number in range(self.batch):
            trial = self.oracle.create_trial(f"{self.tuner_id}-{number}")
            # Idle: what comes next depends on trials that are in this batch.
            if trial.status != Status.RUNNING:
                break
            self.on_trial_begin(trial)
            trials.append(trial)
        return trials

    def _member(self, trial: trial_module.Trial) -> Member:
        values = trial.hyperparameters.values
        earlier = values.get("tuner/trial_id")
        return Member(
            self._rates(trial),
            self.seed,
            epochs=values.get("tuner/epochs"),
            initial_epoch=values.get("tuner/initial_epoch", 0),
            weights=self._checkpoint(earlier) if earlier else None,
            label=trial.trial_id,
        )

    def _rates(self, trial: trial_module.Trial) -> dict[str, float]:
        return self.hypermodel.space.site_rates(trial.hyperparameters.values)

    def _report(self, trial: trial_module.Trial, result: TrainedMember) -> None:
        self.results[trial.trial_id] = result
        if result.checkpoint is not None:
            shutil.copyfile(result.checkpoint, self._checkpoint(trial.trial_id))
        if result.status == "completed":
            best = result.curves.set_index("epoch").loc[result.best_epoch]
            metrics: dict[str, Any] = {name: float(value) for name, value in best.items()}
            self.oracle.update_trial(trial.trial_id, metrics, step=result.best_epoch)
            trial.status = Status.COMPLETED
        else:
            trial.status, trial.message = Status.FAILED, result.reason
        self.on_trial_end(trial)

    def _checkpoint(self, trial_id: str) -> Path:
        return Path(self.get_trial_dir(trial_id)) / "checkpoint.npz"
