"""A search for dropout rates, from the checks of its settings to its result."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import keras
import pandas as pd
from matplotlib import pyplot as plt

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.factory import resolve_model
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.studies.plan import NO_DROPOUT
from dropout_zoo.studies.run_directory import OUTCOME, RunDirectory, unused_directory
from dropout_zoo.studies.site_groups import AS_GIVEN
from dropout_zoo.studies.summary_text import count_of
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.targets import targets_for
from dropout_zoo.training.engine.interrupts import OutOfTimeError, TimeLimit
from dropout_zoo.training.engine.timing import measure_pace
from dropout_zoo.training.engine.trainer import MemberTrainer
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.objective import as_columns, parse_objective
from dropout_zoo.training.provenance import as_json, describe_data, describe_model, versions
from dropout_zoo.training.settings import TrainSettings
from dropout_zoo.tuning import run_files
from dropout_zoo.tuning.answer import Answer, answer, out_of_time
from dropout_zoo.tuning.audit_errors import audit_errors
from dropout_zoo.tuning.budget import Budget
from dropout_zoo.tuning.chance import chance_of
from dropout_zoo.tuning.oracles import default_oracle, make_oracle, trial_limit
from dropout_zoo.tuning.progress import Progress
from dropout_zoo.tuning.race import (
    LEAST_SEEDS_TO_RESPLIT,
    RaceSettings,
    comparison_table,
    first_seeds,
    race_result,
    run_race,
)
from dropout_zoo.tuning.recording import RecordingTrainer
from dropout_zoo.tuning.result import TuningResult
from dropout_zoo.tuning.screening import (
    SCREENED_PER_FINALIST,
    SCREENING_SEEDS,
    best_so_far,
    screen,
    try_beyond_edges,
)
from dropout_zoo.tuning.space import DropoutHyperModel, Rates, SearchSpace
from dropout_zoo.tuning.trial_tables import TrainingRecord, curves_table, scores_table
from dropout_zoo.tuning.tuner import DropoutTuner

ModelArgument: TypeAlias = keras.Model | str | Callable[[], keras.Model]

# Number of trials created at once. It must not depend on the machine, or the same seed would give
# other trials elsewhere. It is small for oracles that learn from results.
_BATCHES = {"grid": 64, "random": 64, "bayesian": 4, "hyperband": 4}

RACE = "race"

NO_SEARCHED_DROPOUT = "no dropout at the searched sites"
"""The control where the model also has dropout at sites that are not searched."""


@dataclass(frozen=True)
class TuningSettings:
    """The settings of a search; see `tune`."""

    oracle: str | None = None
    rates: Rates | None = None
    placements: Sequence[str] | None = None
    max_trials: int | None = None
    num_seeds: int = 40
    num_finalists: int = 1
    resplit: bool | None = None
    seed: int = 0
    training: TrainSettings = field(default_factory=TrainSettings)


@dataclass
class _Runs:
    """The training runs of a search so far.

    Attributes:
        space: what was searched.
        searched: the training runs before the race; none until there are finalists.
        candidates: rates by name of the finalists, and after them of those that may replace them.
        raced: the training runs of the race that are compared; none until it has ended.
        ended_by: the budget that ended the search, if one did.
    """

    space: SearchSpace
    searched: list[TrainingRecord] = field(default_factory=list)
    candidates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    raced: list[TrainingRecord] = field(default_factory=list)
    ended_by: Budget | None = None


class _InMemoryTuner(DropoutTuner):
    """A tuner that writes no state; see `InMemoryOracle`."""

    def save(self) -> None:
        """Write nothing."""


class Search:
    """A search whose settings have been checked and that is ready to run.

    Args:
        model: as for `tune`.
        dataset: the data.
        settings: the settings.
        budget: how long `run` may take; None for as long as it takes. It is none of the settings
            that decide the outcome: a run can be resumed with another one.

    Raises:
        ValueError: a setting is out of range, or model, data and settings do not fit together.
        TypeError: the model cannot be cloned.
    """

    def __init__(
        self,
        model: ModelArgument,
        dataset: Dataset,
        settings: TuningSettings,
        budget: Budget | None = None,
    ) -> None:
        own = {each.name: getattr(settings, each.name) for each in fields(settings)}
        training = own.pop("training")
        settings = TuningSettings(**as_json(own), training=training)  # NumPy's numbers as Python's
        check_count(settings.num_finalists, "num_finalists")
        check_count(settings.num_seeds, "num_seeds")
        check_count(settings.seed, "seed", least=0)
        self.dataset = dataset
        self.budget = budget
        self.model = resolve_model(
            model, **dataset.builder_arguments, placements=settings.placements or ()
        )
        self.hypermodel = DropoutHyperModel(
            self.model, settings.rates, settings.placements, training.initial_weights
        )
        self.space = self.hypermodel.space
        self.oracle = settings.oracle or default_oracle(self.space)
        self.settings = settings = replace(settings, oracle=self.oracle)
        self.objective = parse_objective(training.objective)
        self.max_trials = trial_limit(self.oracle, self.space, settings.max_trials, training.epochs)
        self.given = {site.path: site.rate for site in settable_sites(self.model)}
        searched = {path for paths in self.space.sites.values() for path in paths}
        self.without = {path: 0.0 if path in searched else r for path, r in self.given.items()}
        self.control = NO_SEARCHED_DROPOUT if any(self.without.values()) else NO_DROPOUT

    @property
    def fixed(self) -> dict[str, float]:
        """Rates by path of the sites that have dropout and are not searched."""
        return {path: rate for path, rate in self.without.items() if rate}

    @property
    def trainings(self) -> int:
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
            f"to {seeds}: at most {self.trainings} training runs of at most {epochs}{within}."
        )

    @property
    def race(self) -> RaceSettings:
        """How the finalists are compared with no dropout."""
        settings, data = self.settings, self.dataset
        resplit = settings.resplit
        if resplit is None:
            # Weights that are kept may have seen the training examples before.
            resplit = data.validation_drawn and settings.training.initial_weights == "fresh"
        resplit = (
            resplit and settings.num_seeds >= LEAST_SEEDS_TO_RESPLIT and data.sample_weight is None
        )
        ratio = len(data.validation[1]) / len(data.train[1])
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
        """Estimate how long `run` takes by training the given model for a few epochs.

        Returns:
            Seconds for all training runs at full length.
        """
        member = Member(self.given, self.settings.seed)
        trainer = self.trainer(None)
        timed = min(self.trainings, trainer.max_parallel)  # a whole grid may not fit in memory
        pace = measure_pace(trainer, [member] * timed)
        return pace.seconds(self.trainings, self.settings.training.epochs)

    def run(
        self,
        directory: Path | None = None,
        *,
        resume: bool = False,
        overwrite: bool = False,
        progress: bool = True,
    ) -> TuningResult:
        """Search, train the finalists, compare them, and write the directory of the run.

        Args:
            directory: a new or empty directory; None for a temporary one that is removed with the
                result.
            resume: whether to continue the run in the directory; if there is none, one begins.
            overwrite: whether to remove the run in the directory first.
            progress: whether to report progress on standard error.

        Returns:
            The result.

        Raises:
            ValueError: the directory holds other files, is in use, or holds a run with other
                settings.
            RuntimeError: every trial failed, no setting of the race completed on every seed, or the
                budget ended before any training run was completed.
            OSError: a file cannot be written.
        """
        budget = self.budget
        limit = TimeLimit(math.inf if budget is None else budget.training_seconds)
        temporary = None
        if directory is None:
            temporary = tempfile.TemporaryDirectory(prefix="dropout-zoo-")
            directory = Path(temporary.name)
        folder = RunDirectory(
            directory,
            self.describe(),
            files=run_files.FILES,
            resume=resume,
            overwrite=overwrite,
        )
        # The trainer checks the rest of the settings; nothing is written before.
        trainer = self.trainer(unused_directory(folder.state / "weights"))
        shown = Progress(self.trainings, self.objective, progress, limit.deadline)
        with folder, shown as watched:
            if folder.complete:
                watched.say(f"The run in {directory} is complete.")
                return TuningResult.load(directory)
            return self._run(folder, trainer, watched, temporary, limit)

    def _run(
        self,
        folder: RunDirectory,
        trainer: MemberTrainer,
        progress: Progress,
        temporary: tempfile.TemporaryDirectory[str] | None,
        limit: TimeLimit,
    ) -> TuningResult:
        recording = RecordingTrainer(trainer, folder.state / run_files.JOURNAL, progress)
        if recording.restored:
            progress.say(f"Resuming: {recording.restored} training runs were finished before.")
        progress.say(self.dataset.describe())
        for error in audit_errors(self.model):
            progress.say(error)
        if self.space.note:
            progress.say(self.space.note)
        progress.say(self.summary())
        started = time.perf_counter()
        runs, searching = _Runs(self.space), None
        try:
            with limit:
                self._find_finalists(runs, recording, folder)
                searching = time.perf_counter() - started
                self._race(runs, recording, progress)
        except OutOfTimeError:
            self._cut_off(runs, recording)
            folder.write_table(run_files.TRIALS, scores_table(runs.searched))
        seconds = time.perf_counter() - started
        searching = seconds if searching is None else searching
        folder.write_table(run_files.FINALISTS, scores_table(runs.raced))
        table, found = self._answer(runs)
        # On the data as they were split, so that the test set stays what no model has seen.
        model = self._best_run(found.rates, runs.searched, recording).model()
        curves = [curves_table("search", runs.searched), curves_table("race", runs.raced)]
        result = TuningResult(
            trials=scores_table(runs.searched),
            finalists=scores_table(runs.raced),
            race=race_result(
                runs.raced, self.objective, self.describe(), self.control, found.sentence
            )
            if runs.raced
            else None,
            comparison=_with_short_names(table),
            curves=pd.concat([each for each in curves if len(each)], ignore_index=True),
            best_rates=found.rates,
            answer=found.kind,
            sentence=found.sentence,
            control=self.control,
            fixed_rates=self.fixed,
            objective=self.objective,
            test=self._test(model),
            space=runs.space,
            search_seconds=searching,
            finalist_seconds=seconds - searching,
            ended_by_budget=runs.ended_by is not None,
            directory=folder.path,
            _model=model,
            _folder=temporary,
        )
        _write(result, folder)
        return result

    def _find_finalists(self, runs: _Runs, trainer: RecordingTrainer, folder: RunDirectory) -> None:
        """Search and screen, and write the table of the trials."""
        searched = self._search(trainer, folder)
        if self.settings.rates is None:
            trainer.phase("beyond the range", "trial")
            runs.space, beyond = try_beyond_edges(
                runs.space, searched, self.objective, trainer.train
            )
            searched += beyond
        trainer.phase("screening", "screening")
        candidates, screened = screen(
            searched,
            self.settings.num_finalists,
            self.objective,
            trainer.train,
            seed=self.settings.seed,
            given=self.given,
            without=self.without,
        )
        runs.searched, runs.candidates = searched + screened, candidates
        folder.write_table(run_files.TRIALS, scores_table(runs.searched))

    def _cut_off(self, runs: _Runs, trainer: RecordingTrainer) -> None:
        """Take what has finished when time ended.

        Raises:
            RuntimeError: no training run was completed.
        """
        runs.ended_by = self.budget
        if not runs.searched:
            runs.searched = trainer.records
        if best_so_far(runs.searched, self.objective).empty:
            reasons = sorted({each.result.reason for each in runs.searched})
            raise RuntimeError(
                f"expected a training run that is completed within the budget of {self.budget}, "
                f"received none{': ' if reasons else ''}{'; '.join(reasons)}; allow a larger "
                "budget or fewer epochs"
            )
        finished = [each for each in trainer.records if each.role == RACE]
        failed = {each.setting for each in finished if each.result.status != "completed"}
        others = [name for name in runs.candidates if name not in failed]
        arms = [self.control, *others[: self.settings.num_finalists]]
        raced = first_seeds(arms, self.race, [each.result for each in finished])
        if len(raced) >= self.race.least_seeds * len(arms):
            runs.raced = raced + [
                each._replace(role="finalist")
                for each in finished
                if each.setting in failed - {self.control}
            ]

    def _best_run(
        self,
        rates: Mapping[str, float],
        searched: Sequence[TrainingRecord],
        trainer: RecordingTrainer,
    ) -> TrainedMember:
        """Return the best run of a setting on the given split."""
        runs = [r.result for r in searched if dict(r.result.rates) == dict(rates)]
        if not any(run.status == "completed" for run in runs):  # but on other seeds it did
            seeds = range(self.settings.seed + 1, self.settings.seed + 1 + SCREENING_SEEDS)
            runs += trainer.train([Member(rates, seed) for seed in seeds])
        completed = [run for run in runs if run.status == "completed"]
        return _best(completed or runs, self.objective.direction)

    def _test(self, model: keras.Model) -> dict[str, float]:
        """Evaluate a model on the test set, if there is one."""
        if self.dataset.test is None:
            return {}
        x, y = self.dataset.test
        measured = model.evaluate(
            x,
            targets_for(model, y, self.dataset.num_classes),
            batch_size=self.settings.training.batch_size,
            verbose=0,
            return_dict=True,
        )
        return as_columns(measured)

    def describe(self) -> dict[str, Any]:
        """Describe everything that decides the outcome.

        Returns:
            Plain data, which JSON can hold: settings, search space, model, data and versions.
        """
        settings = asdict(self.settings) | self.settings.training.describe()
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

    def _search(self, trainer: RecordingTrainer, folder: RunDirectory) -> list[TrainingRecord]:
        settings = self.settings
        trainer.phase("search", "control")
        controls = [
            Member(rates, settings.seed, label=name) for name, rates in self._controls().items()
        ]
        records = [
            TrainingRecord(str(result.member.label), "control", result)
            for result in trainer.train(controls)
        ]
        trainer.phase("search", "trial")
        tuner = _InMemoryTuner(
            make_oracle(
                self.oracle,
                self.space,
                objective=self.objective,
                max_trials=settings.max_trials,
                epochs=settings.training.epochs,
                seed=settings.seed,
            ),
            self.hypermodel,
            parallel_trials=_BATCHES[self.oracle],
            seed=settings.seed,
            directory=folder.state,
            project_name="oracle",
            overwrite=True,
        )
        tuner.search_with(trainer)
        return records + [
            TrainingRecord(name, "trial", result) for name, result in tuner.results.items()
        ]

    def _race(self, runs: _Runs, trainer: RecordingTrainer, progress: Progress) -> None:
        """Train finalists and control on the same new seeds until the answer is clear."""
        ranked, count = list(runs.candidates.items()), self.settings.num_finalists
        arms = {self.control: self.without, **dict(ranked[:count])}
        trainer.phase("race", RACE)
        raced: set[str | None] = set(arms)

        def train(members: list[Member]) -> list[TrainedMember]:
            raced.update(member.label for member in members)  # those that replace others as well
            progress.set_total(len(runs.searched) + len(raced) * self.race.looks[-1])
            return trainer.train(members)

        runs.raced = run_race(arms, self.race, self.objective, train, dict(ranked[count:]))

    def _answer(self, runs: _Runs) -> tuple[pd.DataFrame, Answer]:
        """Return the comparison of the settings, and what it shows."""
        if not runs.raced:
            assert runs.ended_by is not None  # otherwise there was a race
            table = best_so_far(runs.searched, self.objective)
            tried = sum(each.role == "trial" for each in runs.searched)
            trials = min(tried, self.max_trials), self.max_trials
            return table, out_of_time(
                table, self.control, self.objective, budget=runs.ended_by, trials=trials
            )
        table = comparison_table(runs.raced, self.race, self.objective)
        return table, answer(
            table,
            runs.raced,
            self.race,
            self.objective,
            runs.space,
            max_epochs=self.settings.training.epochs,
            chance=chance_of(self.model, self.dataset, self.objective),
            budget=runs.ended_by,
        )

    def _controls(self) -> dict[str, dict[str, float]]:
        given = {} if self.given == self.without else {AS_GIVEN: self.given}
        return {self.control: self.without, **given}


def _with_short_names(table: pd.DataFrame) -> pd.DataFrame:
    """Name rate columns by their paths; a site that has another column's name keeps its prefix."""
    paths = {str(name): str(name).removeprefix("rate/") for name in table}
    return table.rename(columns={name: path for name, path in paths.items() if path not in table})


def _best(results: Sequence[TrainedMember], direction: str) -> TrainedMember:
    choose = min if direction == "min" else max
    return choose(results, key=lambda result: result.score)


def _write(result: TuningResult, folder: RunDirectory) -> None:
    if result.race is not None:
        folder.write_with(run_files.RACE, result.race.to_parquet)
    folder.write_table(run_files.CURVES, result.curves)
    folder.write_model(run_files.BEST_MODEL, result.best_model())
    figure = result.plot().figure_
    assert figure is not None  # plot() creates it
    folder.write_figure(run_files.PLOT, figure)
    plt.close(figure)
    folder.write_json(OUTCOME, result.outcome())
