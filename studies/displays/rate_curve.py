"""The validation curve over the dropout rate, with its optimum and where it under- or overfits."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axes._secondary_axes import SecondaryAxis
from matplotlib.figure import Figure

from dropout_zoo.studies.displays.base import axes_for, draw_curve, legend_beside
from dropout_zoo.studies.displays.style import BLACK, GREY, ORANGE, RATE_AXIS, SKY, setting_style
from dropout_zoo.studies.metric_names import (
    accuracy_name,
    axis_label,
    drawn_values,
    rate_text,
    split_part,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.summary_text import ranked, within_one_standard_error
from dropout_zoo.studies.thresholds import Thresholds
from dropout_zoo.studies.verdicts import OVERFITTING, UNDERFITTING, verdict_by_setting

KEEP_AXIS = "keep probability (fraction kept)"
SHADES = {OVERFITTING: (ORANGE, "//"), UNDERFITTING: (SKY, "..")}
"""Colour and hatch of the rates at which a model over- or underfits."""


class RateCurveDisplay:
    """A metric at the best epoch against the dropout rate.

    Args:
        scores: a row a training, with ``series``, ``rate``, `metric` and, if it has one, its
            training twin.
        metric: what is drawn: a column of `scores`; an accuracy is drawn as its error in percent.
        optimum: rate with the best mean.
        series: the series that holds it, whose verdicts are shaded.
        alike: rates within one standard error of it.
        labels: verdict by rate, of that series.
    """

    def __init__(
        self,
        *,
        scores: pd.DataFrame,
        metric: str,
        optimum: float,
        series: str,
        alike: tuple[float, float],
        labels: Mapping[float, str],
    ) -> None:
        self.scores = scores
        self.metric = metric
        self.optimum = optimum
        self.series = series
        self.alike = alike
        self.labels = dict(labels)
        self.ax_: Axes | None = None
        self.keep_axis_: SecondaryAxis | None = None
        self.figure_: Figure | None = None

    @classmethod
    def from_result(
        cls,
        result: TrainingStudyResult,
        metric: str | None = None,
        thresholds: Thresholds | None = None,
    ) -> RateCurveDisplay:
        """Take what is to be drawn from the result of `rate_sweep`.

        Args:
            result: the result.
            metric: a column of its scores, with ``:min`` or ``:max`` behind it where its name does
                not tell which is better, or ``"error"`` for the error on the validation part; None
                for the objective.
            thresholds: of the verdicts that shade the rates; None for the defaults.

        Returns:
            The display, not yet drawn.
        """
        if metric == "error":
            metric = f"val_{accuracy_name(result.metrics)}"
        objective = result.objective_of(metric)
        drawn = objective.name
        means = result.means(drawn)
        best = ranked(means, objective).iloc[0]
        series = means[means["series"] == best["series"]]
        alike = within_one_standard_error(series, objective)["rate"]
        verdicts = verdict_by_setting(result, thresholds=thresholds)
        return cls(
            scores=result.scores(),
            metric=drawn,
            optimum=float(best["rate"]),
            series=str(best["series"]),
            alike=(float(alike.min()), float(alike.max())),
            labels={
                float(row.rate): verdicts[str(row.setting)].label for row in series.itertuples()
            },
        )

    def plot(self, ax: Axes | None = None) -> RateCurveDisplay:
        """Draw.

        Args:
            ax: axes to draw on; None for a new figure.

        Returns:
            The display itself, with `figure_`, `ax_` and the twin `keep_axis_`.
        """
        self.figure_, [axis] = axes_for(ax, 1, "the curve", (7.2, 4.4))
        drawn = self.scores.assign(drawn=drawn_values(self.scores[self.metric], self.metric))
        training = f"train_{split_part(self.metric)[1]}"
        if training in self.scores:
            drawn["dropout_off"] = drawn_values(self.scores[training], training)
        series = [name for name, group in drawn.groupby("series", sort=False) if len(group)]
        many = len(series) > 1
        for number, name in enumerate(series):
            rows = drawn[drawn["series"] == name]
            colour, marker = setting_style(number)
            if rows["rate"].nunique() == 1:  # the control of a sweep that leaves other dropout
                axis.axhline(
                    rows["drawn"].mean(), color=BLACK, linestyle="--", label=str(name), zorder=1
                )
                continue
            draw_curve(
                axis, rows, "rate", "drawn", colour=colour, marker=marker,
                label=f"{name}: validation" if many else "validation",
            )  # fmt: skip
            if "dropout_off" in rows:
                mean = rows.groupby("rate")["dropout_off"].mean()
                axis.plot(
                    mean.index, mean, ":", color=colour,
                    label=f"{name}: training, dropout off" if many else "training, dropout off",
                )  # fmt: skip
        self._mark(axis, f"{self.series}: " if many else "")
        axis.set_xlabel(RATE_AXIS)
        axis.set_ylabel(axis_label(self.metric))
        axis.set_xlim(-0.03, max(self.scores["rate"]) + 0.03)
        keep_axis = axis.secondary_xaxis("top", functions=(_other_share, _other_share))
        keep_axis.set_xlabel(KEEP_AXIS)
        self.keep_axis_ = keep_axis
        legend_beside(axis)
        self.ax_ = axis
        return self

    def _mark(self, axis: Axes, whose: str) -> None:
        axis.axvline(
            self.optimum, color=GREY, linestyle="-.", zorder=1,
            label=f"{whose}best rate {rate_text(self.optimum)}",
        )  # fmt: skip
        low, high = self.alike
        alike = "no other rate" if low == high else f"{rate_text(low)} to {rate_text(high)}"
        # Drawn along the bottom: shades already fill the height.
        axis.plot(
            [low, high], [0.02, 0.02], color=GREY, linewidth=5, solid_capstyle="butt",
            transform=axis.get_xaxis_transform(), marker="|", markersize=12, markeredgewidth=2,
            label=f"{whose}within one standard error: {alike}",
        )  # fmt: skip
        named: set[str] = set()
        for (left, right), label in _spans(self.labels):
            if label in SHADES:
                colour, hatch = SHADES[label]
                axis.axvspan(
                    left, right, facecolor=colour, edgecolor=colour, alpha=0.18, hatch=hatch,
                    linewidth=0, zorder=0,
                    label=f"{whose}{label}" if label not in named else f"_{label}",
                )  # fmt: skip
                named.add(label)


def _other_share(share: Any) -> Any:
    return 1 - share


def _spans(labels: Mapping[float, str]) -> list[tuple[tuple[float, float], str]]:
    """Each rate with its label, as far as half-way to its neighbours."""
    rates = sorted(labels)
    middles = [(low + high) / 2 for low, high in pairwise(rates)]
    edges = [rates[0] - 0.03, *middles, rates[-1] + 0.03]
    return [((edges[place], edges[place + 1]), labels[rate]) for place, rate in enumerate(rates)]
