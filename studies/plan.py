"""Study plans: everything that a study will train, as a value that can be inspected first."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import keras
import numpy as np

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.models.wording import count_of, object_of
from dropout_zoo.studies.result import StudyResult
from dropout_zoo.studies.run_directory import RunDirectory
from dropout_zoo.training.data.adapters import Data, as_dataset
from dropout_zoo.training.data.array_checks import DataError
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.structures import is_structure
from dropout_zoo.training.engine.cluster_address import check_address
from dropout_zoo.training.engine.timing import TrainingSpeed, measure_speed
from dropout_zoo.training.engine.trainer import MemberTrainer
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.provenance import as_json, describe_data, describe_model, versions
from dropout_zoo.training.repeated_warnings import each_warning_once
from dropout_zoo.training.schedules import RateSchedule
from dropout_zoo.training.settings import TrainOptions, TrainSettings

Measure = Callable[["Setting", TrainedMember], Mapping[str, Any]]
"""Measures more about a training run; returns values by column name."""

Result = TypeVar("Result", bound=StudyResult)

_STATE_FILES = ("runs-*.jsonl", "weights-*-#/*.npz")
"""Patterns of the paths of the files that a study needs until it is complete; see `RunState`."""

_SETTINGS_SHOWN = 20
_TIMED_SETUPS = 5  # for an estimate: each takes seconds


@dataclass(frozen=True)
class Execution:
    """Where and how a study is run: directory, progress callbacks, parallelism.

    Does not affect the results.

    Attributes:
        directory: a new or empty directory in which finished training runs are kept, so that an
            interrupted study continues where it stopped when it is started again; one study uses
            it at a time. None to keep nothing.
        on_result: called with each result as it finishes.
        on_restored: called with each result that an earlier, interrupted run had finished.
        workers: number of training runs at the same time; None for one per usable core.
        cluster: Ray cluster on whose nodes the training runs take place, as in `MemberTrainer`;
            `workers` is then the number on each node. None to train in this process.

    Example:
        >>> from dropout_zoo.studies import Execution, rate_sweep
        >>> seeds = []
        >>> execution = Execution(on_result=lambda trained: seeds.append(trained.member.seed))
        >>> study = rate_sweep(
        ...     "mlp", "digits", rates=[0.5], epochs=1, num_seeds=1, execution=execution
        ... )
        >>> seeds
        [0, 0]
    """

    directory: str | Path | None = None
    on_result: Callable[[TrainedMember], None] | None = None
    on_restored: Callable[[TrainedMember], None] | None = None
    workers: int | None = None
    cluster: str | None = None

    def __post_init__(self) -> None:
        if self.directory is not None:
            object.__setattr__(self, "directory", Path(self.directory))
        if self.workers is not None:
            check_count(self.workers, "workers")
        if self.cluster is not None:
            check_address(self.cluster)


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """A model and its training data; settings that share a setup share a trainer.

    Attributes:
        model: a compiled model.
        dataset: the data, or a function that makes them when they are needed.
        overrides: settings of its training runs that differ from the study's.

    Example:
        >>> from dropout_zoo.studies import plan_data_size_sweep
        >>> plan = plan_data_size_sweep("mlp", "digits", sizes=[100], num_seeds=2)
        >>> setup = plan.setups[0]
        >>> setup.model.name, setup.overrides
        ('mlp', {'epochs': 100})
        >>> setup.rates(0.5)
        {'hidden_1_dropout': 0.5, 'hidden_2_dropout': 0.5}
    """

    model: keras.Model
    dataset: Dataset | Callable[[], Dataset]
    overrides: TrainOptions = field(default_factory=TrainOptions)

    def settings(self, training: TrainSettings) -> TrainSettings:
        """Return the settings of its training runs, given those of the study."""
        return replace(training, **self.overrides)

    def rates(self, rate: float | Mapping[str, float]) -> dict[str, float]:
        """Return a rate for every site.

        Args:
            rate: fraction dropped: one for all sites, or by placement, 0 at other placements.

        Returns:
            Rate by site path.
        """
        sites = settable_sites(self.model)
        if isinstance(rate, Mapping):
            return {site.path: rate.get(site.placement, 0.0) for site in sites}
        return {site.path: rate for site in sites}


@dataclass(frozen=True)
class Setting:
    """One setting of a study, as `StudyPlan.settings` lists them; it is trained once per seed.

    Attributes:
        name: its name in the result.
        factors: value of each varied factor.
        rates: rate (fraction dropped) by site path.
        setup: model and data.
        control: name of the setting that it is compared with; None for no comparison.
        seeds: its seeds, if they differ from the study's.
        schedule: schedule of the rates over the epochs; None for constant rates.

    Example:
        >>> from dropout_zoo.studies import plan_rate_sweep
        >>> plan = plan_rate_sweep("mlp", "digits", rates=[0.3], num_seeds=2)
        >>> setting = plan.settings[-1]
        >>> setting.name, setting.control, setting.rates["hidden_1_dropout"]
        ('hidden 0.30', 'no dropout', 0.3)
    """

    name: str
    factors: Mapping[str, Any]
    rates: Mapping[str, float]
    setup: TrainingSetup
    control: str | None = None
    seeds: Sequence[int] | None = None
    schedule: RateSchedule | None = None

    def training_key(self, seed: int) -> tuple[Any, ...]:
        """Return the key of a training run within a setup: settings may share training runs."""
        return tuple(sorted(self.rates.items())), self.schedule, seed


@dataclass(frozen=True)
class StudyPlan(Generic[Result]):
    """Everything that a study will train, and how its result is computed.

    Attributes:
        kind: name of the study, such as ``"rate_sweep"``.
        dataset: the data of the study.
        settings: the settings that are trained.
        seeds: the seeds of each setting.
        training: how each model is trained.
        procedure: trains a plan and returns the result; called by `run`.
        arguments: the arguments of the study, for its record.
        keep_state: whether the weights after the last epoch are kept for measurements.
        followup_runs: number of training runs that follow these and depend on their results.

    Example:
        >>> from dropout_zoo.studies import plan_rate_sweep
        >>> plan = plan_rate_sweep("mlp", "digits", rates=[0.2, 0.5], epochs=1, num_seeds=2)
        >>> plan.num_runs
        6
        >>> print(plan)
        rate_sweep: 3 settings, 6 training runs of up to 1 epoch
          no dropout
          hidden 0.20
          hidden 0.50
        >>> study = plan.run()
    """

    kind: str
    dataset: Dataset
    settings: Sequence[Setting]
    seeds: Sequence[int]
    training: TrainSettings
    procedure: Callable[[StudyPlan[Result], Execution], Result]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    keep_state: bool = False
    followup_runs: int = 0

    def __str__(self) -> str:
        return self.summary()

    @property
    def num_runs(self) -> int:
        """Number of training runs; settings with the same model, data and rates share theirs."""
        return self.followup_runs + sum(len(self.runs_on(setup)) for setup in self.setups)

    @property
    def setups(self) -> list[TrainingSetup]:
        """The models and data, in the order in which they are trained."""
        return list(dict.fromkeys(setting.setup for setting in self.settings))

    @property
    def controls(self) -> dict[str, str]:
        """By name of a setting, the name of the setting that it is compared with."""
        return {each.name: each.control for each in self.settings if each.control is not None}

    @property
    def max_epochs(self) -> dict[str, int]:
        """Largest number of epochs by name of the setting; fewer examples may be given more."""
        return {each.name: each.setup.settings(self.training).epochs for each in self.settings}

    @property
    def factors(self) -> list[str]:
        """Names of the varied factors."""
        return list(dict.fromkeys(name for setting in self.settings for name in setting.factors))

    def runs_on(self, setup: TrainingSetup) -> dict[tuple[Any, ...], Member]:
        """List the training runs of a setup; settings with the same rates share them.

        Args:
            setup: one of `setups`.

        Returns:
            The members, by `Setting.training_key`.
        """
        members: dict[tuple[Any, ...], Member] = {}
        for setting in self.settings:
            if setting.setup is setup:
                for seed in setting.seeds or self.seeds:
                    member = Member(
                        setting.rates, seed, label=setting.name, schedule=setting.schedule
                    )
                    members.setdefault(setting.training_key(seed), member)
        return members

    def summary(self) -> str:
        """Summarize what will be trained.

        Returns:
            The numbers of settings and training runs, then one line per setting.
        """
        names = list(dict.fromkeys(setting.name for setting in self.settings))
        epochs = max(setup.settings(self.training).epochs for setup in self.setups)
        runs = count_of(self.num_runs, "training run")
        lines = [
            f"{self.kind}: {count_of(len(names), 'setting')}, {runs} of up to "
            f"{count_of(epochs, 'epoch')}",
            *(f"  {name}" for name in names[:_SETTINGS_SHOWN]),
        ]
        if len(names) > _SETTINGS_SHOWN:
            lines.append(f"  ... and {len(names) - _SETTINGS_SHOWN} more")
        return "\n".join(lines)

    def describe(self) -> dict[str, Any]:
        """Describe everything that determines the results.

        Returns:
            Plain data, which JSON can hold.
        """
        schedules = {
            each.name: keras.saving.serialize_keras_object(each.schedule)
            for each in self.settings
            if each.schedule is not None
        }
        return {
            "study": self.kind,
            "arguments": as_json(self.arguments),
            "seeds": list(self.seeds),
            "training": self.training.describe(),
            "settings": {each.name: dict(each.rates) for each in self.settings},
            **({"schedules": schedules} if schedules else {}),
            "epochs": self.max_epochs,
            "models": [
                describe_model(setup.model, setup.settings(self.training).initial_weights)
                for setup in self.setups
            ],
            "data": describe_data(self.dataset),
        }

    def estimate_seconds(self) -> float:
        """Estimate how long `run` takes, by training a few of the models for a few epochs.

        Returns:
            Seconds for all training runs at full length. The speed of models that are not timed is
            interpolated between those that are.
        """
        setups = self.setups
        # Without callbacks, which may write files.
        timed_plan = replace(self, training=replace(self.training, callbacks=None))
        timed = sorted({round(p) for p in np.linspace(0, len(setups) - 1, _TIMED_SETUPS)})
        members = [list(self.runs_on(setup).values()) for setup in setups]
        speeds = []
        for place in timed:
            with tempfile.TemporaryDirectory(prefix="dropout-zoo-") as temporary:
                trainer = timed_plan.trainer(setups[place], Path(temporary))
                speeds.append(measure_speed(trainer, members[place]))
        total = 0.0
        for place, setup in enumerate(setups):
            start_up, training, epoch = (
                float(np.interp(place, timed, [getattr(speed, name) for speed in speeds]))
                for name in ("start_up", "training", "epoch")
            )
            speed = TrainingSpeed(start_up, training, epoch, speeds[0].parallel)
            total += speed.seconds(len(members[place]), setup.settings(self.training).epochs)
        return total * self.num_runs / (self.num_runs - self.followup_runs)

    def trainer(
        self,
        setup: TrainingSetup,
        directory: Path,
        workers: int | None = None,
        cluster: str | None = None,
    ) -> MemberTrainer:
        """Return a trainer for the members of a setup.

        Args:
            setup: one of `setups`.
            directory: directory for the weights.
            workers: number of training runs at the same time; None for one per usable core.
            cluster: as in `Execution`.

        Returns:
            The trainer.
        """
        return MemberTrainer(
            setup.model,
            setup.dataset if isinstance(setup.dataset, Dataset) else setup.dataset(),
            setup.settings(self.training),
            keep_state=self.keep_state,
            directory=directory,
            workers=workers,
            cluster=cluster,
        )

    def check(self) -> None:
        """Check that the settings fit the first model and its data, without training.

        Raises:
            ValueError: they do not fit together.
            TypeError: the model cannot be cloned.
        """
        with tempfile.TemporaryDirectory(prefix="dropout-zoo-") as temporary:
            self.trainer(self.setups[0], Path(temporary))

    @each_warning_once()
    def run(self, execution: Execution | None = None) -> Result:
        """Train everything and return the result.

        Args:
            execution: where and how the study is run.

        Returns:
            The result of the study.

        Raises:
            ValueError: model and data do not fit, or the directory is in use or holds another
                study or other files.
            TypeError: `execution` is not an `Execution`.
            RuntimeError: every training run failed.
        """
        execution = Execution() if execution is None else execution
        if not isinstance(execution, Execution):
            raise TypeError(
                f"expected an Execution, received {object_of(execution)}; pass "
                "Execution(directory=...)"
            )
        if execution.directory is None:
            return self.procedure(self, execution)
        with self.open_directory(Path(execution.directory), resume=True) as directory:
            return self.procedure(self, replace(execution, directory=directory.state))

    @contextmanager
    def open_directory(
        self,
        path: Path,
        *,
        files: Sequence[str] = (),
        details: Mapping[str, Any] | None = None,
        resume: bool = False,
        overwrite: bool = False,
    ) -> Iterator[RunDirectory]:
        """Hold the directory of the study; one that fails before its first result leaves nothing.

        Args:
            path: the directory.
            files: names of the files that are written into it.
            details: what determines the files beyond the plan.
            resume: as `RunDirectory` takes it.
            overwrite: likewise.

        Yields:
            The directory.

        Raises:
            ValueError: as `check` and `RunDirectory` raise it.
            TypeError: as `check` raises it.
        """
        self.check()  # before anything is written
        with RunDirectory(
            path,
            self.describe() | {"versions": versions()} | dict(details or {}),
            files=files,
            state_files=_STATE_FILES,
            resume=resume,
            overwrite=overwrite,
        ) as directory:
            try:
                yield directory
            except Exception:
                # Not by what this attempt has done: an earlier one may have finished runs.
                if not (directory.complete or any(directory.state.glob("*.jsonl"))):
                    directory.discard()
                raise


def as_classification(dataset: Data) -> Dataset:
    """Return the data as `as_dataset` does, if they have classes and one array of inputs.

    Raises:
        ValueError: they are of another task, have several inputs, or are streamed.
    """
    data = as_dataset(dataset)
    if data.stream is not None:
        raise DataError(
            f"{data.source}: expected all training examples in memory, received a "
            f"{data.stream.kind} that is streamed, whose classes this study cannot know; use "
            "arrays, or a source that fits in memory"
        )
    if is_structure(data.train[0]):
        raise ValueError(
            "expected inputs in one array, which this study can change, received several in a "
            f"{type(data.train[0]).__name__}"
        )
    if data.num_classes is None:
        raise ValueError(
            f"expected a classification, received the {data.task} {data.source!r}; use data with "
            "classes"
        )
    return data


def as_seeds(num_seeds: int) -> list[int]:
    """Return the seeds of a study: 0, 1, 2, ...

    Raises:
        ValueError: the number is not a whole number of at least 1.
    """
    check_count(num_seeds, "num_seeds")
    return list(range(num_seeds))
