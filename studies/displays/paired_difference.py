"""Methods or placements side by side: paired differences from the control, with intervals."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from dropout_zoo.studies.control_names import one_or_more
from dropout_zoo.studies.displays.base import Display, Style, draw_seeds, styled
from dropout_zoo.studies.displays.style import BLACK, BLUE, GRAY, VERMILION
from dropout_zoo.studies.metric_names import display_names
from dropout_zoo.studies.result import TrainingStudyResult


class DifferenceDisplay(Display):
    """The gain of each setting over its control, with its confidence interval, best on top.

    A mark is filled where its interval excludes 0, and hollow where it does not or where training
    had not ended; the dots are the seeds.

    Args:
        gains: one row per setting: ``setting``, ``control``, ``gain``, ``low``, ``high``, and
            ``ended`` if it is known, as `TrainingStudyResult.gains` has it.
        pairs: one row per setting and seed: ``setting`` and the paired difference, ``gain``.
        label: label of the horizontal axis.

    Example:
        >>> from dropout_zoo.studies import DifferenceDisplay, placement_sweep
        >>> study = placement_sweep("mlp", "digits", epochs=1, num_seeds=2)
        >>> display = DifferenceDisplay.from_result(study).plot()
        >>> len(display.ax_.get_yticklabels()) == len(study.gains())
        True
    """

    def __init__(self, *, gains: pd.DataFrame, pairs: pd.DataFrame, label: str) -> None:
        self.gains = gains
        self.pairs = pairs
        self.label = label

    @classmethod
    def from_result(cls, result: TrainingStudyResult, metric: str | None = None) -> Self:
        """Compute what is drawn from a study whose settings are compared with controls.

        Args:
            result: the result of any study that trains models.
            metric: a column of its scores; None for the objective.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: the study trained no models.
        """
        cls._check(result)
        name = metric or result.objective.name
        gains = result.gains(name)
        percent = 100.0 if display_names(name)[1] == "error" else 1.0
        pairs = result.pairs(name)
        scaled = gains.assign(**{column: percent * gains[column] for column in _SCALED})
        what = display_names(name)[0].replace("error (%)", "error, percentage points")
        return cls(
            gains=scaled.sort_values("gain").reset_index(drop=True),
            pairs=pairs.assign(gain=percent * pairs["gain"]),
            label=f"gain over {one_or_more(gains['control'])} ({what}, right is better)",
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        errorbar_kw: Style = None,
        line_kw: Style = None,
        scatter_kw: Style = None,
    ) -> Self:
        """Draw the comparison.

        Args:
            ax: axes to draw on; None for a new figure.
            errorbar_kw: keyword arguments for `matplotlib.axes.Axes.errorbar`, of the gains.
            line_kw: keyword arguments for `matplotlib.axes.Axes.axvline`, of the line at 0.
            scatter_kw: keyword arguments for `matplotlib.axes.Axes.scatter`, of the seeds' dots.

        Returns:
            The display itself, with `figure_` and `ax_`.
        """
        [axis] = self._start(ax, ["the comparison"], (7.5, 0.42 * len(self.gains) + 1.5))
        zero = {"color": GRAY, "linestyle": "--", "linewidth": 1, "zorder": 1}
        axis.axvline(0, **styled(Line2D, zero, line_kw))
        excludes_zero = (self.gains["low"] > 0) | (self.gains["high"] < 0)
        ended = self.gains.get("ended", pd.Series(True, self.gains.index)).astype(bool)
        for place, row in enumerate(self.gains.assign(clear=excludes_zero & ended).itertuples()):
            color = BLACK if not row.clear else BLUE if row.gain > 0 else VERMILION
            seeds = self.pairs.loc[self.pairs["setting"] == row.setting, "gain"]
            draw_seeds(
                axis, seeds, np.full(len(seeds), place - 0.22), GRAY, scatter_kw, alpha=1,
                label=f"_{row.setting}: seeds",
            )  # fmt: skip
            look = {
                "color": color, "marker": "D" if row.gain > 0 else "o", "capsize": 4,
                "markersize": 7, "markerfacecolor": color if row.clear else "white",
                "label": row.setting,
            }  # fmt: skip
            axis.errorbar(
                row.gain, place, xerr=[[row.gain - row.low], [row.high - row.gain]],
                **styled(Line2D, look, errorbar_kw),
            )  # fmt: skip
        axis.set_yticks(range(len(self.gains)), self.gains["setting"])
        axis.set_ylim(-0.7, len(self.gains) - 0.3)
        axis.set_xlabel(self.label)
        filled = "interval excludes 0" + ("" if ended.all() else ", trained to the end")
        axis.set_title(f"filled: {filled}; dots: seeds", fontsize=9, loc="right")
        return self


_SCALED = ("gain", "low", "high")
