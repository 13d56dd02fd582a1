"""From trials to finalists: rates beyond the range, and more seeds for the best trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from dropout_zoo.studies.site_groups import AS_GIVEN
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.race.race import Train
from dropout_zoo.tuning.records.trial_tables import TrainingRecord, mean_row
from dropout_zoo.tuning.space import SearchSpace
from dropout_zoo.tuning.trial_setting import TrialSetting

_Scores = list[float]
Excluded = Callable[[TrialSetting], bool]

SCREENING = "screening"
SCREENED_PER_FINALIST = 3
SCREENING_SEEDS = 2
"""How the finalists are chosen: the best trials are trained on more seeds, each on another split of
the data if possible, because the ranking on a single seed and split is mostly noise."""

SHOWN_SO_FAR = 10
"""Number of settings in the table of a search that time ended before the race."""


def try_beyond_edges(
    best: TrialSetting, space: SearchSpace, seed: int, train: Train
) -> tuple[SearchSpace, list[TrainingRecord]]:
    """Try rates beyond the default range where the best trial lies on its edge.

    Args:
        best: the setting of the best trial.
        space: the rates that were searched with its hyperparameters.
        seed: seed of the trials.
        train: trains members.

    Returns:
        The space with the rates that were added, and the training runs.
    """
    space, neighbors = space.beyond_edges(best.rates)
    members = [
        replace(best, rates=rates).member(seed, f"beyond {number}")
        for number, rates in enumerate(neighbors, start=1)
    ]
    return space, _records("trial", members, train(members)) if members else []


def screen(
    searched: Sequence[TrainingRecord],
    count: int,
    objective: Objective,
    train: Train,
    *,
    seed: int,
    resplit: bool,
    given: TrialSetting | None,
    excluded: Excluded,
) -> tuple[dict[str, TrialSetting], list[TrainingRecord]]:
    """Rank the settings: the best ones by their mean over a few more seeds, then the others.

    Args:
        searched: the training runs of the search, with the rates as given among them.
        count: number of finalists that are wanted.
        objective: what they are judged by.
        train: trains members.
        seed: the seed of the search; the seeds that follow it are used.
        resplit: whether each of these seeds has another split of the data than the trials.
        given: the rates that the model was given with; None with a build function.
        excluded: says which settings are no finalists, such as no dropout.

    Returns:
        Settings by name, and the training runs. The first `count` settings are the finalists; the
        others, in this order, replace those that fail in the race.
    """
    trials = [record.result for record in searched]
    chosen = choose_finalists(trials, SCREENED_PER_FINALIST * count, objective, excluded)
    records = []
    if len(chosen) > count:
        names = {TrialSetting.of(r.result).key: r.setting for r in reversed(searched)}
        members = [
            setting.member(
                seed + number,
                names[setting.key],
                # Splits that no race of this search has; see `RaceSettings.members`.
                split=1 + 1000 * (seed + number) if resplit else 0,
            )
            for number in range(1, 1 + SCREENING_SEEDS)
            for setting in chosen
        ]
        records = _records(SCREENING, members, train(members))
    known = [each for each in trials if TrialSetting.of(each) in chosen]
    best = choose_finalists([*known, *(r.result for r in records)], len(chosen), objective)
    others = choose_finalists(
        trials, len(trials), objective, lambda each: excluded(each) or each in chosen
    )
    return {
        AS_GIVEN if setting == given else f"finalist {number}": setting
        for number, setting in enumerate([*best, *others], start=1)
    }, records


def choose_finalists(
    trials: Sequence[TrainedMember],
    count: int,
    objective: Objective,
    excluded: Excluded = lambda setting: False,
) -> list[TrialSetting]:
    """Choose the settings with the best scores, each averaged over its seeds.

    Args:
        trials: training runs of the search.
        count: maximum number of settings.
        objective: what they are judged by.
        excluded: says which settings are not chosen.

    Returns:
        Settings, best first. Those that did not complete on every seed are left out.
    """
    by_key = {setting.key: setting for setting in map(TrialSetting.of, trials)}
    ranked = [by_key[key] for key in _ranked_scores(trials, objective)]
    return [setting for setting in ranked if not excluded(setting)][:count]


def best_so_far(
    searched: Sequence[TrainingRecord], objective: Objective, *, screened: bool
) -> pd.DataFrame:
    """Rank the settings of an unfinished search.

    Args:
        searched: the training runs of the search that have finished.
        objective: what they are judged by.
        screened: whether the screening has finished; otherwise its runs are left out, because those
            of some settings are missing.

    Returns:
        The columns of `comparison_table`, without gains: one row per setting, best first, for the
        ten best ones; empty if no training run was completed. Scores on other splits of the data
        differ more than those of two settings, so settings that were not screened are ranked as if
        they had changed on the splits of the screening as the others did on average.
    """
    if not screened:
        searched = [each for each in searched if each.role != SCREENING]
    first = {TrialSetting.of(each.result).key: each for each in reversed(searched)}
    ranked = _ranked_scores([record.result for record in searched], objective)
    if ranked:
        most = max(map(len, ranked.values()))
        # The first score of each setting is that of the search.
        changes = [np.mean(each) - each[0] for each in ranked.values() if len(each) == most]

        def comparable(key: str) -> float:
            scores = ranked[key]
            change = float(np.mean(changes)) if len(scores) < most else 0.0
            return float(np.mean(scores)) + change

        best = sorted(ranked, key=comparable, reverse=objective.direction == "max")
        ranked = {key: ranked[key] for key in best}
    return pd.DataFrame(
        [mean_row(first[key], scores) for key, scores in list(ranked.items())[:SHOWN_SO_FAR]]
    )


def _ranked_scores(trials: Sequence[TrainedMember], objective: Objective) -> dict[str, _Scores]:
    """The scores of each setting by its key, one per seed, from the best mean to the worst.

    Settings that did not complete on every seed are left out.
    """
    scores: dict[str, _Scores] = {}
    for trial in _one_per_seed(trials):
        of_setting = scores.setdefault(TrialSetting.of(trial).key, [])
        of_setting.append(np.nan if trial.status != "completed" else trial.score)
    means = {key: float(np.mean(each)) for key, each in scores.items()}
    finite = [key for key, mean in means.items() if math.isfinite(mean)]
    best = sorted(finite, key=lambda key: means[key], reverse=objective.direction == "max")
    return {key: scores[key] for key in best}


def _one_per_seed(trials: Sequence[TrainedMember]) -> list[TrainedMember]:
    """The longest run of each setting on each seed.

    A control may also be a trial, and Hyperband trains a setting for more and more epochs.
    """
    longest: dict[tuple[object, ...], TrainedMember] = {}
    for trial in trials:
        key = TrialSetting.of(trial).key, trial.member.seed
        epochs = trial.member.epochs or math.inf
        if key not in longest or epochs >= (longest[key].member.epochs or math.inf):
            longest[key] = trial
    return list(longest.values())


def _records(
    role: str, members: Iterable[Member], results: Iterable[TrainedMember]
) -> list[TrainingRecord]:
    return [
        TrainingRecord(str(member.label), role, result)
        for member, result in zip(members, results, strict=True)
    ]
