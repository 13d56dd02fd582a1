"""A metric against a varied factor, with one line for each setting of dropout."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, Self

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from dropout_zoo.models.argument_validation import did_you_mean
from dropout_zoo.models.wording import count_of
from dropout_zoo.studies.data.corruption import corruption_name
from dropout_zoo.studies.displays.base import CurveDisplay, CurveStyles
from dropout_zoo.studies.displays.style import setting_style
from dropout_zoo.studies.metric_names import accuracy_name, axis_label, drawn_values
from dropout_zoo.studies.result import TrainingStudyResult


class Factor(NamedTuple):
    """A varied factor as it is drawn.

    Attributes:
        column: its column in the scores.
        label: label of the axis.
        logarithmic: whether the axis is logarithmic.
    """

    column: str
    label: str
    logarithmic: bool


FACTORS = {
    "data_size_sweep": Factor("examples", "training examples", True),
    "capacity_sweep": Factor("parameters", "parameters", True),
    "label_noise_sweep": Factor("noise", "share of training labels that are wrong", False),
    "imbalance_sweep": Factor("imbalance", "imbalance ratio (1 in so many examples kept)", True),
    "robustness": Factor("severity", "severity of the corruption of test inputs", False),
    "predictive_uncertainty": Factor(
        "severity", "severity of the corruption of test inputs", False
    ),
}
"""The factor along which a study is drawn, by the kind of the study."""


class FactorCurveDisplay(CurveDisplay):
    """A metric at the best epoch against a factor, such as the number of training examples.

    Each line is the mean over the seeds; the band is one standard deviation, the dots are the
    seeds.

    Args:
        points: one row per run: ``series`` (the line it belongs to), ``x`` (the factor) and
            ``value`` (the metric; for accuracy, the error in percent).
        factor: the horizontal axis.
        ylabel: label of the vertical axis.

    Example:
        >>> from dropout_zoo.studies import FactorCurveDisplay, data_size_sweep
        >>> study = data_size_sweep("mlp", "digits", sizes=(50, 100), epochs=1, num_seeds=2)
        >>> display = FactorCurveDisplay.from_result(study).plot()
        >>> display.ax_.get_xlabel()
        'training examples'
    """

    studies = tuple(FACTORS)
    size = (7.0, 4.2)

    def __init__(self, *, points: pd.DataFrame, factor: Factor, ylabel: str) -> None:
        super().__init__(points=points, ylabel=ylabel)
        self.factor = factor

    @classmethod
    def from_result(cls, result: TrainingStudyResult, metric: str | None = None) -> Self:
        """Compute what is drawn from the result of a study over a factor.

        Args:
            result: the result of `data_size_sweep`, `capacity_sweep`, `label_noise_sweep`,
                `imbalance_sweep`, `robustness` or `predictive_uncertainty`.
            metric: a column of its scores, or ``"error"`` for the error on the validation set;
                None for the objective.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: the study has no such factor, or the metric was not measured.
        """
        cls._check(result)
        name = metric or result.objective.name
        if metric == "error":
            name = f"val_{accuracy_name(result.metrics)}"
        scores = result.scores()
        if name not in scores:
            raise ValueError(
                "expected metric to be a column of the scores "
                f"({', '.join(map(str, scores.columns))}), received {name!r}"
                f"{did_you_mean(name, map(str, scores.columns))}"
            )
        factor = FACTORS[result.kind]
        points = pd.DataFrame(
            {
                "series": _series(scores).astype(str),
                "x": scores[factor.column],
                "value": drawn_values(scores[name], name),
            }
        )
        return cls(points=points, factor=factor, ylabel=axis_label(name))

    def _draw(self, axis: Axes, styles: CurveStyles) -> None:
        for number, name in enumerate(dict.fromkeys(self.points["series"])):
            color, marker = setting_style(number)
            self._draw_curve(
                axis, name, styles, color=color, marker=marker, label=name,
                linestyle=("-", "--", "-.", ":")[number % 4],
            )  # fmt: skip
        if self.factor.logarithmic:
            axis.set_xscale("log")
            axis.set_xticks(_spaced(sorted(set(self.points["x"]))))
            axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.tick_params(axis="x", rotation=45)
        axis.set_xlabel(self.factor.label)


def _series(scores: pd.DataFrame) -> pd.Series:
    """The line of each training run: models of different depth, and corruptions, are not joined."""
    if "corruption" in scores:
        name = scores["predictor" if "predictor" in scores else "dropout"]
        kinds = scores["corruption"].map(corruption_name)
        return name if kinds.nunique() == 1 else name + ", " + kinds
    if "layers" not in scores or scores["layers"].nunique() == 1:
        return scores["dropout"]
    return scores["dropout"] + ", " + scores["layers"].map(partial(count_of, noun="hidden layer"))


def _spaced(values: list[float], factor: float = 1.25) -> list[float]:
    """The ticks of a logarithmic axis whose labels do not overlap."""
    kept = values[:1]
    for value in values[1:]:
        if value >= kept[-1] * factor:
            kept.append(value)
    return kept
