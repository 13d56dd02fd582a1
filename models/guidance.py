"""The guidance on dropout rates, as a table that everything else reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from types import MappingProxyType
from typing import NamedTuple

from dropout_zoo.models.argument_validation import percent_hint, plain_values
from dropout_zoo.models.caller_warnings import warn_caller

SRIVASTAVA = "Srivastava et al. 2014, JMLR 15:1929-1958"


class Guidance(NamedTuple):
    """The recommended dropout rates for one placement.

    Attributes:
        low: lowest recommended rate (fraction dropped); None if no dropout is recommended.
        high: highest recommended rate (fraction dropped); None if no dropout is recommended.
        source: the source of the recommendation.

    Example:
        >>> from dropout_zoo.models import GUIDANCE
        >>> guidance = GUIDANCE["input"]
        >>> str(guidance), guidance.includes(0.5)
        ('0.20-0.25', False)
    """

    low: float | None
    high: float | None
    source: str

    def includes(self, rate: float) -> bool:
        """Whether a rate lies in the recommended range; False if no dropout is recommended."""
        return self.low is not None and self.high is not None and self.low <= rate <= self.high

    def __str__(self) -> str:
        """The range as text, such as ``0.20-0.25``."""
        return "none" if self.low is None else f"{self.low:.2f}-{self.high:.2f}"


GUIDANCE = MappingProxyType(
    {
        "input": Guidance(
            0.20,
            0.25,
            f"{SRIVASTAVA}, Appendix A.4: keep about 0.8 of a real-valued input (rate 0.2)",
        ),
        "hidden": Guidance(
            0.40,
            0.50,
            f"{SRIVASTAVA}, Fig. 9a: error is flat for rates 0.2 to 0.6; Table 2 uses 0.5",
        ),
        "output": Guidance(
            None,
            None,
            f"{SRIVASTAVA}, Section 4: dropout applies to the units of the input and hidden "
            "layers, not to those of the output",
        ),
        "searched": Guidance(
            0.20,
            0.50,
            f"{SRIVASTAVA}, Appendix A.4: keep 0.5 to 0.8 of the hidden units (rates 0.2 to 0.5)",
        ),
    }
)
"""Recommended rates by placement; ``"searched"`` is the range that a search covers."""

SEARCHED_RATES = (0.20, 0.30, 0.40, 0.50)
"""The searched range in steps of 0.1, both ends included: smaller steps cannot be told apart."""

LIKELY_KEEP_PROBABILITY = 0.5
"""Above this, a rate drops more than it keeps, and is often meant as a keep probability."""


def check_rate(rate: float, name: str) -> float:
    """Validate a dropout rate.

    Args:
        rate: fraction dropped, in [0, 1).
        name: name of the rate in error messages, such as ``"hidden_rates[0]"``.

    Returns:
        The rate as a float.

    Raises:
        ValueError: the rate is not a number in [0, 1).

    Example:
        >>> from dropout_zoo.models import check_rate
        >>> check_rate(0.25, "rate")
        0.25
    """
    number = isinstance(rate, Real) and not isinstance(rate, bool)
    if not number or rate != rate:
        raise ValueError(
            f"expected {name} to be a number in [0, 1) (the fraction dropped), received {rate!r}"
        )
    # A number just below 1 may become 1 as a float, and -0.0 becomes 0.
    if not 0 <= rate < 1 or float(rate) == 1:
        everything = "; a rate of 1 drops every unit" if rate == 1 else ""
        raise ValueError(
            f"expected {name} to be in [0, 1) (the fraction dropped), received {rate}"
            f"{everything}{percent_hint(rate)}"
        )
    return abs(float(rate))


def listed_rates(rates: float | Iterable[float]) -> list[float]:
    """Return rates as a list, where a single number is one rate; they are not checked."""
    values = plain_values(rates)
    single = isinstance(values, str) or not isinstance(values, Iterable)
    return [values] if single else list(values)


def builder_rate(rate: float, name: str) -> float:
    """Validate a rate that a builder received, and warn if it looks like the fraction kept.

    Args:
        rate: fraction dropped, in [0, 1).
        name: name of the rate in messages.

    Returns:
        The rate.

    Raises:
        ValueError: the rate is not a number in [0, 1).
    """
    rate = check_rate(rate, name)
    warn_of_keep_probability(rate, name)
    return rate


def rates_per_layer(
    rates: float | Sequence[float], widths: Sequence[int], name: str, of: str
) -> list[float]:
    """Validate rates and return one per layer, given one number for all layers or a sequence.

    Args:
        rates: a rate for all layers, or one per layer; fractions dropped, in [0, 1).
        widths: the widths of the layers.
        name: name of the argument in messages.
        of: name of the argument that gives the widths, in messages.

    Returns:
        As many rates as there are widths.

    Raises:
        ValueError: a rate is out of range, or the number of rates is not that of the layers.
    """
    values = plain_values(rates)
    if not isinstance(values, list | tuple):
        return [builder_rate(values, name)] * len(widths)
    if len(values) != len(widths):
        raise ValueError(
            f"expected {len(widths)} {name}, one for each of {of}={tuple(widths)}, received "
            f"{tuple(values)}; a single number applies to all layers"
        )
    return [builder_rate(rate, f"{name}[{index}]") for index, rate in enumerate(values)]


def warn_of_keep_probability(rate: float, name: str) -> None:
    """Warn if a rate looks like the fraction kept.

    Args:
        rate: fraction dropped, in [0, 1).
        name: name of the rate in the message.

    Warns:
        UserWarning: the rate is above 0.5.
    """
    if rate > LIKELY_KEEP_PROBABILITY:
        warn_caller(
            f"{name}={rate:g} drops {rate:.0%} of the units. In Keras the rate is the fraction "
            f"dropped: to keep {rate:.0%}, write {1 - rate:.2g}."
        )
