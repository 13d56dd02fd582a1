"""What a verdict measures, and what it compares that with."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """What a verdict compares its measurements with.

    Attributes:
        gap: generalization gap in accuracy above which a model overfits; 0.02 is four standard
            errors of an accuracy of 0.97 measured on 1,000 examples, so that the draw of the
            validation part alone does not reach it.
        loss_gap: where no accuracy is measured: gap between validation and training loss, as a
            share of the validation loss; at 0.25 the validation loss is a third larger.
        rise: rise of the validation loss from its lowest to its last average over `window`, as a
            share of the lowest. Means of 4 seeds of the documented MLP on the digits, 30 epochs,
            come to 0 to 0.06 with intervals that hold 0: the interval of a real rise has to lie
            above 0.05.
        fall: fall of the validation loss from its average over the `window` before the last to
            that over the last, as a share, above which training has not come to its end; 0.05 as
            for `rise`, which has the same noise.
        deficit: training loss with dropout off above that of the reference, as a share of the
            validation loss, from which a model counts as held back, if it is no better on the
            validation part; 0.1 is twice what `rise` allows the validation loss itself.
        window: share of the epochs over which the ends of the curves are averaged, and trends
            taken; a fifth is 4 of 20 epochs, enough to even out single batches.
        diverged: share of the seeds without a finite loss from which a setting has diverged: at
            half of them, whoever trains it once is as likely to lose the training as not.
    """

    gap: float = 0.02
    loss_gap: float = 0.25
    rise: float = 0.05
    fall: float = 0.05
    deficit: float = 0.10
    window: float = 0.20
    diverged: float = 0.5


@dataclass(frozen=True)
class Measured:
    """A quantity over the seeds, and where it lies from its threshold.

    Attributes:
        mean: mean over the seeds.
        low: lower end of its interval; NaN with a single seed.
        high: upper end of its interval; NaN with a single seed.
        threshold: what it is compared with.
    """

    mean: float
    low: float
    high: float
    threshold: float

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above the threshold."""
        return self.low > self.threshold

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below the threshold, or on it."""
        return self.high <= self.threshold

    def __str__(self) -> str:
        """The mean with its interval, and the threshold."""
        if math.isnan(self.low):
            return f"{self.mean:.3g} (single seed), threshold {self.threshold:g}"
        return f"{self.mean:.3g} ({self.low:.3g} to {self.high:.3g}), threshold {self.threshold:g}"
