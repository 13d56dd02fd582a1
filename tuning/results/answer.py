"""The answer of a search: what the race shows, in a word and in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from dropout_zoo.models.guidance import SEARCHED_RATES
from dropout_zoo.models.wording import count_of, rounded
from dropout_zoo.studies.metric_names import rate_text
from dropout_zoo.studies.paired_tests import DEFAULT_LEVEL
from dropout_zoo.studies.site_groups import AS_GIVEN
from dropout_zoo.studies.training_ends import TOLERATED_SHARE, not_ended_sentence, share_not_ended
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.budget import Budget
from dropout_zoo.tuning.race.chance_level import Chance
from dropout_zoo.tuning.race.comparison_with_chance import beyond_chance
from dropout_zoo.tuning.race.race import RaceSettings
from dropout_zoo.tuning.records.trial_tables import TrainingRecord
from dropout_zoo.tuning.space import SearchSpace

GAIN = "gain"
HARM = "harm"
NO_DIFFERENCE = "no reliable difference"
NOT_ENDED = "not trained to the end"
CHANCE = "no better than chance"
UNKNOWN = "nothing to compare"
OUT_OF_TIME = "out of time"

_SAME = 1e-6  # difference of rates that are equal but for rounding


@dataclass(frozen=True)
class Answer:
    """What a race shows.

    Attributes:
        kind: ``"gain"``, ``"harm"``, ``"no reliable difference"``, ``"not trained to the end"``,
            ``"no better than chance"``, ``"nothing to compare"``, or ``"out of time"``.
        setting: name of the setting that is recommended.
        rates: its rates (fractions dropped) by site path.
        sentence: the answer in plain words.
        hyperparameters: its values of the hyperparameters of a build function, by name.
    """

    kind: str
    setting: str
    rates: Mapping[str, float]
    sentence: str
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)


def answer(
    table: pd.DataFrame,
    records: Sequence[TrainingRecord],
    race: RaceSettings,
    objective: Objective,
    space: SearchSpace,
    *,
    max_epochs: int,
    chance: Chance | None = None,
    budget: Budget | None = None,
) -> Answer:
    """Say what a race shows.

    Args:
        table: what `comparison_table` returned.
        records: the training runs of the race.
        race: how the settings were compared.
        objective: what they are judged by.
        space: what was searched.
        max_epochs: largest number of epochs of each training run.
        chance: the score of a constant prediction, if it is known.
        budget: the budget that stopped the race, if one did.

    Returns:
        The answer.
    """
    gaining = table[table["low"] > 0]
    best = (gaining if len(gaining) else table).iloc[0]
    name = str(best["setting"])
    rates = _rates(best)
    of_setting = {
        setting: [record.result for record in records if record.setting == setting]
        for setting in table["setting"]
    }
    not_ended = {
        setting: share
        for setting, runs in of_setting.items()
        if (share := share_not_ended([length_of(each) for each in runs], max_epochs))
        > TOLERATED_SHARE
    }
    failures = _failures(records, race)
    kind, text = _compared(table, best, race, objective, failures)
    sentences: list[str] = []
    doubts: list[str] = []
    lost = race.control in failures  # so that nothing is claimed that could be doubted
    if chance is not None and not lost:
        kind, text, doubts = _against_chance(kind, text, of_setting[name], chance, race)
    if not_ended and not lost:
        # Neither a gain nor harm is claimed or ruled out: the order may change.
        if kind != CHANCE:
            text = f"Best so far: {described_best(best, race, objective)}"
        kind = NOT_ENDED
        shares = {_described(s, of_setting, race): share for s, share in not_ended.items()}
        settings = len(of_setting) + (race.tuned_control is not None)  # which is compared later
        sentences.append(not_ended_sentence(shares, settings, {max_epochs}))
    sentences += [f"{text}.", *doubts]
    if dropped := [told for setting, told in failures.items() if setting != race.control]:
        sentences.append(f"Not compared: {'; '.join(dropped)}.")
    if name != race.control and kind in (GAIN, NO_DIFFERENCE):
        sentences += _about_range(rates, space)
    if budget is not None:
        sentences.append(
            f"The race was stopped by the budget of {budget} after {int(best['seeds'])} of "
            f"{race.looks[-1]} seeds."
        )
    return Answer(kind, name, rates, " ".join(sentences))


def out_of_time(
    table: pd.DataFrame,
    control: str,
    objective: Objective,
    *,
    budget: Budget,
    trials: tuple[int, int],
) -> Answer:
    """Say which rates are best so far where time ended before they were compared.

    Args:
        table: what `best_so_far` returned, with at least one setting.
        control: name of the setting that the others would have been compared with.
        objective: what they are judged by.
        budget: the budget that ended the search.
        trials: number of trials that have finished, and maximum number of trials.

    Returns:
        The answer, which claims nothing.
    """
    best = table.iloc[0]
    name = str(best["setting"])
    on = "on a single seed" if best["seeds"] == 1 else f"mean of {best['seeds']} seeds"
    finished, planned = trials
    return Answer(
        OUT_OF_TIME,
        name,
        _rates(best),
        f"Out of time: the budget of {budget} ended after {finished} of {planned} trials, before "
        f"there were enough new seeds to compare them with {control}, so no conclusion can be "
        f"drawn yet. Best so far: {_label(best, name, control)} ({objective.name} "
        f"{best['mean']:.4g}, {on}).",
    )


def describe_rates(rates: Mapping[str, float]) -> str:
    """Return rates as text, such as ``hidden_1_dropout 0.35, hidden_2_dropout 0.20``."""
    return ", ".join(f"{path} {rate_text(rate)}" for path, rate in rates.items())


def _compared(
    table: pd.DataFrame,
    best: pd.Series,
    race: RaceSettings,
    objective: Objective,
    failures: Mapping[str, str],
) -> tuple[str, str]:
    """What the intervals say, as a kind of answer and a sentence without its full stop."""
    by_name = table.set_index("setting")
    seeds = int(best["seeds"])
    measured = measured_text(best, objective)
    others = by_name.drop(index=race.control, errors="ignore")
    name = str(best["setting"])
    label = _label(best, name, race.control)
    if race.control not in by_name.index:
        return UNKNOWN, (
            f"The control, {failures[race.control]}, so no gain can be measured. The best "
            f"remaining setting is {label} ({measured})"
        )
    if others.empty:
        return UNKNOWN, f"Best: {label} ({measured}); no other setting completed all its runs"
    if seeds == 1:
        if name == race.control:
            return (
                NO_DIFFERENCE,
                f"Best: {label} ({measured}), on a single seed, so not conclusive",
            )
        gain = f"{rounded(best['gain'])} better than {race.control}"
        return (
            NO_DIFFERENCE,
            f"Best: {label} ({measured}), {gain} on a single seed, so not conclusive",
        )
    on = f"{seeds} seeds on {_splits(race, seeds)}"
    if best["low"] > 0:
        return GAIN, (
            f"Best: {label} ({measured}), {rounded(best['gain'])} better than {race.control} "
            f"({interval_text(best)}; {on})"
        )
    harmed = bool((others["high"] < 0).all())
    other = (others if harmed else others[others["high"] >= 0]).iloc[0]
    rates = _label(other, str(other.name), race.control)
    if harmed:
        return HARM, (
            f"Best: {race.control} ({objective.name} {by_name.loc[race.control, 'mean']:.4g}, mean "
            f"of {seeds} seeds); the best rates that were tried, {rates}, are "
            f"{rounded(-other['gain'])} worse ({interval_text(other, sign=-1)}; {on})"
        )
    comma = "," if other.name == AS_GIVEN else ""
    if (others["low"] == others["high"]).all():
        return NO_DIFFERENCE, (
            f"No difference: every run of every setting has the same {objective.name}, "
            f"{other['mean']:.4g} ({on})"
            + ("" if objective.name == "val_loss" else "; try the objective val_loss")
        )
    of_control = float(by_name.loc[race.control, "mean"])
    largest = max(others["high"])
    ruled_out = largest < objective.largest_gain(over=of_control)
    return NO_DIFFERENCE, (
        f"No reliable difference between {rates}{comma} and {race.control}: {objective.name} "
        f"{other['mean']:.4g} and {of_control:.4g}, a gain of {rounded(other['gain'])} "
        f"({interval_text(other)} includes 0; {on})"
        + (f". A gain above {rounded(largest)} is ruled out" if ruled_out else "")
    )


def _failures(records: Sequence[TrainingRecord], race: RaceSettings) -> dict[str, str]:
    """Which settings failed, on how many of their seeds, and why, as parts of a sentence."""
    runs: dict[str, list[TrainedMember]] = {}
    for record in records:
        runs.setdefault(record.setting, []).append(record.result)
    told = {}
    for name, results in runs.items():
        reasons = [each.reason for each in results if each.status != "completed"]
        if reasons:
            seeds = f"{len(reasons)} of {count_of(len(results), 'seed')}"
            told[name] = (
                f"{_described(name, runs, race)}, {'' if name == race.control else 'which '}"
                f"failed on {seeds} ({reasons[0]})"
            )
    return told


def measured_text(row: pd.Series, objective: Objective) -> str:
    """Return the mean score of a setting as text."""
    seeds = int(row["seeds"])
    return f"{objective.name} {row['mean']:.4g}" + (f", mean of {seeds} seeds" if seeds > 1 else "")


def described_best(row: pd.Series, race: RaceSettings, objective: Objective) -> str:
    """Return the name or the rates of a setting, with its mean score, as text.

    Args:
        row: its row of the table.
        race: how the settings were compared.
        objective: what they are judged by.

    Returns:
        Part of a sentence.
    """
    label = _label(row, str(row["setting"]), race.control)
    return f"{label} ({measured_text(row, objective)})"


def _label(row: pd.Series, name: str, control: str) -> str:
    if name == control:
        return name
    own = "the model's own rates, " if name == AS_GIVEN else ""
    return own + describe_rates(_rates(row))


def _rates(row: pd.Series) -> dict[str, float]:
    return {
        str(path).removeprefix("rate/"): float(rate)
        for path, rate in row.items()
        # A site that another setting's model has is not a number.
        if str(path).startswith("rate/") and not np.isnan(rate)
    }


def interval_text(row: Mapping[str, float] | pd.Series[float], sign: int = 1) -> str:
    """Return the interval of a gain as text; that of a loss with a sign of -1."""
    low, high = sorted((sign * row["low"], sign * row["high"]))
    return f"{100 * DEFAULT_LEVEL:.3g}% CI {rounded(low)} to {rounded(high)}"


def _splits(race: RaceSettings, num_seeds: int) -> str:
    if race.validation_ratio is None:
        on = "this split of the data"
        return on if race.same_examples else f"{on}, each run on random examples of its own"
    return f"{min(num_seeds, race.splits)} splits of the data"


def _described(
    setting: str, of_setting: Mapping[str, Sequence[TrainedMember]], race: RaceSettings
) -> str:
    if setting == race.control:
        return setting
    return describe_rates(of_setting[setting][0].rates)


def length_of(trained: TrainedMember) -> tuple[int, int]:
    """Return the best and the last epoch of a training run."""
    return trained.best_epoch, len(trained.curves)


def _against_chance(
    kind: str, text: str, runs: Sequence[TrainedMember], chance: Chance, race: RaceSettings
) -> tuple[str, str, list[str]]:
    """The kind of answer and its sentence, unless nothing was learned, and what is in doubt."""
    found = beyond_chance(runs, chance, race)
    measured = (
        f"better than always predicting {chance.prediction}: {chance.objective.name} "
        f"{found.score:.4g} compared with {chance.value:.4g}"
    )
    if not chance.is_beaten_by(found.score):
        how = f" ({found.epochs})" if found.epochs else ""
        learns = "The rates cannot be compared before the model learns"
        return CHANCE, f"No {measured}{how}. {learns}", []
    if found.low <= 0:
        basis = "; ".join(filter(None, [interval_text(found._asdict()), found.epochs]))
        return kind, text, [f"The model is not reliably {measured} ({basis})."]
    return kind, text, []


def _about_range(rates: Mapping[str, float], space: SearchSpace) -> list[str]:
    where = {
        "at the edge of the range that was tried": space.on_edge(rates),
        # The model's own rates race as well, wherever they lie.
        "outside the range that was searched": space.outside(rates),
    }
    told = [
        f"The best rate is {place} at {', '.join(paths)}: a wider range may contain a better one."
        for place, paths in where.items()
        if paths
    ]
    low, high = min(SEARCHED_RATES), max(SEARCHED_RATES)
    beyond = {
        path: rates[path]
        for paths in space.sites.values()
        for path in paths
        if rates[path] and not low - _SAME <= rates[path] <= high + _SAME
    }
    if beyond:
        told.append(
            f"Outside the guidance of {rate_text(low)} to {rate_text(high)}: "
            f"{describe_rates(beyond)}."
        )
    return told
