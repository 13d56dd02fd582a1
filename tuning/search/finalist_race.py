"""Races the finalists of a search against no dropout."""

from __future__ import annotations

from collections.abc import Mapping

from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.tuning.race.race import MIN_SEEDS, first_seeds, run_race
from dropout_zoo.tuning.records.progress import Progress
from dropout_zoo.tuning.records.recording import RecordingTrainer
from dropout_zoo.tuning.records.trial_tables import TrainingRecord
from dropout_zoo.tuning.search.finalist_search import FinalistSearch
from dropout_zoo.tuning.search.search import Search
from dropout_zoo.tuning.trial_setting import TrialSetting

RACE = "race"


class FinalistRace:
    """The race of a search, and what it has found.

    Args:
        search: the search.
        trainer: trains and keeps the training runs.
        progress: shows them.

    Attributes:
        plan: how the settings are compared.
        settings: the settings that race, by name.
        records: the training runs that are compared; none until the race has ended.
    """

    def __init__(self, search: Search, trainer: RecordingTrainer, progress: Progress) -> None:
        self.search = search
        self.trainer = trainer
        self.progress = progress
        self.plan = search.race
        self.settings: dict[str, TrialSetting] = {}
        self.records: list[TrainingRecord] = []

    def run(self, found: FinalistSearch) -> None:
        """Train finalists and control on the same new seeds until the answer is clear.

        Args:
            found: the finalists, and what may replace them.
        """
        search, failed = self.search, list[TrainingRecord]()
        ranked, count = list(found.candidates.items()), search.settings.num_finalists
        self.trainer.phase("race", RACE)
        if search.joint is None:
            self.settings = {
                search.control: search.without(TrialSetting(search.given)),
                **dict(ranked[:count]),
            }
            self.records = self._raced(dict(ranked[count:]))
            return
        for name, finalist in ranked:  # each has a control with its hyperparameters
            control = search.without(finalist)
            self.settings = {search.control: control, name: finalist}
            self.plan = search.race
            tuned_control = found.tuned_control
            if tuned_control is not None and tuned_control != control:
                self.plan = search.race.with_tuned_control()
                self.settings[str(self.plan.tuned_control)] = tuned_control
            self.records = [*self._raced({}), *failed]
            lost = {each.setting for each in self.records if each.result.status != "completed"}
            if name not in lost or search.control in lost:
                return
            failed += [each for each in self.records if each.setting == name]

    def cut_off(self, candidates: Mapping[str, TrialSetting]) -> None:
        """Take what has finished when time ended.

        Args:
            candidates: the finalists by name, and the settings that may replace them.
        """
        search = self.search
        finished = [
            each for each in self.trainer.records if each.role == RACE and self._races(each)
        ]
        failed = {each.setting for each in finished if each.result.status != "completed"}
        if search.control in failed:  # then no gain can be measured
            self.records = [
                each._replace(role="control" if self.plan.is_control(each.setting) else "finalist")
                for each in finished
            ]
            return
        racing = candidates if search.joint is None else self.settings
        others = [name for name in racing if name not in failed and not self.plan.is_control(name)]
        names = [search.control, *others[: search.settings.num_finalists]]
        results = [each.result for each in finished]
        raced = first_seeds(names, self.plan, results)
        tuned_control = str(self.plan.tuned_control)
        with_tuned_control = first_seeds([*names, tuned_control], self.plan, results)
        kept_pace = len(with_tuned_control) * len(names) == len(raced) * (len(names) + 1)
        if kept_pace:
            names, raced = [*names, tuned_control], with_tuned_control
        if len(raced) >= MIN_SEEDS * len(names):
            self.records = raced + [
                each._replace(role="finalist") for each in finished if each.setting in failed
            ]

    def _raced(self, reserve: Mapping[str, TrialSetting]) -> list[TrainingRecord]:
        """Train the settings that race, and those that replace what fails."""
        search, raced, before = self.search, set[str | None](self.settings), self.progress.done

        def train(members: list[Member]) -> list[TrainedMember]:
            raced.update(member.label for member in members)  # those that replace others as well
            self.progress.set_total(before + len(raced) * search.race.looks[-1])
            return self.trainer.train(members)

        return run_race(self.settings, self.plan, search.objective, train, reserve)

    def _races(self, record: TrainingRecord) -> bool:
        """Whether a run is one of the settings that race, and not of a finalist that failed."""
        given = self.search.joint is None
        return given or self.settings.get(record.setting) == TrialSetting.of(record.result)
