"""Training runs as tables: one row per run, or one row per epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dropout_zoo.training.members import TrainedMember

_KEYS = ["phase", "setting", "role", "seed", "epoch"]
SCORE_COLUMNS = [
    "setting",
    "role",
    "seed",
    "split",
    "status",
    "reason",
    "score",
    "best_epoch",
    "epochs",
]

COMPARISON_COLUMNS = (
    "setting", "role", "mean", "std", "seeds", "gain", "low", "high", "level",
)  # fmt: skip
"""Columns of the comparison of settings, besides their hyperparameters and rates."""


PRUNED = "pruned"
"""Status of a trial that was ended before its training had."""

_FIXED = {*_KEYS, *SCORE_COLUMNS, "seconds"}


def check_names(
    sites: Iterable[str], hyperparameters: Iterable[str] = (), measured: Iterable[str] = ()
) -> None:
    """Check that no two columns of the tables have the same name.

    Args:
        sites: paths of the sites.
        hyperparameters: names of the hyperparameters.
        measured: names of what is measured after each epoch.

    Raises:
        ValueError: something has the name of another column.
    """
    measured = set(measured)
    for kind, names, taken in (
        ("metrics", measured, _FIXED),
        ("dropout layers", sites, _FIXED | measured),
        ("hyperparameters", hyperparameters, _FIXED | measured),
    ):
        found = sorted(taken.intersection(names))
        if found:
            raise ValueError(
                f"expected {kind} whose names no other column of the tables has, received {kind} "
                f"called {', '.join(map(repr, found))}; rename them"
            )


class TrainingRecord(NamedTuple):
    """A training run and its role in the search.

    Attributes:
        setting: name of its rates, the same for every seed; the controls are ``"no
            dropout"`` (or ``"no dropout at the searched sites"``) and ``"as given"``.
        role: ``"trial"``, ``"screening"``, ``"finalist"`` or ``"control"``.
        result: the trained member.
    """

    setting: str
    role: str
    result: TrainedMember


def scores_table(records: Sequence[TrainingRecord]) -> pd.DataFrame:
    """Return one row per run.

    Args:
        records: the training runs.

    Returns:
        Columns ``setting``, ``role``, ``seed``, ``split`` (0 for the given one), ``status``,
        ``reason``, the hyperparameters, the rate at each site by its path, ``score``,
        ``best_epoch``, ``epochs``, every metric at the best epoch, and ``seconds``.
    """
    if not records:
        return pd.DataFrame(columns=SCORE_COLUMNS)
    return as_table([_row(record) for record in records])


def as_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a table; a column that the first row lacks follows the one before it."""
    columns: list[str] = []
    for row in rows:
        place = 0
        for name in row:
            if name not in columns:
                columns.insert(place, name)
            place = columns.index(name) + 1
    return pd.DataFrame(rows, columns=columns if columns else None)


def mean_row(record: TrainingRecord, scores: Sequence[float]) -> dict[str, Any]:
    """Return the row of a setting in a comparison.

    Args:
        record: one of its training runs.
        scores: its scores, one per seed.

    Returns:
        ``setting``, ``role``, the hyperparameters, the rates as ``rate/<path>``, ``mean`` and
        ``std`` of the scores, ``seeds``, and NaN as ``gain``, ``low``, ``high`` and ``level``.
    """
    return {
        "setting": record.setting,
        "role": record.role,
        **record.result.member.hyperparameters,
        **{f"rate/{path}": rate for path, rate in record.result.rates.items()},
        "mean": float(np.mean(scores)),
        "std": float(np.std(scores, ddof=1)) if len(scores) > 1 else np.nan,
        "seeds": len(scores),
        **dict.fromkeys(("gain", "low", "high", "level"), np.nan),
    }


def curves_table(phase: str, records: Sequence[TrainingRecord]) -> pd.DataFrame:
    """Return one row per epoch of each training run.

    Args:
        phase: ``"search"`` or ``"race"``.
        records: the training runs.

    Returns:
        Columns ``phase``, ``setting``, ``role``, ``seed``, and those of the learning curves.
    """
    keyed = [
        record.result.curves.assign(
            phase=phase, setting=record.setting, role=record.role, seed=record.result.member.seed
        )
        for record in records
        if len(record.result.curves)
    ]
    if not keyed:
        return pd.DataFrame(columns=_KEYS)
    table = pd.concat(keyed, ignore_index=True)
    return table[_KEYS + [column for column in table.columns if column not in _KEYS]]


def _row(record: TrainingRecord) -> dict[str, object]:
    result = record.result
    row: dict[str, object] = {
        "setting": record.setting,
        "role": record.role,
        "seed": result.member.seed,
        "split": result.member.split,
        "status": result.status,
        "reason": result.reason,
        **result.member.hyperparameters,
        **result.rates,
        "score": result.score,
        "best_epoch": result.best_epoch,
        "epochs": len(result.curves),
    }
    if result.best_epoch:
        # A callback may log anything, which is not known before.
        row |= {name: v for name, v in result.best_metrics.items() if name not in row}
    return row | {"seconds": result.seconds}
