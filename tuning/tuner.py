"""A KerasTuner tuner whose trials are trained together, as members of one model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import keras
import keras_tuner
from keras_tuner.engine import trial as trial_module
from keras_tuner.oracles import (
    BayesianOptimizationOracle,
    GridSearchOracle,
    HyperbandOracle,
    RandomSearchOracle,
)

from dropout_zoo.models.graph.fingerprint import model_fingerprint
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.data.adapters import Arrays, Data, as_dataset
from dropout_zoo.training.engine.base import OnResult, Trainer
from dropout_zoo.training.engine.tensorflow.threads import usable_cores
from dropout_zoo.training.engine.trainer import MemberTrainer
from dropout_zoo.training.failure_reasons import reason_of
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.objective import Objective
from dropout_zoo.training.settings import TrainOptions, TrainSettings
from dropout_zoo.tuning.keras_tuner_internals import (
    UntriedBayesianOracle,
    continue_grid_from,
    restore_grid_order,
    retry,
)
from dropout_zoo.tuning.space import DropoutHyperModel

Status = trial_module.TrialStatus

# Oracles that create trials without waiting; Hyperband reports when it needs results first.
_NON_SEQUENTIAL = (GridSearchOracle, RandomSearchOracle, HyperbandOracle)

# Each trainer holds the data and traced functions in memory.
_MAX_TRAINERS = 4


class DropoutTuner(keras_tuner.Tuner):
    """A KerasTuner tuner for dropout rates that trains many trials at once.

    Results are read as with any tuner: `results_summary`, `get_best_models`,
    `get_best_hyperparameters`, also with a new tuner on the same directory. A trial that Hyperband
    promotes continues from its last epoch. Callbacks, several objectives and several executions
    per trial are not supported.

    Args:
        oracle: any oracle of KerasTuner, which decides what is tried. Bayesian optimization is
            kept from suggesting the same setting twice; `DropoutTuner.oracle` is then another
            object that shares the state of the given one.
        hypermodel: a compiled Keras model, whose dropout sites are searched; a
            `DropoutHyperModel`; or any hypermodel or function that builds a compiled model.
            Trials whose models differ only in dropout rates are trained together.
        parallel_trials: number of trials that are created at once. More keep the machine busy,
            fewer let an oracle learn sooner from results. None for one per usable core, or, on JAX
            with a grid, random search or Hyperband, for as many as can be trained at once.
        seed: seed of the initial weights, data order and masks of every trial, an integer >= 0.
        directory: directory of all projects, for state and weights.
        project_name: name of the subdirectory for this search.
        overwrite: whether to remove the project if it exists; otherwise it is continued.

    Raises:
        ValueError: the hypermodel has a `fit` of its own.

    Example:
        >>> import tempfile
        >>> from keras_tuner.oracles import GridSearchOracle
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.training import load_dataset
        >>> from dropout_zoo.tuning import DropoutHyperModel, DropoutTuner
        >>> hypermodel = DropoutHyperModel(build_mlp(units=(8,), hidden_rates=0.5), [0.2, 0.5])
        >>> tuner = DropoutTuner(
        ...     GridSearchOracle("val_loss"), hypermodel, directory=tempfile.mkdtemp()
        ... )
        >>> tuner.search(load_dataset("digits"), epochs=1)
        >>> len(tuner.get_best_models(2))
        2
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        hypermodel: keras.Model | keras_tuner.HyperModel | Callable[..., keras.Model],
        *,
        parallel_trials: int | None = None,
        seed: int = 0,
        directory: str | Path | None = None,
        project_name: str | None = None,
        overwrite: bool = False,
    ) -> None:
        self.parallel_trials = parallel_trials
        self.seed = seed
        self.results: dict[str, TrainedMember] = {}
        if isinstance(hypermodel, keras.Model):
            hypermodel = DropoutHyperModel(hypermodel)
        if getattr(type(hypermodel), "fit", None) not in (None, keras_tuner.HyperModel.fit):
            raise ValueError(
                "expected a hypermodel that is trained by Model.fit, received "
                f"{type(hypermodel).__name__} with a fit of its own, which would not be called; "
                "use a tuner of keras_tuner"
            )
        if type(oracle) is BayesianOptimizationOracle:  # it may suggest a setting again
            oracle = UntriedBayesianOracle.sharing_state_of(oracle)
        super().__init__(
            oracle=oracle,
            hypermodel=hypermodel,
            directory=None if directory is None else str(directory),
            project_name=project_name,
            overwrite=overwrite,
        )

    def search(
        self,
        x: Data,
        y: Arrays | None = None,
        *,
        validation_data: tuple[Arrays, Arrays] | None = None,
        validation_split: float | None = None,
        sample_weight: Arrays | None = None,
        verbose: int = 0,
        **settings: Unpack[TrainOptions],
    ) -> None:
        """Search until the oracle stops.

        Args:
            x: training examples, or a `Dataset`; as in `as_dataset`, like the next arguments.
            y: labels or targets of the training examples.
            validation_data: pair `(x, y)` of the validation set.
            validation_split: alternatively, the fraction of the examples, in (0, 1), at the end
                of the arrays that is used for validation, as in `Model.fit`. Without both, parts
                are split off at random.
            sample_weight: weights of the training examples.
            verbose: 1 to let KerasTuner print each trial.
            **settings: how each trial is trained; see `TrainSettings`. `epochs` defaults to 1;
                Hyperband decides them itself. The objective is that of the oracle.

        Raises:
            ValueError: a setting is out of range, or model and data do not fit together.
            TypeError: an argument is unknown, or it is an objective.
            RuntimeError: every trial so far failed.
        """
        if "objective" in settings:
            raise TypeError(
                "expected no objective, received one; trials are compared by that of the oracle"
            )
        if settings.get("initial_weights", "fresh") != "fresh":
            # Trials whose models differ in their weights alone share a trainer.
            raise ValueError(
                "expected initial_weights to be 'fresh', received "
                f"{settings['initial_weights']!r}: the weights that a hypermodel sets are not "
                "kept; use tune(model, initial_weights='keep') to start from those of a model"
            )
        data = as_dataset(
            x,
            y,
            validation_data=validation_data,
            validation_split=validation_split,
            sample_weight=sample_weight,
        )
        objective = Objective(self.oracle.objective.name, self.oracle.objective.direction)
        training = TrainSettings.from_options(
            {"epochs": 1, **settings, "objective": objective}, self.search
        )
        self.oracle.verbose = verbose
        trainers: dict[str, MemberTrainer] = {}
        weights = Path(self.project_dir) / "weights"

        def trainer_of(model: keras.Model) -> Trainer:
            structure = model_fingerprint(model, rates=False)
            trainer = trainers.pop(structure, None)
            if trainer is None:
                trainer = MemberTrainer(
                    model,
                    data,
                    training,
                    keep_state=True,
                    directory=weights / structure,
                )
            trainers[structure] = trainer
            while len(trainers) > _MAX_TRAINERS:  # the least recently used
                del trainers[next(iter(trainers))]
            return trainer

        try:
            self._search(trainer_of, None)
        finally:
            shutil.rmtree(weights, ignore_errors=True)

    def reload(self) -> None:
        """Read the state of an interrupted search, to continue with the remaining trials."""
        super().reload()
        oracle = self.oracle
        for trial_id, trial in sorted(oracle.trials.items()):
            # The process may have been killed between writing the trial and the oracle.
            if trial_id not in oracle.start_order:
                oracle.start_order.append(trial_id)
            if trial.status == Status.RUNNING:
                retry(oracle, trial_id)
        if isinstance(oracle, GridSearchOracle):
            restore_grid_order(oracle)

    def get_best_models(self, num_models: int = 1) -> list[keras.Model]:
        """Build the models of the best trials that were completed.

        Args:
            num_models: maximum number of models.

        Returns:
            Compiled models with their weights at the best epoch, best first.
        """
        completed = [t for t in self.oracle.trials.values() if t.status == Status.COMPLETED]
        return super().get_best_models(min(num_models, len(completed))) if completed else []

    def search_with(self, trainer: Trainer, on_result: OnResult | None = None) -> None:
        """Search with a given trainer; the hypermodel must vary only rates.

        Args:
            trainer: trains the trials.
            on_result: called with each result as it finishes.

        Raises:
            RuntimeError: every trial so far failed.
        """
        self._search(lambda model: trainer, on_result)

    def load_model(self, trial: trial_module.Trial) -> keras.Model:
        """Build the plain Keras model of a trial, with its weights at the best epoch.

        Args:
            trial: a completed trial.

        Returns:
            A compiled model.
        """
        model = self.hypermodel.build(trial.hyperparameters)
        model.set_weights(list(Checkpoint.load(self._checkpoint(trial.trial_id)).best))
        return model

    def _search(
        self, trainer_of: Callable[[keras.Model], Trainer], on_result: OnResult | None
    ) -> None:
        # Without state on disk, trials interrupted before the first one ended would be lost.
        self.save()
        self.on_search_begin()
        failures: set[str] = set()
        batch = self._first_batch(trainer_of)
        while trials := self._next_trials(batch):
            groups: dict[int, tuple[Trainer, list[tuple[trial_module.Trial, Member]]]] = {}
            for trial in trials:
                try:
                    model, member = self._member(trial)
                except Exception as error:  # the user's own code may raise anything
                    self._fail(trial, reason_of(error), failures)
                    continue
                trainer = trainer_of(model)
                groups.setdefault(id(trainer), (trainer, []))[1].append((trial, member))
            if self.parallel_trials is None and self._needs_no_results():
                batch = max([batch, *(trainer.max_parallel for trainer, _ in groups.values())])
            for trainer, group in groups.values():
                results = trainer.train([member for _, member in group], on_result)
                for (trial, _), result in zip(group, results, strict=True):
                    self._report(trial, result, failures)
            if failures and all(
                trial.status == Status.FAILED for trial in self.oracle.trials.values()
            ):
                raise RuntimeError(f"every trial failed: {'; '.join(sorted(failures))}")
        self.on_search_end()

    def _first_batch(self, trainer_of: Callable[[keras.Model], Trainer]) -> int:
        if self.parallel_trials is not None:
            return self.parallel_trials
        if self._needs_no_results() and isinstance(self.hypermodel, DropoutHyperModel):
            return trainer_of(self.hypermodel.model).max_parallel
        return usable_cores()  # until a model has been built

    def _needs_no_results(self) -> bool:
        return keras.backend.backend() == "jax" and isinstance(self.oracle, _NON_SEQUENTIAL)

    def _next_trials(self, batch: int) -> list[trial_module.Trial]:
        """Return the trials to train together; none when the oracle has stopped."""
        trials: list[trial_module.Trial] = []
        # Each trial needs its own tuner id: with the same id, an oracle returns the same trial.
        # Trials that an interrupted search left running come first, under their former ids.
        for number in range(batch):
            trial = self.oracle.create_trial(f"{self.tuner_id}-{number}")
            # An idle oracle needs the results of this batch first.
            if trial.status != Status.RUNNING:
                break
            if isinstance(self.oracle, GridSearchOracle):
                continue_grid_from(self.oracle, trial.trial_id)
            self.on_trial_begin(trial)
            trials.append(trial)
        return trials

    def _member(self, trial: trial_module.Trial) -> tuple[keras.Model, Member]:
        """Return the model of a trial and the member to train."""
        hp = trial.hyperparameters
        if isinstance(self.hypermodel, DropoutHyperModel):  # no need to build it
            model, rates = self.hypermodel.model, self.hypermodel.space.site_rates(hp.values)
        else:
            model = self.hypermodel.build(hp)
            rates = {site.path: site.rate for site in settable_sites(model)}
        earlier = hp.values.get("tuner/trial_id")
        member = Member(
            rates,
            self.seed,
            epochs=hp.values.get("tuner/epochs"),
            initial_epoch=hp.values.get("tuner/initial_epoch", 0),
            weights=self._checkpoint(earlier) if earlier else None,
            label=trial.trial_id,
        )
        return model, member

    def _report(self, trial: trial_module.Trial, result: TrainedMember, failures: set[str]) -> None:
        if result.checkpoint is not None:
            kept = self._checkpoint(trial.trial_id)
            shutil.copyfile(result.checkpoint, kept)
            result = replace(result, checkpoint=kept)
        self.results[trial.trial_id] = result
        if result.status != "completed":
            self._fail(trial, result.reason, failures)
            return
        best = result.curves.set_index("epoch").loc[result.best_epoch]
        metrics: dict[str, Any] = {name: float(value) for name, value in best.items()}
        self.oracle.update_trial(trial.trial_id, metrics, step=result.best_epoch)
        trial.status = Status.COMPLETED
        self.on_trial_end(trial)

    def _fail(self, trial: trial_module.Trial, reason: str, failures: set[str]) -> None:
        failures.add(reason)
        trial.status, trial.message = Status.FAILED, reason
        self.on_trial_end(trial)

    def _checkpoint(self, trial_id: str) -> Path:
        return Path(self.get_trial_dir(trial_id)) / "checkpoint.npz"
