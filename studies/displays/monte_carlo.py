"""Convergence of Monte Carlo averages, beside weight scaling."""

from __future__ import annotations

from typing import Self

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from dropout_zoo.studies.displays.base import CurveDisplay, CurveStyles
from dropout_zoo.studies.displays.style import BLUE, VERMILION
from dropout_zoo.studies.result import StudyResult

AVERAGE = "average of passes\nwith dropout on"
WEIGHT_SCALING = "weight scaling\n(dropout off, one pass)"


class MonteCarloDisplay(CurveDisplay):
    """Error or loss of an average of passes with dropout on, against the number of passes.

    Args:
        points: one row per number of passes and repeat: ``series``, ``x`` (the number of passes)
            and ``value`` (error in percent, or loss).
        weight_scaling: the value of a single pass with dropout off.
        ylabel: label of the vertical axis.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.studies import MonteCarloDisplay, monte_carlo_convergence
        >>> from dropout_zoo.training import load_dataset
        >>> x, y = load_dataset("digits").validation
        >>> found = monte_carlo_convergence(build_mlp(), x, y, samples=(1, 5), repeats=2)
        >>> display = MonteCarloDisplay.from_result(found).plot()
        >>> display.ax_.get_xlabel()
        'number of passes averaged'
    """

    studies = ("monte_carlo_convergence",)

    def __init__(self, *, points: pd.DataFrame, weight_scaling: float, ylabel: str) -> None:
        super().__init__(points=points, ylabel=ylabel)
        self.weight_scaling = weight_scaling

    @classmethod
    def from_result(cls, result: StudyResult, metric: str = "error") -> Self:
        """Compute what is drawn from the result of `monte_carlo_convergence`.

        Args:
            result: the result.
            metric: ``"error"`` or ``"loss"``.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: the result is of another study, or the metric is neither of the two.
        """
        cls._check(result)
        if metric not in ("error", "loss"):
            raise ValueError(f"expected metric to be 'error' or 'loss', received {metric!r}")
        values = result.data.rename(columns={"samples": "x", metric: "value"})
        return cls(
            points=values[values["x"] > 0].assign(series=AVERAGE),
            weight_scaling=float(values.loc[values["x"] == 0, "value"].iloc[0]),
            ylabel="error (%)" if metric == "error" else "cross-entropy (nats)",
        )

    def _draw(self, axis: Axes, styles: CurveStyles) -> None:
        self._draw_curve(axis, AVERAGE, styles, color=BLUE, marker="o", label=AVERAGE)
        axis.axhline(self.weight_scaling, color=VERMILION, linestyle="--", label=WEIGHT_SCALING)
        axis.set_xscale("log")
        most = self.points["x"].max()
        axis.set_xticks([tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= most])
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel("number of passes averaged")
