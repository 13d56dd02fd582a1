"""Heat maps: the mean over the seeds for each pair of two factors, with the values written in."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.text import Text

from dropout_zoo.studies.displays.base import Display, Style, styled
from dropout_zoo.studies.displays.style import BLACK, RATE_AXIS
from dropout_zoo.studies.metric_names import display_names, drawn_values
from dropout_zoo.studies.result import TrainingStudyResult

COLOR_MAP = "cividis"
"""Perceptually uniform, and looks alike to color-blind readers (Nuñez et al. 2018)."""


class HeatMapDisplay(Display):
    """A metric for each pair of values of two factors, the best mean marked by a star.

    Args:
        values: mean of the metric (for accuracy, the error in percent), one row per value of the
            vertical factor and one column per value of the horizontal one.
        xlabel: label of the horizontal axis.
        ylabel: label of the vertical axis.
        label: label of the color bar.
        best: row and column of the best value, or None.
        ended: whether all settings were trained to the end; otherwise it is the best so far.

    Example:
        >>> from dropout_zoo.studies import HeatMapDisplay, rate_grid
        >>> study = rate_grid(
        ...     "mlp", "digits", first_rates=(0.2,), second_rates=(0.5,), epochs=1, num_seeds=1
        ... )
        >>> display = HeatMapDisplay.from_result(study).plot()
        >>> display.values.shape  # each with no dropout beside its rates
        (2, 2)
    """

    studies = ("rate_grid", "rate_width_map", "rate_size_map")

    def __init__(
        self,
        *,
        values: pd.DataFrame,
        xlabel: str,
        ylabel: str,
        label: str,
        best: tuple[int, int] | None = None,
        ended: bool = True,
    ) -> None:
        self.values = values
        self.xlabel = xlabel
        self.ylabel = ylabel
        self.label = label
        self.best = best
        self.ended = ended

    @classmethod
    def from_result(cls, result: TrainingStudyResult, metric: str | None = None) -> Self:
        """Compute what is drawn from the result of a study over two factors.

        Args:
            result: the result of `rate_grid`, `rate_width_map` or `rate_size_map`.
            metric: a column of its scores, followed by ``:min`` or ``:max`` where its name does
                not tell which is better; None for the objective.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: the result is of a study without two factors.
        """
        cls._check(result)
        arguments = result.settings["arguments"]
        (x, xlabel), (y, ylabel) = {
            "rate_grid": (
                ("second_rate", f"{arguments.get('second')} {RATE_AXIS}"),
                ("first_rate", f"{arguments.get('first')} {RATE_AXIS}"),
            ),
            "rate_width_map": (("rate", RATE_AXIS), ("width", "width (factor on the units)")),
            "rate_size_map": (("rate", RATE_AXIS), ("examples", "training examples")),
        }[result.kind]
        objective = result.objective_of(metric)
        name = objective.name
        scores = result.scores()
        scores = scores.assign(drawn=drawn_values(scores[name], name))
        values = scores.pivot_table(index=y, columns=x, values="drawn", aggfunc="mean")
        smaller = display_names(name)[1] == "error" or objective.direction == "min"
        flat = values.to_numpy().argmin() if smaller else values.to_numpy().argmax()
        return cls(
            values=values,
            xlabel=xlabel,
            ylabel=ylabel,
            label=f"{display_names(name)[0]}, mean over seeds",
            best=(int(flat) // values.shape[1], int(flat) % values.shape[1]),
            ended=not result.not_ended(),
        )

    def plot(self, ax: Axes | None = None, *, im_kw: Style = None, text_kw: Style = None) -> Self:
        """Draw the map.

        Args:
            ax: axes to draw on; None for a new figure.
            im_kw: keyword arguments for `matplotlib.axes.Axes.imshow`, such as ``cmap``.
            text_kw: keyword arguments for `matplotlib.axes.Axes.text`, of the values.

        Returns:
            The display itself, with `figure_` and `ax_`.
        """
        rows, columns = self.values.shape
        size = (max(4.5, 0.85 * columns + 2.5), max(3.2, 0.55 * rows + 1.6))
        [axis] = self._start(ax, ["the map"], size)
        defaults = {"cmap": COLOR_MAP, "origin": "lower", "aspect": "auto"}
        image = axis.imshow(self.values, **styled(AxesImage, defaults, im_kw))
        for row in range(rows):
            for column in range(columns):
                value = self.values.iloc[row, column]
                best = (row, column) == self.best
                look = {
                    "ha": "center", "va": "center", "fontsize": 9,
                    "color": _readable_on(image, value),
                    "fontweight": "bold" if best else "normal",
                }  # fmt: skip
                text = f"{value:.3g}" + (" *" if best else "")
                axis.text(column, row, text, **styled(Text, styled(Text, {}, look), text_kw))
        axis.set_xticks(range(columns), [_tick(value) for value in self.values.columns])
        axis.set_yticks(range(rows), [_tick(value) for value in self.values.index])
        axis.set_xlabel(self.xlabel)
        axis.set_ylabel(self.ylabel)
        self.figure_.colorbar(image, ax=axis, label=self.label)
        best_mean = "best mean" if self.ended else "best mean so far"
        axis.set_title(f"* {best_mean}", fontsize=9, loc="right")
        return self


def _readable_on(image: AxesImage, value: float) -> str:
    """Black or white, whichever can be read on the color of a value."""
    red, green, blue, _ = image.to_rgba(np.array([value]))[0]
    return BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def _tick(value: float) -> str:
    return f"{value:,}" if float(value).is_integer() and abs(value) >= 100 else f"{value:g}"
