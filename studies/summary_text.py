"""Sentences that follow from the numbers of a study: what is best, by how much, how reliably."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import pandas as pd

from dropout_zoo.models.wording import count_of, listed, rounded
from dropout_zoo.studies.control_names import one_or_more
from dropout_zoo.studies.paired_tests import DEFAULT_LEVEL, PairedDifference, may_be_best
from dropout_zoo.studies.result import GAIN_COLUMNS, TrainingStudyResult
from dropout_zoo.studies.training_ends import length_sentences
from dropout_zoo.training.objective import Objective

ROUNDING = 1e-12
"""Smaller differences are rounding errors, and shown as 0."""

NO_INTERVALS = "A single seed gives no confidence intervals, so no conclusion can be drawn."


def ranked(means: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Sort settings from the best mean to the worst.

    Args:
        means: from `TrainingStudyResult.means`.
        objective: what they are judged by.

    Returns:
        The rows that have a mean, sorted.
    """
    known = means[means["mean"].notna()]
    return known.sort_values("mean", ascending=objective.direction == "min", kind="stable")


def settings_that_may_be_best(
    result: TrainingStudyResult, settings: Iterable[str], objective: Objective | None = None
) -> list[str]:
    """Select, among some settings of a study, those that may be the best: see `may_be_best`.

    Settings that were not trained to the end leave nothing out, and are not left out themselves.

    Args:
        result: the result.
        settings: their names.
        objective: what they are judged by; None for the study's own objective.

    Returns:
        Their names, in the order given.
    """
    objective = objective or result.objective
    table = result.scores().pivot_table(index="seed", columns="setting", values=objective.name)
    known = [name for name in settings if name in table]
    not_ended = result.not_ended()
    ended = {name: table[name].tolist() for name in known if name not in not_ended}
    found = may_be_best(ended, objective.direction)
    return [name for name in known if name in not_ended or name in found]


def claim_sentence(
    claim: str, confirmed: bool | None, measured: str, not_ended: Iterable[str] = ()
) -> str:
    """Say whether a measurement confirms a claim, such as one from a paper.

    Args:
        claim: the claim, as the rest of a sentence.
        confirmed: whether it is confirmed; None if that is undecided.
        measured: the numbers that this rests on.
        not_ended: which of the compared settings were not trained to the end, such as those of
            `TrainingStudyResult.not_ended`. A claim on any such setting is undecided.

    Returns:
        Two sentences, or three, as Markdown.

    Example:
        >>> from dropout_zoo.studies import claim_sentence, paired_difference
        >>> gain = paired_difference([0.91, 0.93, 0.92], [0.89, 0.90, 0.90])
        >>> confirmed = gain.low > 0 if gain.excludes_zero else None
        >>> claim_sentence("dropout helps", confirmed, f"a gain of {gain.mean:.3f}")
        '**Confirmed**: dropout helps. Here: a gain of 0.023.'
    """
    names = [f'"{name}"' for name in not_ended]  # in quotes, because they may contain commas
    word = {True: "Confirmed", False: "Not confirmed", None: "Undecided"}[
        None if names else confirmed
    ]
    told = f" Not trained to the end: {listed(names)}." if names else ""
    return f"**{word}**: {claim}. Here: {measured}.{told}"


def best_sentence(result: TrainingStudyResult, level: float = DEFAULT_LEVEL) -> str:
    """Say which setting is best, and whether it is reliably better than its control.

    Where a setting was not trained to the end, it is the best so far.

    Args:
        result: the result.
        level: confidence level of all comparisons together.

    Returns:
        One sentence.
    """
    best = ranked(result.means(), result.objective).iloc[0]
    name, unit = str(best["setting"]), repeated_on(result)
    mean = f"mean of {count_of(int(best['seeds']), unit)}"
    measured = f"{result.objective.name} {best['mean']:.4g}, {mean}"
    control = result.controls.get(name)
    not_ended = bool(result.not_ended())
    best_named = f"{'Best so far' if not_ended else 'Best'}: {name} ({measured})"
    if control is None:
        if name in result.controls.values() and not not_ended:
            return f"No setting has a better mean than {name} ({measured})."
        return f"{best_named}."
    gains = result.gains(level=level).set_index("setting")
    gain = gains.loc[name] if name in gains.index else None
    return f"{best_named}, {gain_clause(gain, control, unit, level)}."


def repeated_on(result: TrainingStudyResult) -> str:
    """Name what the runs of one setting differ in: ``"seed"``, or ``"fold"`` of the data."""
    return "fold" if result.settings["arguments"].get("folds") else "seed"


def gain_clause(
    gain: PairedDifference | pd.Series | None,
    control: str,
    unit: str = "seed",
    level: float = DEFAULT_LEVEL,
) -> str:
    """Say by how much a setting is better than its control, and how reliable that is.

    Args:
        gain: the difference, positive where the setting is better, as `paired_difference` or a row
            of `TrainingStudyResult.gains` gives it; None where there was no comparison. Nothing is
            claimed of a row that says that training had not ended.
        control: name of the control.
        unit: what pairs them, as `repeated_on` says.
        level: confidence level before adjustment for several comparisons.

    Returns:
        Part of a sentence.
    """
    if gain is None:
        return f"not compared with {control}, because a training run failed"
    if isinstance(gain, PairedDifference):
        found = gain
    elif gain.get("ended", True):
        found = PairedDifference(*gain[GAIN_COLUMNS])
    else:
        return f"not compared with {control}, because training had not ended"
    pairs = int(found.pairs)
    better = "better" if found.mean >= 0 else "worse"
    comparison = f"{_shown(abs(found.mean))} {better} than {control}"
    if abs(found.mean) < ROUNDING:
        comparison = f"equal to {control}"
    if pairs == 1:
        return f"{comparison} on a single {unit}, so not conclusive"
    if math.isnan(found.low):
        return (
            f"no confidence interval for the gain over {control}, because some values are not "
            "finite"
        )
    interval = f"{100 * level:.3g}% CI {_shown(found.low)} to {_shown(found.high)}"
    basis = f"{pairs} paired {unit}s"
    if found.level > level + 1e-9:
        basis += ", Holm-adjusted"
    if found.excludes_zero:
        return f"{comparison} ({interval}, {basis})"
    return f"no reliable gain over {control}: {_shown(found.mean)} ({interval} includes 0, {basis})"


def gain_sentences(
    result: TrainingStudyResult,
    metric: str = "score",
    describe: Callable[[float], str] | None = None,
    gains: pd.DataFrame | None = None,
) -> list[str]:
    """Say what each setting gains over its control in one metric.

    Args:
        result: the result.
        metric: a column of its scores.
        describe: puts the mean of a setting into words; None to leave it out.
        gains: rows of `TrainingStudyResult.gains` to write about; None for all.

    Returns:
        One sentence per row.
    """
    means = result.means(metric).set_index("setting")["mean"]
    sentences = []
    for _, gain in (result.gains(metric) if gains is None else gains).iterrows():
        setting = gain["setting"]
        measured = "" if describe is None else f"{describe(means[setting])}, "
        sentences.append(f"{setting}: {measured}{gain_clause(gain, gain['control'])}.")
    return sentences


def _shown(value: float) -> str:
    return rounded(value, zero_below=ROUNDING)


def gain_counts(result: TrainingStudyResult, level: float = DEFAULT_LEVEL) -> str:
    """List the settings that are better than their controls, worse, or not reliably different.

    Args:
        result: the result.
        level: confidence level of all comparisons together.

    Returns:
        Sentences; empty where nothing was compared.
    """
    gains = result.gains(level=level)
    if gains.empty or gains["low"].isna().all():
        return ""
    ended = gains["ended"].astype(bool)
    if not ended.any():
        return ""
    groups = {
        "better": ended & (gains["low"] > 0),
        "worse": ended & (gains["high"] < 0),
        "not reliably different": ended & (gains["low"] <= 0) & (gains["high"] >= 0),
        "not compared, because training had not ended": ~ended,
    }
    # Names of settings may contain commas.
    parts = [
        f"are {what}: {'; '.join(gains.loc[rows, 'setting'])}."
        for what, rows in groups.items()
        if rows.any()
    ]
    return f"Compared with {one_or_more(gains['control'])}, these settings " + " These ".join(parts)


def method_sentence(result: TrainingStudyResult, level: float = DEFAULT_LEVEL) -> str:
    """Say how the intervals were computed.

    Args:
        result: the result.
        level: confidence level.

    Returns:
        A sentence.
    """
    seeds = result.settings["seeds"]
    if len(seeds) == 1:
        return NO_INTERVALS
    unit = repeated_on(result)
    text = f"{100 * level:.3g}% confidence intervals (CI): Student's t over {len(seeds)} {unit}s"
    if result.controls:
        text += f"; differences are paired by {unit} and adjusted by Holm's method"
    return f"{text}."


def failure_sentences(failures: pd.DataFrame) -> list[str]:
    """Say which training runs were not completed.

    Args:
        failures: a row for each of them, as `TrainingStudyResult.failures` returns them.

    Returns:
        One sentence per setting.
    """
    return [
        f"{name}: {count_of(len(group), 'run')} did not complete ({group['reason'].iloc[0]})."
        for name, group in failures.groupby("setting", sort=False)
    ]


def not_ended_sentences(result: TrainingStudyResult) -> list[str]:
    """Say which settings were not trained to the end.

    It comes before the sentences that compare, as in the answer of `tune`.

    Args:
        result: the result.

    Returns:
        The sentence; none if all were trained to the end.
    """
    settings = result.settings
    lengths = dict.fromkeys(result.data["setting"], settings["training"]["epochs"])
    return length_sentences(result.data, lengths | settings.get("epochs", {}))


def basis_sentences(result: TrainingStudyResult) -> list[str]:
    """Say what a comparison rests on: what failed, and the intervals.

    Args:
        result: the result.

    Returns:
        The sentences that follow those that compare.
    """
    return [*failure_sentences(result.failures()), method_sentence(result)]
