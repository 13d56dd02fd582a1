"""The picture of a search: the score of every trial against the rate at each site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from dropout_zoo.studies.displays.base import Display, Style, draw_seeds, styled
from dropout_zoo.studies.displays.style import BLACK, BLUE, GREEN, GREY, RATE_AXIS, VERMILION
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.race import GIVEN, NONE

CONTROL_STYLES = {NONE: (BLACK, "--"), GIVEN: (VERMILION, "-.")}
"""Color and line style of each control."""


class RatesDisplay(Display):
    """Score against rate, with one panel for each searched site.

    Dots are the trials, and the line is their mean over the rates of the other sites. Both
    controls are lines across; triangles are the finalists' means over their seeds.

    Args:
        trials: one row per trial, with a column of rates for each panel and ``score``.
        panels: name of each panel: the path of a site, or of a group of sites.
        controls: score of each control by its name.
        finalists: rates and ``mean`` score of the finalists, one row per setting.
        best_rates: rate of the winner by panel.
        objective: what the scores are.

    Example:
        >>> import pandas as pd
        >>> from dropout_zoo.training import Objective
        >>> from dropout_zoo.tuning import RatesDisplay
        >>> trials = pd.DataFrame({"dropout": [0.2, 0.5], "score": [0.31, 0.35]})
        >>> display = RatesDisplay(
        ...     trials=trials, panels=["dropout"], controls={"none": 0.33}, finalists=trials[:0],
        ...     best_rates={"dropout": 0.2}, objective=Objective("val_loss", "min"),
        ... ).plot(scatter_kw={"markersize": 8})
        >>> display.ax_.get_ylabel()
        'val_loss at the best epoch'
    """

    def __init__(
        self,
        *,
        trials: pd.DataFrame,
        panels: Sequence[str],
        controls: Mapping[str, float],
        finalists: pd.DataFrame,
        best_rates: Mapping[str, float],
        objective: Objective,
    ) -> None:
        self.trials = trials
        self.panels = list(panels)
        self.controls = dict(controls)
        self.finalists = finalists
        self.best_rates = best_rates
        self.objective = objective

    @classmethod
    def from_tables(
        cls,
        *,
        trials: pd.DataFrame,
        comparison: pd.DataFrame,
        panels: Sequence[str],
        best_rates: Mapping[str, float],
        objective: Objective,
    ) -> Self:
        """Compute what is drawn from the tables of a search, as `TuningResult` has them.

        Args:
            trials: one row per trial or control, with ``role``, ``setting``, ``status``, ``score``
                and the rates.
            comparison: one row per finalist or control, with ``role``, ``mean`` and the rates.
            panels: names of the searched sites, in the order in which they are drawn.
            best_rates: rate of the winner by name of the site.
            objective: what the scores are.

        Returns:
            The display, not yet drawn.
        """
        completed = trials[trials["status"] == "completed"]
        controls = completed[completed["role"] == "control"]
        return cls(
            trials=completed[completed["role"] == "trial"],
            panels=panels,
            controls=dict(zip(controls["setting"], controls["score"], strict=True)),
            finalists=comparison[comparison["role"] == "finalist"],
            best_rates=best_rates,
            objective=objective,
        )

    def plot(
        self,
        ax: Axes | Sequence[Axes] | None = None,
        *,
        line_kw: Style = None,
        scatter_kw: Style = None,
    ) -> Self:
        """Draw the search.

        Args:
            ax: axes to draw on, one for each panel; None for a new figure.
            line_kw: keyword arguments for `matplotlib.axes.Axes.plot`, of the line of means.
            scatter_kw: keyword arguments for `matplotlib.axes.Axes.plot`, of the trials' dots.

        Returns:
            The display itself, with `figure_` and `axes_`.

        Raises:
            ValueError: there are not as many axes as panels.
        """
        axes = self._start(ax, self.panels, (4.2 * len(self.panels) + 1, 4), share_y=True)
        for axis, path in zip(axes, self.panels, strict=True):
            self._draw_panel(axis, path, line_kw, scatter_kw)
        axes[0].set_ylabel(f"{self.objective.name} at the best epoch")
        self._add_legend(axes[-1])
        return self

    def _draw_panel(self, axis: Axes, path: str, line_kw: Style, scatter_kw: Style) -> None:
        draw_seeds(
            axis, self.trials[path], self.trials["score"], GREY, scatter_kw, marker="o",
            markersize=4, label="trial",
        )  # fmt: skip
        mean = self.trials.groupby(path)["score"].mean()
        label = "mean over the other sites" if len(self.panels) > 1 else "trials in order"
        line = {
            "linestyle": "-", "marker": "s", "color": BLUE, "markersize": 5, "zorder": 3,
            "label": label,
        }  # fmt: skip
        axis.plot(mean.index, mean, **styled(Line2D, line, line_kw))
        for name, score in self.controls.items():
            color, style = CONTROL_STYLES[name]
            label = ("no dropout" if name == NONE else "rates as given") + ", seed of the trials"
            axis.axhline(score, color=color, linestyle=style, linewidth=1.5, label=label, zorder=1)
        if len(self.finalists):
            axis.plot(
                self.finalists[path], self.finalists["mean"], "^", color=GREEN, markersize=8,
                markerfacecolor="none", markeredgewidth=1.5, zorder=4,
                label="finalist, mean over seeds",
            )  # fmt: skip
        axis.axvline(
            self.best_rates[path], color=GREEN, linestyle=":", linewidth=1.5, label="chosen rate",
            zorder=0,
        )  # fmt: skip
        axis.set_xlabel(RATE_AXIS)
        axis.set_title(path, fontsize=10)
