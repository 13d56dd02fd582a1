"""Runs a search: the trials, the screening, the race, and the files of the result."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import keras
import pandas as pd
from matplotlib import pyplot as plt

from dropout_zoo.models.caller_warnings import warn_caller
from dropout_zoo.models.graph.changed_rates import rates_fixed_in_code
from dropout_zoo.models.graph.cloning import is_built_again
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.models.wording import count_of
from dropout_zoo.studies.run_directory import RunDirectory, unused_directory
from dropout_zoo.training.data.targets import with_loss_targets
from dropout_zoo.training.engine.interrupts import OutOfTimeError, TimeLimit
from dropout_zoo.training.journal_records import weights_folder
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.objective import as_columns
from dropout_zoo.training.plan import evaluate
from dropout_zoo.training.repeated_warnings import each_warning_once
from dropout_zoo.training.seeding import was_trained
from dropout_zoo.tuning.race.chance_level import chance_of
from dropout_zoo.tuning.race.race import (
    comparison_table,
    race_result,
)
from dropout_zoo.tuning.race.screening import (
    SCREENING_SEEDS,
    best_so_far,
)
from dropout_zoo.tuning.records.progress import Progress
from dropout_zoo.tuning.records.recording import RecordingTrainer
from dropout_zoo.tuning.records.trial_tables import curves_table, scores_table
from dropout_zoo.tuning.results import run_files
from dropout_zoo.tuning.results.answer import Answer, answer, describe_rates, out_of_time
from dropout_zoo.tuning.results.joint_answer import (
    compared_with_tuned_control,
    with_hyperparameters,
    without_tuned_control,
)
from dropout_zoo.tuning.results.result import TuningResult
from dropout_zoo.tuning.search.audit_errors import audit_errors
from dropout_zoo.tuning.search.finalist_race import FinalistRace
from dropout_zoo.tuning.search.finalist_search import FinalistSearch
from dropout_zoo.tuning.search.pruned_trials import as_far_as_trained, is_under_way
from dropout_zoo.tuning.search.search import Search
from dropout_zoo.tuning.space import WEIGHTS_DRAWN_ANEW
from dropout_zoo.tuning.trial_setting import TrialSetting


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
        state_files=run_files.STATE_FILES,
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
        journal = folder.state / run_files.JOURNAL
        trainer = search.trainer(unused_directory(weights_folder(journal)))
        recording = RecordingTrainer(trainer, journal, watched)
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
        finalists: the search for finalists.
        race: the race.
        out_of_time: whether the budget ended the search.
    """

    def __init__(
        self, search: Search, folder: RunDirectory, trainer: RecordingTrainer, progress: Progress
    ) -> None:
        self.search = search
        self.folder = folder
        self.trainer = trainer
        self.progress = progress
        self.finalists = FinalistSearch(search, folder, trainer)
        self.race = FinalistRace(search, trainer, progress)
        self.screened = False  # of a search that time has ended
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
                self.finalists.run()
                searching = self._seconds_since(started)
                self.race.run(self.finalists)
        except OutOfTimeError:
            self._cut_off(kept=temporary is None)
        seconds = self._seconds_since(started)
        searching = seconds if searching is None else searching
        searched, raced = self.finalists.records, self.race.records
        trials, finalists = scores_table(searched), scores_table(raced)
        self.folder.write_table(run_files.TRIALS, trials)
        self.folder.write_table(run_files.FINALISTS, finalists)
        table, found = self._answer()
        race = None
        if raced:
            described = search.describe()
            race = race_result(raced, objective, described, search.control, found.sentence)
        # On the data as they were split, so that the test set stays what no model has seen.
        best = TrialSetting(found.rates, found.hyperparameters)
        model = self._best_run(best).model()
        _warn_of_rates_in_code(model, found.rates)
        curves = [curves_table("search", searched), curves_table("race", raced)]
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
            space=self.finalists.space_of(best),
            search_seconds=searching,
            race_seconds=seconds - searching,
            ended_by_budget=self.out_of_time,
            directory=self.folder.path,
            _model=search.dataset.model_for_raw_columns(model),
            _folder=temporary,
        )

    @property
    def _patience(self) -> int | None:
        return self.search.settings.training.patience

    def _seconds_since(self, started: float) -> float:
        """Seconds of this attempt, and of earlier ones as far as their results are used."""
        return time.perf_counter() - started + self.trainer.restored_seconds

    def _announce(self) -> None:
        """Say what is resumed, what the data are, what is wrong with the model, and the plan."""
        search, say = self.search, self.progress.say
        if self.trainer.restored:
            runs = count_of(self.trainer.restored, "training run")
            are = "is" if self.trainer.restored == 1 else "are"
            say(f"Resuming: {runs} {are} already finished.")
        say(search.dataset.describe(search.model))
        for error in audit_errors(search.model):
            say(error)
        fresh = search.settings.training.initial_weights == "fresh"
        if fresh and search.joint is None and was_trained(search.model):
            say(WEIGHTS_DRAWN_ANEW)
        if search.joint is not None:
            say(
                f"Searched together with the dropout rates: {', '.join(search.joint.names)}. Sites "
                "with the same placement share a rate, unless rates are given by site path."
            )
            if search.joint.note:
                say(search.joint.note)
        elif search.space.note:
            say(search.space.note)
        say(search.summary())

    def _cut_off(self, kept: bool) -> None:
        """Take what has finished when time ended.

        Args:
            kept: whether the directory is kept, so that the run can be resumed.

        Raises:
            RuntimeError: no training run was completed.
        """
        search, records = self.search, self.trainer.records
        self.out_of_time = True
        self.screened = bool(self.finalists.records)
        if not self.screened:
            if search.oracle == "halving":
                records = as_far_as_trained(records, self.finalists.going_on, self._patience)
            self.finalists.records = records
        if best_so_far(self.finalists.records, search.objective, screened=self.screened).empty:
            reasons = sorted({each.result.reason for each in self.finalists.records})
            raise RuntimeError(
                "expected at least one training run to finish within the budget of "
                f"{search.budget}, received none{': ' if reasons else ''}{'; '.join(reasons)}; "
                f"{'resume it' if kept else 'run it'} with a larger budget, or allow fewer epochs"
            )
        self.race.cut_off(self.finalists.candidates)

    def _answer(self) -> tuple[pd.DataFrame, Answer]:
        """Return the comparison of the settings, and what it shows."""
        search, raced, plan = self.search, self.race.records, self.race.plan
        ended_by = search.budget if self.out_of_time else None
        if not raced:
            assert ended_by is not None  # otherwise there was a race
            searched = self.finalists.records
            table = best_so_far(searched, search.objective, screened=self.screened)
            tried = sum(
                each.role == "trial"
                and not (search.rungs and is_under_way(each.result, self._patience))
                for each in searched
            )
            trials = min(tried, search.max_trials), search.max_trials
            found = out_of_time(
                table, search.control, search.objective, budget=ended_by, trials=trials
            )
            return table, with_hyperparameters(found, searched)
        epochs = search.settings.training.epochs
        table = comparison_table(raced, plan, search.objective)
        compared, records = without_tuned_control(table, raced, plan)
        if compared.empty:  # finalist and control have failed
            compared, records = table, raced
        finalist = TrialSetting.of(records[0].result)  # the control has its hyperparameters
        found = answer(
            compared,
            records,
            plan,
            search.objective,
            self.finalists.space_of(finalist),
            max_epochs=epochs,
            chance=chance_of(
                search.model,
                search.dataset,
                search.objective,
                # The same for every setting.
                [each.result.member.split for each in raced if each.role == "control"],
            ),
            budget=ended_by,
        )
        found = with_hyperparameters(found, records)
        return table, compared_with_tuned_control(
            found, table, raced, plan, search.objective, max_epochs=epochs
        )

    def _best_run(self, setting: TrialSetting) -> TrainedMember:
        """Return the best run of a setting on the given split."""
        runs = [
            each.result
            for each in self.finalists.records
            if TrialSetting.of(each.result) == setting and each.result.member.split == 0
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


def _warn_of_rates_in_code(model: keras.Model, chosen: Mapping[str, float]) -> None:
    # Recurrent cells have no sites for rates of 0.
    rates = {**chosen, **{site.path: site.rate for site in settable_sites(model)}}
    if is_built_again(model):
        warn_caller(
            f"Keras cannot create the best model from a configuration, so that its weights alone "
            f"are saved, in {run_files.BEST_WEIGHTS}; to use them later, set the rates "
            f"({describe_rates(rates)}) in the code, build the model and call load_weights",
        )
        return
    fixed = {path: rates[path] for path in rates_fixed_in_code(model)}
    if fixed:
        warn_caller(
            f"the best model has the rates {describe_rates(fixed)}, which its code fixes and its "
            "file does not keep; set them in the code",
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
    folder.write_outcome(result.outcome())
