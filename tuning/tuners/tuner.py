"""A KerasTuner tuner whose trials are trained together, as members of one model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack

import keras
import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.oracles import (
    BayesianOptimizationOracle,
    GridSearchOracle,
)

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.caller_warnings import warn_caller
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.data.adapters import Arrays, Data, as_dataset
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.engine.base import OnResult, Trainer
from dropout_zoo.training.engine.cluster_address import check_address
from dropout_zoo.training.objective import Objective, training_objective_fault
from dropout_zoo.training.repeated_warnings import each_warning_once
from dropout_zoo.training.seeding import seeded_globals
from dropout_zoo.training.settings import CommonOptions, TrainSettings
from dropout_zoo.tuning.implied_task import implied_task
from dropout_zoo.tuning.keras_tuner_internals import (
    UntriedBayesianOracle,
    restore_grid_order,
    retry,
)
from dropout_zoo.tuning.space import DropoutHyperModel
from dropout_zoo.tuning.tuners.fit_arguments import (
    check_model_fit_arguments,
    has_plain_fit,
    members_settings,
    model_fit_arguments,
    needs_validation,
    why_arguments_need_model_fit,
)
from dropout_zoo.tuning.tuners.trial_batches import BatchTuner, reason_of_failure
from dropout_zoo.tuning.tuners.trial_trainers import (
    GivenTrainer,
    Trainers,
    TrialTrainers,
    new_trainer,
)

# Methods of KerasTuner that it calls while `Model.fit` trains.
_HOOKS = ("on_epoch_begin", "on_epoch_end", "on_batch_begin", "on_batch_end")


class DropoutTuner(BatchTuner):
    """A KerasTuner tuner for dropout rates that trains many trials at once.

    Results are read as with any tuner: `results_summary`, `get_best_models`,
    `get_best_hyperparameters`, also with a new tuner on the same directory. A trial that Hyperband
    promotes continues from its last epoch.

    Trials are trained together where their models are shown to be equal in all but their rates. A
    model with parts that cannot be compared, such as a loss with its own state, is trained alone.
    `Model.fit` trains the trials one after another, as in `keras_tuner.Tuner`, with a warning that
    says why: with callbacks other than `EarlyStopping` on the objective; with several objectives;
    with data that are not arrays, such as a `tf.data.Dataset`, or without validation data where the
    objective needs none; if the hypermodel defines its own `fit`, or the tuner overrides a hook
    such as `on_epoch_end`; and for subclassed models and others that cannot be cloned. If a
    subclass overrides `run_trial`, that runs every trial.

    Args:
        oracle: any oracle of KerasTuner; it chooses the settings to try. Bayesian optimization is
            kept from suggesting the same setting twice; `DropoutTuner.oracle` is then a different
            object that shares the state of the given one.
        hypermodel: a compiled Keras model, whose dropout sites are searched; a
            `DropoutHyperModel`; or any hypermodel or function that builds a compiled model. May be
            left out if a subclass defines its own `run_trial`.
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
        cluster: Ray cluster on whose nodes the trials are trained, as in `MemberTrainer`.

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
        cluster: str | None = None,
    ) -> None:
        if cluster is not None:
            check_address(cluster)
        self._cluster = cluster
        check_count(executions_per_trial, "executions_per_trial")
        check_count(seed, "seed", minimum=0)
        if distribution_strategy is not None:
            raise ValueError(
                "expected distribution_strategy=None, received "
                f"{type(distribution_strategy).__name__}: trials are trained side by side, or "
                "with cluster=... on several machines; use a tuner of keras_tuner"
            )
        if "KERASTUNER_ORACLE_IP" in os.environ:
            raise ValueError(
                "expected one process, received KERASTUNER_ORACLE_IP in the environment: the "
                "trials of a search cannot be distributed; use a tuner of keras_tuner"
            )
        if hypermodel is None and not self._has_own_run_trial:
            raise ValueError(
                "expected a model, a HyperModel or a function that builds a model, received "
                "`hypermodel=None`; only a subclass that defines run_trial can omit it"
            )
        if isinstance(hypermodel, keras.Model):
            hypermodel = DropoutHyperModel(hypermodel)
        if type(oracle) is BayesianOptimizationOracle:  # it may suggest a setting again
            oracle = UntriedBayesianOracle.sharing_state_of(oracle)
        super().__init__(
            parallel_trials=parallel_trials,
            seed=seed,
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

    @each_warning_once()
    def search(
        self,
        x: Data | Any = None,
        y: Arrays | None = None,
        *fit_args: Any,
        validation_data: tuple[Arrays, ...] | None = None,
        validation_split: float | None = None,
        sample_weight: Arrays | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        verbose: int | str | None = None,
        **settings: Unpack[CommonOptions],
    ) -> None:
        """Search until the oracle stops.

        A custom `run_trial` or `HyperModel.fit` receives the arguments as they are.

        Args:
            x: training examples, or a `Dataset`; as in `as_dataset`, like the next arguments.
            y: labels or targets of the training examples.
            *fit_args: passed on to a custom `run_trial` or `HyperModel.fit`.
            validation_data: pair ``(x, y)`` of the validation set.
            validation_split: alternatively, the fraction of the examples, in (0, 1), at the end
                of the arrays that is used for validation, as in `Model.fit`. Without either,
                15% are drawn at random for it, and 15% for a test set, which is not used. 0, the
                default of `Model.fit`, is taken where no validation set has to be split off.
            sample_weight: weights of the training examples.
            callbacks: callbacks, copied for each trial. `EarlyStopping` on the objective becomes
                the patience of the members; with any others, `Model.fit` trains.
            verbose: 1 to let KerasTuner print each trial.
            **settings: how each trial is trained; see `TrainSettings`. `epochs` defaults to 1;
                Hyperband sets them itself. The objective is that of the oracle. `initial_weights`
                defaults to that of a `DropoutHyperModel`; with any other hypermodel it is
                ``"keep"``, for the weights that were built, and ``"fresh"`` draws weights from the
                seed in their place. Other arguments of `Model.fit` are taken too, and it then
                trains.

        Raises:
            ValueError: a setting is out of range, or model and data do not fit together.
            TypeError: an argument is unknown, or it is an objective.
            RuntimeError: every trial failed.
        """
        if isinstance(x, Dataset):
            x.check_in_memory()  # a source itself can be given, on which Model.fit trains
        given = {
            "validation_data": validation_data,
            "validation_split": validation_split,
            "sample_weight": sample_weight,
            "callbacks": callbacks,
            "verbose": verbose,
        }
        if validation_split == 0 and not needs_validation(self.oracle.objective):
            del given["validation_split"]  # which is the default of `Model.fit`
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
        fault = training_objective_fault(self.oracle.objective)
        if fault and has_plain_fit(self.hypermodel):
            warn_caller(fault)
        reason = self._why_only_model_fit() or why_arguments_need_model_fit(
            x, arguments, self.oracle.objective
        )
        if reason:
            warn_caller(f"Model.fit trains the trials, one after another, because {reason}")
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
                task=implied_task(self.hypermodel.model, x, y) if self._varies_rates_only else None,
            )
        self._search_members(x, positional, arguments)

    def _search_members(
        self, data: Dataset, positional: Sequence[Any], arguments: dict[str, Any]
    ) -> None:
        objective = Objective(self.oracle.objective.name, self.oracle.objective.direction)
        defaults = {
            "epochs": 1,
            "initial_weights": self._initial_weights,
            **data.training_options,
        }
        training = TrainSettings.from_options(
            defaults | members_settings(arguments) | {"objective": objective}, self.search
        )
        self._input_shape = data.input_shape
        weights = Path(self.project_dir) / "weights"
        trainers: Trainers = TrialTrainers(data, training, weights, self._cluster)
        if self._varies_rates_only:
            model = self.hypermodel.model
            trainers = GivenTrainer(new_trainer(model, data, training, weights, self._cluster))
        try:
            self._search(
                trainers,
                None,
                lambda trial: self.train_by_model_fit(trial, *positional, **arguments),
            )
        finally:
            shutil.rmtree(weights, ignore_errors=True)

    def _search_by_model_fit(self, positional: Sequence[Any], arguments: dict[str, Any]) -> None:
        if not self._has_own_run_trial and has_plain_fit(self.hypermodel):
            check_model_fit_arguments(arguments)
        # Without state on disk, a trial interrupted before the first one ended would be lost.
        self.save()
        super().search(*positional, **arguments)
        self._check_any_completed({reason_of_failure(t) for t in self.oracle.trials.values()})

    def run_trial(self, trial: Trial, *fit_args: Any, **fit_kwargs: Any) -> Any:
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
            if trial.status == TrialStatus.RUNNING:
                retry(oracle, trial_id)
        if isinstance(oracle, GridSearchOracle):
            restore_grid_order(oracle)

    def get_state(self) -> dict[str, Any]:
        """Return the state with which a new tuner can build models without an `Input`."""
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
        completed = [t for t in self.oracle.trials.values() if t.status == TrialStatus.COMPLETED]
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

    def load_model(self, trial: Trial) -> keras.Model:
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
    def _initial_weights(self) -> str:
        """The default of `initial_weights` in a search."""
        return str(self.hypermodel.initial_weights) if self._varies_rates_only else "keep"

    def _why_only_model_fit(self) -> str | None:
        if not has_plain_fit(self.hypermodel):
            return f"{type(self.hypermodel).__name__} has a custom fit"
        for name in _HOOKS:
            if getattr(type(self), name) is not getattr(keras_tuner.Tuner, name):
                return f"{type(self).__name__} has a custom {name}"
        return None
