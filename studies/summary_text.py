"""Sentences that the numbers of a study allow: what is best, by how much, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from dropout_zoo.studies.paired_tests import DEFAULT_LEVEL
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.training.objective import Objective


def ranked(means: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Order settings from the best mean to the worst; those without one are left out.

    Args:
        means: from `TrainingStudyResult.means`.
        objective: what they are judged by.

    Returns:
        The rows that have a mean, ordered.
    """
    known = means[means["mean"].notna()]
    return known.sort_values("mean", ascending=objective.direction == "min", kind="stable")


def within_one_standard_error(means: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Give the settings that the best one does not stand out from, by one standard error.

    The rule of Breiman et al. 1984 (Hastie et al. 2009, The Elements of Statistical Learning,
    Section 7.10): whatever lies within a standard error of the best mean may be as good.

    Args:
        means: from `TrainingStudyResult.means`.
        objective: what they are judged by.

    Returns:
        The rows within a standard error, best first; the best alone where it has a single seed.
    """
    order = ranked(means, objective)
    if order.empty:
        return order
    best = order.iloc[0]
    error = 0.0 if math.isnan(best["error"]) else best["error"]
    worse_by = (order["mean"] - best["mean"]).abs()
    return order[worse_by <= error]


def best_sentence(result: TrainingStudyResult, level: float = DEFAULT_LEVEL) -> str:
    """Say which setting is best, and whether its control is worse beyond doubt.

    Args:
        result: the result.
        level: confidence level of all comparisons together.

    Returns:
        One or two sentences.
    """
    order = ranked(result.means(), result.objective)
    best = order.iloc[0]
    name, seeds = str(best["setting"]), int(best["seeds"])
    unit = repeated_on(result)
    measured = f"{result.objective.name} {best['mean']:.4g}, mean of {count_of(seeds, unit)}"
    control = result.controls.get(name)
    if control is None:
        if name in result.controls.values():
            return f"Nothing beats {name} ({measured})."
        return f"Best: {name} ({measured})."
    gains = result.gains(level=level).set_index("setting")
    if name not in gains.index:
        return f"Best: {name} ({measured}); {control} failed, so that there is no comparison."
    return f"Best: {name} ({measured}), {gain_clause(gains.loc[name], control, unit)}."


def repeated_on(result: TrainingStudyResult) -> str:
    """What tells the repetitions of a setting apart: ``"seed"``, or ``"fold"`` of the data."""
    return "fold" if result.settings["arguments"].get("folds") else "seed"


def gain_clause(gain: pd.Series, control: str, unit: str = "seed") -> str:
    """Say by how much a setting beats its control, and how sure that is.

    Args:
        gain: a row of `TrainingStudyResult.gains`.
        control: name of the control.
        unit: what pairs them, as `repeated_on` says.

    Returns:
        A part of a sentence.
    """
    pairs = int(gain["pairs"])
    better = f"{abs(gain['gain']):.2g} {'better' if gain['gain'] >= 0 else 'worse'} than {control}"
    if pairs == 1:
        return f"{better} on a single {unit}, which proves nothing"
    interval = (
        f"{gain['low']:.2g} to {gain['high']:.2g} on {pairs} paired {unit}s, {gain['level']:.3g} "
        "confidence"
    )
    if gain["low"] > 0 or gain["high"] < 0:
        return f"{better} ({interval})"
    return f"{better}, but not set apart from it: the interval holds 0 ({interval})"


def gain_counts(result: TrainingStudyResult, level: float = DEFAULT_LEVEL) -> str:
    """Say which settings are better than their controls, which worse, which undecided.

    Args:
        result: the result.
        level: confidence level of all comparisons together.

    Returns:
        A sentence; empty where nothing was compared.
    """
    gains = result.gains(level=level)
    if gains.empty or gains["low"].isna().all():
        return ""
    groups = {
        "better": gains[gains["low"] > 0],
        "worse": gains[gains["high"] < 0],
        "not told apart": gains[(gains["low"] <= 0) & (gains["high"] >= 0)],
    }
    parts = [f"{what}: {' | '.join(g['setting'])}" for what, g in groups.items() if len(g)]
    return f"Against {one_or_more(gains['control'])}: {'; '.join(parts)}."


def method_sentence(result: TrainingStudyResult, level: float = DEFAULT_LEVEL) -> str:
    """Say how the intervals were made.

    Args:
        result: the result.
        level: confidence level.

    Returns:
        A sentence.
    """
    seeds = result.settings["seeds"]
    if len(seeds) == 1:
        return "A single seed: there are no intervals, and nothing is proven."
    unit = repeated_on(result)
    text = f"Intervals: Student's t over {len(seeds)} {unit}s, {level:.0%}"
    if result.controls:
        text += f", differences paired by {unit} and corrected by Holm's method for all of them"
    return f"{text}."


def failure_sentences(result: TrainingStudyResult) -> list[str]:
    """Say which trainings were not completed, a sentence for each setting."""
    failed = result.failures()
    return [
        f"{name}: {len(group)} of its trainings {' and '.join(sorted(set(group['status'])))} "
        f"({group['reason'].iloc[0]})."
        for name, group in failed.groupby("setting", sort=False)
    ]


def one_or_more(names: Iterable[str]) -> str:
    """One name, or that each has its own."""
    different = list(dict.fromkeys(names))
    return different[0] if len(different) == 1 else "the same without dropout"


def count_of(count: int, noun: str) -> str:
    """A number and its noun, such as ``1 seed`` or ``5 seeds``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
