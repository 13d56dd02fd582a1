"""Reliability curves: accuracy against confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from dropout_zoo.studies.displays.base import Display, Style, styled
from dropout_zoo.studies.displays.style import BLACK, GRAY, HATCHES, setting_style
from dropout_zoo.studies.experiments.calibration import Calibration


class ReliabilityDisplay(Display):
    """Accuracy against confidence, with intervals and the number of examples of each bin.

    Args:
        calibrations: calibrations by name, such as that of weight scaling and that of Monte Carlo
            averages.

    Example:
        >>> import numpy as np
        >>> from dropout_zoo.studies import ReliabilityDisplay, calibration
        >>> probabilities = np.tile([0.75, 0.25], (400, 1))
        >>> found = calibration(probabilities, [0] * 300 + [1] * 100)
        >>> display = ReliabilityDisplay.from_result(found).plot()
        >>> display.ax_.get_legend().get_texts()[1].get_text()
        'model (ECE 0.000)'
    """

    studies = ("calibration",)

    def __init__(self, *, calibrations: Mapping[str, Calibration]) -> None:
        self.calibrations = dict(calibrations)

    @classmethod
    def from_result(cls, result: Calibration | Mapping[str, Calibration]) -> Self:
        """Take one or several results of `calibration`.

        Args:
            result: a calibration, or calibrations by name.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: a result is not one of `calibration`.
        """
        named = result if isinstance(result, Mapping) else {"model": result}
        for each in named.values():
            cls._check(each)
        return cls(calibrations=named)

    def plot(
        self, ax: Axes | None = None, *, errorbar_kw: Style = None, bar_kw: Style = None
    ) -> Self:
        """Draw the curves, and along the bottom how many examples each point stands for.

        Args:
            ax: axes to draw on; None for a new figure.
            errorbar_kw: keyword arguments for `matplotlib.axes.Axes.errorbar`, of the curves.
            bar_kw: keyword arguments for `matplotlib.axes.Axes.bar`, of the counts.

        Returns:
            The display itself, with `figure_` and `ax_`.
        """
        [axis] = self._start(ax, ["the curve"], (6.6, 4.6))
        axis.plot([0, 1], [0, 1], ":", color=GRAY, label="perfectly calibrated")
        largest = max(c.bins["examples"].max() for c in self.calibrations.values())
        for number, (name, each) in enumerate(self.calibrations.items()):
            color, marker = setting_style(number)
            bins = each.bins
            spread = np.array([bins["accuracy"] - bins["low"], bins["high"] - bins["accuracy"]])
            curve = {
                "color": color, "marker": marker, "linestyle": ("-", "--", "-.")[number % 3],
                "capsize": 3, "label": f"{name} (ECE {each.error:.3f})",
            }  # fmt: skip
            axis.errorbar(
                bins["confidence"], bins["accuracy"], yerr=np.maximum(spread, 0),
                **styled(Line2D, curve, errorbar_kw),
            )  # fmt: skip
            counts = {
                "color": color, "alpha": 0.25, "edgecolor": BLACK, "linewidth": 0.5,
                "hatch": HATCHES[number % len(HATCHES)], "label": f"_{name}: examples",
            }  # fmt: skip
            axis.bar(
                bins["left"], 0.12 * bins["examples"] / largest, align="edge",
                width=bins["right"] - bins["left"], **styled(Rectangle, counts, bar_kw),
            )  # fmt: skip
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.set_xlabel("confidence (probability of the predicted class)")
        axis.set_ylabel("accuracy")
        axis.set_title("bars: relative counts", fontsize=9, loc="right")
        self._add_legend(axis)
        return self
