"""The answer of a search with other hyperparameters: what dropout gains, alone and tuned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from dropout_zoo.models.wording import rounded
from dropout_zoo.studies.control_names import without_dropout
from dropout_zoo.studies.training_ends import TOLERATED_SHARE, share_not_ended
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.race.race import RaceSettings, gains
from dropout_zoo.tuning.records.trial_tables import TrainingRecord
from dropout_zoo.tuning.results.answer import (
    GAIN,
    HARM,
    NO_DIFFERENCE,
    NOT_ENDED,
    Answer,
    described_best,
    interval_text,
    length_of,
    measured_text,
)
from dropout_zoo.tuning.trial_setting import TrialSetting, describe_hyperparameters

_CLAIMS = (GAIN, HARM, NO_DIFFERENCE)


def with_hyperparameters(found: Answer, records: Sequence[TrainingRecord]) -> Answer:
    """Add the hyperparameters to the answer about dropout alone.

    Args:
        found: the answer.
        records: the training runs, those of the setting that is recommended among them.

    Returns:
        The answer, whose sentence ends with them.
    """
    values = next(
        each.result.member.hyperparameters for each in records if each.setting == found.setting
    )
    if not values:
        return found
    sentence = found.sentence + _hyperparameters_text(values)
    return replace(found, hyperparameters=values, sentence=sentence)


def without_tuned_control(
    table: pd.DataFrame, records: Sequence[TrainingRecord], race: RaceSettings
) -> tuple[pd.DataFrame, list[TrainingRecord]]:
    """Return the part of a race that is about dropout alone.

    Args:
        table: what `comparison_table` returned.
        records: the training runs of the race.
        race: how settings were compared.

    Returns:
        Both without the best setting without dropout that has other hyperparameters.
    """
    return (
        table[table["setting"] != race.tuned_control].reset_index(drop=True),
        [each for each in records if each.setting != race.tuned_control],
    )


def compared_with_tuned_control(
    found: Answer,
    table: pd.DataFrame,
    records: Sequence[TrainingRecord],
    race: RaceSettings,
    objective: Objective,
    *,
    max_epochs: int,
) -> Answer:
    """Add the comparison with the best setting without dropout, where it has raced.

    Args:
        found: the answer about dropout alone.
        table: what `comparison_table` returned.
        records: the training runs of the race.
        race: how settings were compared.
        objective: what they are judged by.
        max_epochs: largest number of epochs of each training run.

    Returns:
        The answer with another sentence. It recommends the best setting without dropout where that
        is reliably better, or has the best mean and dropout has no reliable gain.
    """
    tuned_control = race.tuned_control
    if tuned_control is None:
        return found
    without = without_dropout(race.control)
    rows = table.set_index("setting")
    compared = tuned_control in rows.index
    failed = [each for each in records if each.setting == tuned_control and not compared]
    if failed:
        values = describe_hyperparameters(failed[0].result.member.hyperparameters)
        lost = f"Not compared: the best setting {without} ({values}), which failed."
        return replace(found, sentence=f"{found.sentence} {lost}")
    names = [each for each in rows.index if not race.is_control(each)]
    if found.kind not in (*_CLAIMS, NOT_ENDED) or not compared or not names:
        return found
    runs = {
        name: [e.result for e in records if e.setting == name] for name in (tuned_control, names[0])
    }
    setting = TrialSetting.of(runs[tuned_control][0])
    what = (
        f"The best setting {without} ({describe_hyperparameters(setting.hyperparameters)}; "
        f"{measured_text(rows.loc[tuned_control], objective)})"
    )
    better = objective.is_better(
        rows.loc[tuned_control, "mean"], than=rows.loc[found.setting, "mean"]
    )
    best = Answer(found.kind, tuned_control, setting.rates, found.sentence, setting.hyperparameters)
    if found.kind == NOT_ENDED:
        if not better:
            return found
        shared = TrialSetting.of(runs[names[0]][0]).hyperparameters
        row = table[table["setting"] == found.setting].iloc[0]
        told = _best_so_far(found, described_best(row, race, objective), what, shared)
        return replace(best, sentence=told)
    if (
        share_not_ended([length_of(each) for each in runs[tuned_control]], max_epochs)
        > TOLERATED_SHARE
    ):
        return replace(found, sentence=f"{found.sentence} {what} was not trained to the end.")
    scores = {name: [each.score for each in results] for name, results in runs.items()}
    row = gains(scores, race.against_tuned_control(), objective)[names[0]]
    if math.isnan(row["low"]):
        return found
    if better and (found.kind != GAIN or row["high"] < 0):
        told = f"{found.sentence} {what} {_difference(row)}, so it is recommended."
        return replace(best, sentence=told)
    return replace(found, sentence=f"{found.sentence} {what} {_difference(row)}.")


def _best_so_far(
    found: Answer, finalist_or_control: str, tuned_control: str, values: Mapping[str, Any]
) -> str:
    """The sentence about settings that were not trained to the end, the tuned control the best."""
    best = f"Best so far: {finalist_or_control}."
    if best not in found.sentence:  # no better than chance
        return f"{found.sentence} {tuned_control} has a better mean so far."
    text = found.sentence.removesuffix(_hyperparameters_text(found.hyperparameters))
    return text.replace(
        best,
        f"Best so far: {tuned_control[0].lower()}{tuned_control[1:]}. The best with the "
        f"hyperparameters of the finalist, {describe_hyperparameters(values)}: "
        f"{finalist_or_control}.",
    )


def _hyperparameters_text(values: Mapping[str, Any]) -> str:
    return f" Hyperparameters: {describe_hyperparameters(values)}."


def _difference(row: Mapping[str, float]) -> str:
    """How the best setting without dropout compares with the finalist."""
    gain = rounded(abs(row["gain"]) if row["low"] > 0 or row["high"] < 0 else row["gain"])
    if row["low"] > 0:
        return f"is {gain} worse than the finalist ({interval_text(row)})"
    if row["high"] < 0:
        return f"is {gain} better than the finalist ({interval_text(row, sign=-1)})"
    return (
        f"is not reliably different from the finalist, whose gain over it is {gain} "
        f"({interval_text(row)} includes 0)"
    )
