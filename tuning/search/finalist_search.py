"""Finds the finalists of a search: trains controls and trials, and screens the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dropout_zoo.studies.run_directory import RunDirectory
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.tuning.build_functions.build_function import BuiltModels
from dropout_zoo.tuning.race.screening import choose_finalists, screen, try_beyond_edges
from dropout_zoo.tuning.records.recording import RecordingTrainer
from dropout_zoo.tuning.records.trial_tables import TrainingRecord, scores_table
from dropout_zoo.tuning.results import run_files
from dropout_zoo.tuning.search.halving import halve, sample
from dropout_zoo.tuning.search.pruned_trials import last_of_each_setting
from dropout_zoo.tuning.search.search import Search
from dropout_zoo.tuning.space import SearchSpace
from dropout_zoo.tuning.trial_setting import TrialSetting
from dropout_zoo.tuning.tuners.joint_tuner import InMemoryTuner, JointTuner, PairedTrainer
from dropout_zoo.tuning.tuners.oracles import make_mixed_oracle, make_oracle

# Number of trials created at once. It must not depend on the machine, or the same seed would give
# other trials elsewhere. It is small for oracles that learn from results.
_BATCHES = {"grid": 64, "random": 64, "bayesian": 4, "hyperband": 4}


class FinalistSearch:
    """The search for finalists, and what it has found.

    Args:
        search: the search.
        folder: the directory of the run.
        trainer: trains and keeps the training runs.

    Attributes:
        records: the training runs of controls, trials and screening; none until there are
            finalists.
        candidates: the finalists by name, and after them the settings that may replace them.
        tuned_control: the best setting without dropout; None where the model is given.
        going_on: names of the trials that halving has not ended.
    """

    def __init__(self, search: Search, folder: RunDirectory, trainer: RecordingTrainer) -> None:
        self.search = search
        self.folder = folder
        self.trainer = trainer
        self.records: list[TrainingRecord] = []
        self.candidates: Mapping[str, TrialSetting] = {}
        self.tuned_control: TrialSetting | None = None
        self.going_on: set[str] = set()
        # The setting of the best trial, and the rates that were tried with its hyperparameters;
        # None where no rates were tried beyond the range.
        self._extended: tuple[TrialSetting, SearchSpace] | None = None

    def run(self) -> None:
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
            tuned_controls, more = screen(
                searched,
                1,
                search.objective,
                train,
                seed=settings.seed,
                resplit=resplit,
                given=None,
                excluded=lambda setting: not search.is_without(setting),
            )
            self.tuned_control = next(iter(tuned_controls.values()), None)
            screened += more
        self.records = searched + screened
        # The race takes longest, and the trials can be inspected meanwhile.
        self.folder.write_table(run_files.TRIALS, scores_table(self.records))

    def space_of(self, setting: TrialSetting) -> SearchSpace:
        """Return the rates that were tried with the hyperparameters of a setting.

        Args:
            setting: the setting.
        """
        if self._extended is not None:
            best, space = self._extended
            if best.hyperparameters == setting.hyperparameters:
                return space
        return self.search.space_of(setting)

    def _beyond_edges(self, searched: Sequence[TrainingRecord]) -> list[TrainingRecord]:
        """Try rates beyond the range where the best trial lies on its edge."""
        search = self.search
        trials = [record.result for record in searched if record.role == "trial"]
        for best in choose_finalists(trials, 1, search.objective):
            space, beyond = try_beyond_edges(
                best, search.space_of(best), search.settings.seed, self.trainer.train
            )
            self._extended = best, space
            return beyond
        return []

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
        results = self._halve() if search.oracle == "halving" else self._ask_oracle()
        return records + [TrainingRecord(name, "trial", result) for name, result in results.items()]

    def _halve(self) -> dict[str, TrainedMember]:
        """Train trials, of which half go on at each rung; returns them by name."""
        search, settings = self.search, self.search.settings
        chosen = sample(search.space.choices, search.max_trials, settings.seed)
        digits = len(str(len(chosen)))
        members = [
            Member(search.space.site_rates(values), settings.seed, label=f"{number:0{digits}d}")
            for number, values in enumerate(chosen)
        ]

        def train(members: Sequence[Member]) -> list[TrainedMember]:
            self.going_on = {str(member.label) for member in members}
            return self.trainer.train(members)

        results = halve(members, search.rungs, settings.training.patience, search.objective, train)
        return {str(each.member.label): each for each in results}

    def _ask_oracle(self) -> dict[str, TrainedMember]:
        """Train the trials of KerasTuner's oracle; returns them by name."""
        search, settings = self.search, self.search.settings
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
        training = settings.training
        if not search.continues_runs:
            return tuner.results
        return last_of_each_setting(tuner.results, training.epochs, training.patience)

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
