"""The race: candidates against no dropout on new seeds and splits, until the answer is clear."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import runs_table, training_rows
from dropout_zoo.studies.sequential_tests import (
    LOOKS,
    alpha_of_look,
    corrected_estimate,
    looks_over_splits,
    looks_until,
    num_splits,
    paired_estimate,
    score_step,
    whole_splits,
)
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.objective import Objective
from dropout_zoo.training.provenance import versions
from dropout_zoo.training.settings import TrainOptions
from dropout_zoo.tuning.records.trial_tables import TrainingRecord, as_table, mean_row
from dropout_zoo.tuning.trial_setting import TrialSetting

MIN_SEEDS_TO_RESPLIT = LOOKS[0]
"""The smallest number of seeds that is spread over several splits of the data, one on each: on
fewer splits, their variance is hardly known."""

MIN_SEEDS = 2
"""The smallest number of seeds, or of splits, that gives an interval."""

Train = Callable[[list[Member]], list[TrainedMember]]


@dataclass(frozen=True)
class RaceSettings:
    """How candidates and control are compared.

    Attributes:
        control: name of the setting that the others are compared with.
        first_seed: seed of the first training run of each setting.
        num_seeds: maximum number of seeds.
        validation_ratio: number of validation examples divided by that of training examples;
            None to train every seed on the given split.
        same_examples: whether all training runs on a split see the same training examples, which
            is not so where they come from a source with random augmentation.
        tuned_control: name of the best setting without dropout, if finalists are also compared
            with it because it has other hyperparameters than the control. The error probability is
            then divided between the two comparisons.
    """

    control: str
    first_seed: int
    num_seeds: int
    validation_ratio: float | None
    same_examples: bool = True
    tuned_control: str | None = None

    def members(self, name: str, setting: TrialSetting, numbers: Iterable[int]) -> list[Member]:
        """Return the training runs of a setting.

        Args:
            name: its name.
            setting: the setting.
            numbers: numbers of its training runs, from 0.

        Returns:
            The members, in the order of `numbers`.
        """
        fixed = self.validation_ratio is None
        return [
            setting.member(
                self.first_seed + number,
                name,
                # A different first seed gives different splits.
                split=0 if fixed else 1 + 1000 * self.first_seed + number % self.splits,
            )
            for number in numbers
        ]

    @property
    def splits(self) -> int:
        """Number of splits of the data over which the seeds are spread; 1 for the given split."""
        return 1 if self.validation_ratio is None else num_splits(self.num_seeds)

    @property
    def looks(self) -> list[int]:
        """Numbers of seeds at which the scores are evaluated."""
        fixed = self.validation_ratio is None
        return looks_until(self.num_seeds) if fixed else looks_over_splits(self.num_seeds)

    def is_control(self, name: str) -> bool:
        """Return whether a setting is one that finalists are compared with."""
        return name in (self.control, self.tuned_control)

    def against_tuned_control(self) -> RaceSettings:
        """Return the comparison with the tuned control in place of the control."""
        assert self.tuned_control is not None
        return replace(self, control=self.tuned_control)

    def with_tuned_control(self) -> RaceSettings:
        """Return the settings of a race that has a tuned control."""
        return replace(self, tuned_control=f"{self.control}, tuned")


def run_race(
    settings: Mapping[str, TrialSetting],
    race: RaceSettings,
    objective: Objective,
    train: Train,
    reserve: Mapping[str, TrialSetting] | None = None,
) -> list[TrainingRecord]:
    """Train all settings on the same seeds until the comparison is clear.

    Args:
        settings: settings by name, the control among them.
        race: how they are compared.
        objective: what they are judged by.
        train: trains members.
        reserve: settings by name that take the place of those that fail, in this
            order. The race ends where the control fails.

    Returns:
        The training runs, setting by setting.
    """
    trained: dict[str, list[TrainedMember]] = {name: [] for name in settings}
    racing, waiting = dict(settings), dict(reserve or {})
    for look in race.looks:
        while members := _missing(racing, race, trained, look):
            for result in train(members):
                trained[str(result.member.label)].append(result)
            failed = [name for name in racing if any(map(_failed, trained[name]))]
            if race.control in failed:
                return _records(trained, race)
            for name in failed:
                del racing[name]
            for name in list(waiting)[: len(failed)]:
                racing[name] = waiting.pop(name)
                trained[name] = []
        scores = {name: [each.score for each in trained[name]] for name in racing}
        rows = gains(scores, race, objective)
        if is_clear(rows, scores[race.control]):
            break
    return _records(trained, race)


def first_seeds(
    settings: Iterable[str], race: RaceSettings, trained: Iterable[TrainedMember]
) -> list[TrainingRecord]:
    """Select the seeds of an unfinished race on which its settings can be compared.

    These are the first seeds, up to the first one that a setting has not finished: which of the
    later ones have finished depends on how long they trained, and so on their scores.

    Args:
        settings: names of the settings, the control among them.
        race: how they are compared.
        trained: the training runs that have finished.

    Returns:
        The training runs on these seeds, setting by setting; as many as spread evenly over the
        splits that they use.
    """
    by_seed: dict[int, dict[str, TrainedMember]] = {}
    for each in trained:
        by_seed.setdefault(each.member.seed - race.first_seed, {})[str(each.member.label)] = each
    names = list(settings)
    count = 0
    while by_seed.get(count, {}).keys() >= set(names):
        count += 1
    if race.validation_ratio is not None:
        count = whole_splits(count, race.splits)
    return _records({name: [by_seed[n][name] for n in range(count)] for name in names}, race)


def _records(
    trained: Mapping[str, Sequence[TrainedMember]], race: RaceSettings
) -> list[TrainingRecord]:
    return [
        TrainingRecord(name, "control" if race.is_control(name) else "finalist", result)
        for name, results in trained.items()
        for result in results
    ]


def _missing(
    racing: Mapping[str, TrialSetting],
    race: RaceSettings,
    trained: Mapping[str, Sequence[TrainedMember]],
    look: int,
) -> list[Member]:
    """The training runs that settings lack for a look; a setting that came later lacks more."""
    members = [
        member
        for name, setting in racing.items()
        for member in race.members(name, setting, range(len(trained[name]), look))
    ]
    # All settings on one seed, then on the next: those of one split follow each other.
    return sorted(members, key=lambda member: member.seed)


def gains(
    scores: Mapping[str, Sequence[float]], race: RaceSettings, objective: Objective
) -> dict[str, dict[str, float]]:
    """Compare settings with the control at one look.

    A look between those that were planned, when time ends the race, spends the error probability
    of the seeds since the last one.

    Args:
        scores: the scores of each setting, one per seed, by its name.
        race: how they are compared.
        objective: what they are judged by.

    Returns:
        For each setting but the controls ``gain``, ``low``, ``high`` and ``level``, positive where
        it is better. The intervals hold simultaneously and at every look; NaN with a single seed.
    """
    others = [name for name in scores if not race.is_control(name)]
    if race.control not in scores or not others:
        return {}
    sign = 1.0 if objective.direction == "max" else -1.0
    table = np.array([scores[name] for name in others], float)
    differences = sign * (table - np.asarray(scores[race.control], float))
    if differences.shape[-1] == 1:
        return {
            name: {"gain": float(gain), "low": np.nan, "high": np.nan, "level": np.nan}
            for name, [gain] in zip(others, differences, strict=True)
        }
    seeds = differences.shape[-1]
    looks = sorted({*race.looks, seeds})
    alpha = alpha_of_look(looks, looks.index(seeds)) / (
        len(others) * (1 + (race.tuned_control is not None))
    )
    estimate = (
        paired_estimate(differences)
        if race.validation_ratio is None
        else corrected_estimate(differences, race.validation_ratio, race.splits)
    )
    step = score_step(np.array([*scores.values()], float))
    half = estimate.allowing_for_steps(step, seeds).half_width(alpha)
    return {
        name: {"gain": float(g), "low": float(g - h), "high": float(g + h), "level": 1 - alpha}
        for name, g, h in zip(others, estimate.mean, half, strict=True)
    }


def is_clear(rows: Mapping[str, Mapping[str, float]], control: Sequence[float]) -> bool:
    """Return whether a relevant gain is established or ruled out.

    Args:
        rows: what `gains` returned.
        control: scores of the control.

    Returns:
        True if a setting is better than the control, if all are worse, or if none can be better
        by as much as one standard deviation of the control's scores.
    """
    if not rows:
        return True
    if any(row["low"] > 0 for row in rows.values()):
        return True
    if all(row["low"] == row["high"] for row in rows.values()):  # all runs are equal
        return True
    relevant = float(np.std(control, ddof=1)) if len(control) > 1 else 0.0
    return all(row["high"] < relevant for row in rows.values())


def race_result(
    records: Sequence[TrainingRecord],
    objective: Objective,
    search: Mapping[str, Any],
    control: str,
    conclusion: str = "",
) -> TrainingStudyResult:
    """Return the training runs of a race as the result of a study.

    Args:
        records: the training runs of all settings, each on the same seeds.
        objective: what they are judged by.
        search: everything that determines the results, as `Search.describe` returns it.
        control: name of the setting that the others are compared with.
        conclusion: the answer in a sentence.

    Returns:
        A result of the kind ``"race"``. Its `gains` are those of a study whose number of seeds was
        fixed, on one split; the answer of a search rests on wider intervals.
    """
    rates = {record.setting: dict(record.result.rates) for record in records}
    hyperparameters = {
        record.setting: dict(record.result.member.hyperparameters) for record in records
    }
    arguments = dict(search["settings"])
    training = {name: arguments.pop(name) for name in TrainOptions.__annotations__}
    return TrainingStudyResult(
        kind="race",
        data=runs_table(
            [
                training_rows(
                    each.setting,
                    {"role": each.role, "split": each.result.member.split},
                    each.result,
                    training["epochs"],
                )
                for each in records
            ]
        ),
        settings={
            "study": "race",
            "arguments": arguments,
            "seeds": list(dict.fromkeys(record.result.member.seed for record in records)),
            "training": training,
            "settings": rates,
            **({"hyperparameters": hyperparameters} if any(hyperparameters.values()) else {}),
            "models": [search["model"]],
            "data": search["data"],
        },
        versions=versions(),
        conclusions=(conclusion,) if conclusion else (),
        objective=objective,
        factors=["role"],
        controls={each.setting: control for each in records if each.role != "control"},
    )


def comparison_table(
    records: Sequence[TrainingRecord], race: RaceSettings, objective: Objective
) -> pd.DataFrame:
    """Compare the settings of a race.

    Args:
        records: what `run_race` returned.
        race: how they are compared.
        objective: what they are judged by.

    Returns:
        One row per setting that completed on every seed, best first: ``setting``, ``role``, the
        hyperparameters, the rates by site path, ``mean`` and ``std`` of the score, ``seeds``, and
        the gain over the control with its interval (``gain``, ``low``, ``high``, ``level``). Rate
        columns are called ``rate/<path>``.

    Raises:
        RuntimeError: no setting completed on every seed.
    """
    by_setting: dict[str, list[TrainingRecord]] = {}
    for record in records:
        by_setting.setdefault(record.setting, []).append(record)
    whole = {
        name: group
        for name, group in by_setting.items()
        if not any(_failed(record.result) for record in group)
    }
    if not whole:
        reasons = sorted({r.result.reason for r in records if _failed(r.result)})
        raise RuntimeError(f"no finalist or control completed on every seed: {'; '.join(reasons)}")
    scores = {name: [record.result.score for record in group] for name, group in whole.items()}
    compared = gains(scores, race, objective)
    rows = [
        mean_row(group[0], scores[name]) | compared.get(name, {}) for name, group in whole.items()
    ]
    table = as_table(rows)
    ascending = objective.direction == "min"
    # Means that are equal but for rounding stay in the order of the race: the control first.
    table = table.sort_values("mean", ascending=ascending, kind="stable", key=_to_six_digits)
    return table.reset_index(drop=True)


def _to_six_digits(means: pd.Series[float]) -> pd.Series[float]:
    return means.map(lambda mean: float(f"{mean:.6g}"))


def _failed(trained: TrainedMember) -> bool:
    return trained.status != "completed"
