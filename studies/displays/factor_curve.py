"""A metric against a varied factor, a line for each setting of dropout."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from dropout_zoo.studies.displays.base import axes_for, draw_curve, legend_beside
from dropout_zoo.studies.displays.style import setting_style
from dropout_zoo.studies.metric_names import accuracy_name, axis_label, drawn_values
from dropout_zoo.studies.result import TrainingStudyResult


class Factor(NamedTuple):
    """A varied factor as it is drawn.

    Attributes:
        column: its column in the scores.
        label: of the axis.
        logarithmic: whether the axis is.
    """

    column: str
    label: str
    logarithmic: bool


FACTORS = {
    "data_size_sweep": Factor("examples", "training examples", True),
    "capacity_sweep": Factor("parameters", "parameters", True),
    "label_noise_sweep": Factor("noise", "share of wrong training labels", False),
    "imbalance_sweep": Factor("imbalance", "examples there were for each that is kept", True),
    "robustness": Factor("severity", "severity of the corruption at test", False),
    "predictive_uncertainty": Factor("severity", "severity of the corruption at test", False),
}
"""By kind of the study, the factor along which it is drawn."""


class FactorCurveDisplay:
    """A metric at the best epoch against a factor such as the number of examples.

    Args:
        scores: a row a training, with the factor, ``dropout`` and `metric`.
        factor: the horizontal axis.
        metric: what is drawn: a column of `scores`; an accuracy is drawn as its error in percent.
    """

    def __init__(self, *, scores: pd.DataFrame, factor: Factor, metric: str) -> None:
        self.scores = scores
        self.factor = factor
        self.metric = metric
        self.ax_: Axes | None = None
        self.figure_: Figure | None = None

    @classmethod
    def from_result(
        cls, result: TrainingStudyResult, metric: str | None = None
    ) -> FactorCurveDisplay:
        """Take what is to be drawn from a study over a factor.

        Args:
            result: the result of `data_size_sweep`, `capacity_sweep` or another of `FACTORS`.
            metric: a column of its scores, or ``"error"`` for the error on the validation part;
                None for the objective.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: the study has no such factor, or no such metric was measured.
        """
        if result.kind not in FACTORS:
            raise ValueError(
                f"expected the result of one of {', '.join(FACTORS)}; received that of "
                f"{result.kind}"
            )
        drawn = metric or result.objective.name
        if metric == "error":
            drawn = f"val_{accuracy_name(result.metrics)}"
        scores = result.scores()
        if drawn not in scores:
            raise ValueError(
                f"expected metric to be a column of the scores, received {drawn!r}; there are "
                f"{', '.join(map(str, scores.columns))}"
            )
        return cls(scores=scores, factor=FACTORS[result.kind], metric=drawn)

    def plot(self, ax: Axes | None = None) -> FactorCurveDisplay:
        """Draw.

        Args:
            ax: axes to draw on; None for a new figure.

        Returns:
            The display itself, with `figure_` and `ax_`.
        """
        self.figure_, [axis] = axes_for(ax, 1, "the curve", (7.0, 4.2))
        x = self.factor.column
        drawn = self.scores.assign(drawn=drawn_values(self.scores[self.metric], self.metric))
        for number, (name, rows) in enumerate(drawn.groupby(_series(drawn), sort=False)):
            colour, marker = setting_style(number)
            draw_curve(
                axis, rows, x, "drawn", colour=colour, marker=marker, label=str(name),
                style=("-", "--", "-.", ":")[number % 4],
            )  # fmt: skip
        if self.factor.logarithmic:
            axis.set_xscale("log")
            axis.set_xticks(_apart(sorted(set(drawn[x]))))
            axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.tick_params(axis="x", rotation=45)
        axis.set_xlabel(self.factor.label)
        axis.set_ylabel(axis_label(self.metric))
        legend_beside(axis)
        self.ax_ = axis
        return self


def _series(drawn: pd.DataFrame) -> pd.Series:
    """The line of each training: neither depths of a model nor corruptions are joined."""
    if "corruption" in drawn:
        name = drawn["predictor" if "predictor" in drawn else "dropout"]
        return name if drawn["corruption"].nunique() == 1 else name + ", " + drawn["corruption"]
    if "layers" not in drawn or drawn["layers"].nunique() == 1:
        return drawn["dropout"]
    plural = drawn["layers"].map(lambda count: "hidden layer" + "s" * (count > 1))
    return drawn["dropout"] + ", " + drawn["layers"].astype(str) + " " + plural


def _apart(values: list[float], factor: float = 1.25) -> list[float]:
    """The values of a logarithmic axis whose labels do not run into each other."""
    kept = values[:1]
    for value in values[1:]:
        if value >= kept[-1] * factor:
            kept.append(value)
    return kept
