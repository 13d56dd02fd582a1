"""Runs a search: the trials, the screening, the race, and the files of the result."""

from __future__ import annotations

import math
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import pandas as pd
from matplotlib import pyplot as plt

from dropout_zoo.models.graph.changed_rates import rates_fixed_in_code
from dropout_zoo.models.graph.cloning import is_built_again
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.models.wording import count_of
from dropout_zoo.studies.run_directory import OUTCOME, RunDirectory, unused_directory
from dropout_zoo.training.data.targets import with_loss_targets
from dropout_zoo.training.engine.interrupts import OutOfTimeError, TimeLimit
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.objective import as_columns
from dropout_zoo.training.plan import evaluate
from dropout_zoo.training.repeated_warnings import each_warning_once
from dropout_zoo.tuning import run_files
from dropout_zoo.tuning.answer import Answer, answer, describe_rates, out_of_time
from dropout_zoo.tuning.audit_errors import audit_errors
from dropout_zoo.tuning.build_function import BuiltModels
from dropout_zoo.tuning.chance import chance_of
from dropout_zoo.tuning.joint_answer import (
    compared_with_rival,
    with_hyperparameters,
    without_rival,
)
from dropout_zoo.tuning.joint_tuner import InMemoryTuner, JointTuner, PairedTrainer
from dropout_zoo.tuning.oracles import make_mixed_oracle, make_oracle
from dropout_zoo.tuning.progress import Progress
from dropout_zoo.tuning.race import (
    MIN_SEEDS,
    comparison_table,
    first_seeds,
    race_result,
    run_race,
)
from dropout_zoo.tuning.recording import RecordingTrainer
from dropout_zoo.tuning.result import TuningResult
from dropout_zoo.tuning.screening import (
    SCREENING_SEEDS,
    best_so_far,
    choose_finalists,
    screen,
    try_beyond_edges,
)
from dropout_zoo.tuning.search import Search
from dropout_zoo.tuning.setting import Setting
from dropout_zoo.tuning.space import SearchSpace
from dropout_zoo.tuning.trial_tables import TrainingRecord, curves_table, scores_table

# Number of trials created at once. It must not depend on the machine, or the same seed would give
# other trials elsewhere. It is small for oracles that learn from results.
_BATCHES = {"grid": 64, "random": 64, "bayesian": 4, "hyperband": 4}

RACE = "race"


@each_warning_once()
def run_search(
    search: Search,
    directory: Path | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> TuningResult:
    """Search, train the finalists, compare them, and write the directory of the run.

    Args:
        search: the search.
        directory: a new or empty directory; None for a temporary one that is removed with the
            result.
        resume: whether to continue the run in the directory; if there is none, one begins.
        overwrite: whether to remove the run in the directory first.
        progress: whether to report progress on standard error.

    Returns:
        The result.

    Raises:
        ValueError: the directory holds other files, is in use, or holds a run with other settings.
        RuntimeError: every trial failed, no setting of the race completed on every seed, or the
            budget ended before any training run was completed.
        OSError: a file cannot be written.
    """
    budget = search.budget
    limit = TimeLimit(math.inf if budget is None else budget.training_seconds)
    temporary = None
    if directory is None:
        temporary = tempfile.TemporaryDirectory(prefix="dropout-zoo-")
        directory = Path(temporary.name)
    folder = RunDirectory(
        directory,
        search.describe(),
        files=run_files.FILES,
        resume=resume,
        overwrite=overwrite,
    )
    if temporary is None:
        search.trainer(None)  # it checks the rest of the settings; nothing is written before
    shown = Progress(search.num_runs, search.objective, progress, limit.deadline)
    with folder, shown as watched:
        if folder.complete:
            watched.say(f"The run in {directory} is complete.")
            return TuningResult.load(directory)
        trainer = search.trainer(unused_directory(folder.state / "weights"))
        recording = RecordingTrainer(trainer, folder.state / run_files.JOURNAL, watched)
        try:
            result = _Run(search, folder, recording, watched).result(limit, temporary)
        except Exception:
            if not (recording.restored or recording.records):  # such as that of callbacks
                folder.discard()
            raise
        _write(result, folder)
        return result


class _Run:
    """A search under way, and what it has found so far.

    Args:
        search: the search.
        folder: the directory of the run.
        trainer: trains and keeps the training runs.
        progress: shows them.

    Attributes:
        extended: the setting of the best trial, and the rates that were tried with its
            hyperparameters; None where no rates were tried beyond the range.
        searched: the training runs before the race; none until there are finalists.
        candidates: the finalists by name, and after them the settings that may replace them.
        rival: the best setting without dropout; None where the model is given.
        race: how the settings of the race are compared.
        arms: the settings that race, by name.
        raced: the training runs of the race that are compared; none until it has ended.
        out_of_time: whether the budget ended the search.
    """

    def __init__(
        self, search: Search, folder: RunDirectory, trainer: RecordingTrainer, progress: Progress
    ) -> None:
        self.search = search
        self.folder = folder
        self.trainer = trainer
        self.progress = progress
        self.extended: tuple[Setting, SearchSpace] | None = None
        self.searched: list[TrainingRecord] = []
        self.screened = False  # of a search that time has ended
        self.candidates: Mapping[str, Setting] = {}
        self.rival: Setting | None = None
        self.race = search.race
        self.arms: dict[str, Setting] = {}
        self.raced: list[TrainingRecord] = []
        self.out_of_time = False

    def result(
        self, limit: TimeLimit, temporary: tempfile.TemporaryDirectory[str] | None
    ) -> TuningResult:
        """Search and race until the answer is clear or time ends.

        Args:
            limit: when training ends.
            temporary: the directory, if it is removed with the result.

        Returns:
            The result.
        """
        search, objective = self.search, self.search.objective
        self._announce()
        started = time.perf_counter()
        searching = None
        try:
            with limit:
                self._find_finalists()
                searching = time.perf_counter() - started
                self._race()
        except OutOfTimeError:
            self._cut_off()
        seconds = time.perf_counter() - started
        searching = seconds if searching is None else searching
        trials, finalists = scores_table(self.searched), scores_table(self.raced)
        self.folder.write_table(run_files.TRIALS, trials)
        self.folder.write_table(run_files.FINALISTS, finalists)
        table, found = self._answer()
        race = None
        if self.raced:
            described = search.describe()
            race = race_result(self.raced, objective, described, search.control, found.sentence)
        # On the data as they were split, so that the test set stays what no model has seen.
        best = Setting(found.rates, found.hyperparameters)
        model = self._best_run(best).model()
        _warn_of_rates_in_code(model)
        curves = [curves_table("search", self.searched), curves_table("race", self.raced)]
        return TuningResult(
            trials=trials,
            finalists=finalists,
            race=race,
            comparison=_with_short_names(table),
            curves=pd.concat([each for each in curves if len(each)], ignore_index=True),
            best_rates=found.rates,
            best_hyperparameters=found.hyperparameters,
            hyperparameters=() if search.joint is None else tuple(search.joint.names),
            answer=found.kind,
            sentence=found.sentence,
            control=search.control,
            fixed_rates=search.fixed_in(best),
            unsettable=tuple(search.unsettable_in(best)),
            objective=objective,
            test=self._test(model),
            space=self._space_of(best),
            search_seconds=searching,
            race_seconds=seconds - searching,
            ended_by_budget=self.out_of_time,
            directory=self.folder.path,
            _model=search.dataset.model_for_raw_columns(model),
            _folder=temporary,
        )

    def _announce(self) -> None:
        """Say what is resumed, what the data are, what is wrong with the model, and the plan."""
        search, say = self.search, self.progress.say
        if self.trainer.restored:
            runs = count_of(self.trainer.restored, "training run")
            are = "is" if self.trainer.restored == 1 else "are"
            say(f"Resuming: {runs} {are} already finished.")
        say(search.dataset.describe())
        for error in audit_errors(search.model):
            say(error)
        if search.joint is not None:
            say(
                f"Searched with the dropout rates: {', '.join(search.joint.names)}. Sites with the "
                "same placement share a rate, unless rates are given by site path."
            )
            if search.joint.note:
                say(search.joint.note)
        elif search.space.note:
            say(search.space.note)
        say(search.summary())

    def _find_finalists(self) -> None:
        """Search and screen, and write the table of the trials."""
        search, train = self.search, self.trainer.train
        searched = self._try()
        if search.settings.rates is None:
            self.trainer.phase("beyond the range", "trial")
            searched += self._beyond_edges(searched)
        self.trainer.phase("screening", "screening")
        settings, resplit = search.settings, search.race.validation_ratio is not None
        self.candidates, screened = screen(
            searched,
            settings.num_finalists,
            search.objective,
            train,
            seed=settings.seed,
            resplit=resplit,
            given=search.as_given,
            excluded=search.is_without,
        )
        if search.joint is not None:  # as many settings without dropout as with it are screened
            rivals, more = screen(
                searched,
                1,
                search.objective,
                train,
                seed=settings.seed,
                resplit=resplit,
                given=None,
                excluded=lambda setting: not search.is_without(setting),
            )
            self.rival = next(iter(rivals.values()), None)
            screened += more
        self.searched = searched + screened
        # The race takes longest, and the trials can be inspected meanwhile.
        self.folder.write_table(run_files.TRIALS, scores_table(self.searched))

    def _beyond_edges(self, searched: Sequence[TrainingRecord]) -> list[TrainingRecord]:
        """Try rates beyond the range where the best trial lies on its edge."""
        search = self.search
        trials = [record.result for record in searched if record.role == "trial"]
        for best in choose_finalists(trials, 1, search.objective):
            space, beyond = try_beyond_edges(
                best, search.space_of(best), search.settings.seed, self.trainer.train
            )
            self.extended = best, space
            return beyond
        return []

    def _space_of(self, setting: Setting) -> SearchSpace:
        """The rates that were tried with the hyperparameters of a setting."""
        if self.extended is not None:
            best, space = self.extended
            if best.hyperparameters == setting.hyperparameters:
                return space
        return self.search.space_of(setting)

    def _try(self) -> list[TrainingRecord]:
        """Train the controls and the trials."""
        search, settings = self.search, self.search.settings
        self.trainer.phase("search", "control")
        controls = [
            setting.member(settings.seed, name) for name, setting in search.controls.items()
        ]
        records = [
            TrainingRecord(str(result.member.label), "control", result)
            for result in self.trainer.train(controls)
        ]
        self.trainer.phase("search", "trial")
        if search.joint is not None:
            return self._try_jointly(search.joint)
        tuner = InMemoryTuner(
            make_oracle(
                search.oracle,
                search.space,
                objective=search.objective,
                max_trials=settings.max_trials,
                epochs=settings.training.epochs,
                seed=settings.seed,
            ),
            search.hypermodel,
            parallel_trials=_BATCHES[search.oracle],
            seed=settings.seed,
            directory=self.folder.state,
            project_name="oracle",
            overwrite=True,
        )
        tuner.search_with(self.trainer)
        return records + [
            TrainingRecord(name, "trial", result) for name, result in tuner.results.items()
        ]

    def _try_jointly(self, joint: BuiltModels) -> list[TrainingRecord]:
        """Train the trials of a build function, each also without dropout."""
        search, settings = self.search, self.search.settings
        tuner = JointTuner(
            joint,
            self.trainer,
            oracle=make_mixed_oracle(
                search.oracle,
                joint.hyperparameters,
                objective=search.objective,
                max_trials=search.max_trials,
                seed=settings.seed,
            ),
            parallel_trials=_BATCHES[search.oracle],
            seed=settings.seed,
            directory=self.folder.state,
            project_name="oracle",
            overwrite=True,
        )
        paired = PairedTrainer(self.trainer, search.without, search.control)
        tuner.search_with(paired)
        return [
            TrainingRecord(name, "trial", result) for name, result in tuner.results.items()
        ] + paired.controls

    def _race(self) -> None:
        """Train finalists and control on the same new seeds until the answer is clear."""
        search, failed = self.search, list[TrainingRecord]()
        ranked, count = list(self.candidates.items()), search.settings.num_finalists
        self.trainer.phase("race", RACE)
        if search.joint is None:
            self.arms = {
                search.control: search.without(Setting(search.given)),
                **dict(ranked[:count]),
            }
            self.raced = self._raced(dict(ranked[count:]))
            return
        for name, finalist in ranked:  # each has a control with its hyperparameters
            control = search.without(finalist)
            self.arms = {search.control: control, name: finalist}
            self.race = search.race
            if self.rival is not None and self.rival != control:
                self.race = search.race.with_rival()
                self.arms[str(self.race.rival)] = self.rival
            self.raced = [*self._raced({}), *failed]
            lost = {each.setting for each in self.raced if each.result.status != "completed"}
            if name not in lost or search.control in lost:
                return
            failed += [each for each in self.raced if each.setting == name]

    def _raced(self, reserve: Mapping[str, Setting]) -> list[TrainingRecord]:
        """Train the settings that race, and those that replace what fails."""
        search, raced = self.search, set[str | None](self.arms)

        def train(members: list[Member]) -> list[TrainedMember]:
            raced.update(member.label for member in members)  # those that replace others as well
            self.progress.set_total(len(self.searched) + len(raced) * search.race.looks[-1])
            return self.trainer.train(members)

        return run_race(self.arms, self.race, search.objective, train, reserve)

    def _cut_off(self) -> None:
        """Take what has finished when time ended.

        Raises:
            RuntimeError: no training run was completed.
        """
        search, records = self.search, self.trainer.records
        self.out_of_time = True
        self.screened = bool(self.searched)
        if not self.screened:
            self.searched = records
        if best_so_far(self.searched, search.objective, screened=self.screened).empty:
            reasons = sorted({each.result.reason for each in self.searched})
            raise RuntimeError(
                "expected at least one training run to finish within the budget of "
                f"{search.budget}, received none{': ' if reasons else ''}{'; '.join(reasons)}; "
                "resume it with a larger budget, or allow fewer epochs"
            )
        finished = [each for each in records if each.role == RACE and self._races(each)]
        failed = {each.setting for each in finished if each.result.status != "completed"}
        if search.control in failed:  # then no gain can be measured
            self.raced = [
                each._replace(role="control" if self.race.is_control(each.setting) else "finalist")
                for each in finished
            ]
            return
        racing = self.candidates if search.joint is None else self.arms
        others = [name for name in racing if name not in failed and not self.race.is_control(name)]
        arms = [search.control, *others[: search.settings.num_finalists]]
        results = [each.result for each in finished]
        raced = first_seeds(arms, self.race, results)
        rival = str(self.race.rival)
        with_rival = first_seeds([*arms, rival], self.race, results)
        if len(with_rival) * len(arms) == len(raced) * (len(arms) + 1):  # it has kept pace
            arms, raced = [*arms, rival], with_rival
        if len(raced) >= MIN_SEEDS * len(arms):
            self.raced = raced + [
                each._replace(role="finalist") for each in finished if each.setting in failed
            ]

    def _races(self, record: TrainingRecord) -> bool:
        """Whether a run is one of the settings that race, and not of a finalist that failed."""
        given = self.search.joint is None
        return given or self.arms.get(record.setting) == Setting.of(record.result)

    def _answer(self) -> tuple[pd.DataFrame, Answer]:
        """Return the comparison of the settings, and what it shows."""
        search = self.search
        ended_by = search.budget if self.out_of_time else None
        if not self.raced:
            assert ended_by is not None  # otherwise there was a race
            table = best_so_far(self.searched, search.objective, screened=self.screened)
            tried = sum(each.role == "trial" for each in self.searched)
            trials = min(tried, search.max_trials), search.max_trials
            found = out_of_time(
                table, search.control, search.objective, budget=ended_by, trials=trials
            )
            return table, with_hyperparameters(found, self.searched)
        epochs = search.settings.training.epochs
        table = comparison_table(self.raced, self.race, search.objective)
        compared, records = without_rival(table, self.raced, self.race)
        if compared.empty:  # finalist and control have failed
            compared, records = table, self.raced
        finalist = Setting.of(records[0].result)  # the control has its hyperparameters
        found = answer(
            compared,
            records,
            self.race,
            search.objective,
            self._space_of(finalist),
            max_epochs=epochs,
            chance=chance_of(
                search.model,
                search.dataset,
                search.objective,
                # The same for every setting.
                [each.result.member.split for each in self.raced if each.role == "control"],
            ),
            budget=ended_by,
        )
        found = with_hyperparameters(found, records)
        return table, compared_with_rival(
            found, table, self.raced, self.race, search.objective, max_epochs=epochs
        )

    def _best_run(self, setting: Setting) -> TrainedMember:
        """Return the best run of a setting on the given split."""
        runs = [
            each.result
            for each in self.searched
            if Setting.of(each.result) == setting and each.result.member.split == 0
        ]
        if not any(run.status == "completed" for run in runs):  # but on other seeds it did
            first = self.search.settings.seed + 1
            seeds = range(first, first + SCREENING_SEEDS)
            runs += self.trainer.train([setting.member(seed) for seed in seeds])
        completed = [run for run in runs if run.status == "completed"]
        choose = min if self.search.objective.direction == "min" else max
        return choose(completed or runs, key=lambda run: run.score)

    def _test(self, model: keras.Model) -> dict[str, float]:
        """Evaluate a model on the test set, if there is one."""
        dataset = self.search.dataset
        if dataset.test is None:
            return {}
        examples = with_loss_targets(model, dataset.test, dataset)
        batch_size = self.search.settings.training.batch_size
        return as_columns(evaluate(model, examples, batch_size=batch_size))


def _warn_of_rates_in_code(model: keras.Model) -> None:
    rates = {site.path: site.rate for site in settable_sites(model)}
    if is_built_again(model):
        warnings.warn(
            f"Keras cannot create the best model from a configuration, so that its weights alone "
            f"are saved, in {run_files.BEST_WEIGHTS}; to use them later, set the rates "
            f"({describe_rates(rates)}) in the code, build the model and call load_weights",
            stacklevel=2,
        )
        return
    fixed = {path: rates[path] for path in rates_fixed_in_code(model)}
    if fixed:
        warnings.warn(
            f"the best model has the rates {describe_rates(fixed)}, which its code fixes and its "
            "file does not keep; set them in the code",
            stacklevel=2,
        )


def _with_short_names(table: pd.DataFrame) -> pd.DataFrame:
    """Name rate columns by their paths; a site that has another column's name keeps its prefix."""
    paths = {str(name): str(name).removeprefix("rate/") for name in table}
    return table.rename(columns={name: path for name, path in paths.items() if path not in table})


def _write(result: TuningResult, folder: RunDirectory) -> None:
    if result.race is not None:
        folder.write_with(run_files.RACE, result.race.to_parquet)
    folder.write_table(run_files.CURVES, result.curves)
    model = result.best_model()
    if is_built_again(model):
        folder.write_with(run_files.BEST_WEIGHTS, model.save_weights)
    else:
        folder.write_model(run_files.BEST_MODEL, model)
    figure = result.plot().figure_
    assert figure is not None  # plot() creates it
    folder.write_figure(run_files.PLOT, figure)
    plt.close(figure)
    folder.write_json(OUTCOME, result.outcome())
