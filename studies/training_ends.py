"""Whether training runs were long enough to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import pandas as pd

from dropout_zoo.models.wording import count_of, listed

LAST_TENTH = 0.9
"""A best epoch after this part of the epochs allowed might not have been the last improvement."""

TOLERATED_SHARE = 0.25
"""Share of the runs of a setting that may be cut off before its scores cannot be compared."""


def has_ended(best_epoch: int, epochs: int, max_epochs: int) -> bool:
    """Return whether a training run was long enough to tell its best epoch.

    Args:
        best_epoch: its best epoch.
        epochs: number of its epochs.
        max_epochs: the epoch after which it was stopped at the latest.

    Returns:
        False if it was stopped there although its best epoch lies in the last tenth.
    """
    cut_off = epochs >= max_epochs
    return not (cut_off and best_epoch > LAST_TENTH * max_epochs)


def share_not_ended(runs: Sequence[tuple[int, int]], max_epochs: int) -> float:
    """Return the share of training runs that were stopped before they had ended.

    Args:
        runs: best epoch and number of epochs of each.
        max_epochs: the epoch after which they were stopped at the latest.

    Returns:
        The share, from 0 to 1.
    """
    return sum(not has_ended(best, epochs, max_epochs) for best, epochs in runs) / len(runs)


def shares_not_ended(data: pd.DataFrame) -> dict[str, float]:
    """Find the settings of a study that were not trained to the end.

    Args:
        data: one or more rows per run: ``run``, ``setting``, ``status`` and ``ended``, as
            `TrainingStudyResult.data` has them.

    Returns:
        The share of their runs that were cut off, by name, where it is more than a quarter. Runs
        that failed are left out.
    """
    if "ended" not in data:
        return {}
    runs = data[data["status"] == "completed"].drop_duplicates("run")
    ended = runs["ended"].astype(float).groupby(runs["setting"], sort=False).mean()
    return {str(name): 1 - e for name, e in ended.items() if 1 - e > TOLERATED_SHARE}


def length_sentences(data: pd.DataFrame, max_epochs: Mapping[str, int]) -> list[str]:
    """Say which settings of a study were not trained to the end.

    Args:
        data: as in `shares_not_ended`.
        max_epochs: largest number of epochs by name of the setting.

    Returns:
        A sentence; none if all were trained to the end.
    """
    shares = shares_not_ended(data)
    if not shares:
        return []
    settings = data.loc[data["status"] == "completed", "setting"].nunique()
    return [not_ended_sentence(shares, settings, {max_epochs[name] for name in shares})]


def not_ended_sentence(shares: Mapping[str, float], settings: int, max_epochs: Set[int]) -> str:
    """Say that settings were not trained to the end.

    Args:
        shares: share of the runs that were cut off, from 0 to 1, by name of those settings.
        settings: number of all settings.
        max_epochs: the largest numbers of epochs of those settings.

    Returns:
        Two sentences.
    """
    first, *others = max_epochs
    epochs = "the epochs" if others else count_of(first, "epoch")
    return (
        f"Not trained to the end: the best epoch is among the last tenth of {epochs} in "
        f"{_in_words(shares, settings)}. Allow more epochs before relying on this."
    )


def _in_words(shares: Mapping[str, float], settings: int) -> str:
    """The settings with their shares, those with the same one together, the largest first."""
    by_percent: dict[int, list[str]] = {}
    for name, share in sorted(shares.items(), key=lambda each: -each[1]):
        by_percent.setdefault(round(100 * share), []).append(name)
    if len(by_percent) == 1 and len(shares) == settings > 1:
        percent = next(iter(by_percent))
        return f"{_of_the_runs(percent)} of every setting"
    # In quotes, because names of settings may contain commas.
    parts = [
        f"{_of_the_runs(percent)} of " + listed([f'"{name}"' for name in names])
        for percent, names in by_percent.items()
    ]
    return listed(parts)


def _of_the_runs(percent: int) -> str:
    return "all runs" if percent == 100 else f"{percent}% of the runs"
