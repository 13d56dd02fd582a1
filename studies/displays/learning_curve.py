"""Learning curves: error and loss against epochs, one color per setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import LineStyleType

from dropout_zoo.models.argument_validation import did_you_mean
from dropout_zoo.studies.displays.base import Display, Style, styled
from dropout_zoo.studies.displays.style import GRAY, setting_style
from dropout_zoo.studies.metric_names import accuracy_name, drawn_values
from dropout_zoo.studies.result import TrainingStudyResult

MEASURES: Mapping[str, tuple[LineStyleType, str]] = {
    "": ("-", "training (dropout on)"),
    "train_": (":", "training, dropout off"),
    "val_": ("--", "validation"),
}
"""Line style and name of each measure, by the prefix of its column in the curves."""

_VALIDATION = MEASURES["val_"][1]


class LearningCurveDisplay(Display):
    """Error and loss against epochs, one color per setting and one panel per metric.

    Training with dropout on is solid, training with dropout off dotted, validation dashed. Each
    line is the mean over the seeds; the band of the validation is one standard deviation. The
    loss has a logarithmic axis, because it falls by powers of ten.

    Args:
        curves: what is drawn: ``metric``, ``setting``, ``measure``, ``epoch``, ``mean`` and
            ``std``, one row per epoch. The measures are ``"training (dropout on)"``,
            ``"training, dropout off"`` and ``"validation"``.
        settings: index of each setting in the study, from 0, by name; it fixes the color and
            marker.
        metrics: metrics to draw, one panel each, such as ``("accuracy", "loss")``; an accuracy is
            drawn as its error in percent.

    Example:
        >>> from dropout_zoo.studies import LearningCurveDisplay, learning_curves
        >>> study = learning_curves("mlp", "digits", epochs=2, num_seeds=2)
        >>> display = LearningCurveDisplay.from_result(study, metrics=["loss"]).plot()
        >>> display.ax_.get_ylabel()
        'loss'
    """

    def __init__(
        self, *, curves: pd.DataFrame, settings: Mapping[str, int], metrics: Sequence[str]
    ) -> None:
        self.curves = curves
        self.settings = dict(settings)
        self.metrics = list(metrics)

    @classmethod
    def from_result(
        cls,
        result: TrainingStudyResult,
        settings: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Self:
        """Compute what is drawn from the result of a study.

        Args:
            result: the result of any study that trains models.
            settings: names of settings; None for all.
            metrics: metrics without ``train_`` or ``val_``, one panel each; None for the accuracy,
                if there is one, and the loss.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: the study trained no models, or there is no such setting or metric.
        """
        cls._check(result)
        known = list(dict.fromkeys(result.data["setting"]))
        names = known if settings is None else list(settings)
        curves = pd.concat([result.curves(name) for name in names], ignore_index=True)
        curves = curves[curves["epoch"] > 0]
        if metrics is None:
            accuracy = accuracy_name(result.metrics)
            metrics = [accuracy, "loss"] if accuracy else ["loss"]
        for metric in metrics:
            if f"val_{metric}" not in curves:
                raise ValueError(
                    "expected metrics to be those of the learning curves "
                    f"({', '.join(_plain_names(result.metrics))}), received {metric!r}"
                    f"{did_you_mean(metric, _plain_names(result.metrics))}"
                )
        return cls(
            curves=mean_curves(curves, metrics),
            settings={name: known.index(name) for name in names},
            metrics=metrics,
        )

    def plot(
        self,
        ax: Axes | Sequence[Axes] | None = None,
        *,
        line_kw: Style = None,
        fill_kw: Style = None,
    ) -> Self:
        """Draw the curves.

        Args:
            ax: axes to draw on, one for each metric; None for a new figure.
            line_kw: keyword arguments for `matplotlib.axes.Axes.plot`, of the lines.
            fill_kw: keyword arguments for `matplotlib.axes.Axes.fill_between`, of the bands.

        Returns:
            The display itself, with `figure_` and `axes_`.

        Raises:
            ValueError: there are not as many axes as metrics.
        """
        axes = self._start(ax, self.metrics, (5.2 * len(self.metrics), 4.2))
        styles = {name: setting_style(number) for name, number in self.settings.items()}
        for axis, metric in zip(axes, self.metrics, strict=True):
            rows = self.curves[self.curves["metric"] == metric]
            for (name, measure), curve in rows.groupby(["setting", "measure"], sort=False):
                _draw(axis, str(measure), curve, str(name), styles[str(name)], line_kw, fill_kw)
            _label(axis, metric)
        handles = [
            Line2D([], [], label=name, color=color, marker=marker)
            for name, (color, marker) in styles.items()
        ]
        handles += [
            Line2D([], [], label=measure, color=GRAY, linestyle=linestyle)
            for linestyle, measure in MEASURES.values()
        ]
        self._add_legend(axes[-1], handles)
        return self


def mean_curves(curves: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Average learning curves over the seeds.

    Args:
        curves: one row per epoch of each training run, with ``setting``, ``epoch`` and the metrics.
        metrics: metrics without ``train_`` or ``val_``; an accuracy becomes its error in percent.

    Returns:
        ``metric``, ``setting``, ``measure``, ``epoch``, ``mean`` and ``std`` (0 for one seed).
    """
    tables = []
    for metric in metrics:
        for setting, rows in curves.groupby("setting", sort=False):
            for prefix, (_, measure) in MEASURES.items():
                values = drawn_values(rows[f"{prefix}{metric}"], metric).groupby(rows["epoch"])
                table = pd.DataFrame({"mean": values.mean(), "std": values.std().fillna(0.0)})
                table = table.rename_axis("epoch").reset_index()
                tables.append(table.assign(metric=metric, setting=setting, measure=measure))
    return pd.concat(tables, ignore_index=True)


def _draw(
    axis: Axes,
    measure: str,
    curve: pd.DataFrame,
    setting: str,
    style: tuple[str, str],
    line_kw: Style,
    fill_kw: Style,
) -> None:
    color, marker = style
    line = {
        "linestyle": next(style for style, name in MEASURES.values() if name == measure),
        "color": color, "label": f"{setting}, {measure}", "markersize": 4,
        "marker": marker if measure == _VALIDATION else None,
        "markevery": max(1, len(curve) // 8),
    }  # fmt: skip
    axis.plot(curve["epoch"], curve["mean"], **styled(Line2D, line, line_kw))
    if measure == _VALIDATION:
        axis.fill_between(
            curve["epoch"], curve["mean"] - curve["std"], curve["mean"] + curve["std"],
            **styled(PolyCollection, {"facecolor": color, "alpha": 0.15, "linewidth": 0}, fill_kw),
        )  # fmt: skip


def _label(axis: Axes, metric: str) -> None:
    is_error = metric.endswith(("accuracy", "acc"))
    axis.set_xlabel("epoch")
    axis.set_ylabel("error (%)" if is_error else metric)
    if is_error:
        axis.set_ylim(bottom=0)  # an error may be 0, which a logarithmic axis cannot show
    else:
        axis.set_yscale("log")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def _plain_names(metrics: Sequence[str]) -> list[str]:
    return [name for name in metrics if f"val_{name}" in metrics]
