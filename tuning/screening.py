"""From trials to finalists: rates beyond the range, and more seeds for the best trials."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from dropout_zoo.studies.site_groups import AS_GIVEN
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.race import Train
from dropout_zoo.tuning.space import SearchSpace
from dropout_zoo.tuning.trial_tables import TrainingRecord, mean_row

_Rates: TypeAlias = tuple[tuple[str, float], ...]
_Scores: TypeAlias = list[float]

SCREENING = "screening"
SCREENED_PER_FINALIST = 3
SCREENING_SEEDS = 2
"""How the finalists are chosen: the best trials are trained on more seeds, each on another split of
the data if possible, because the ranking on a single seed and split is mostly noise."""

SHOWN_SO_FAR = 10
"""Number of settings in the table of a search that time ended before the race."""


def try_beyond_edges(
    space: SearchSpace,
    searched: Sequence[TrainingRecord],
    objective: Objective,
    train: Train,
) -> tuple[SearchSpace, list[TrainingRecord]]:
    """Try rates beyond the default range where the best trial lies on its edge.

    Args:
        space: what was searched.
        searched: the training runs of the search.
        objective: what they are judged by.
        train: trains members.

    Returns:
        The space with the rates that were added, and the training runs.
    """
    trials = [record.result for record in searched if record.role == "trial"]
    best = choose_finalists(trials, 1, objective)
    if not best:
        return space, []
    space, neighbors = space.beyond_edges(best[0])
    members = [
        Member(rates, trials[0].member.seed, label=f"beyond {number}")
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
    given: Mapping[str, float],
    without: Mapping[str, float],
) -> tuple[dict[str, dict[str, float]], list[TrainingRecord]]:
    """Rank the settings: the best ones by their mean over a few more seeds, then the others.

    Args:
        searched: the training runs of the search, with the rates as given among them.
        count: number of finalists that are wanted.
        objective: what they are judged by.
        train: trains members.
        seed: the seed of the search; the seeds that follow it are used.
        resplit: whether each of these seeds has another split of the data than the trials.
        given: the rates that the model was given with.
        without: the rates of no dropout, which is not a finalist.

    Returns:
        Rates by name, and the training runs. The first `count` settings are the finalists; the
        others, in this order, replace those that fail in the race.
    """
    trials = [record.result for record in searched]
    chosen = choose_finalists(trials, SCREENED_PER_FINALIST * count, objective, [without])
    records = []
    if len(chosen) > count:
        names = {tuple(r.result.rates.items()): r.setting for r in reversed(searched)}
        members = [
            Member(
                rates,
                seed + number,
                label=names[tuple(rates.items())],
                # Splits that no race of this search has; see `RaceSettings.members`.
                split=1 + 1000 * (seed + number) if resplit else 0,
            )
            for number in range(1, 1 + SCREENING_SEEDS)
            for rates in chosen
        ]
        records = _records(SCREENING, members, train(members))
    known = [each for each in trials if dict(each.rates) in chosen]
    best = choose_finalists([*known, *(r.result for r in records)], len(chosen), objective)
    others = choose_finalists(trials, len(trials), objective, [without, *chosen])
    return {
        AS_GIVEN if rates == given else f"finalist {number}": rates
        for number, rates in enumerate([*best, *others], start=1)
    }, records


def choose_finalists(
    trials: Sequence[TrainedMember],
    count: int,
    objective: Objective,
    excluded: Sequence[Mapping[str, float]] = (),
) -> list[dict[str, float]]:
    """Choose the rates with the best scores, each averaged over its seeds.

    Args:
        trials: training runs of the search.
        count: maximum number of settings.
        objective: what they are judged by.
        excluded: rates that are not chosen.

    Returns:
        Rates by site path, best first. Settings that did not complete on every seed are left out.
    """
    ranked = [
        rates
        for rates in _ranked_scores(trials, objective)
        if dict(rates) not in [dict(each) for each in excluded]
    ]
    order = {tuple(sorted(trial.rates.items())): dict(trial.rates) for trial in trials}
    return [order[rates] for rates in ranked[:count]]


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
    first = {tuple(sorted(each.result.rates.items())): each for each in reversed(searched)}
    ranked = _ranked_scores([record.result for record in searched], objective)
    if ranked:
        most = max(map(len, ranked.values()))
        # The first score of each setting is that of the search.
        changes = [np.mean(each) - each[0] for each in ranked.values() if len(each) == most]

        def comparable(rates: _Rates) -> float:
            scores = ranked[rates]
            change = float(np.mean(changes)) if len(scores) < most else 0.0
            return float(np.mean(scores)) + change

        best = sorted(ranked, key=comparable, reverse=objective.direction == "max")
        ranked = {rates: ranked[rates] for rates in best}
    return pd.DataFrame(
        [
            mean_row(first[rates].setting, first[rates].role, first[rates].result.rates, scores)
            for rates, scores in list(ranked.items())[:SHOWN_SO_FAR]
        ]
    )


def _ranked_scores(trials: Sequence[TrainedMember], objective: Objective) -> dict[_Rates, _Scores]:
    """The scores of each setting, one per seed, from the best mean to the worst.

    Settings that did not complete on every seed are left out.
    """
    scores: dict[_Rates, _Scores] = {}
    for trial in _one_per_seed(trials):
        rates = tuple(sorted(trial.rates.items()))
        scores.setdefault(rates, []).append(np.nan if trial.status != "completed" else trial.score)
    means = {rates: float(np.mean(each)) for rates, each in scores.items()}
    finite = [rates for rates, mean in means.items() if math.isfinite(mean)]
    best = sorted(finite, key=lambda rates: means[rates], reverse=objective.direction == "max")
    return {rates: scores[rates] for rates in best}


def _one_per_seed(trials: Sequence[TrainedMember]) -> list[TrainedMember]:
    """The longest run of each setting on each seed.

    A control may also be a trial, and Hyperband trains a setting for more and more epochs.
    """
    longest: dict[tuple[object, ...], TrainedMember] = {}
    for trial in trials:
        key = *sorted(trial.rates.items()), trial.member.seed
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
