"""A KerasTuner tuner whose trials are trained together, as members of one model."""

from __future__ import annotations

import os
import shutil
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import keras
import keras_tuner
import numpy as np
from keras_tuner.engine import trial as trial_module
from keras_tuner.errors import FailedTrialError, FatalError, FatalTypeError
from keras_tuner.oracles import (
    BayesianOptimizationOracle,
    GridSearchOracle,
    HyperbandOracle,
    RandomSearchOracle,
)

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.models.keras_internals import fresh_names
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.data.adapters import Arrays, Data, as_dataset
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.engine.base import OnResult, Trainer
from dropout_zoo.training.engine.tensorflow.threads import usable_cores
from dropout_zoo.training.failure_reasons import reason_of
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.objective import Objective
from dropout_zoo.training.seeding import seeded_globals
from dropout_zoo.training.settings import TrainOptions, TrainSettings
from dropout_zoo.tuning.fit_arguments import (
    members_settings,
    model_fit_arguments,
    why_only_model_fit,
)
from dropout_zoo.tuning.keras_tuner_internals import (
    ModelFitTuner,
    UntriedBayesianOracle,
    continue_grid_from,
    restore_grid_order,
    retry,
)
from dropout_zoo.tuning.space import DropoutHyperModel
from dropout_zoo.tuning.trial_trainers import (
    AssignedTrainer,
    GivenTrainer,
    Trainers,
    TrialTrainers,
    new_trainer,
)

Status = trial_module.TrialStatus
# A trial, the number of its execution, and the member to train.
Execution = tuple[trial_module.Trial, int, Member]
# Trains a trial by Model.fit.
ByModelFit = Callable[[trial_module.Trial], None]

# Oracles that create trials without waiting; Hyperband reports when it needs results first.
_NON_SEQUENTIAL = (GridSearchOracle, RandomSearchOracle, HyperbandOracle)

# Methods of KerasTuner that it calls while `Model.fit` trains.
_HOOKS = ("on_epoch_begin", "on_epoch_end", "on_batch_begin", "on_batch_end")


class DropoutTuner(ModelFitTuner):
    """A KerasTuner tuner for dropout rates that trains many trials at once.

    Results are read as with any tuner: `results_summary`, `get_best_models`,
    `get_best_hyperparameters`, also with a new tuner on the same directory. A trial that Hyperband
    promotes continues from its last epoch.

    Trials are trained together where their models are shown to be equal in all but their rates. A
    model with parts that cannot be compared, such as a loss with a state of its own, is trained
    alone. `Model.fit` trains the trials one after another, as in `keras_tuner.Tuner`, with a
    warning that says why: with callbacks other than `EarlyStopping` on the objective; with several
    objectives; with data that are not arrays, or without validation data where the objective needs
    none; if the hypermodel has a `fit` of its own, or the tuner an `on_epoch_end` or the like; and
    for models that cannot be cloned. If a subclass overrides `run_trial`, that runs every trial.

    Args:
        oracle: any oracle of KerasTuner, which decides what is tried. Bayesian optimization is
            kept from suggesting the same setting twice; `DropoutTuner.oracle` is then another
            object that shares the state of the given one.
        hypermodel: a compiled Keras model, whose dropout sites are searched; a
            `DropoutHyperModel`; or any hypermodel or function that builds a compiled model. May be
            left out if a subclass has a `run_trial` of its own.
        parallel_trials: number of trials that are created at once. More keep the machine busy,
            fewer let an oracle learn sooner from results. None for one per usable core, or, on JAX
            with a grid, random search or Hyperband, for as many as can be trained at once.
        seed: seed of the initial weights, data order and masks of every trial, an integer >= 0.
            Models are built with Keras's generators seeded by it, so that trials that build the
            same layers start from the same weights; the generators are restored afterwards. What
            `Model.fit` draws itself depends on `keras.utils.set_random_seed`.
        executions_per_trial: number of times each trial is trained, with the seeds `seed`,
            `seed` + 1 and so on. The score is the mean; the weights are those of the best.
        max_model_size: number of trainable weights above which a model is not trained and its
            trial fails.
        optimizer: optimizer with which to compile the models in place of their own.
        loss: loss with which to compile the models in place of their own.
        metrics: metrics with which to compile the models in place of their own.
        distribution_strategy: not supported; must be None.
        directory: directory of all projects, for state and weights.
        project_name: name of the subdirectory for this search.
        tuner_id: identifies the tuner in the files of the project.
        overwrite: whether to remove the project if it exists; otherwise it is continued.

    Raises:
        ValueError: an argument is out of range or not supported, or the tuner is a worker of a
            search that KerasTuner distributes.

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
        hypermodel: (
            keras.Model | keras_tuner.HyperModel | Callable[..., keras.Model] | None
        ) = None,
        *,
        parallel_trials: int | None = None,
        seed: int = 0,
        executions_per_trial: int = 1,
        max_model_size: int | None = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        distribution_strategy: Any = None,
        directory: str | Path | None = None,
        project_name: str | None = None,
        tuner_id: str | None = None,
        overwrite: bool = False,
    ) -> None:
        check_count(executions_per_trial, "executions_per_trial")
        check_count(seed, "seed", least=0)
        if distribution_strategy is not None:
            raise ValueError(
                "expected distribution_strategy=None, received "
                f"{type(distribution_strategy).__name__}: trials are trained side by side on one "
                "machine; use a tuner of keras_tuner"
            )
        if "KERASTUNER_ORACLE_IP" in os.environ:
            raise ValueError(
                "expected one process, received KERASTUNER_ORACLE_IP in the environment: the "
                "trials of a search cannot be distributed; use a tuner of keras_tuner"
            )
        if hypermodel is None and not self._has_own_run_trial:
            raise ValueError(
                "expected a model, a HyperModel or a function that builds a model, received "
                "`hypermodel=None`; only a subclass with a run_trial of its own can do without"
            )
        self.parallel_trials = parallel_trials
        self.seed = seed
        self.results: dict[str, TrainedMember] = {}
        self._input_shape: tuple[int, ...] | None = None
        if isinstance(hypermodel, keras.Model):
            hypermodel = DropoutHyperModel(hypermodel)
        if type(oracle) is BayesianOptimizationOracle:  # it may suggest a setting again
            oracle = UntriedBayesianOracle.sharing_state_of(oracle)
        super().__init__(
            oracle=oracle,
            hypermodel=hypermodel,
            executions_per_trial=executions_per_trial,
            max_model_size=max_model_size,
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
            directory=directory,
            project_name=project_name,
            tuner_id=tuner_id,
            overwrite=overwrite,
        )

    def search(
        self,
        x: Data | Any = None,
        y: Arrays | None = None,
        *fit_args: Any,
        validation_data: tuple[Arrays, Arrays] | None = None,
        validation_split: float | None = None,
        sample_weight: Arrays | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        verbose: int | str | None = None,
        **settings: Unpack[TrainOptions],
    ) -> None:
        """Search until the oracle stops.

        A `run_trial` or `HyperModel.fit` of the user's own receives the arguments as they are.

        Args:
            x: training examples, or a `Dataset`; as in `as_dataset`, like the next arguments.
            y: labels or targets of the training examples.
            *fit_args: passed on to a `run_trial` or `HyperModel.fit` of the user's own.
            validation_data: pair `(x, y)` of the validation set.
            validation_split: alternatively, the fraction of the examples, in (0, 1), at the end
                of the arrays that is used for validation, as in `Model.fit`. Without either,
                15% are drawn at random for it, and 15% for a test set, which is not used.
            sample_weight: weights of the training examples.
            callbacks: callbacks, copied for each trial. `EarlyStopping` on the objective becomes
                the patience of the members; with any others, `Model.fit` trains.
            verbose: 1 to let KerasTuner print each trial.
            **settings: how each trial is trained; see `TrainSettings`. `epochs` defaults to 1;
                Hyperband decides them itself. The objective is that of the oracle.
                `initial_weights` defaults to that of a `DropoutHyperModel`; with any other
                hypermodel it is ``"keep"``, for the weights that were built, and ``"fresh"``
                draws weights from the seed in their place. Other arguments of `Model.fit` are
                taken too, and it then trains.

        Raises:
            ValueError: a setting is out of range, or model and data do not fit together.
            TypeError: an argument is unknown, or it is an objective.
            RuntimeError: every trial failed.
        """
        given = {
            "validation_data": validation_data,
            "validation_split": validation_split,
            "sample_weight": sample_weight,
            "callbacks": callbacks,
            "verbose": verbose,
        }
        arguments = {name: value for name, value in given.items() if value is not None} | settings
        positional = [*(value for value in (x, y) if value is not None), *fit_args]
        self.oracle.verbose = 0 if verbose is None else verbose
        if self._has_own_run_trial:
            self._search_by_model_fit(positional, arguments)
            return
        if "objective" in settings:
            raise TypeError(
                "expected no objective, received one; trials are compared by that of the oracle"
            )
        reason = self._why_only_model_fit() or why_only_model_fit(
            x, arguments, self.oracle.objective
        )
        if reason:
            _warn(f"Model.fit trains the trials, one after another, because {reason}")
            self._search_by_model_fit(positional, arguments)
            return
        if fit_args:
            raise TypeError(
                f"expected x and y by position, received {len(fit_args)} more arguments; pass "
                "them by name"
            )
        if not isinstance(x, Dataset):
            x = as_dataset(
                x,
                y,
                validation_data=validation_data,
                validation_split=validation_split,
                sample_weight=sample_weight,
            )
        self._search_members(x, positional, arguments)

    def _search_members(
        self, data: Dataset, positional: Sequence[Any], arguments: dict[str, Any]
    ) -> None:
        objective = Objective(self.oracle.objective.name, self.oracle.objective.direction)
        defaults = {"epochs": 1, "initial_weights": self._initial_weights}
        training = TrainSettings.from_options(
            defaults | members_settings(arguments) | {"objective": objective}, self.search
        )
        self._input_shape = data.input_shape
        weights = Path(self.project_dir) / "weights"
        trainers: Trainers = TrialTrainers(data, training, weights)
        if self._varies_rates_only:
            model = self.hypermodel.model
            trainers = GivenTrainer(new_trainer(model, data, training, weights))
        try:
            self._search(
                trainers,
                None,
                lambda trial: self.train_by_model_fit(trial, *positional, **arguments),
            )
        finally:
            shutil.rmtree(weights, ignore_errors=True)

    def _search_by_model_fit(self, positional: Sequence[Any], arguments: dict[str, Any]) -> None:
        # Without state on disk, a trial interrupted before the first one ended would be lost.
        self.save()
        super().search(*positional, **arguments)

    def run_trial(self, trial: trial_module.Trial, *fit_args: Any, **fit_kwargs: Any) -> Any:
        """Train a trial by `Model.fit`, as `keras_tuner.Tuner` does.

        Trials that can be trained together are not run by this method, unless a subclass
        overrides it.

        Args:
            trial: the trial.
            *fit_args: positional arguments of `search`.
            **fit_kwargs: keyword arguments of `search`.

        Returns:
            The history of each execution.
        """
        positional, arguments = model_fit_arguments(
            self.hypermodel, trial, fit_args, fit_kwargs, self.oracle.objective
        )
        with seeded_globals(self.seed):  # executions draw one after another from it
            return super().run_trial(trial, *positional, **arguments)

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

    def get_state(self) -> dict[str, Any]:
        """Return what a new tuner on the directory needs to build models without an `Input`."""
        return {"input_shape": self._input_shape}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier tuner."""
        shape = state.get("input_shape")
        self._input_shape = None if shape is None else tuple(shape)

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
            RuntimeError: every trial failed.
        """
        self._search(GivenTrainer(trainer), on_result)

    def load_model(self, trial: trial_module.Trial) -> keras.Model:
        """Build the plain Keras model of a trial, with its weights at the best epoch.

        Args:
            trial: a completed trial.

        Returns:
            A compiled model.
        """
        checkpoint = self._checkpoint(trial.trial_id)
        if not checkpoint.exists():  # Model.fit trained it
            return super().load_model(trial)
        model = self._build(trial.hyperparameters, 0)
        model.set_weights(list(Checkpoint.load(checkpoint).best))
        return model

    @property
    def _has_own_run_trial(self) -> bool:
        return type(self).run_trial is not DropoutTuner.run_trial

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

    @property
    def _initial_weights(self) -> str:
        """The default of `initial_weights` in a search."""
        return str(self.hypermodel.initial_weights) if self._varies_rates_only else "keep"

    def _why_only_model_fit(self) -> str | None:
        if type(self.hypermodel).fit is not keras_tuner.HyperModel.fit:
            return f"{type(self.hypermodel).__name__} has a fit of its own"
        for name in _HOOKS:
            if getattr(type(self), name) is not getattr(keras_tuner.Tuner, name):
                return f"{type(self).__name__} has an {name} of its own"
        return None

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
        if failures and all(t.status == Status.FAILED for t in self.oracle.trials.values()):
            raise RuntimeError(f"every trial failed: {'; '.join(sorted(failures))}")
        self.on_search_end()

    def _run(
        self,
        trials: Sequence[trial_module.Trial],
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
            try:
                planned = [
                    (*self._member(trial, execution, trainers), execution)
                    for execution in range(self.executions_per_trial)
                ]
            except FatalError:
                raise
            except Exception as error:  # the user's own code may raise anything
                self._fail(trial, reason_of(error), failures)
                continue
            reason = next((assigned.reason for assigned, _, _ in planned if assigned.reason), None)
            if reason is not None:
                assert by_model_fit is not None  # a given trainer trains everything
                _warn(f"Model.fit trains trial {trial.trial_id}, because {reason}")
                by_model_fit(trial)
                self._end(trial, failures)
                continue
            for assigned, member, execution in planned:
                trainer = assigned.trainer
                assert trainer is not None
                if assigned.shared:
                    group = shared.setdefault(id(trainer), (trainer, []))[1]
                    group.append((trial, execution, member))
                else:  # at once, while all that its model refers to is as it was built
                    train(trainer, [(trial, execution, member)])
        for trainer, group in shared.values():
            train(trainer, group)
        return max((trainer.max_parallel for trainer, _ in shared.values()), default=0)

    def _first_batch(self, trainers: Trainers) -> int:
        if self.parallel_trials is not None:
            return self.parallel_trials
        if self._needs_no_results() and self._varies_rates_only:
            trainer = trainers.of(self.hypermodel.model).trainer
            if trainer is not None:
                return trainer.max_parallel
        return usable_cores()  # until a model has been built

    def _needs_no_results(self) -> bool:
        return keras.backend.backend() == "jax" and isinstance(self.oracle, _NON_SEQUENTIAL)

    def _next_trials(self, batch: int) -> list[trial_module.Trial]:
        """Return the trials to train together; none when the oracle has stopped."""
        trials: list[trial_module.Trial] = []
        # Each trial needs its own tuner id: with the same id, an oracle returns the same trial.
        # Trials that an interrupted search left running come first, under their former ids.
        for number in range(batch):
            self.pre_create_trial()
            trial = self.oracle.create_trial(f"{self.tuner_id}-{number}")
            # An idle oracle needs the results of this batch first.
            if trial.status != Status.RUNNING:
                break
            if isinstance(self.oracle, GridSearchOracle):
                continue_grid_from(self.oracle, trial.trial_id)
            self.on_trial_begin(trial)
            trials.append(trial)
        return trials

    def _member(
        self, trial: trial_module.Trial, execution: int, trainers: Trainers
    ) -> tuple[AssignedTrainer, Member]:
        """Return the trainer of an execution of a trial, and the member to train."""
        hp = trial.hyperparameters
        rates: Mapping[str, float] | Sequence[float]
        if self._varies_rates_only:  # no need to build it
            model, rates = self.hypermodel.model, self.hypermodel.space.site_rates(hp.values)
        else:
            model = self._build(hp, execution)
            # By position: another build may give its layers other names.
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
        return trainers.of(model), member

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
        self, trial: trial_module.Trial, executions: Sequence[TrainedMember], failures: set[str]
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
        rows = [each.curves.set_index("epoch").loc[each.best_epoch] for each in executions]
        metrics: dict[str, Any] = {
            name: float(np.mean([row[name] for row in rows])) for name in rows[0].index
        }
        step = int(np.mean([each.best_epoch for each in executions]))
        self.oracle.update_trial(trial.trial_id, metrics, step=step)
        trial.status = Status.COMPLETED
        self.on_trial_end(trial)

    def _keep_checkpoint(
        self, trial: trial_module.Trial, execution: int, result: TrainedMember
    ) -> TrainedMember:
        if result.checkpoint is None:
            return result
        kept = self._checkpoint(trial.trial_id, execution)
        shutil.copyfile(result.checkpoint, kept)
        return replace(result, checkpoint=kept)

    def _end(self, trial: trial_module.Trial, failures: set[str]) -> None:
        if trial.status != Status.COMPLETED:
            failures.add(str(trial.message).strip().rpartition("\n")[2])
        self.on_trial_end(trial)

    def _fail(self, trial: trial_module.Trial, reason: str, failures: set[str]) -> None:
        failures.add(reason)
        trial.status, trial.message = Status.FAILED, reason
        self.on_trial_end(trial)

    def _checkpoint(self, trial_id: str, execution: int | None = None) -> Path:
        """The weights of an execution of a trial, or of the best one."""
        several = execution is not None and self.executions_per_trial > 1
        name = f"execution_{execution}.npz" if several else "checkpoint.npz"
        return Path(self.get_trial_dir(trial_id)) / name


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)  # in `search`, of its caller
