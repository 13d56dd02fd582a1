"""What all displays share: axes, styles, legend, twin axis, saving, and curves over seeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cbook import normalize_kwargs
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dropout_zoo.models.wording import listed, object_of
from dropout_zoo.studies.displays.matplotlib_internals import SecondaryAxis
from dropout_zoo.studies.displays.style import RATE_AXIS
from dropout_zoo.studies.result import StudyResult, TrainingStudyResult

Style: TypeAlias = Mapping[str, Any] | None
"""Keyword arguments for matplotlib that replace those of the display; None for none."""

KEEP_AXIS = "keep probability (fraction kept)"
"""The label of every axis of keep probabilities."""


class Display(ABC):
    """A picture of a result: `from_result` computes what is drawn, `plot` draws it.

    The data drawn are plain tables and numbers, which are the arguments of each subclass and can be
    inspected or changed before `plot`.

    Attributes:
        axes_: the axes drawn on; set by `plot`.
        figure_: the figure drawn on; set by `plot`.
    """

    studies: ClassVar[Sequence[str]] = ()  # kinds it can draw; empty for all that train models

    axes_: list[Axes]
    figure_: Figure

    @property
    def ax_(self) -> Axes:
        """The first of `axes_`, and the only one unless the display has several panels."""
        return self.axes_[0]

    @abstractmethod
    def plot(self, ax: Any = None) -> Self:
        """Draw on the axes given, or on a new figure."""

    def save(self, path: str | Path, **savefig_kw: Any) -> Path:
        """Write the picture to a file, after drawing it if `plot` has not been called.

        Args:
            path: the file; its suffix determines the format.
            **savefig_kw: keyword arguments for `matplotlib.figure.Figure.savefig`.

        Returns:
            The path.
        """
        if not hasattr(self, "figure_"):
            self.plot()
        self.figure_.savefig(path, **{"dpi": 150, "bbox_inches": "tight", **savefig_kw})
        return Path(path)

    @classmethod
    def _check(cls, result: StudyResult) -> None:
        """Refuse a result that the display cannot draw.

        Raises:
            ValueError: it is not the result of one of `studies`.
        """
        kind = getattr(result, "kind", None)
        if cls.studies:
            fits = kind in cls.studies
            wanted = listed(cls.studies, "or")
        else:
            fits = isinstance(result, TrainingStudyResult)
            wanted = "a study that trains models"
        if not fits:
            received = f"that of {kind}" if kind else object_of(result)
            raise ValueError(f"expected the result of {wanted}, received {received}")

    def _start(
        self,
        ax: Axes | Sequence[Axes] | None,
        panels: Sequence[str],
        size: tuple[float, float],
        *,
        share_y: bool = False,
    ) -> list[Axes]:
        """Set the axes and the figure to draw on.

        Args:
            ax: axes, as many as there are panels; None for a new figure.
            panels: name of each panel, for the error message.
            size: width and height of a new figure in inches.
            share_y: whether the panels of a new figure share their vertical axis.

        Returns:
            The axes, one for each panel.

        Raises:
            TypeError: `ax` is something other than axes.
            ValueError: there are not as many axes as panels.
        """
        if ax is None:
            self.figure_, grid = plt.subplots(
                1, len(panels), figsize=size, sharey=share_y, squeeze=False, layout="constrained"
            )
            self.axes_ = list(grid[0])
            return self.axes_
        axes = [ax] if isinstance(ax, Axes) else list(np.ravel(np.asarray(ax, object)))
        for each in axes:
            if not isinstance(each, Axes):
                raise TypeError(f"expected matplotlib axes as ax, received {each!r}")
        if len(axes) != len(panels):
            each = f" (one for each of {', '.join(panels)})" if len(panels) > 1 else ""
            raise ValueError(f"expected {len(panels)} axes{each}, received {len(axes)}")
        owner = axes[0].get_figure(root=True)
        assert isinstance(owner, Figure)  # every axes belong to one
        self.figure_, self.axes_ = owner, axes
        return axes

    def _add_legend(self, axis: Axes, handles: Sequence[Artist] | None = None) -> None:
        """Add a legend to the right of the axes, where it hides nothing."""
        # A figure's constrained layout makes room for it.
        axis.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=9
        )

    def _add_rate_axes(self, axis: Axes) -> SecondaryAxis:
        """Label the horizontal axis as rates, and add its twin of keep probabilities on top."""
        axis.set_xlabel(RATE_AXIS)
        twin = axis.secondary_xaxis("top", functions=(_complement, _complement))
        twin.set_xlabel(KEEP_AXIS)
        return twin


class CurveStyles(NamedTuple):
    """The keyword arguments that a caller of `CurveDisplay.plot` gave."""

    line_kw: Style
    fill_kw: Style
    scatter_kw: Style


class CurveDisplay(Display):
    """Curves of the mean over seeds, with a band of one standard deviation and the seeds as dots.

    Args:
        points: one row per seed, with ``series`` (the curve it belongs to), ``x`` and ``value``
            (NaN where it was not measured).
        ylabel: label of the vertical axis.
    """

    size: ClassVar[tuple[float, float]] = (7.2, 4.2)  # of a new figure, in inches

    def __init__(self, *, points: pd.DataFrame, ylabel: str) -> None:
        self.points = points
        self.means = means_over_seeds(points)
        self.ylabel = ylabel

    def plot(
        self,
        ax: Axes | None = None,
        *,
        line_kw: Style = None,
        fill_kw: Style = None,
        scatter_kw: Style = None,
    ) -> Self:
        """Draw the curves.

        Args:
            ax: axes to draw on; None for a new figure.
            line_kw: keyword arguments for `matplotlib.axes.Axes.plot`, of the lines of the means.
            fill_kw: keyword arguments for `matplotlib.axes.Axes.fill_between`, of the bands.
            scatter_kw: keyword arguments for `matplotlib.axes.Axes.scatter`, of the seeds' dots.

        Returns:
            The display itself, with `figure_` and `ax_`.
        """
        [axis] = self._start(ax, ["the curve"], self.size)
        self._draw(axis, CurveStyles(line_kw, fill_kw, scatter_kw))
        axis.set_ylabel(self.ylabel)
        self._add_legend(axis)
        return self

    @abstractmethod
    def _draw(self, axis: Axes, styles: CurveStyles) -> None:
        """Draw everything but the label of the vertical axis and the legend."""

    def _draw_curve(
        self,
        axis: Axes,
        series: str,
        styles: CurveStyles,
        *,
        color: str,
        marker: str,
        label: str,
        linestyle: str = "-",
    ) -> None:
        mean = self.means[self.means["series"] == series]
        seeds = self.points[self.points["series"] == series]
        line = {
            "linestyle": linestyle, "marker": marker, "color": color, "label": label,
            "markersize": 6, "zorder": 3,
        }  # fmt: skip
        fill = {"facecolor": color, "alpha": 0.18, "linewidth": 0}
        axis.plot(mean["x"], mean["mean"], **styled(Line2D, line, styles.line_kw))
        axis.fill_between(
            mean["x"].to_numpy(float), mean["mean"] - mean["std"], mean["mean"] + mean["std"],
            **styled(PolyCollection, fill, styles.fill_kw),
        )  # fmt: skip
        draw_seeds(axis, seeds["x"], seeds["value"], color, styles.scatter_kw)


def means_over_seeds(points: pd.DataFrame) -> pd.DataFrame:
    """Compute the mean and the standard deviation over the seeds of each curve.

    Args:
        points: one row per seed, with ``series``, ``x`` and ``value``.

    Returns:
        ``series``, ``x``, ``mean`` and ``std`` (0 for a single seed), by series in their order
        of appearance, then by ``x``.
    """
    tables = []
    for name, rows in points.dropna(subset=["x", "value"]).groupby("series", sort=False):
        values = rows.groupby("x")["value"]
        table = pd.DataFrame({"mean": values.mean(), "std": values.std().fillna(0.0)})
        tables.append(table.reset_index().assign(series=name))
    empty = pd.DataFrame(columns=["series", "x", "mean", "std"])
    return pd.concat(tables, ignore_index=True)[list(empty)] if tables else empty


def styled(artist: type[Artist], defaults: Mapping[str, Any], given: Style) -> dict[str, Any]:
    """Combine the keyword arguments of a display with those of its caller, which take precedence.

    Args:
        artist: what they style; the aliases of its properties (``lw``, ``c``) are understood.
        defaults: those of the display.
        given: those of the caller.

    Returns:
        The keyword arguments to draw with.
    """
    return {**defaults, **normalize_kwargs(dict(given or {}), artist)}


def draw_seeds(axis: Axes, x: Any, y: Any, color: str, scatter_kw: Style, **look: Any) -> None:
    """Draw a dot for each seed.

    Args:
        axis: where to draw.
        x: horizontal positions.
        y: vertical positions.
        color: of the dots.
        scatter_kw: keyword arguments of the caller, for `matplotlib.axes.Axes.scatter`.
        **look: keyword arguments of the display that differ from the usual dots.
    """
    defaults = {
        "marker": ".", "color": color, "alpha": 0.6, "s": 25, "linewidth": 1, "zorder": 2,
        "label": "_seeds", **look,
    }  # fmt: skip
    if "c" in (scatter_kw or {}):  # which Matplotlib does not take together with `color`
        del defaults["color"]
    axis.scatter(x, y, **styled(PathCollection, defaults, scatter_kw))


def _complement(share: Any) -> Any:
    return 1 - share
