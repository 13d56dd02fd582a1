"""Heat maps: the mean over seeds for each pair of two factors, with the values written in."""

from __future__ import annotations

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_zoo.studies.displays.base import axes_for
from dropout_zoo.studies.displays.style import BLACK, RATE_AXIS
from dropout_zoo.studies.metric_names import drawn_values, readable
from dropout_zoo.studies.result import TrainingStudyResult

COLOUR_MAP = "cividis"
"""Perceptually uniform, and the same to colour-blind readers (Nuñez et al. 2018)."""


class HeatMapDisplay:
    """A metric for each pair of two factors.

    Args:
        values: mean of the metric, as it is drawn; a row a value of the vertical factor, a column
            a value of the horizontal one.
        xlabel: label of the horizontal axis.
        ylabel: label of the vertical axis.
        label: of what is drawn.
        best: row and column of the best value, or None.
    """

    def __init__(
        self,
        *,
        values: pd.DataFrame,
        xlabel: str,
        ylabel: str,
        label: str,
        best: tuple[int, int] | None = None,
    ) -> None:
        self.values = values
        self.xlabel = xlabel
        self.ylabel = ylabel
        self.label = label
        self.best = best
        self.ax_: Axes | None = None
        self.figure_: Figure | None = None

    @classmethod
    def from_result(cls, result: TrainingStudyResult, metric: str | None = None) -> HeatMapDisplay:
        """Take what is to be drawn from a study over two factors.

        Args:
            result: the result of `rate_grid`, `rate_width_map` or `rate_size_map`.
            metric: a column of its scores, with ``:min`` or ``:max`` behind it where its name does
                not tell which is better; None for the objective.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: the study has no two factors to draw.
        """
        arguments = result.settings["arguments"]
        axes = {
            "rate_grid": (
                ("second_rate", f"{arguments.get('second')} {RATE_AXIS}"),
                ("first_rate", f"{arguments.get('first')} {RATE_AXIS}"),
            ),
            "rate_width_map": (("rate", RATE_AXIS), ("width", "width (factor on the units)")),
            "rate_size_map": (("rate", RATE_AXIS), ("examples", "training examples")),
        }
        if result.kind not in axes:
            raise ValueError(
                f"expected the result of one of {', '.join(axes)}, which vary two factors; "
                f"received that of {result.kind}"
            )
        (x, xlabel), (y, ylabel) = axes[result.kind]
        objective = result.objective_of(metric)
        drawn = objective.name
        scores = result.scores()
        scores = scores.assign(drawn=drawn_values(scores[drawn], drawn))
        values = scores.pivot_table(index=y, columns=x, values="drawn", aggfunc="mean")
        smaller = readable(drawn)[1] == "error" or objective.direction == "min"
        flat = values.to_numpy().argmin() if smaller else values.to_numpy().argmax()
        return cls(
            values=values,
            xlabel=xlabel,
            ylabel=ylabel,
            label=f"{readable(drawn)[0]}, mean over seeds",
            best=(int(flat) // values.shape[1], int(flat) % values.shape[1]),
        )

    def plot(self, ax: Axes | None = None) -> HeatMapDisplay:
        """Draw.

        Args:
            ax: axes to draw on; None for a new figure.

        Returns:
            The display itself, with `figure_` and `ax_`.
        """
        rows, columns = self.values.shape
        size = (max(4.5, 0.85 * columns + 2.5), max(3.2, 0.55 * rows + 1.6))
        self.figure_, [axis] = axes_for(ax, 1, "the map", size)
        image = axis.imshow(self.values, cmap=COLOUR_MAP, origin="lower", aspect="auto")
        for row in range(rows):
            for column in range(columns):
                value = self.values.iloc[row, column]
                red, green, blue, _ = colormaps[COLOUR_MAP](image.norm(value))
                bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
                best = (row, column) == self.best
                axis.text(
                    column, row, f"{value:.3g}" + (" *" if best else ""), ha="center", va="center",
                    color=BLACK if bright else "white", fontsize=9,
                    fontweight="bold" if best else "normal",
                )  # fmt: skip
        axis.set_xticks(range(columns), [_tick(value) for value in self.values.columns])
        axis.set_yticks(range(rows), [_tick(value) for value in self.values.index])
        axis.set_xlabel(self.xlabel)
        axis.set_ylabel(self.ylabel)
        self.figure_.colorbar(image, ax=axis, label=self.label)
        axis.set_title("* best mean", fontsize=9, loc="right")
        self.ax_ = axis
        return self


def _tick(value: float) -> str:
    return f"{value:,}" if float(value).is_integer() and abs(value) >= 100 else f"{value:g}"
