"""Schedules of the dropout rate: which part of it applies in which epoch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import keras

from dropout_zoo.models.argument_validation import check_count, check_fraction


class RateSchedule(ABC):
    """What schedules of the rate have in common; a schedule of one's own is a subclass.

    A frozen dataclass needs to define `factor` only. Register it with
    `keras.saving.register_keras_serializable` to have it saved and loaded.
    """

    @abstractmethod
    def factor(self, epoch: int) -> float:
        """The part of the rates that applies while an epoch is trained.

        Args:
            epoch: its number, from 0, as Keras's callbacks count; of the whole training, also
                where that is continued.

        Returns:
            What the rates are multiplied with, in [0, 1].
        """

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the schedule anew, as `keras.saving` wants them."""
        if is_dataclass(self):
            return asdict(self)
        raise NotImplementedError(
            f"expected {type(self).__name__} to be a frozen dataclass or to define get_config(): "
            "what is trained is recorded with its schedule"
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RateSchedule:
        """Make a schedule from what `get_config` returned."""
        return cls(**config)


@keras.saving.register_keras_serializable("dropout_zoo")
@dataclass(frozen=True)
class EarlyDropout(RateSchedule):
    """Dropout in the first epochs only, which is meant for models that underfit.

    For a rate that falls evenly in those epochs, which the authors' code offers too, take
    ``LinearRamp(epochs, start=1, end=0)``.

    Args:
        epochs: number of epochs with dropout, at least 1.

    References:
        Liu et al. 2023, "Dropout Reduces Underfitting", arXiv:2303.01500.
    """

    epochs: int

    def __post_init__(self) -> None:
        check_count(self.epochs, "epochs")

    def factor(self, epoch: int) -> float:
        """1 in the first epochs, then 0."""
        return float(epoch < self.epochs)


@keras.saving.register_keras_serializable("dropout_zoo")
@dataclass(frozen=True)
class LateDropout(RateSchedule):
    """No dropout in the first epochs, which is meant for models that overfit.

    Args:
        epochs: number of epochs without dropout, at least 1.

    References:
        Liu et al. 2023, "Dropout Reduces Underfitting", arXiv:2303.01500.
    """

    epochs: int

    def __post_init__(self) -> None:
        check_count(self.epochs, "epochs")

    def factor(self, epoch: int) -> float:
        """0 in the first epochs, then 1."""
        return float(epoch >= self.epochs)


@dataclass(frozen=True)
class _Ramp(RateSchedule):
    """From one part of the rates to another, which then stays.

    Args:
        epochs: number of epochs until `end` is reached, at least 1.
        start: part of the rates in the first epoch, in [0, 1].
        end: part of the rates after `epochs` epochs, in [0, 1].
    """

    epochs: int
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        check_count(self.epochs, "epochs")
        check_fraction(self.start, "start")
        check_fraction(self.end, "end")

    def factor(self, epoch: int) -> float:
        """Between `start` and `end`."""
        way = self._way(min(epoch / self.epochs, 1.0))
        return (1 - way) * self.start + way * self.end

    @abstractmethod
    def _way(self, share: float) -> float:
        """How far a share of the epochs leads from `start` to `end`."""


@keras.saving.register_keras_serializable("dropout_zoo")
class LinearRamp(_Ramp):
    """A rate that rises or falls by the same amount every epoch, and then stays.

    Args:
        epochs: number of epochs until `end` is reached, at least 1.
        start: part of the rates in the first epoch, in [0, 1].
        end: part of the rates after `epochs` epochs, in [0, 1].
    """

    def _way(self, share: float) -> float:
        return share


@keras.saving.register_keras_serializable("dropout_zoo")
class CosineRamp(_Ramp):
    """A rate that rises or falls along half a cosine wave, and then stays.

    Args:
        epochs: number of epochs until `end` is reached, at least 1.
        start: part of the rates in the first epoch, in [0, 1].
        end: part of the rates after `epochs` epochs, in [0, 1].
    """

    def _way(self, share: float) -> float:
        return (1 - math.cos(math.pi * share)) / 2


@keras.saving.register_keras_serializable("dropout_zoo")
@dataclass(frozen=True)
class CurriculumDropout(RateSchedule):
    """A rate that rises from 0 towards its full value: ``1 - exp(-gamma * epoch)`` of it.

    The authors count steps, this counts epochs.

    Args:
        gamma: how fast it rises, larger than 0; ``10 / epochs`` brings it to 99 % after half of
            the epochs.

    References:
        Morerio et al. 2017, "Curriculum Dropout", arXiv:1703.06229.
    """

    gamma: float

    def __post_init__(self) -> None:
        if not isinstance(self.gamma, int | float) or not 0 < self.gamma < math.inf:
            raise ValueError(
                f"expected gamma to be a number larger than 0; received {self.gamma!r}"
            )

    def factor(self, epoch: int) -> float:
        """0 in the first epoch, then ever closer to 1."""
        return -math.expm1(-self.gamma * epoch)


def check_schedule(schedule: object) -> None:
    """Refuse what is no schedule of the rate.

    Args:
        schedule: what was given.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(schedule, RateSchedule):
        raise TypeError(
            "expected a schedule of the rate, such as EarlyDropout(epochs=5), or a subclass of "
            f"RateSchedule; received {schedule!r}"
        )
