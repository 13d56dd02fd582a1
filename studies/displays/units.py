"""Features of the first layer, and histograms of its activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from dropout_zoo.studies.displays.base import axes_for, legend_beside
from dropout_zoo.studies.displays.style import setting_style
from dropout_zoo.studies.result import StudyResult

_HATCHES = ("", "//", "..", "xx")


class FeatureDisplay:
    """Incoming weights of units of the first layer as images (Srivastava et al. 2014, Fig. 7).

    Args:
        features: by setting, weights of shape `(units, height, width)`.
    """

    def __init__(self, *, features: dict[str, np.ndarray]) -> None:
        self.features = features
        self.axes_: list[Axes] = []
        self.figure_: Figure | None = None

    @classmethod
    def from_result(cls, result: StudyResult, units: int = 36) -> FeatureDisplay:
        """Take what is to be drawn from the result of `coadaptation`.

        Args:
            result: the result, of inputs that are images of one channel.
            units: number of units to draw of each setting, those whose ablation adds most.

        Returns:
            The display, not yet drawn; the first seed is shown.

        Raises:
            ValueError: the result is of another study, or the inputs are no such images.
        """
        check_kind(result)
        shape = result.settings["input_shape"]
        if len(shape) not in (2, 3) or shape[2:] not in ([], [1]):
            raise ValueError(
                f"expected inputs that are images of one channel, received inputs of shape {shape}"
            )
        first = result.data[result.data["seed"] == result.data["seed"].iloc[0]]
        features = {}
        for name, group in first.groupby("dropout", sort=False):
            chosen = group.nlargest(units, "ablation")["feature"]
            features[str(name)] = np.stack([np.reshape(f, shape[:2]) for f in chosen])
        return cls(features=features)

    def plot(self, ax: Axes | Sequence[Axes] | None = None) -> FeatureDisplay:
        """Draw.

        Args:
            ax: axes to draw on, as many as there are settings; None for a new figure.

        Returns:
            The display itself, with `figure_` and `axes_`.

        Raises:
            ValueError: there are not as many axes as settings.
        """
        names = ", ".join(self.features)
        self.figure_, self.axes_ = axes_for(ax, len(self.features), names, (4.4, 4.6))
        largest = max(float(np.abs(each).max()) for each in self.features.values())
        for axis, (name, features) in zip(self.axes_, self.features.items(), strict=True):
            image = axis.imshow(_tiled(features), cmap="RdBu_r", vmin=-largest, vmax=largest)
            axis.set_title(f"{name}: {len(features)} units", fontsize=10)
            axis.set_axis_off()
        self.figure_.colorbar(
            image, ax=self.axes_, label="weight", shrink=0.8, orientation="vertical"
        )
        return self


class ActivationDisplay:
    """Mean activations of the units, and all activations (Srivastava et al. 2014, Fig. 8).

    Args:
        units: a row a unit: ``dropout``, ``mean_activation`` and ``counts``.
        edges: of the bins of the counts.
    """

    def __init__(self, *, units: pd.DataFrame, edges: Sequence[float]) -> None:
        self.units = units
        self.edges = np.asarray(edges)
        self.axes_: list[Axes] = []
        self.figure_: Figure | None = None

    @classmethod
    def from_result(cls, result: StudyResult) -> ActivationDisplay:
        """Take what is to be drawn from the result of `coadaptation`.

        Args:
            result: the result.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: the result is of another study.
        """
        check_kind(result)
        return cls(units=result.data, edges=result.settings["edges"])

    def plot(self, ax: Axes | Sequence[Axes] | None = None) -> ActivationDisplay:
        """Draw.

        Args:
            ax: two axes to draw on; None for a new figure.

        Returns:
            The display itself, with `figure_` and `axes_`.

        Raises:
            ValueError: there are not two axes.
        """
        self.figure_, self.axes_ = axes_for(ax, 2, "mean activations, activations", (5.0, 3.8))
        means, values = self.axes_
        bins = np.histogram_bin_edges(self.units["mean_activation"], 25)
        for number, (name, group) in enumerate(self.units.groupby("dropout", sort=False)):
            colour, _ = setting_style(number)
            look: dict[str, Any] = {
                "facecolor": (*to_rgb(colour), 0.3), "edgecolor": colour,
                "hatch": _HATCHES[number % len(_HATCHES)], "linewidth": 1.5, "fill": True,
            }  # fmt: skip
            shares = np.histogram(group["mean_activation"], bins)[0] / len(group)
            means.stairs(shares, bins, label=str(name), **look)
            counts = np.sum(np.stack(group["counts"].to_list()), axis=0)
            values.stairs(counts / counts.sum(), self.edges, label=str(name), **look)
        means.set_xlabel("mean activation of a unit")
        means.set_ylabel("share of the units")
        values.set_xlabel("activation")
        values.set_ylabel("share of all activations")
        values.set_yscale("log")
        legend_beside(values)
        return self


def check_kind(result: StudyResult) -> None:
    """Refuse the result of another study.

    Raises:
        ValueError: it is not of `coadaptation`.
    """
    if result.kind != "coadaptation":
        raise ValueError(f"expected the result of coadaptation, received that of {result.kind}")


def _tiled(images: np.ndarray) -> np.ndarray:
    """Images side by side in a square, with gaps between."""
    count, height, width = images.shape
    across = int(np.ceil(np.sqrt(count)))
    down = -(-count // across)
    tiled = np.full((down * (height + 1) - 1, across * (width + 1) - 1), np.nan)
    for number, image in enumerate(images):
        row, column = divmod(number, across)
        top, left = row * (height + 1), column * (width + 1)
        tiled[top : top + height, left : left + width] = image
    return tiled
