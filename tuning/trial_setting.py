"""What a search varies: dropout rates and, with a build function, other hyperparameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dropout_zoo.training.members import Member, TrainedMember


@dataclass(frozen=True)
class TrialSetting:
    """A setting of a search, which is trained on one seed or more.

    Attributes:
        rates: rate (fraction dropped) at every site by path.
        hyperparameters: values, by name, with which a build function makes the model; none where
            the model is given.
    """

    rates: Mapping[str, float]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, trained: TrainedMember) -> TrialSetting:
        """Return the setting of a training run."""
        return cls(dict(trained.rates), dict(trained.member.hyperparameters))

    @property
    def key(self) -> str:
        """A text that is the same for equal settings."""
        return json.dumps([dict(self.rates), dict(self.hyperparameters)], sort_keys=True)

    def member(self, seed: int, label: str | None = None, *, split: int = 0) -> Member:
        """Return a training run of this setting; see `Member`."""
        return Member(
            self.rates, seed, label=label, split=split, hyperparameters=self.hyperparameters
        )


def describe_hyperparameters(values: Mapping[str, Any]) -> str:
    """Return values of hyperparameters as text, such as ``units 64, learning_rate 0.001``."""
    return ", ".join(
        f"{name} {f'{value:.4g}' if isinstance(value, float) else value}"
        for name, value in values.items()
    )
