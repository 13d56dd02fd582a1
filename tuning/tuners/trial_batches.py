"""Trains the trials of a KerasTuner search in batches, as members of shared trainers."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.errors import FailedTrialError, FatalError, FatalTypeError
from keras_tuner.oracles import GridSearchOracle, HyperbandOracle, RandomSearchOracle

from dropout_zoo.models.caller_warnings import warn_caller
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.models.keras_internals import fresh_names
from dropout_zoo.training.engine.base import OnResult, Trainer
from dropout_zoo.training.engine.cores import usable_cores
from dropout_zoo.training.failure_reasons import reason_of
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.seeding import seeded_globals
from dropout_zoo.tuning.keras_tuner_internals import (
    ModelFitTuner,
    continue_grid_from,
)
from dropout_zoo.tuning.space import DropoutHyperModel
from dropout_zoo.tuning.tuners.trial_trainers import AssignedTrainer, Trainers

# A trial, the number of its execution, and the member to train.
Execution = tuple[Trial, int, Member]
# Trains a trial by Model.fit.
ByModelFit = Callable[[Trial], None]

# Oracles that create trials without waiting; Hyperband reports when it needs results first.
_NON_SEQUENTIAL = (GridSearchOracle, RandomSearchOracle, HyperbandOracle)


class BatchTuner(ModelFitTuner):
    """The part of `DropoutTuner` that asks for trials, trains them together and reports them.

    Args:
        parallel_trials: as in `DropoutTuner`, like `seed`.
        seed: seed of every trial.
        **arguments: those of `keras_tuner.Tuner`.

    Attributes:
        results: the training run of each trial that has ended, by its id.
    """

    def __init__(self, *, parallel_trials: int | None, seed: int, **arguments: Any) -> None:
        self.parallel_trials = parallel_trials
        self.seed = seed
        self.results: dict[str, TrainedMember] = {}
        self._input_shape: tuple[int, ...] | None = None
        super().__init__(**arguments)

    @property
    def _varies_rates_only(self) -> bool:
        """Whether the models of trials differ only in rates by construction."""
        kind = type(self.hypermodel)
        return (
            isinstance(self.hypermodel, DropoutHyperModel)
            and kind.build is DropoutHyperModel.build
            and kind.declare is DropoutHyperModel.declare
            and not (self.optimizer or self.loss or self.metrics)
        )

    def _search(
        self,
        trainers: Trainers,
        on_result: OnResult | None,
        by_model_fit: ByModelFit | None = None,
    ) -> None:
        # Without state on disk, trials interrupted before the first one ended would be lost.
        self.save()
        self.on_search_begin()
        failures: set[str] = set()
        batch = self._first_batch(trainers)
        while trials := self._next_trials(batch):
            largest = self._run(trials, trainers, on_result, by_model_fit, failures)
            if self.parallel_trials is None and self._needs_no_results():
                batch = max(batch, largest)
        self._check_any_completed(failures)
        self.on_search_end()

    def _check_any_completed(self, failures: set[str]) -> None:
        """Raise an error if every trial failed; `failures` are the reasons."""
        if failures and all(t.status == TrialStatus.FAILED for t in self.oracle.trials.values()):
            raise RuntimeError(f"every trial failed: {'; '.join(sorted(failures))}")

    def _run(
        self,
        trials: Sequence[Trial],
        trainers: Trainers,
        on_result: OnResult | None,
        by_model_fit: ByModelFit | None,
        failures: set[str],
    ) -> int:
        """Train and report trials; return how many a shared trainer could train at once."""
        results: dict[str, dict[int, TrainedMember]] = defaultdict(dict)

        def train(trainer: Trainer, group: Sequence[Execution]) -> None:
            trained = trainer.train([member for _, _, member in group], on_result)
            for (trial, execution, _), result in zip(group, trained, strict=True):
                of_trial = results[trial.trial_id]
                of_trial[execution] = result
                if len(of_trial) == self.executions_per_trial:
                    self._report(trial, [of_trial[n] for n in sorted(of_trial)], failures)

        shared: dict[int, tuple[Trainer, list[Execution]]] = {}
        for trial in trials:
            planned = self._planned(trial, trainers, failures)
            reason = next((assigned.reason for assigned, _ in planned if assigned.reason), None)
            if reason is not None:
                assert by_model_fit is not None  # a given trainer trains everything
                warn_caller(f"Model.fit trains trial {trial.trial_id}, because {reason}")
                by_model_fit(trial)
                self._end(trial, failures)
                continue
            for assigned, execution in planned:
                trainer = assigned.trainer
                assert trainer is not None
                if assigned.at_once:
                    train(trainer, [execution])
                else:
                    shared.setdefault(id(trainer), (trainer, []))[1].append(execution)
        for trainer, group in shared.values():
            train(trainer, group)
        return max((trainer.max_parallel for trainer, _ in shared.values()), default=0)

    def _planned(
        self, trial: Trial, trainers: Trainers, failures: set[str]
    ) -> list[tuple[AssignedTrainer, Execution]]:
        """Return the executions of a trial with their trainers; none if it failed to be built."""
        planned = []
        try:
            for number in range(self.executions_per_trial):
                assigned, member = self._member(trial, number, trainers)
                planned.append((assigned, (trial, number, member)))
        except FatalError:
            raise
        except Exception as error:  # the user's own code may raise anything
            self._fail(trial, reason_of(error), failures)
            return []
        return planned

    def _first_batch(self, trainers: Trainers) -> int:
        if self.parallel_trials is not None:
            return self.parallel_trials
        if self._needs_no_results() and self._varies_rates_only:
            trainer = trainers.trainer_for(self.hypermodel.model).trainer
            if trainer is not None:
                return trainer.max_parallel
        return usable_cores()  # until a model has been built

    def _needs_no_results(self) -> bool:
        return keras.backend.backend() == "jax" and isinstance(self.oracle, _NON_SEQUENTIAL)

    def _next_trials(self, batch: int) -> list[Trial]:
        """Return the trials to train together; none when the oracle has stopped."""
        trials: list[Trial] = []
        # Each trial needs its own tuner id: with the same id, an oracle returns the same trial.
        # Trials that an interrupted search left running come first, under their former ids.
        for number in range(batch):
            self.pre_create_trial()
            trial = self.oracle.create_trial(f"{self.tuner_id}-{number}")
            # An idle oracle needs the results of this batch first.
            if trial.status != TrialStatus.RUNNING:
                break
            if isinstance(self.oracle, GridSearchOracle):
                continue_grid_from(self.oracle, trial.trial_id)
            self.on_trial_begin(trial)
            trials.append(trial)
        return trials

    def _member(
        self, trial: Trial, execution: int, trainers: Trainers
    ) -> tuple[AssignedTrainer, Member]:
        """Return the trainer of an execution of a trial, and the member to train."""
        hp = trial.hyperparameters
        rates: Mapping[str, float] | Sequence[float]
        if self._varies_rates_only:  # no need to build it
            model, rates = self.hypermodel.model, self.hypermodel.space.site_rates(hp.values)
        else:
            model = self._build(hp, execution)
            # By position: another build may give its layers different names.
            rates = [site.rate for site in settable_sites(model)]
        self._check_size(model)
        earlier = hp.values.get("tuner/trial_id")
        member = Member(
            rates,
            self.seed + execution,
            epochs=hp.values.get("tuner/epochs"),
            initial_epoch=hp.values.get("tuner/initial_epoch", 0),
            weights=self._checkpoint(earlier, execution) if earlier else None,
            label=trial.trial_id,
        )
        return trainers.trainer_for(model), member

    def _build(self, hp: keras_tuner.HyperParameters, execution: int) -> keras.Model:
        with fresh_names(), seeded_globals(self.seed + execution):
            model = self.build_model(hp)
            if not isinstance(model, keras.Model):
                raise FatalTypeError(
                    "expected the hypermodel to build a Keras model, received "
                    f"{type(model).__name__}; return the model from build"
                )
            if isinstance(model, keras.Sequential) and not model.built and self._input_shape:
                model.build((None, *self._input_shape))
        return model

    def _check_size(self, model: keras.Model) -> None:
        size = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        if self.max_model_size is not None and size > self.max_model_size:
            raise FailedTrialError(
                f"expected at most max_model_size={self.max_model_size} trainable weights, "
                f"received a model with {size}"
            )

    def _report(
        self, trial: Trial, executions: Sequence[TrainedMember], failures: set[str]
    ) -> None:
        executions = [
            self._keep_checkpoint(trial, number, result) for number, result in enumerate(executions)
        ]
        failed = [result for result in executions if result.status != "completed"]
        if failed:
            self.results[trial.trial_id] = failed[0]
            self._fail(trial, failed[0].reason, failures)
            return
        best = executions[0]
        for result in executions[1:]:
            if result.objective.is_better(result.score, than=best.score):
                best = result
        kept = self._checkpoint(trial.trial_id)
        if best.checkpoint is not None and best.checkpoint != kept:
            shutil.copyfile(best.checkpoint, kept)
        self.results[trial.trial_id] = best
        rows = [each.best_metrics for each in executions]
        metrics: dict[str, Any] = {
            name: float(np.mean([row[name] for row in rows])) for name in self._reported(rows[0])
        }
        step = int(np.mean([each.best_epoch for each in executions]))
        self.oracle.update_trial(trial.trial_id, metrics, step=step)
        trial.status = TrialStatus.COMPLETED
        self.on_trial_end(trial)

    def _reported(self, metrics: Iterable[str]) -> Iterable[str]:
        """The metrics that the oracle is told."""
        return metrics

    def _keep_checkpoint(
        self, trial: Trial, execution: int, result: TrainedMember
    ) -> TrainedMember:
        if result.checkpoint is None:
            return result
        kept = self._checkpoint(trial.trial_id, execution)
        shutil.copyfile(result.checkpoint, kept)
        return replace(result, checkpoint=kept)

    def _end(self, trial: Trial, failures: set[str]) -> None:
        if trial.status != TrialStatus.COMPLETED:
            failures.add(reason_of_failure(trial))
        self.on_trial_end(trial)

    def _fail(self, trial: Trial, reason: str, failures: set[str]) -> None:
        failures.add(reason)
        trial.status, trial.message = TrialStatus.FAILED, reason
        self.on_trial_end(trial)

    def _checkpoint(self, trial_id: str, execution: int | None = None) -> Path:
        """The weights of an execution of a trial, or of the best one."""
        several = execution is not None and self.executions_per_trial > 1
        name = f"execution_{execution}.npz" if several else "checkpoint.npz"
        return Path(self.get_trial_dir(trial_id)) / name


def reason_of_failure(trial: Trial) -> str:
    """Return the last line of what KerasTuner noted about a trial that failed."""
    return str(trial.message).strip().rpartition("\n")[2]
