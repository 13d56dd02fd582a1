"""Trained members as tables: a row a training, and a row an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from dropout_zoo.training.members import TrainedMember


class Entry(NamedTuple):
    """A trained member and the part it plays.

    Attributes:
        setting: name of its rates, the same for every seed: ``"none"`` and ``"as given"`` are
            the controls.
        role: ``"trial"``, ``"finalist"`` or ``"control"``.
        result: the trained member.
    """

    setting: str
    role: str
    result: TrainedMember


def training_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """A row a training.

    Args:
        entries: the trainings.

    Returns:
        Columns ``setting``, ``role``, ``seed``, ``status``, ``reason``, the rate at each site by
        its path, ``score``, ``best_epoch``, ``epochs``, every metric at the best epoch, and
        ``seconds``.
    """
    return pd.DataFrame([_training_row(entry) for entry in entries])


def curve_table(phase: str, entries: Sequence[Entry]) -> pd.DataFrame:
    """A row an epoch of each training.

    Args:
        phase: ``"search"`` or ``"finalists"``.
        entries: the trainings.

    Returns:
        Columns ``phase``, ``setting``, ``role``, ``seed``, and those of the members' curves.
    """
    keyed = [
        entry.result.curves.assign(
            phase=phase, setting=entry.setting, role=entry.role, seed=entry.result.member.seed
        )
        for entry in entries
        if len(entry.result.curves)
    ]
    if not keyed:
        return pd.DataFrame(columns=["phase", "setting", "role", "seed", "epoch"])
    keys = ["phase", "setting", "role", "seed", "epoch"]
    table = pd.concat(keyed, ignore_index=True)
    return table[keys + [column for column in table.columns if column not in keys]]


def _training_row(entry: Entry) -> dict[str, object]:
    result = entry.result
    row: dict[str, object] = {
        "setting": entry.setting,
        "role": entry.role,
        "seed": result.member.seed,
        "status": result.status,
        "reason": result.reason,
        **result.rates,
        "score": result.score,
        "best_epoch": result.best_epoch,
        "epochs": len(result.curves),
    }
    if result.best_epoch:
        row |= result.curves.set_index("epoch").loc[result.best_epoch].to_dict()
    return row | {"seconds": result.seconds}
