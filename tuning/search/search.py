"""A search for dropout rates that can be inspected before it is run."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from dropout_zoo.models.argument_validation import check_count, finite_or_none
from dropout_zoo.models.factory import resolve_model
from dropout_zoo.models.graph.sites import dropout_sites, settable_sites
from dropout_zoo.models.wording import count_of, listed
from dropout_zoo.studies.control_names import NO_DROPOUT, without_dropout
from dropout_zoo.studies.site_groups import AS_GIVEN
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.tables.encoder import without_encoder
from dropout_zoo.training.engine.base import PlannedTrainer
from dropout_zoo.training.engine.timing import measure_speed
from dropout_zoo.training.engine.trainer import MemberTrainer
from dropout_zoo.training.objective import check_validation_objective, parse_objective
from dropout_zoo.training.preparation import built
from dropout_zoo.training.provenance import as_json, describe_data, describe_model, versions
from dropout_zoo.training.settings import TrainSettings
from dropout_zoo.tuning.budget import Budget
from dropout_zoo.tuning.build_functions.build_function import BuiltModels, Tunable, build_function
from dropout_zoo.tuning.defaults import NUM_FINALISTS, NUM_SEEDS, SEED
from dropout_zoo.tuning.race.race import (
    MIN_SEEDS_TO_RESPLIT,
    RaceSettings,
)
from dropout_zoo.tuning.race.screening import (
    SCREENED_PER_FINALIST,
    SCREENING_SEEDS,
)
from dropout_zoo.tuning.records.progress import duration
from dropout_zoo.tuning.records.trial_tables import check_names
from dropout_zoo.tuning.search.halving import equal_runs, rungs
from dropout_zoo.tuning.search.training_length import typical_epochs, with_default_length
from dropout_zoo.tuning.space import DropoutHyperModel, Rates, SearchSpace
from dropout_zoo.tuning.trial_setting import TrialSetting
from dropout_zoo.tuning.tuners.built_trainers import BuiltModelsTrainer
from dropout_zoo.tuning.tuners.oracles import (
    MIXED_ORACLE,
    default_oracle,
    mixed_trial_limit,
    trial_limit,
)

NO_SEARCHED_DROPOUT = "no dropout at the searched sites"
"""The control where the model also has dropout at sites that are not searched."""


@dataclass(frozen=True)
class TuningSettings:
    """The settings of a search; see `tune`."""

    oracle: str | None = None
    rates: Rates | None = None
    placements: Sequence[str] | None = None
    max_trials: int | None = None
    num_seeds: int = NUM_SEEDS
    num_finalists: int = NUM_FINALISTS
    resplit: bool | None = None
    seed: int = SEED
    training: TrainSettings = field(default_factory=TrainSettings)

    @classmethod
    def from_options(
        cls,
        dataset: Dataset,
        options: Mapping[str, Any],
        function: Callable[..., Any] | None = None,
    ) -> TuningSettings:
        """Return the settings that a function received as keyword arguments.

        Args:
            dataset: the data, from which the settings of training that are left out follow.
            options: settings by name, those of `TrainSettings` among them.
            function: the function, whose own arguments an error may suggest.

        Returns:
            The settings.

        Raises:
            TypeError: there is no such setting.
            ValueError: a setting of training is out of range.
        """
        names = {each.name for each in fields(cls)} - {"training"}
        own = {name: value for name, value in options.items() if name in names}
        rest = {name: value for name, value in options.items() if name not in names}
        training = with_default_length({**dataset.training_options, **rest}, dataset.num_examples())
        return cls(**own, training=TrainSettings.from_options(training, function))


class SearchTime(NamedTuple):
    """How long a search takes, as it is estimated.

    Attributes:
        typical: seconds if patience ends its training runs when it typically does.
        longest: seconds if each takes the maximum number of epochs.
    """

    typical: float
    longest: float

    def within(self, budget: float) -> SearchTime:
        """Return the same for a search that ends after a number of seconds at the latest."""
        return SearchTime(min(self.typical, budget), min(self.longest, budget))

    def __str__(self) -> str:
        typical, longest = map(duration, self)
        if typical == longest:
            return f"up to about {longest}"
        return f"about {typical}, and at most about {longest}"


class Search:
    """A search whose settings have been checked and that is ready for `run_search`.

    Args:
        model: as for `tune`.
        dataset: the data.
        settings: the settings.
        budget: how long `run_search` may take; None for as long as it takes. It is not one of the
            settings that determine the outcome: a run can be resumed with a different budget.
        cluster: Ray cluster on whose nodes models are trained, as in `MemberTrainer`; likewise.

    Raises:
        ValueError: a setting is out of range, or model, data and settings do not fit together.
        TypeError: the model cannot be cloned.
    """

    def __init__(
        self,
        model: Tunable,
        dataset: Dataset,
        settings: TuningSettings,
        budget: Budget | None = None,
        cluster: str | None = None,
    ) -> None:
        self.cluster = cluster
        own = {each.name: getattr(settings, each.name) for each in fields(settings)}
        training = own.pop("training")
        settings = TuningSettings(**as_json(own), training=training)  # NumPy's numbers as Python's
        check_count(settings.num_finalists, "num_finalists")
        check_count(settings.num_seeds, "num_seeds")
        check_count(settings.seed, "seed", minimum=0)
        self.objective = parse_objective(training.objective)
        check_validation_objective(self.objective)
        self.dataset = dataset
        self.budget = budget
        function = build_function(model, dataset)
        self.joint: BuiltModels | None = None
        if function is None:
            resolved = resolve_model(
                model, **dataset.builder_arguments, placements=settings.placements or ()
            )
            self.model = built(without_encoder(resolved, dataset.encoder), dataset)
            self.hypermodel = DropoutHyperModel(
                self.model,
                settings.rates,
                settings.placements,
                initial_weights="keep",  # the trainer draws them, and `run_search` says so
            )
            self.space = self.hypermodel.space
            in_one_run = training.callbacks is not None or dataset.stream is not None
            self.oracle = settings.oracle or default_oracle(self.space, in_one_run=in_one_run)
            self.max_trials = trial_limit(
                self.oracle, self.space, settings.max_trials, training.epochs
            )
        else:
            self.oracle = settings.oracle or MIXED_ORACLE
            self.max_trials = mixed_trial_limit(self.oracle, settings.max_trials)
            _check_build_function(settings)
            self.joint = BuiltModels(
                function, dataset, settings.rates, settings.placements, self.objective
            )
            self.model = self.joint.model_of(self.joint.default.hyperparameters)
            self.space = self.joint.space_of(self.joint.default)
        if self.continues_runs and training.callbacks is not None:
            raise ValueError(
                "expected an oracle that trains each setting in one run, such as 'grid' or "
                f"'random', received {self.oracle!r} with callbacks, whose state is lost when it "
                "continues a run"
            )
        if self.continues_runs and dataset.stream is not None:
            raise ValueError(
                "expected an oracle that trains each setting in one run, such as 'grid' or "
                f"'random', received {self.oracle!r} with streamed training examples, which start "
                "anew when it continues a run"
            )
        self.settings = replace(settings, oracle=self.oracle)
        self.given = {site.path: site.rate for site in settable_sites(self.model)}
        self.control = NO_SEARCHED_DROPOUT if self.fixed else NO_DROPOUT

    @property
    def continues_runs(self) -> bool:
        """Whether a trial may continue an earlier one."""
        return self.oracle in ("halving", "hyperband")

    @property
    def fixed(self) -> dict[str, float]:
        """Rates by path of the sites that have dropout and are not searched; NaN if not known."""
        return self.fixed_in(self.joint.default if self.joint else TrialSetting(self.given))

    def fixed_in(self, setting: TrialSetting) -> dict[str, float]:
        """Return `fixed` for the hyperparameters of a setting."""
        kept = {path: rate for path, rate in self.without(setting).rates.items() if rate}
        return kept | self.unsettable_in(setting)

    def unsettable_in(self, setting: TrialSetting) -> dict[str, float]:
        """Return the rates by path of the sites whose rates cannot be set.

        Args:
            setting: a setting, of which the hyperparameters matter.

        Returns:
            The rates; NaN for those that are learned or not known.
        """
        joint = self.joint
        model = joint.model_of(setting.hyperparameters) if joint else self.model
        sites = [site for site in dropout_sites(model) if not site.is_settable]
        return {site.path: math.nan if site.learned else site.rate for site in sites}

    @property
    def as_given(self) -> TrialSetting | None:
        """The setting with the rates that the model was given with; None with a build function."""
        return TrialSetting(self.given) if self.joint is None else None

    def space_of(self, setting: TrialSetting) -> SearchSpace:
        """Return the rates that are searched with the hyperparameters of a setting."""
        return self.space if self.joint is None else self.joint.space_of(setting)

    def without(self, setting: TrialSetting) -> TrialSetting:
        """Return the setting with no dropout at the searched sites, and the same otherwise."""
        if self.joint is not None:
            return self.joint.without(setting)
        searched = {path for paths in self.space.sites.values() for path in paths}
        return TrialSetting(
            {path: 0.0 if path in searched else r for path, r in self.given.items()}
        )

    def is_without(self, setting: TrialSetting) -> bool:
        """Return whether a setting has no dropout at the searched sites."""
        return setting == self.without(setting)

    @property
    def num_runs(self) -> int:
        """Maximum number of training runs: trials and controls, the screening, and the race.

        Those of a setting that replaces a finalist that fails are not counted.
        """
        groups = len(self.space.choices) if self.joint is None else self.joint.num_groups
        beyond = 2 * groups if self.settings.rates is None else 0
        if self.joint is not None:
            with_dropout, without = self.max_trials + beyond, self.max_trials
            screened = sum(min(SCREENED_PER_FINALIST, each) for each in (with_dropout, without))
            racing = 3  # the finalist, its control, and the best setting without dropout
            searched = with_dropout + without
        else:
            candidates = self.max_trials + 1 + beyond
            finalists = min(self.settings.num_finalists, candidates)
            screened = min(SCREENED_PER_FINALIST * finalists, candidates)
            racing, searched = finalists + 1, candidates + 1
        return searched + screened * SCREENING_SEEDS + racing * self.race.looks[-1]

    def summary(self) -> str:
        """Say in a sentence what will be trained."""
        finalists = count_of(self.settings.num_finalists, "finalist")
        seeds = count_of(self.race.looks[-1], "seed")
        epochs = count_of(self.settings.training.epochs, "epoch")
        within = "" if self.budget is None else f", within a budget of {self.budget}"
        twice = tuned = ""
        if self.joint is not None:
            without = without_dropout(self.control)
            twice = f", each also {without}"
            tuned = f", and the best setting {without},"
        return (
            f"{count_of(self.max_trials, 'trial')}{twice}{self._halved()}, then {finalists} "
            f"against {self.control}{tuned} on up to {seeds}: at most {self.num_runs} training "
            f"runs of at most {epochs}{within}."
        )

    def _halved(self) -> str:
        if not self.rungs:
            return ""
        ends = listed([str(rung) for rung in self.rungs])
        plural = "s" if len(self.rungs) > 1 else ""
        return f", half of which go on at epoch{plural} {ends} each"

    @property
    def rungs(self) -> list[int]:
        """Epochs at which half of the trials go on; none with other oracles than halving."""
        training = self.settings.training
        halves = self.oracle == "halving" and self.max_trials > 1
        return rungs(training.epochs, typical_epochs(training)) if halves else []

    @property
    def race(self) -> RaceSettings:
        """How the finalists are compared with no dropout."""
        settings, data = self.settings, self.dataset
        resplit = settings.resplit
        if resplit is None:
            # Weights that are kept may have seen the training examples before.
            resplit = data.validation_drawn and settings.training.initial_weights == "fresh"
        resplit = resplit and settings.num_seeds >= MIN_SEEDS_TO_RESPLIT and data.can_be_resplit
        ratio = data.num_examples("validation") / data.num_examples()
        return RaceSettings(
            control=self.control,
            first_seed=settings.seed + 1 + SCREENING_SEEDS,
            num_seeds=settings.num_seeds,
            validation_ratio=ratio if resplit else None,
            same_examples=data.stream is None or data.stream.repeats,
        )

    def trainer(self, directory: Path | None) -> PlannedTrainer:
        """Return the trainer of all trials, finalists and controls.

        Args:
            directory: directory for the weights; None for a temporary one.

        Returns:
            The trainer.
        """
        if self.joint is not None:
            built_trainer = BuiltModelsTrainer(
                self.joint, self.dataset, self.settings.training, directory, self.cluster
            )
            # It checks the settings.
            outline = built_trainer.outline_of(self.joint.default.member(0))
            check_names(self.joint.paths, self.joint.names, outline.columns)
            return built_trainer
        trainer = MemberTrainer(
            self.model,
            self.dataset,
            self.settings.training,
            keep_state=self.continues_runs,
            directory=directory,
            cluster=self.cluster,
        )
        check_names(self.given, measured=trainer.plan.columns)
        return trainer

    def estimate(self) -> SearchTime:
        """Estimate how long `run_search` takes by training the given model for a few epochs.

        Returns:
            The time for all training runs, those of the race up to its largest number of seeds.
        """
        models, default = 1, TrialSetting(self.given)
        if self.joint is not None:
            models, default = self.max_trials, self.joint.default
        member = default.member(self.settings.seed)
        # Without callbacks, which may write files.
        timed_search, training = copy.copy(self), replace(self.settings.training, callbacks=None)
        timed_search.settings = replace(self.settings, training=training)
        trainer = timed_search.trainer(None)
        timed = min(self.num_runs, trainer.max_parallel)  # a whole grid may not fit in memory
        speed = measure_speed(trainer, [member] * timed)
        start_up = (models - 1) * speed.start_up  # of each other model
        typical, longest = (
            start_up + speed.seconds(self._whole_runs(epochs), epochs)
            for epochs in (typical_epochs(training), training.epochs)
        )
        return SearchTime(typical, longest)

    def _whole_runs(self, epochs: int) -> int:
        """Number of training runs of some epochs that take as long as all of the search."""
        if self.oracle != "halving":
            return self.num_runs
        trials = equal_runs(self.max_trials, self.rungs, epochs)
        return self.num_runs - self.max_trials + trials

    def describe(self) -> dict[str, Any]:
        """Describe everything that determines the outcome.

        Returns:
            Plain data, which JSON can hold: settings, search space, model, data and versions.
        """
        settings = vars(self.settings) | self.settings.training.describe()
        del settings["training"]
        return {
            "settings": settings | {"max_trials": self.max_trials},
            "space": {name: list(rates) for name, rates in self.space.choices.items()},
            "sites": {name: list(paths) for name, paths in self.space.sites.items()},
            **({} if self.joint is None else self.joint.describe()),
            "given_rates": self.given,
            "fixed_rates": {path: finite_or_none(rate) for path, rate in self.fixed.items()},
            "control": self.control,
            "model": describe_model(self.model, self.settings.training.initial_weights),
            "data": describe_data(self.dataset),
            "versions": versions(),
        }

    @property
    def controls(self) -> dict[str, TrialSetting]:
        """Settings that are trained before the trials, by name.

        With a build function there are none: each trial has a control of its own.
        """
        given = self.as_given
        if given is None:
            return {}
        without = self.without(given)
        return {self.control: without, **({} if given == without else {AS_GIVEN: given})}


def _check_build_function(settings: TuningSettings) -> None:
    """Check the settings that other hyperparameters do not allow."""
    if settings.num_finalists != 1:
        raise ValueError(
            "expected num_finalists=1 with a build function, received "
            f"{settings.num_finalists}: each finalist would need a control with its hyperparameters"
        )
    learning_rate = settings.training.learning_rate
    if learning_rate is not None:
        raise ValueError(
            f"expected no learning_rate with a build function, received {learning_rate}, which "
            "would replace that of its optimizer; set it in the function"
        )
