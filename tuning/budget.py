"""The budget of a search: how long it may take."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from numbers import Real
from typing import TypeAlias

Duration: TypeAlias = str | float
"""A text such as ``"10m"``, ``"90s"`` or ``"1h30m"``, or a number of seconds."""

SHARE_OF_THE_END = 0.05
SHARE_OF_THE_START = 0.25
SHORTEST_END, LONGEST_END = 2.0, 60.0
"""The end of a run, after its last training run, in seconds: the evaluation on the test set, the
picture and the files. It takes 1 to 2 seconds where the model is small, about a fifth of the time
that Keras takes to start, however busy the machine is; and longer the longer the training runs are.
Of a very small budget, half is left for training."""

_UNITS = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class Budget:
    """A limit on the wall-clock time of a run.

    Attributes:
        seconds: the limit.
        spent: the seconds of it that have passed before the search begins.

    Example:
        >>> budget = Budget.parse("1h30m")
        >>> budget.seconds
        5400.0
        >>> print(budget)
        1 h 30 min
    """

    seconds: float
    spent: float = 0.0

    @classmethod
    def parse(cls, duration: Duration) -> Budget:
        """Read a duration.

        Args:
            duration: hours, minutes and seconds as whole numbers, such as ``"10m"``, ``"90s"`` or
                ``"1h30m"``; or a number of seconds, also as text.

        Returns:
            The budget.

        Raises:
            ValueError: it is neither, or not above 0.
        """
        seconds = _seconds(duration)
        if not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(
                "expected a budget such as '10m', '90s' or '1h30m', or a number of seconds above "
                f"0, received {duration!r}"
            )
        return cls(seconds)

    @property
    def training_seconds(self) -> float:
        """The part of the time after which no training run continues."""
        shares = SHARE_OF_THE_END * self.seconds, SHARE_OF_THE_START * self.spent
        end = min(LONGEST_END, max(SHORTEST_END, *shares))
        remaining = self.seconds - self.spent
        return max(0.0, remaining - min(end, remaining / 2))

    def __str__(self) -> str:
        minutes, seconds = divmod(self.seconds, 60)
        hours, minutes = divmod(int(minutes), 60)
        parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
        return " ".join(f"{number:g} {unit}" for number, unit in parts if number)


def _seconds(duration: object) -> float:
    """The number of seconds; NaN if it is not a duration."""
    if isinstance(duration, str):
        if _SECONDS.fullmatch(duration):
            return float(duration)
        found = _UNITS.fullmatch(duration)
        if found is None:
            return math.nan
        hours, minutes, seconds = (float(number or 0) for number in found.groups())
        return 3600 * hours + 60 * minutes + seconds
    if isinstance(duration, Real) and not isinstance(duration, bool):
        return float(duration)
    return math.nan
