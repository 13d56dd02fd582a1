"""What the displays share: axes to draw on, and a curve with its band and its seeds."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def axes_for(
    ax: Axes | Sequence[Axes] | None, count: int, panels: str, size: tuple[float, float]
) -> tuple[Figure, list[Axes]]:
    """The axes to draw on: those given, or those of a new figure.

    Args:
        ax: axes, or as many as there are panels; None for a new figure.
        count: number of panels.
        panels: what they are, for the message.
        size: width and height of a panel in inches.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: there are not as many axes as panels.
    """
    if ax is None:
        figure, grid = plt.subplots(
            1, count, figsize=(size[0] * count, size[1]), squeeze=False, layout="constrained"
        )
        return figure, list(grid[0])
    axes = [ax] if isinstance(ax, Axes) else list(np.ravel(np.asarray(ax)))
    if len(axes) != count:
        raise ValueError(f"expected {count} axes, one for each of {panels}; received {len(axes)}")
    owner = axes[0].get_figure(root=True)
    assert isinstance(owner, Figure)  # axes are never without one
    return owner, axes


def draw_curve(
    axis: Axes,
    points: pd.DataFrame,
    x: str,
    y: str,
    *,
    colour: str,
    marker: str,
    label: str,
    style: str = "-",
    spread: float = 0.0,
) -> None:
    """Draw a mean over seeds with its band of one standard deviation, and the seeds as dots.

    Args:
        axis: where to draw.
        points: a row a seed and value of `x`.
        x: column of the horizontal axis.
        y: column of the vertical axis.
        colour: of line, band and dots.
        marker: of the mean.
        label: of the line, in the legend.
        style: of the line.
        spread: shift of the dots along `x`, so that those of several curves lie side by side.
    """
    known = points[[x, y]].dropna()
    grouped = known.groupby(x)[y]
    mean, std = grouped.mean(), grouped.std().fillna(0.0)
    axis.plot(
        mean.index, mean, style, marker=marker, color=colour, label=label, markersize=6, zorder=3
    )
    axis.fill_between(
        mean.index.to_numpy(float), mean - std, mean + std, color=colour, alpha=0.18, linewidth=0
    )
    axis.plot(
        known[x] + spread, known[y], ".", color=colour, alpha=0.6, markersize=5, zorder=2,
        label="_seeds",
    )  # fmt: skip


def legend_beside(axis: Axes) -> None:
    """Put the legend to the right of the axes, where it hides nothing."""
    # A figure's own layout makes room for it; a twin axis on the right needs more.
    axis.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=9)
