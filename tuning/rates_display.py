"""The picture of a search: the score of every trial against the rate at each site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_zoo.studies.displays.style import BLACK, BLUE, GREEN, GREY, RATE_AXIS, VERMILION
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.race import GIVEN, NONE

if TYPE_CHECKING:
    from dropout_zoo.tuning.result import TuningResult

CONTROL_STYLES = {NONE: (BLACK, "--"), GIVEN: (VERMILION, "-.")}


class RatesDisplay:
    """Score against rate, one panel for each searched site.

    Args:
        trials: a row a trial, with a column of rates for each panel and ``score``.
        panels: site path by which each panel goes.
        controls: score of each control by its name.
        finalists: rates and ``mean`` score of the finalists, a row each.
        best_rates: rate of the winner by site path.
        objective: what the scores are.
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
        self.panels = panels
        self.controls = controls
        self.finalists = finalists
        self.best_rates = best_rates
        self.objective = objective
        self.axes_: list[Axes] = []
        self.figure_: Figure | None = None

    @classmethod
    def from_result(cls, result: TuningResult) -> RatesDisplay:
        """Take what is to be drawn from the result of `tune`.

        Args:
            result: the result.

        Returns:
            The display, not yet drawn.
        """
        completed = result.trials[result.trials["status"] == "completed"]
        controls = completed[completed["role"] == "control"]
        return cls(
            trials=completed[completed["role"] == "trial"],
            panels=list(result.space.choices),
            controls=dict(zip(controls["setting"], controls["score"], strict=True)),
            finalists=result.comparison[result.comparison["role"] == "finalist"],
            best_rates=result.best_rates,
            objective=result.objective,
        )

    def plot(self, ax: Axes | Sequence[Axes] | None = None) -> RatesDisplay:
        """Draw.

        Args:
            ax: axes to draw on, as many as there are panels; None for a new figure.

        Returns:
            The display itself, with `figure_` and `axes_`.

        Raises:
            ValueError: there are not as many axes as panels.
        """
        if ax is None:
            width = 4.2 * len(self.panels) + 1
            figure, grid = plt.subplots(
                1, len(self.panels), figsize=(width, 4), sharey=True, squeeze=False,
                layout="constrained",
            )  # fmt: skip
            axes = list(grid[0])
        else:
            axes = [ax] if isinstance(ax, Axes) else list(np.ravel(np.asarray(ax)))
            figure = axes[0].figure
        if len(axes) != len(self.panels):
            raise ValueError(
                f"expected {len(self.panels)} axes, one for each of {', '.join(self.panels)}; "
                f"received {len(axes)}"
            )
        for axis, path in zip(axes, self.panels, strict=True):
            self._panel(axis, path)
        axes[0].set_ylabel(f"{self.objective.name} at the best epoch")
        axes[-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=9)
        self.figure_, self.axes_ = figure, axes
        return self

    def _panel(self, axis: Axes, path: str) -> None:
        many = len(self.panels) > 1
        axis.plot(
            self.trials[path], self.trials["score"], "o", color=GREY, markersize=4, alpha=0.6,
            label="trial", zorder=2,
        )  # fmt: skip
        mean = self.trials.groupby(path)["score"].mean()
        axis.plot(
            mean.index, mean, "-s", color=BLUE, markersize=5, zorder=3,
            label="mean over the other sites" if many else "trials in order",
        )  # fmt: skip
        for name, score in self.controls.items():
            colour, style = CONTROL_STYLES[name]
            label = ("no dropout" if name == NONE else "rates as given") + ", seed of the trials"
            axis.axhline(score, color=colour, linestyle=style, linewidth=1.5, label=label, zorder=1)
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
