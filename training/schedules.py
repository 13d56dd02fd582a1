"""Schedules of the dropout rate: the factor by which it is multiplied in each epoch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import keras

from dropout_zoo.models.argument_validation import check_count, check_fraction


class RateSchedule(ABC):
    """Base class of schedules of the dropout rate.

    A custom schedule is a subclass. As a frozen dataclass, it only has to define `factor`. Register
    it with `keras.saving.register_keras_serializable` so that it can be saved and loaded.

    Example:
        >>> from dataclasses import dataclass
        >>> from dropout_zoo.training import RateSchedule
        >>> @dataclass(frozen=True)
        ... class Alternating(RateSchedule):
        ...     def factor(self, epoch):
        ...         return float(epoch % 2)
        >>> [Alternating().factor(epoch) for epoch in range(4)]
        [0.0, 1.0, 0.0, 1.0]
    """

    @abstractmethod
    def factor(self, epoch: int) -> float:
        """Return the factor by which the rates are multiplied in an epoch.

        Args:
            epoch: its number from 0, as in Keras's callbacks. A continued run does not start again
                from 0.

        Returns:
            A number in [0, 1].
        """

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, for `keras.saving`."""
        if is_dataclass(self):
            return asdict(self)
        raise NotImplementedError(
            f"expected a schedule that is a frozen dataclass or defines get_config(), received "
            f"{type(self).__name__}, which cannot be recorded"
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RateSchedule:
        """Create a schedule from the configuration that `get_config` returns."""
        return cls(**config)


@keras.saving.register_keras_serializable("dropout_zoo")
@dataclass(frozen=True)
class EarlyDropout(RateSchedule):
    """Dropout in the first epochs only, for models that underfit.

    The authors' code can also decrease the rate linearly over these epochs:
    ``LinearRamp(epochs, start=1, end=0)``.

    Args:
        epochs: number of epochs with dropout, at least 1.

    Example:
        >>> from dropout_zoo.training import EarlyDropout
        >>> schedule = EarlyDropout(epochs=2)
        >>> [schedule.factor(epoch) for epoch in range(4)]
        [1.0, 1.0, 0.0, 0.0]

    References:
        Liu et al. 2023, "Dropout Reduces Underfitting", arXiv:2303.01500.
    """

    epochs: int

    def __post_init__(self) -> None:
        check_count(self.epochs, "epochs")

    def factor(self, epoch: int) -> float:
        """Return 1 in the first epochs, then 0."""
        return float(epoch < self.epochs)


@keras.saving.register_keras_serializable("dropout_zoo")
@dataclass(frozen=True)
class LateDropout(RateSchedule):
    """No dropout in the first epochs, for models that overfit.

    Args:
        epochs: number of epochs without dropout, at least 1.

    Example:
        >>> from dropout_zoo.training import LateDropout
        >>> schedule = LateDropout(epochs=2)
        >>> [schedule.factor(epoch) for epoch in range(4)]
        [0.0, 0.0, 1.0, 1.0]

    References:
        Liu et al. 2023, "Dropout Reduces Underfitting", arXiv:2303.01500.
    """

    epochs: int

    def __post_init__(self) -> None:
        check_count(self.epochs, "epochs")

    def factor(self, epoch: int) -> float:
        """Return 0 in the first epochs, then 1."""
        return float(epoch >= self.epochs)


@dataclass(frozen=True)
class _Ramp(RateSchedule):
    """From one factor to another, then constant.

    Args:
        epochs: number of epochs until `end` is reached, at least 1.
        start: factor in the first epoch, in [0, 1].
        end: factor after `epochs` epochs, in [0, 1].
    """

    epochs: int
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        check_count(self.epochs, "epochs")
        check_fraction(self.start, "start")
        check_fraction(self.end, "end")

    def factor(self, epoch: int) -> float:
        """Return a factor between `start` and `end`."""
        progress = self._progress(min(epoch / self.epochs, 1.0))
        return (1 - progress) * self.start + progress * self.end

    @abstractmethod
    def _progress(self, share: float) -> float:
        """Return the share of the way from `start` to `end` after a share of the epochs."""


@keras.saving.register_keras_serializable("dropout_zoo")
class LinearRamp(_Ramp):
    """A rate that changes linearly, then stays constant.

    Args:
        epochs: number of epochs until `end` is reached, at least 1.
        start: factor in the first epoch, in [0, 1].
        end: factor after `epochs` epochs, in [0, 1].

    Example:
        >>> from dropout_zoo.training import LinearRamp
        >>> schedule = LinearRamp(epochs=4)
        >>> [schedule.factor(epoch) for epoch in range(6)]
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    def _progress(self, share: float) -> float:
        return share


@keras.saving.register_keras_serializable("dropout_zoo")
class CosineRamp(_Ramp):
    """A rate that changes along half a cosine wave, then stays constant.

    Args:
        epochs: number of epochs until `end` is reached, at least 1.
        start: factor in the first epoch, in [0, 1].
        end: factor after `epochs` epochs, in [0, 1].

    Example:
        >>> from dropout_zoo.training import CosineRamp
        >>> schedule = CosineRamp(epochs=4)
        >>> [round(schedule.factor(epoch), 2) for epoch in range(6)]
        [0.0, 0.15, 0.5, 0.85, 1.0, 1.0]
    """

    def _progress(self, share: float) -> float:
        return (1 - math.cos(math.pi * share)) / 2


@keras.saving.register_keras_serializable("dropout_zoo")
@dataclass(frozen=True)
class CurriculumDropout(RateSchedule):
    """A rate that rises from 0 towards its full value, by the factor ``1 - exp(-gamma * epoch)``.

    The authors count steps instead of epochs.

    Args:
        gamma: speed of the rise, larger than 0; ``10 / epochs`` reaches 99% after half of the
            epochs.

    Example:
        >>> from dropout_zoo.training import CurriculumDropout
        >>> schedule = CurriculumDropout(gamma=1.0)
        >>> [round(schedule.factor(epoch), 2) for epoch in range(4)]
        [0.0, 0.63, 0.86, 0.95]

    References:
        Morerio et al. 2017, "Curriculum Dropout", arXiv:1703.06229.
    """

    gamma: float

    def __post_init__(self) -> None:
        if not isinstance(self.gamma, int | float) or not 0 < self.gamma < math.inf:
            raise ValueError(
                f"expected gamma to be a number larger than 0, received {self.gamma!r}"
            )

    def factor(self, epoch: int) -> float:
        """Return 0 in the first epoch, then ever closer to 1."""
        return -math.expm1(-self.gamma * epoch)


def check_schedule(schedule: object) -> None:
    """Check that an object is a schedule of the rate.

    Args:
        schedule: the object.

    Raises:
        TypeError: it is not a schedule.
    """
    if not isinstance(schedule, RateSchedule):
        raise TypeError(
            "expected a schedule of the rate, such as EarlyDropout(epochs=5), or a subclass of "
            f"RateSchedule, received {schedule!r}"
        )
