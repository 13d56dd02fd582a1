"""Methods or placements side by side: paired differences from the control, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_zoo.studies.displays.base import axes_for
from dropout_zoo.studies.displays.style import BLACK, BLUE, GREY, VERMILION
from dropout_zoo.studies.metric_names import readable
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.summary_text import one_or_more


class DifferenceDisplay:
    """The gain of each setting over its control, best on top.

    A filled mark has an interval that leaves out 0, a hollow one has not; dots are the seeds.

    Args:
        gains: a row a setting: ``setting``, ``control``, ``gain``, ``low``, ``high``.
        pairs: a row a setting and seed: ``setting`` and the paired difference, ``gain``.
        label: of the horizontal axis.
    """

    def __init__(self, *, gains: pd.DataFrame, pairs: pd.DataFrame, label: str) -> None:
        self.gains = gains
        self.pairs = pairs
        self.label = label
        self.ax_: Axes | None = None
        self.figure_: Figure | None = None

    @classmethod
    def from_result(
        cls, result: TrainingStudyResult, metric: str | None = None
    ) -> DifferenceDisplay:
        """Take what is to be drawn from a study whose settings are compared with controls.

        Args:
            result: the result.
            metric: a column of its scores; None for the objective.

        Returns:
            The display, not yet drawn.
        """
        drawn = metric or result.objective.name
        gains = result.gains(drawn)
        percent = 100.0 if readable(drawn)[1] == "error" else 1.0
        pairs = result.pairs(drawn)
        scaled = gains.assign(**{name: percent * gains[name] for name in ("gain", "low", "high")})
        what = readable(drawn)[0].replace("error (%)", "error, percentage points")
        return cls(
            gains=scaled.sort_values("gain").reset_index(drop=True),
            pairs=pairs.assign(gain=percent * pairs["gain"]),
            label=f"gain over {one_or_more(gains['control'])} ({what}, right is better)",
        )

    def plot(self, ax: Axes | None = None) -> DifferenceDisplay:
        """Draw.

        Args:
            ax: axes to draw on; None for a new figure.

        Returns:
            The display itself, with `figure_` and `ax_`.
        """
        height = 0.42 * len(self.gains) + 1.5
        self.figure_, [axis] = axes_for(ax, 1, "the comparison", (7.5, height))
        axis.axvline(0, color=GREY, linestyle="--", linewidth=1, zorder=1)
        for place, row in enumerate(self.gains.itertuples()):
            clear = row.low > 0 or row.high < 0
            colour = BLACK if not clear else BLUE if row.gain > 0 else VERMILION
            dots = self.pairs.loc[self.pairs["setting"] == row.setting, "gain"]
            axis.plot(
                dots, np.full(len(dots), place - 0.22), ".", color=GREY, markersize=5,
                label=f"_{row.setting}: seeds",
            )  # fmt: skip
            axis.errorbar(
                row.gain, place, xerr=[[row.gain - row.low], [row.high - row.gain]], color=colour,
                marker="D" if row.gain > 0 else "o", capsize=4, markersize=7,
                markerfacecolor=colour if clear else "white", label=row.setting,
            )  # fmt: skip
        axis.set_yticks(range(len(self.gains)), self.gains["setting"])
        axis.set_ylim(-0.7, len(self.gains) - 0.3)
        axis.set_xlabel(self.label)
        axis.set_title("filled: interval leaves out 0; dots: seeds", fontsize=9, loc="right")
        self.ax_ = axis
        return self
