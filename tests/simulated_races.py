"""Races with simulated scores, and what they are about."""

import pandas as pd

from dropout_zoo.training import Member, Objective, TrainedMember
from dropout_zoo.tuning import SearchSpace
from dropout_zoo.tuning.race.race import RaceSettings

LOSS = Objective("val_loss", "min")
NONE = "no dropout"
SPACE = SearchSpace({"hidden": (0.2, 0.3, 0.4, 0.5)}, {"hidden": ("hidden",)})
EPOCHS = 20


def trained(rates, score, seed, objective, status="completed", reason="", best_epoch=5, epochs=8):
    """A trained member with the same score at every epoch."""
    if reason:
        best_epoch, epochs = 0, 0
    curves = pd.DataFrame({"epoch": range(1, epochs + 1), objective.name: score})
    return TrainedMember(
        member=Member(rates, seed), rates=rates, status=status, reason=reason, curves=curves,
        objective=objective, best_epoch=best_epoch, score=score, seconds=1.0, checkpoint=None,
        _template=None,
    )  # fmt: skip


def race_of(count, ratio=None):
    return RaceSettings(control=NONE, first_seed=0, num_seeds=count, validation_ratio=ratio)
