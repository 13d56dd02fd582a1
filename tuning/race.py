"""The race of the finalists: the best trials and the controls, trained again on new seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from dropout_zoo.studies.result import GAIN_COLUMNS, TrainingStudyResult
from dropout_zoo.studies.runner import training_rows, trainings_table
from dropout_zoo.studies.summary_text import gain_clause
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.objective import Objective
from dropout_zoo.training.provenance import versions
from dropout_zoo.training.settings import TrainOptions
from dropout_zoo.tuning.space import SearchSpace
from dropout_zoo.tuning.trial_tables import TrainingRecord

NONE, GIVEN = "none", "as given"
"""Names of the controls: no dropout, and the rates that the model was given with."""


@dataclass(frozen=True)
class Comparison:
    """The finalists and controls, compared.

    Attributes:
        table: one row per setting, best first: ``setting``, ``role``, the rates, ``mean`` and
            ``std`` of the score over the seeds, and the gain over no dropout with its interval
            (``gain``, ``low``, ``high``, ``level``, ``p_value``), positive where the setting is
            better.
        winner: name of the setting with the best mean.
        rates: its rates by site path.
        sentence: the result in plain words.
    """

    table: pd.DataFrame
    winner: str
    rates: Mapping[str, float]
    sentence: str


def choose_finalists(
    trials: Sequence[TrainedMember],
    count: int,
    objective: Objective,
    controls: Sequence[Mapping[str, float]],
) -> list[dict[str, float]]:
    """Choose the rates of the best trials.

    Args:
        trials: the trials.
        count: maximum number of settings.
        objective: what the trials are judged by.
        controls: rates that are trained again anyway and are not chosen.

    Returns:
        Rates by site path, best first, no setting twice.
    """
    completed = [trial for trial in trials if trial.status == "completed"]
    ranked = sorted(completed, key=lambda t: t.score, reverse=objective.direction == "max")
    chosen: list[dict[str, float]] = []
    for trial in ranked:
        rates = dict(trial.rates)
        if rates not in controls and rates not in chosen:
            chosen.append(rates)
    return chosen[:count]


def race_result(
    records: Sequence[TrainingRecord], objective: Objective, search: Mapping[str, Any]
) -> TrainingStudyResult:
    """Return the training runs of finalists and controls as the result of a study.

    Args:
        records: the training runs of all settings, each on the same seeds.
        objective: what they are judged by.
        search: everything that decides the numbers, as `Search.describe` returns it.

    Returns:
        A result of the kind ``"race"``, in which every setting is compared with no dropout.
    """
    rates = {record.setting: dict(record.result.rates) for record in records}
    arguments = dict(search["settings"])
    training = {name: arguments.pop(name) for name in TrainOptions.__annotations__}
    return TrainingStudyResult(
        kind="race",
        data=trainings_table(
            [training_rows(each.setting, {"role": each.role}, each.result) for each in records]
        ),
        settings={
            "study": "race",
            "arguments": arguments,
            "seeds": list(dict.fromkeys(record.result.member.seed for record in records)),
            "training": training,
            "settings": rates,
            "models": [search["model"]],
            "data": search["data"],
        },
        versions=versions(),
        conclusions=(),
        objective=objective,
        factors=["role"],
        controls={name: NONE for name in rates if name != NONE},
    )


def compare(race: TrainingStudyResult, space: SearchSpace) -> Comparison:
    """Compare finalists and controls.

    Args:
        race: what `race_result` returned.
        space: what was searched.

    Returns:
        The comparison. Settings that failed on a seed are left out: they cannot be paired.

    Raises:
        RuntimeError: no setting was completed on every seed.
    """
    failures = race.failures()
    if set(race.data["setting"]) <= set(failures["setting"]):
        reasons = sorted(set(failures["reason"]))
        raise RuntimeError(f"no finalist or control completed on every seed: {'; '.join(reasons)}")
    means = race.means()
    means = means[~means["setting"].isin(failures["setting"])].set_index("setting")
    gains = race.gains().set_index("setting")
    paths = [name.removeprefix("rate/") for name in race.data if name.startswith("rate/")]
    rates = race.data.groupby("setting")[[f"rate/{path}" for path in paths]].first()
    table = (
        means[["role"]]
        .join(rates)
        .join(means[["mean", "std"]])
        .join(gains[list(GAIN_COLUMNS[:-1])].astype(float))
        .sort_values("mean", ascending=race.objective.direction == "min", kind="stable")
        .reset_index()
    )
    winner = str(table["setting"].iloc[0])
    chosen = {path: float(table[f"rate/{path}"].iloc[0]) for path in paths}
    gain = gains.loc[winner] if winner in gains.index else None
    seeds = int(means["seeds"].loc[winner])
    sentence = _sentence(table, chosen, gain, race.objective, space, seeds)
    # A site that has the name of another column keeps its prefix.
    names = {f"rate/{path}": path for path in paths if path not in table}
    return Comparison(table.rename(columns=names), winner, chosen, sentence)


def with_conclusion(race: TrainingStudyResult, comparison: Comparison) -> TrainingStudyResult:
    """Return the race with the sentence of its comparison as its conclusion."""
    return replace(race, conclusions=(comparison.sentence,))


def describe_rates(rates: Mapping[str, float]) -> str:
    """Return rates as text, such as ``hidden_1_dropout 0.35, hidden_2_dropout 0.20``."""
    return ", ".join(f"{path} {rate:.2f}" for path, rate in rates.items())


def _sentence(
    table: pd.DataFrame,
    rates: Mapping[str, float],
    gain: pd.Series | None,
    objective: Objective,
    space: SearchSpace,
    seeds: int,
) -> str:
    winner = table["setting"].iloc[0]
    mean = float(table["mean"].iloc[0])
    measured = f"{objective.name} {mean:.4g}, mean of {seeds} seed{'s' if seeds > 1 else ''}"
    if winner == NONE:
        others = table[table["setting"] != NONE]
        text = f"Nothing beats no dropout ({measured})"
        if len(others):
            text += f"; the best rates that were tried reach {others['mean'].iloc[0]:.4g}"
        return text + "."
    name = describe_rates(rates) + (", the model's original rates" if winner == GIVEN else "")
    sentences = [f"Best: {name} ({measured}), {gain_clause(gain, 'no dropout')}."]
    edge = space.on_edge(rates) if winner != GIVEN else []
    if edge:
        sentences.append(
            f"The best rate is at the edge of the range that was tried at {', '.join(edge)}: a "
            "wider range may contain a better one."
        )
    return " ".join(sentences)
