"""The picture of a search: every trial against the rate at each site, and the race."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from dropout_zoo.models.wording import listed
from dropout_zoo.studies.displays.base import Display, Style, draw_seeds, styled
from dropout_zoo.studies.displays.paired_difference import DifferenceDisplay
from dropout_zoo.studies.displays.style import BLACK, BLUE, GRAY, GREEN, RATE_AXIS, VERMILION
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.records.trial_tables import PRUNED

CONTROL_STYLES = ((BLACK, "--"), (VERMILION, "-."))
"""Color and line style of each control: no dropout, and the rates as given."""


class RatesDisplay(Display):
    """Score against rate, with one panel for each searched site, and the race in the last panel.

    In the panels of the sites, all runs have the same seed: dots are the trials, the line connects
    those with the same rates at the other sites as one of the best, and the controls are horizontal
    lines. If the trials do not form a grid, the line is their mean at each rate. Rates of trials
    that ended early are crosses at the top, because their scores cannot be compared. Where other
    hyperparameters were searched, each trial has its own control, an open dot at a rate of 0 that a
    thin line connects with it. Means over the hyperparameters would say nothing about rates, so the
    thick line is left out unless trials differ in one rate alone, and recommended rates are not
    marked if they are all 0.
    The last panel shows what the answer rests on: the gain of each finalist over no dropout on
    every new seed, and its mean with the interval. The tuned control, which is compared with the
    finalist, has no interval there. A search that ended before its race has no such panel.

    Args:
        trials: one row per trial, with a column of rates for each panel and ``score``.
        panels: the sites that share the rates of each panel, by the name of its column.
        controls: score of each control by its name.
        race: the gains of the finalists; None without a race.
        best_rates: recommended rate by site path.
        objective: what the scores are.
        hyperparameters: columns of the trials with the other hyperparameters that were searched.
        pruned: rates of the trials that ended early, in the columns of the panels; None if there
            are none.

    Example:
        >>> import pandas as pd
        >>> from dropout_zoo.studies import DifferenceDisplay
        >>> from dropout_zoo.training import Objective
        >>> from dropout_zoo.tuning import RatesDisplay
        >>> trials = pd.DataFrame({"dropout": [0.2, 0.5], "score": [0.31, 0.35]})
        >>> gains = pd.DataFrame({"setting": ["a"], "gain": [0.1], "low": [0.0], "high": [0.2]})
        >>> display = RatesDisplay(
        ...     trials=trials, panels={"dropout": ["dropout"]}, controls={"no dropout": 0.33},
        ...     race=DifferenceDisplay(gains=gains, pairs=gains[:0], label="gain"),
        ...     best_rates={"dropout": 0.2}, objective=Objective("val_loss", "min"),
        ... ).plot(scatter_kw={"s": 64})
        >>> display.ax_.get_ylabel()
        'val_loss at the best epoch, one seed'
    """

    def __init__(
        self,
        *,
        trials: pd.DataFrame,
        panels: Mapping[str, Sequence[str]],
        controls: Mapping[str, float],
        race: DifferenceDisplay | None,
        best_rates: Mapping[str, float],
        objective: Objective,
        hyperparameters: Sequence[str] = (),
        pruned: pd.DataFrame | None = None,
    ) -> None:
        self.trials = trials
        self.pruned = pruned
        self.panels = {name: tuple(sites) for name, sites in panels.items()}
        self.controls = dict(controls)
        self.race = race
        self.best_rates = best_rates
        self.objective = objective
        self.hyperparameters = list(hyperparameters)

    @classmethod
    def from_tables(
        cls,
        *,
        trials: pd.DataFrame,
        finalists: pd.DataFrame,
        comparison: pd.DataFrame,
        panels: Mapping[str, Sequence[str]],
        best_rates: Mapping[str, float],
        objective: Objective,
        hyperparameters: Sequence[str] = (),
    ) -> Self:
        """Compute what is drawn from the tables of a search, as `TuningResult` has them.

        Args:
            trials: one row per trial or control, with ``role``, ``setting``, ``status``, ``score``
                and the rates.
            finalists: one row per training run of the race, with ``setting``, ``seed``, ``score``;
                none without a race.
            comparison: one row per finalist or control, with ``setting`` and the gains.
            panels: the sites that share the rates of each panel, by the name of its column, in the
                order in which they are drawn.
            best_rates: rate of the winner by site path.
            objective: what the scores are.
            hyperparameters: columns of the trials with the other hyperparameters that were
                searched. Each trial then has a control of its own, which is drawn as a trial.

        Returns:
            The display, not yet drawn.
        """
        completed = trials[trials["status"] == "completed"]
        roles = ["trial", "control"] if len(hyperparameters) else ["trial"]
        controls = completed[~completed["role"].isin([*roles, "screening"])]
        drawn = completed[completed["role"].isin(roles)].dropna(subset=list(panels))
        return cls(
            # As text, because a value that is missing does not equal itself.
            trials=drawn.assign(**{name: drawn[name].map(str) for name in hyperparameters}),
            panels=panels,
            controls=dict(zip(controls["setting"], controls["score"], strict=True)),
            race=None if finalists.empty else _race(finalists, comparison, objective),
            best_rates=best_rates,
            objective=objective,
            hyperparameters=hyperparameters,
            pruned=trials.loc[trials["status"] == PRUNED, list(panels)],
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
            ax: axes to draw on, one for each site and one for the race, if there was one; None for
                a new figure.
            line_kw: keyword arguments for `matplotlib.axes.Axes.plot`, of the line of means.
            scatter_kw: keyword arguments for `matplotlib.axes.Axes.scatter`, of the trials' dots.

        Returns:
            The display itself, with `figure_` and `axes_`.

        Raises:
            ValueError: there are not as many axes as panels.
        """
        panels = [*self.panels, *(["the race"] if self.race else [])]
        axes = self._start(ax, panels, (3.9 * len(panels) + 1, 4.4))
        of_sites = axes[: len(self.panels)]
        label, lines = self._lines()
        if ax is None:
            for axis in of_sites[1:]:
                axis.sharey(of_sites[0])
                axis.tick_params(labelleft=False)
        for axis, name in zip(of_sites, self.panels, strict=True):
            self._draw_trials(axis, name, scatter_kw)
            if name in lines:
                self._draw_line(axis, lines[name], label, line_kw)
            self._draw_pruned(axis, name)
            self._mark(axis, name)
        axes[0].set_ylabel(f"{self.objective.name} at the best epoch, one seed")
        # Below the panel, where it hides nothing and takes no width.
        axes[0].legend(loc="upper left", bbox_to_anchor=(0, -0.16), frameon=False, fontsize=9)
        if self.race is not None:
            self.race.plot(axes[-1])
            axes[-1].set_title("the race", fontsize=10, loc="left")
            axes[-1].locator_params(axis="x", nbins=5)  # so that the labels do not overlap
        return self

    def _lines(self) -> tuple[str, dict[str, pd.Series[float]]]:
        """What the lines show, and in each panel scores by rate.

        A mean over the other sites misleads where rates beyond the range were tried next to the
        best trial alone. Where possible, a line therefore connects trials that differ in one rate
        only.
        """
        compared = [*self.panels, *self.hyperparameters]
        trials = self.trials.drop_duplicates(compared).sort_values(
            "score", ascending=self.objective.direction == "min"
        )
        lines = [self._through(trials, setting) for _, setting in trials[compared].iterrows()]
        if self.hyperparameters:  # each panel may have one
            lines = [{n: line for n, line in each.items() if len(line) >= 2} for each in lines]
            lines = [each for each in lines if each] or [{}]
        elif len(compared) > 1:
            lines = [each for each in lines if min(map(len, each.values())) >= 2]
        if not lines:
            means = {name: self.trials.groupby(name)["score"].mean() for name in self.panels}
            return "mean over the other sites", means
        # Of the longest ones, those of the best trial.
        longest = max(lines, key=lambda each: sum(map(len, each.values())))
        return "trials that differ in this rate alone", longest

    def _through(
        self, trials: pd.DataFrame, setting: pd.Series[Any]
    ) -> dict[str, pd.Series[float]]:
        """Scores by rate at each site of the trials that are the same in everything else."""
        same = trials[list(setting.index)] == setting
        return {
            name: trials[same.drop(columns=name).all(axis=1)].set_index(name)["score"].sort_index()
            for name in self.panels
        }

    def _draw_trials(self, axis: Axes, name: str, scatter_kw: Style) -> None:
        """Draw a dot for each trial and, where trials have controls of their own, for these."""
        trials, dot = self.trials, {"marker": "o", "s": 16}
        if not self.hyperparameters:
            draw_seeds(axis, trials[name], trials["score"], GRAY, scatter_kw, label="trial", **dot)
            return
        at_zero = (trials[list(self.panels)] == 0).all(axis=1)
        controls = trials[at_zero].drop_duplicates(self.hyperparameters)
        columns = [*self.hyperparameters, "score"]
        pairs = trials[~at_zero].merge(
            controls[columns], on=self.hyperparameters, suffixes=("", "_without")
        )
        for rate, *scores in pairs[[name, "score_without", "score"]].itertuples(index=False):
            axis.plot([0, rate], scores, color=GRAY, linewidth=0.7, zorder=1, label="_pair")
        for part, look in (
            (trials[~at_zero], {"label": "trial"}),
            (controls, {"label": "its control, connected with it", "facecolor": "white"}),
        ):
            draw_seeds(axis, part[name], part["score"], GRAY, scatter_kw, **dot, **look)

    def _draw_line(self, axis: Axes, scores: pd.Series[float], label: str, line_kw: Style) -> None:
        line = {
            "linestyle": "-", "marker": "s", "color": BLUE, "markersize": 5, "zorder": 3,
            "label": label,
        }  # fmt: skip
        axis.plot(scores.index, scores, **styled(Line2D, line, line_kw))

    def _draw_pruned(self, axis: Axes, name: str) -> None:
        """Mark the rates of trials that ended early, at the top."""
        if self.pruned is None or self.pruned.empty:
            return
        rates = sorted(set(self.pruned[name]))
        axis.plot(
            rates, [0.97] * len(rates), transform=axis.get_xaxis_transform(), linestyle="none",
            marker="x", color=GRAY, markersize=6, label="ended early (score not comparable)",
        )  # fmt: skip

    def _mark(self, axis: Axes, name: str) -> None:
        """Mark the scores of the controls and the recommended rate, and name the panel."""
        controls = zip(self.controls.items(), CONTROL_STYLES, strict=False)
        for (control, score), (color, style) in controls:
            axis.axhline(
                score, color=color, linestyle=style, linewidth=1.5, label=control, zorder=1
            )
        searched = [site for sites in self.panels.values() for site in sites]
        # The dots at 0 are the controls of other hyperparameters too, unlike the recommended one.
        if not self.hyperparameters or any(map(self.best_rates.get, searched)):
            axis.axvline(
                self.best_rates[self.panels[name][0]], color=GREEN, linestyle=":", linewidth=1.5,
                label="recommended rate", zorder=0,
            )  # fmt: skip
        axis.set_xlabel(RATE_AXIS)
        axis.set_title(_title(self.panels[name]), fontsize=10)


def _title(sites: Sequence[str]) -> str:
    """Name the sites of a panel, as many as fit above it."""
    first, *others = sites
    return listed(sites) if len(others) <= 1 else f"{first} and {len(others)} others"


def _control(finalists: pd.DataFrame) -> str:
    """The name of the setting that finalists are compared with."""
    return str(finalists.loc[finalists["role"] == "control", "setting"].iloc[0])


def _race(
    finalists: pd.DataFrame, comparison: pd.DataFrame, objective: Objective
) -> DifferenceDisplay:
    """The gains over the control; that of the tuned control has no interval."""
    control = _control(finalists)
    known = control in set(comparison["setting"])  # otherwise it failed
    compared = comparison[known & (comparison["setting"] != control)]
    scores = finalists.pivot(index="seed", columns="setting", values="score")
    sign = 1.0 if objective.direction == "max" else -1.0
    pairs = scores[list(compared["setting"])].sub(scores[control], axis=0) * sign
    gains = compared.assign(gain=compared["gain"].fillna(compared["setting"].map(pairs.mean())))
    return DifferenceDisplay(
        gains=gains.sort_values("gain").reset_index(drop=True),
        pairs=pairs.melt(value_name="gain", var_name="setting"),
        label=f"gain in {objective.name} over {control} (right is better)",
    )
