"""Monte-Carlo convergence against weight scaling, and the reliability curve."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from dropout_zoo.studies.displays.base import axes_for, draw_curve, legend_beside
from dropout_zoo.studies.displays.style import BLACK, BLUE, GREY, VERMILION, setting_style
from dropout_zoo.studies.experiments.calibration import Calibration
from dropout_zoo.studies.result import StudyResult


class MonteCarloDisplay:
    """Error or loss of the average of so many passes with dropout on.

    Args:
        data: a row for each number of passes and repeat: ``samples`` (0 for weight scaling) and
            `metric`.
        metric: ``"error"`` or ``"loss"``.
    """

    def __init__(self, *, data: pd.DataFrame, metric: str) -> None:
        self.data = data
        self.metric = metric
        self.ax_: Axes | None = None
        self.figure_: Figure | None = None

    @classmethod
    def from_result(cls, result: StudyResult, metric: str = "error") -> MonteCarloDisplay:
        """Take what is to be drawn from the result of `monte_carlo_convergence`.

        Args:
            result: the result.
            metric: ``"error"`` or ``"loss"``.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: the result is of another study, or the metric of another name.
        """
        if result.kind != "monte_carlo_convergence":
            raise ValueError(
                f"expected the result of monte_carlo_convergence, received that of {result.kind}"
            )
        if metric not in ("error", "loss"):
            raise ValueError(f"expected metric to be 'error' or 'loss', received {metric!r}")
        return cls(data=result.data, metric=metric)

    def plot(self, ax: Axes | None = None) -> MonteCarloDisplay:
        """Draw.

        Args:
            ax: axes to draw on; None for a new figure.

        Returns:
            The display itself, with `figure_` and `ax_`.
        """
        self.figure_, [axis] = axes_for(ax, 1, "the curve", (7.2, 4.2))
        scaled = float(self.data.loc[self.data["samples"] == 0, self.metric].iloc[0])
        draw_curve(
            axis, self.data[self.data["samples"] > 0], "samples", self.metric, colour=BLUE,
            marker="o", label="average of passes\nwith dropout on",
        )  # fmt: skip
        axis.axhline(
            scaled, color=VERMILION, linestyle="--", label="weight scaling\n(dropout off, one pass)"
        )
        axis.set_xscale("log")
        most = self.data["samples"].max()
        axis.set_xticks([tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= most])
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel("passes that are averaged")
        axis.set_ylabel("error (%)" if self.metric == "error" else "cross-entropy (nats)")
        legend_beside(axis)
        self.ax_ = axis
        return self


class ReliabilityDisplay:
    """Accuracy against confidence, with intervals and the number of examples of each bin.

    Args:
        calibrations: calibrations by name, such as that of weight scaling and that of Monte-Carlo
            averages.
    """

    def __init__(self, *, calibrations: Mapping[str, Calibration]) -> None:
        self.calibrations = dict(calibrations)
        self.ax_: Axes | None = None
        self.figure_: Figure | None = None

    @classmethod
    def from_result(cls, result: Calibration | Mapping[str, Calibration]) -> ReliabilityDisplay:
        """Take what is to be drawn from one or several results of `calibration`.

        Args:
            result: a calibration, or calibrations by name.

        Returns:
            The display, not yet drawn.
        """
        named = {"model": result} if isinstance(result, Calibration) else result
        return cls(calibrations=named)

    def plot(self, ax: Axes | None = None) -> ReliabilityDisplay:
        """Draw.

        Args:
            ax: axes to draw on; None for a new figure.

        Returns:
            The display itself, with `figure_` and `ax_`.
        """
        self.figure_, [axis] = axes_for(ax, 1, "the curve", (6.6, 4.6))
        axis.plot([0, 1], [0, 1], ":", color=GREY, label="right as often as it says")
        largest = max(c.bins["examples"].max() for c in self.calibrations.values())
        for number, (name, each) in enumerate(self.calibrations.items()):
            colour, marker = setting_style(number)
            bins = each.bins
            spread = np.array([bins["accuracy"] - bins["low"], bins["high"] - bins["accuracy"]])
            axis.errorbar(
                bins["confidence"], bins["accuracy"], yerr=np.maximum(spread, 0), color=colour,
                marker=marker, linestyle=("-", "--", "-.")[number % 3], capsize=3,
                label=f"{name} (ECE {each.error:.3f})",
            )  # fmt: skip
            # How many examples stand behind each point, along the bottom.
            axis.bar(
                bins["left"], 0.12 * bins["examples"] / largest, align="edge",
                width=bins["right"] - bins["left"], color=colour, alpha=0.25, edgecolor=BLACK,
                hatch=("", "//", "..", "xx")[number % 4], linewidth=0.5,
                label=f"_{name}: examples",
            )  # fmt: skip
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.set_xlabel("confidence (probability of the predicted class)")
        axis.set_ylabel("accuracy")
        axis.set_title("bars: relative counts", fontsize=9, loc="right")
        legend_beside(axis)
        self.ax_ = axis
        return self
