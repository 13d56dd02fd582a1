"""The quantities that a verdict measures, and the thresholds it compares them with."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from dropout_zoo.models.argument_validation import check_fraction, check_not_negative
from dropout_zoo.models.wording import rounded

_ROUNDING = 1e-6  # a few roundings of 32-bit numbers, as shares of a loss


@dataclass(frozen=True)
class Thresholds:
    """The thresholds that a verdict compares its measurements with.

    Attributes:
        gap: generalization gap in accuracy above which a model overfits. 0.02 is four standard
            errors of an accuracy of 0.97 measured on 1,000 examples, more than the sampling of the
            validation set alone explains.
        loss_gap: the same where no accuracy is measured: gap between validation and training loss,
            as a share of the validation loss. At 0.25 the validation loss is a third larger.
        rise: rise of the validation loss from its lowest to its last average over `window`, as a
            share of the lowest, above which a model overfits. For the documented MLP on the
            digits, means over 4 seeds and 30 epochs reach 0 to 0.06 with intervals that include
            0, so the interval of a real rise has to lie above 0.05.
        fall: fall of the validation loss between the last two averages over `window`, as a share,
            above which training has not converged. 0.05 as for `rise`, which has the same noise.
        deficit: excess of the training loss (dropout off) over that of the reference, as a share
            of the validation loss, above which a model that is no better on the validation set
            underfits. 0.1 is twice what `rise` allows the validation loss itself.
        train_error: share of the training examples that are misclassified (dropout off) above which
            a model that does not overfit underfits. 0.1 is three times the average of at least 3.3%
            of wrong labels that Northcutt et al. 2021 (arXiv 2103.14749) found in ten test sets; in
            one of them, QuickDraw, it is about 10%.
        window: share of the epochs over which the ends of the curves are averaged and trends are
            computed. A fifth is 4 of 20 epochs, enough to smooth over single batches.
        diverged: share of seeds with a non-finite loss at which a setting counts as diverged. At
            0.5, a single run is as likely to be lost as not.

    Raises:
        ValueError: a threshold is not a number of at least 0, or a share is above 1.

    Example:
        >>> from dropout_zoo.studies import Thresholds
        >>> strict = Thresholds(gap=0.01)
        >>> strict.gap, strict.rise
        (0.01, 0.05)
    """

    gap: float = 0.02
    loss_gap: float = 0.25
    rise: float = 0.05
    fall: float = 0.05
    deficit: float = 0.10
    train_error: float = 0.10
    window: float = 0.20
    diverged: float = 0.5

    def __post_init__(self) -> None:
        for each in fields(self):
            is_share = each.name in ("window", "diverged")
            check = check_fraction if is_share else check_not_negative
            check(getattr(self, each.name), each.name)


@dataclass(frozen=True)
class Measured:
    """A quantity averaged over the seeds, and how it compares with its threshold.

    Attributes:
        mean: mean over the seeds.
        low: lower end of its confidence interval; NaN with a single seed.
        high: upper end of its confidence interval; NaN with a single seed.
        threshold: the value it is compared with.
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
        """Whether the whole interval lies at or below the threshold."""
        return self.high <= self.threshold

    def __str__(self) -> str:
        """Format the mean with its interval, and the threshold."""
        if math.isnan(self.low):
            return f"{_shown(self.mean)} (single seed, threshold {self.threshold:g})"
        interval = f"CI {_shown(self.low)} to {_shown(self.high)}"
        return f"{_shown(self.mean)} ({interval}, threshold {self.threshold:g})"


def _shown(value: float) -> str:
    return rounded(value, 3, zero_below=_ROUNDING)
