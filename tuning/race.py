"""What the finalists show: means over seeds, paired differences, and the sentence they allow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dropout_zoo.studies.paired_tests import PairedDifference, holm_differences
from dropout_zoo.studies.summary_text import gain_clause
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.space import SearchSpace
from dropout_zoo.tuning.trial_tables import Entry

NONE, GIVEN = "none", "as given"
"""Names of the controls: no dropout, and the rates that the model came with."""


@dataclass(frozen=True)
class Comparison:
    """The finalists and controls beside each other.

    Attributes:
        table: a row a setting, best first: ``setting``, ``role``, the rates, ``mean`` and
            ``std`` of the score over seeds, and the gain over no dropout with its interval
            (``gain``, ``low``, ``high``, ``level``, ``p_value``); gains are positive where the
            setting is better.
        winner: name of the setting with the best mean.
        rates: its rates by site path.
        sentence: what follows, in plain words.
        seeds: number of seeds on which every setting in the table was trained.
    """

    table: pd.DataFrame
    winner: str
    rates: Mapping[str, float]
    sentence: str
    seeds: int


def choose_finalists(
    trials: Sequence[TrainedMember],
    count: int,
    objective: Objective,
    controls: Sequence[Mapping[str, float]],
) -> list[dict[str, float]]:
    """The rates of the best trials.

    Args:
        trials: the trials.
        count: number of settings at most.
        objective: what they are judged by.
        controls: rates that are trained beside them anyway, and passed over.

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


def compare(entries: Sequence[Entry], objective: Objective, space: SearchSpace) -> Comparison:
    """Compare finalists and controls, each trained on the same seeds.

    Args:
        entries: the trainings of all settings and seeds.
        objective: what they are judged by.
        space: what was searched.

    Returns:
        The comparison.

    Raises:
        RuntimeError: no setting was trained to the end on every seed.
    """
    settings: dict[str, list[Entry]] = {}
    for entry in entries:
        settings.setdefault(entry.setting, []).append(entry)
    # A setting that failed on a seed cannot be compared in pairs.
    whole = {
        name: sorted(group, key=lambda entry: entry.result.member.seed)
        for name, group in settings.items()
        if all(entry.result.status == "completed" for entry in group)
    }
    if not whole:
        reasons = sorted({entry.result.reason for entry in entries})
        raise RuntimeError(f"every finalist and control failed: {'; '.join(reasons)}")
    scores = {name: [e.result.score for e in group] for name, group in whole.items()}
    gains = _gains(scores, objective)
    table = pd.DataFrame(
        [
            {
                "setting": name,
                "role": group[0].role,
                **group[0].result.rates,
                "mean": float(np.mean(scores[name])),
                "std": float(np.std(scores[name], ddof=1)) if len(group) > 1 else math.nan,
                **_gain_columns(gains.get(name)),
            }
            for name, group in whole.items()
        ]
    )
    table = table.sort_values(
        "mean", ascending=objective.direction == "min", kind="stable", ignore_index=True
    )
    winner = str(table["setting"].iloc[0])
    rates = dict(whole[winner][0].result.rates)
    seeds = len(whole[winner])
    sentence = _sentence(table, winner, rates, gains, objective, space, seeds)
    return Comparison(table, winner, rates, sentence, seeds)


def _gains(scores: Mapping[str, list[float]], objective: Objective) -> dict[str, PairedDifference]:
    """Gains over no dropout, Holm-corrected; none where that control failed."""
    if NONE not in scores:
        return {}
    sign = 1 if objective.direction == "max" else -1
    signed = {name: [sign * s for s in values] for name, values in scores.items() if name != NONE}
    return holm_differences(signed, [sign * score for score in scores[NONE]])


def _gain_columns(gain: PairedDifference | None) -> dict[str, float]:
    if gain is None:
        return dict.fromkeys(("gain", "low", "high", "level", "p_value"), math.nan)
    return {
        "gain": gain.mean,
        "low": gain.low,
        "high": gain.high,
        "level": gain.level,
        "p_value": gain.p_value,
    }


def describe_rates(rates: Mapping[str, float]) -> str:
    """Rates as a person reads them, such as ``hidden_1_dropout 0.35, hidden_2_dropout 0.20``."""
    return ", ".join(f"{path} {rate:.2f}" for path, rate in rates.items())


def _sentence(
    table: pd.DataFrame,
    winner: str,
    rates: Mapping[str, float],
    gains: Mapping[str, PairedDifference],
    objective: Objective,
    space: SearchSpace,
    seeds: int,
) -> str:
    mean = float(table["mean"].iloc[0])
    measured = f"{objective.name} {mean:.4g}, mean of {seeds} seed{'s' if seeds > 1 else ''}"
    if winner == NONE:
        rivals = table[table["setting"] != NONE]
        text = f"Nothing beats no dropout ({measured})"
        if len(rivals):
            best = rivals.iloc[0]
            text += f"; the best rates tried come to {best['mean']:.4g}"
        return text + "."
    name = describe_rates(rates) + (", the rates the model came with" if winner == GIVEN else "")
    sentences = [f"Best: {name} ({measured}), {gain_clause(gains.get(winner), 'no dropout')}."]
    edge = space.on_edge(rates) if winner != GIVEN else []
    if edge:
        sentences.append(
            f"The best lies on the edge of what was tried at {', '.join(edge)}: a wider "
            "range of rates may do better."
        )
    return " ".join(sentences)
