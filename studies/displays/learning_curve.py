"""Learning curves: error and loss against epochs, a colour a setting, a line style a measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dropout_zoo.studies.displays.base import axes_for
from dropout_zoo.studies.displays.style import GREY, setting_style
from dropout_zoo.studies.metric_names import accuracy_name, drawn_values
from dropout_zoo.studies.result import TrainingStudyResult

MEASURES = {
    "": ("-", "training (dropout on)"),
    "train_": (":", "training, dropout off"),
    "val_": ("--", "validation"),
}
"""Line style and name by what the column of the curves begins with."""


class LearningCurveDisplay:
    """Error and loss against epochs, one colour a setting.

    Training is solid, training with dropout off dotted, validation dashed; each line is the mean
    over the seeds, and the band of the validation its standard deviation. The loss has a
    logarithmic axis: it falls by powers of ten.

    Args:
        curves: a row an epoch of each training, with ``setting``, ``seed`` and ``epoch``.
        settings: the settings to draw, by name their place in the study, from 0: a setting looks
            the same whichever others are drawn.
        metrics: metrics to draw, a panel each, such as ``("accuracy", "loss")``; an accuracy is
            drawn as its error in percent.
    """

    def __init__(
        self, *, curves: pd.DataFrame, settings: Mapping[str, int], metrics: Sequence[str]
    ) -> None:
        self.curves = curves
        self.settings = dict(settings)
        self.metrics = list(metrics)
        self.axes_: list[Axes] = []
        self.figure_: Figure | None = None

    @classmethod
    def from_result(
        cls,
        result: TrainingStudyResult,
        settings: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
    ) -> LearningCurveDisplay:
        """Take what is to be drawn from a study.

        Args:
            result: the study.
            settings: names of settings; None for all.
            metrics: a panel each; None for the accuracy, if there is one, and the loss.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: there is no such setting.
        """
        known = list(dict.fromkeys(result.data["setting"]))
        names = known if settings is None else list(settings)
        curves = pd.concat([result.curves(name) for name in names], ignore_index=True)
        if metrics is None:
            accuracy = accuracy_name(result.metrics)
            metrics = [accuracy, "loss"] if accuracy else ["loss"]
        return cls(
            curves=curves[curves["epoch"] > 0],
            settings={name: known.index(name) for name in names},
            metrics=metrics,
        )

    def plot(self, ax: Axes | Sequence[Axes] | None = None) -> LearningCurveDisplay:
        """Draw.

        Args:
            ax: axes to draw on, as many as there are metrics; None for a new figure.

        Returns:
            The display itself, with `figure_` and `axes_`.

        Raises:
            ValueError: there are not as many axes as metrics.
        """
        self.figure_, self.axes_ = axes_for(
            ax, len(self.metrics), ", ".join(self.metrics), (5.2, 4.2)
        )
        for axis, metric in zip(self.axes_, self.metrics, strict=True):
            self._panel(axis, metric)
        styles = [
            _in_legend(name, color=GREY, linestyle=style) for style, name in MEASURES.values()
        ]
        colours = [
            _in_legend(name, color=colour, marker=marker)
            for name, (colour, marker) in self._styles().items()
        ]
        self.axes_[-1].legend(
            handles=[*colours, *styles], loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False,
            fontsize=9,
        )  # fmt: skip
        return self

    def _styles(self) -> dict[str, tuple[str, str]]:
        return {name: setting_style(number) for name, number in self.settings.items()}

    def _panel(self, axis: Axes, metric: str) -> None:
        for name, (colour, marker) in self._styles().items():
            rows = self.curves[self.curves["setting"] == name]
            for part, (style, what) in MEASURES.items():
                values = drawn_values(rows[f"{part}{metric}"], metric)
                by_epoch = values.groupby(rows["epoch"])
                mean, std = by_epoch.mean(), by_epoch.std().fillna(0.0)
                axis.plot(
                    mean.index, mean, style, color=colour, label=f"{name}, {what}",
                    marker=marker if part == "val_" else None, markersize=4,
                    markevery=max(1, len(mean) // 8),
                )  # fmt: skip
                if part == "val_":
                    axis.fill_between(
                        mean.index, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0
                    )
        axis.set_xlabel("epoch")
        is_error = metric.endswith(("accuracy", "acc"))
        axis.set_ylabel("error (%)" if is_error else metric)
        if is_error:
            axis.set_ylim(bottom=0)  # an error may be 0, which a logarithm does not show
        else:
            axis.set_yscale("log")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def _in_legend(label: str, **look: Any) -> Line2D:
    """A line that is in the legend only."""
    return Line2D([], [], label=label, **look)
