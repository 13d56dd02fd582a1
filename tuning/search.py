"""A search for dropout rates that can be inspected before it is run."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.factory import ModelLike, resolve_model
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.models.wording import count_of
from dropout_zoo.studies.plan import NO_DROPOUT
from dropout_zoo.studies.site_groups import AS_GIVEN
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.engine.timing import measure_speed
from dropout_zoo.training.engine.trainer import MemberTrainer
from dropout_zoo.training.members import Member
from dropout_zoo.training.objective import check_validation_objective, parse_objective
from dropout_zoo.training.preparation import built
from dropout_zoo.training.provenance import as_json, describe_data, describe_model, versions
from dropout_zoo.training.settings import TrainSettings
from dropout_zoo.tuning.budget import Budget
from dropout_zoo.tuning.defaults import NUM_FINALISTS, NUM_SEEDS, SEED
from dropout_zoo.tuning.oracles import default_oracle, trial_limit
from dropout_zoo.tuning.race import (
    MIN_SEEDS_TO_RESPLIT,
    RaceSettings,
)
from dropout_zoo.tuning.screening import (
    SCREENED_PER_FINALIST,
    SCREENING_SEEDS,
)
from dropout_zoo.tuning.space import DropoutHyperModel, Rates

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


class Search:
    """A search whose settings have been checked and that is ready for `run_search`.

    Args:
        model: as for `tune`.
        dataset: the data.
        settings: the settings.
        budget: how long `run_search` may take; None for as long as it takes. It is not one of the
            settings that determine the outcome: a run can be resumed with a different budget.

    Raises:
        ValueError: a setting is out of range, or model, data and settings do not fit together.
        TypeError: the model cannot be cloned.
    """

    def __init__(
        self,
        model: ModelLike,
        dataset: Dataset,
        settings: TuningSettings,
        budget: Budget | None = None,
    ) -> None:
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
        resolved = resolve_model(
            model, **dataset.builder_arguments, placements=settings.placements or ()
        )
        self.model = built(resolved, dataset)
        self.hypermodel = DropoutHyperModel(
            self.model, settings.rates, settings.placements, training.initial_weights
        )
        self.space = self.hypermodel.space
        self.oracle = settings.oracle or default_oracle(self.space)
        self.settings = settings = replace(settings, oracle=self.oracle)
        self.max_trials = trial_limit(self.oracle, self.space, settings.max_trials, training.epochs)
        if self.oracle == "hyperband" and training.callbacks is not None:
            raise ValueError(
                "expected an oracle that trains each setting in one run, such as 'grid' or "
                "'random', received 'hyperband' with callbacks, whose state is lost when it "
                "continues a run"
            )
        self.given = {site.path: site.rate for site in settable_sites(self.model)}
        searched = {path for paths in self.space.sites.values() for path in paths}
        self.without = {path: 0.0 if path in searched else r for path, r in self.given.items()}
        self.control = NO_SEARCHED_DROPOUT if any(self.without.values()) else NO_DROPOUT

    @property
    def fixed(self) -> dict[str, float]:
        """Rates by path of the sites that have dropout and are not searched."""
        return {path: rate for path, rate in self.without.items() if rate}

    @property
    def num_runs(self) -> int:
        """Maximum number of training runs: trials and controls, the screening, and the race.

        Those of a setting that replaces a finalist that fails are not counted.
        """
        beyond = 2 * len(self.space.choices) if self.settings.rates is None else 0
        candidates = self.max_trials + 1 + beyond
        finalists = min(self.settings.num_finalists, candidates)
        screened = min(SCREENED_PER_FINALIST * finalists, candidates)
        return candidates + 1 + screened * SCREENING_SEEDS + (finalists + 1) * self.race.looks[-1]

    def summary(self) -> str:
        """Say in a sentence what will be trained."""
        finalists = count_of(self.settings.num_finalists, "finalist")
        seeds = count_of(self.race.looks[-1], "seed")
        epochs = count_of(self.settings.training.epochs, "epoch")
        within = "" if self.budget is None else f", within a budget of {self.budget}"
        return (
            f"{count_of(self.max_trials, 'trial')}, then {finalists} against {self.control} on up "
            f"to {seeds}: at most {self.num_runs} training runs of at most {epochs}{within}."
        )

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
        )

    def trainer(self, directory: Path | None) -> MemberTrainer:
        """Return the trainer of all trials, finalists and controls.

        Args:
            directory: directory for the weights; None for a temporary one.

        Returns:
            The trainer.
        """
        return MemberTrainer(
            self.model,
            self.dataset,
            self.settings.training,
            keep_state=self.oracle == "hyperband",
            directory=directory,
        )

    def estimate_seconds(self) -> float:
        """Estimate how long `run_search` takes by training the given model for a few epochs.

        Returns:
            Seconds for all training runs at full length.
        """
        member = Member(self.given, self.settings.seed)
        # Without callbacks, which may write files.
        timed_search, training = copy.copy(self), replace(self.settings.training, callbacks=None)
        timed_search.settings = replace(self.settings, training=training)
        trainer = timed_search.trainer(None)
        timed = min(self.num_runs, trainer.max_parallel)  # a whole grid may not fit in memory
        speed = measure_speed(trainer, [member] * timed)
        return speed.seconds(self.num_runs, self.settings.training.epochs)

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
            "given_rates": self.given,
            "fixed_rates": self.fixed,
            "control": self.control,
            "model": describe_model(self.model, self.settings.training.initial_weights),
            "data": describe_data(self.dataset),
            "versions": versions(),
        }

    @property
    def controls(self) -> dict[str, dict[str, float]]:
        """Rates of the settings that are trained beside the trials, by name."""
        given = {} if self.given == self.without else {AS_GIVEN: self.given}
        return {self.control: self.without, **given}
