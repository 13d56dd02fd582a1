"""Whether a model has learned anything, beyond what the best of many epochs shows by luck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dropout_zoo.training.members import TrainedMember
from dropout_zoo.tuning.race.chance_level import ACCURACIES, Chance
from dropout_zoo.tuning.race.race import RaceSettings, gains

_MODEL = "the model"


class BeyondChance(NamedTuple):
    """How a setting compares with a constant prediction.

    Attributes:
        score: mean score of its runs.
        epochs: at which epochs, as part of a sentence; empty for the best epochs.
        low: lower end of the interval of the gain over the constant prediction; NaN for one run.
        high: its upper end.
    """

    score: float
    epochs: str
    low: float
    high: float


def beyond_chance(
    runs: Sequence[TrainedMember], chance: Chance, race: RaceSettings
) -> BeyondChance:
    """Compare the runs of a setting with a constant prediction.

    On few examples, the best of many epochs has an accuracy above chance by luck. Each run is
    therefore measured at the epoch that is best for the others, which have other seeds and splits.
    A loss is measured at the best epoch of the run itself: it has a minimum of its own, after which
    the run overfits.

    Args:
        runs: the runs.
        chance: the score of the constant prediction.
        race: how settings are compared.

    Returns:
        The comparison. Its interval is that of a comparison of two settings in the race.
    """
    by_others = chance.objective.name in ACCURACIES and len(runs) > 1
    curves = [np.asarray(run.curves[chance.objective.name], float) for run in runs]
    at_best = [curve[run.best_epoch - 1] for run, curve in zip(runs, curves, strict=True)]
    scores = _at_epochs_of_others(curves, chance) if by_others else [float(s) for s in at_best]
    of_chance = [chance.by_split.get(run.member.split, chance.value) for run in runs]
    compared = gains({race.control: of_chance, _MODEL: scores}, race, chance.objective)
    interval = compared[_MODEL]
    return BeyondChance(
        float(np.mean(scores)),
        "each run at the epoch that is best for the others" if by_others else "",
        interval["low"],
        interval["high"],
    )


def _at_epochs_of_others(curves: Sequence[np.ndarray], chance: Chance) -> list[float]:
    """The score of each run at the epoch with the best mean of the others, as far as it has it."""
    table = np.full((len(curves), max(map(len, curves))), np.nan)
    for row, curve in zip(table, curves, strict=True):
        row[: len(curve)] = curve
    choose = np.nanargmin if chance.objective.direction == "min" else np.nanargmax
    scores = []
    for number, curve in enumerate(curves):
        others = np.delete(table, number, axis=0)[:, : len(curve)]
        known = others[:, ~np.isnan(others).all(axis=0)]  # the first epochs: no run skips one
        scores.append(float(curve[choose(np.nanmean(known, axis=0))]))
    return scores
