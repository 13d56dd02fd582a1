"""The validation curve over the dropout rate: its optimum, and where it under- or overfits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from textwrap import fill
from typing import Self

import pandas as pd
from matplotlib.axes import Axes

from dropout_zoo.studies.displays.base import CurveDisplay, CurveStyles, means_over_seeds
from dropout_zoo.studies.displays.matplotlib_internals import SecondaryAxis
from dropout_zoo.studies.displays.style import (
    BLACK,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    setting_style,
)
from dropout_zoo.studies.metric_names import (
    accuracy_name,
    axis_label,
    drawn_values,
    rate_text,
    split_part,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.summary_text import ranked, settings_that_may_be_best
from dropout_zoo.studies.thresholds import Thresholds
from dropout_zoo.studies.verdicts import (
    BALANCED,
    OVER_REGULARIZED,
    OVERFITTING,
    UNDERFITTING,
    verdict_by_setting,
)

SHADES = {
    OVERFITTING: (ORANGE, "//"),
    BALANCED: (GREEN, ""),
    OVER_REGULARIZED: (PURPLE, "--"),
    UNDERFITTING: (SKY, ".."),
}
"""Color and hatch of the rates with each verdict."""


class RateCurveDisplay(CurveDisplay):
    """A metric at the best epoch against the dropout rate.

    Each line is the mean over the seeds; the band is one standard deviation, the dots are the
    seeds. Marked are the best rate, the rates that may be the best (see `may_be_best`), and the
    verdicts on the rates. `plot` also sets ``keep_axis_``, the twin axis of keep probabilities.

    Args:
        points: one row per run: ``series`` (the line it belongs to), ``x`` (the rate) and
            ``value`` (the metric; for accuracy, the error in percent).
        training: the same columns for the training set, with dropout off; empty if it is not known.
        ylabel: label of the vertical axis.
        optimum: rate with the best mean.
        series: the series that contains the optimum; its verdicts are shaded.
        may_be_best: rates that may be the best, in ascending order.
        labels: verdict by rate, for that series.
        ended: whether all rates of that series were trained to the end; otherwise the optimum is
            the best so far.

    Example:
        >>> from dropout_zoo.studies import RateCurveDisplay, rate_sweep
        >>> study = rate_sweep("mlp", "digits", rates=(0.5,), epochs=1, num_seeds=2)
        >>> display = RateCurveDisplay.from_result(study).plot(line_kw={"linewidth": 3})
        >>> display.ax_.get_xlabel()
        'dropout rate (fraction dropped)'
        >>> display.keep_axis_.get_xlabel()
        'keep probability (fraction kept)'
    """

    studies = ("rate_sweep",)
    size = (7.2, 4.4)
    keep_axis_: SecondaryAxis

    def __init__(
        self,
        *,
        points: pd.DataFrame,
        training: pd.DataFrame,
        ylabel: str,
        optimum: float,
        series: str,
        may_be_best: Sequence[float],
        labels: Mapping[float, str],
        ended: bool = True,
    ) -> None:
        super().__init__(points=points, ylabel=ylabel)
        self.training = means_over_seeds(training)
        self.optimum = optimum
        self.series = series
        self.may_be_best = tuple(may_be_best)
        self.labels = dict(labels)
        self.ended = ended

    @classmethod
    def from_result(
        cls,
        result: TrainingStudyResult,
        metric: str | None = None,
        thresholds: Thresholds | None = None,
    ) -> Self:
        """Compute what is drawn from the result of `rate_sweep`.

        Args:
            result: the result.
            metric: a column of its scores, followed by ``:min`` or ``:max`` where its name does
                not tell which is better, or ``"error"`` for the error on the validation set; None
                for the objective.
            thresholds: thresholds of the verdicts that shade the rates; None for the defaults.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: the result is of another study.
        """
        cls._check(result)
        if metric == "error":
            metric = f"val_{accuracy_name(result.metrics)}"
        objective = result.objective_of(metric)
        name = objective.name
        means = result.means(name)
        best = ranked(means, objective).iloc[0]
        series = means[means["series"] == best["series"]]
        names = settings_that_may_be_best(result, series["setting"], objective)
        alike = series[series["setting"].isin(names)]["rate"]
        verdicts = verdict_by_setting(result, thresholds=thresholds)
        scores = result.scores()
        training = f"train_{split_part(name)[1]}"
        return cls(
            points=_points(scores, name),
            training=_points(scores if training in scores else scores.iloc[:0], training),
            ylabel=axis_label(name),
            optimum=float(best["rate"]),
            series=str(best["series"]),
            may_be_best=sorted(alike.astype(float)),
            labels={
                float(row.rate): verdicts[str(row.setting)].label for row in series.itertuples()
            },
            ended=result.not_ended().keys().isdisjoint(series["setting"]),
        )

    def _draw(self, axis: Axes, styles: CurveStyles) -> None:
        series = list(dict.fromkeys(self.points["series"]))
        many = len(series) > 1
        for number, name in enumerate(series):
            points = self.points[self.points["series"] == name]
            color, marker = setting_style(number)
            # The control of a sweep that leaves other dropout as it is, not a point of a curve.
            if points["x"].nunique() == 1:
                control = points["value"].mean()
                axis.axhline(control, color=BLACK, linestyle="--", label=name, zorder=1)
                continue
            prefix = f"{name}: " if many else ""
            self._draw_curve(
                axis, name, styles, color=color, marker=marker, label=f"{prefix}validation",
            )  # fmt: skip
            training = self.training[self.training["series"] == name]
            if len(training):
                axis.plot(
                    training["x"], training["mean"], ":", color=color,
                    label=f"{prefix}training, dropout off",
                )  # fmt: skip
        self._mark(axis, f"{self.series}: " if many else "")
        axis.set_xlim(-0.03, self.points["x"].max() + 0.03)
        self.keep_axis_ = self._add_rate_axes(axis)

    def _mark(self, axis: Axes, prefix: str) -> None:
        axis.axvline(
            self.optimum, color=GRAY, linestyle="-.", zorder=1,
            label=f"{prefix}best rate {'' if self.ended else 'so far '}{rate_text(self.optimum)}",
        )  # fmt: skip
        listed = ", ".join(map(rate_text, self.may_be_best))
        label = fill(f"{prefix}may be the best: {listed}", width=36)
        # Drawn along the bottom: shades already fill the height.
        axis.plot(
            self.may_be_best, [0.03] * len(self.may_be_best), color=BLACK, linestyle="none",
            transform=axis.get_xaxis_transform(), marker="^", markersize=8,
            label=label,
        )  # fmt: skip
        named: set[str] = set()
        for (left, right), label in _spans(self.labels):
            if label in SHADES:
                color, hatch = SHADES[label]
                axis.axvspan(
                    left, right, facecolor=color, edgecolor=color, alpha=0.18, hatch=hatch,
                    linewidth=0, zorder=0,
                    label=f"{prefix}{label}" if label not in named else f"_{label}",
                )  # fmt: skip
                named.add(label)


def _points(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    values = drawn_values(scores[metric], metric) if metric in scores else []
    return pd.DataFrame(
        {"series": scores["series"].astype(str), "x": scores["rate"], "value": values}
    )


def _spans(labels: Mapping[float, str]) -> list[tuple[tuple[float, float], str]]:
    """Each rate with its label, and the span from half-way to one neighbor to the other."""
    rates = sorted(labels)
    middles = [(low + high) / 2 for low, high in pairwise(rates)]
    edges = [rates[0] - 0.03, *middles, rates[-1] + 0.03]
    return [((edges[place], edges[place + 1]), labels[rate]) for place, rate in enumerate(rates)]
