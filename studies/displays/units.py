"""Features of the first layer, and histograms of its activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.image import AxesImage
from matplotlib.patches import StepPatch

from dropout_zoo.studies.displays.base import Display, Style, styled
from dropout_zoo.studies.displays.style import HATCHES, setting_style
from dropout_zoo.studies.result import StudyResult


class FeatureDisplay(Display):
    """Incoming weights of units of the first layer as images (Srivastava et al. 2014, Fig. 7).

    Args:
        features: weights of shape ``(units, height, width)`` by setting.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.studies import FeatureDisplay, coadaptation
        >>> study = coadaptation(build_mlp(units=(16,), hidden_rates=0.5), epochs=1, num_seeds=1)
        >>> display = FeatureDisplay.from_result(study, units=4).plot()
        >>> [axis.get_title() for axis in display.axes_]
        ['no dropout: 4 units', 'as given: 4 units']
    """

    studies = ("coadaptation",)

    def __init__(self, *, features: Mapping[str, np.ndarray]) -> None:
        self.features = dict(features)

    @classmethod
    def from_result(cls, result: StudyResult, units: int = 36) -> Self:
        """Compute what is drawn from the result of `coadaptation`.

        Args:
            result: the result, of inputs that are images of one channel; its first seed is shown.
            units: number of units to draw of each setting: those whose ablation raises the error
                most.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: the result is of another study, or the inputs are not such images.
        """
        cls._check(result)
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

    def plot(self, ax: Axes | Sequence[Axes] | None = None, *, im_kw: Style = None) -> Self:
        """Draw the features.

        Args:
            ax: axes to draw on, one for each setting; None for a new figure.
            im_kw: keyword arguments for `matplotlib.axes.Axes.imshow`, such as ``cmap``.

        Returns:
            The display itself, with `figure_` and `axes_`.

        Raises:
            ValueError: there are not as many axes as settings.
        """
        axes = self._start(ax, list(self.features), (4.4 * len(self.features), 4.6))
        largest = max(float(np.abs(each).max()) for each in self.features.values())
        look = styled(AxesImage, {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}, im_kw)
        for axis, (name, features) in zip(axes, self.features.items(), strict=True):
            image = axis.imshow(_tiled(features), **look)
            axis.set_title(f"{name}: {len(features)} units", fontsize=10)
            axis.set_axis_off()
        self.figure_.colorbar(image, ax=axes, label="weight", shrink=0.8, orientation="vertical")
        return self


@dataclass(frozen=True)
class Histograms:
    """Histograms of several settings over the same bins.

    Attributes:
        shares: share of the values in each bin, by setting.
        edges: edges of the bins.
    """

    shares: Mapping[str, np.ndarray]
    edges: np.ndarray


class ActivationDisplay(Display):
    """Mean activations of the units, and all activations (Srivastava et al. 2014, Fig. 8).

    Args:
        means: histograms of the units' mean activations.
        activations: histograms of all activations.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.studies import ActivationDisplay, coadaptation
        >>> study = coadaptation(build_mlp(units=(16,), hidden_rates=0.5), epochs=1, num_seeds=1)
        >>> display = ActivationDisplay.from_result(study).plot()
        >>> [axis.get_xlabel() for axis in display.axes_]
        ['mean activation of a unit', 'activation']
    """

    studies = ("coadaptation",)

    def __init__(self, *, means: Histograms, activations: Histograms) -> None:
        self.means = means
        self.activations = activations

    @classmethod
    def from_result(cls, result: StudyResult) -> Self:
        """Compute what is drawn from the result of `coadaptation`.

        Args:
            result: the result.

        Returns:
            The display, not yet drawn.

        Raises:
            ValueError: the result is of another study.
        """
        cls._check(result)
        edges = np.histogram_bin_edges(result.data["mean_activation"], 25)
        means, activations = {}, {}
        for name, units in result.data.groupby("dropout", sort=False):
            means[str(name)] = np.histogram(units["mean_activation"], edges)[0] / len(units)
            counts = np.sum(np.stack(units["counts"].to_list()), axis=0)
            activations[str(name)] = counts / counts.sum()
        return cls(
            means=Histograms(means, edges),
            activations=Histograms(activations, np.asarray(result.settings["edges"])),
        )

    def plot(self, ax: Axes | Sequence[Axes] | None = None, *, stairs_kw: Style = None) -> Self:
        """Draw the histograms.

        Args:
            ax: two axes to draw on; None for a new figure.
            stairs_kw: keyword arguments for `matplotlib.axes.Axes.stairs`.

        Returns:
            The display itself, with `figure_` and `axes_`.

        Raises:
            ValueError: there are not two axes.
        """
        axes = self._start(ax, ["mean activations", "activations"], (10.0, 3.8))
        for axis, drawn in zip(axes, (self.means, self.activations), strict=True):
            for number, (name, shares) in enumerate(drawn.shares.items()):
                color, _ = setting_style(number)
                look = {
                    "facecolor": (*to_rgb(color), 0.3), "edgecolor": color, "linewidth": 1.5,
                    "hatch": HATCHES[number % len(HATCHES)], "fill": True, "label": name,
                }  # fmt: skip
                axis.stairs(shares, drawn.edges, **styled(StepPatch, look, stairs_kw))
        means, activations = axes
        means.set_xlabel("mean activation of a unit")
        means.set_ylabel("share of the units")
        activations.set_xlabel("activation")
        activations.set_ylabel("share of all activations")
        activations.set_yscale("log")
        self._add_legend(activations)
        return self


def _tiled(images: np.ndarray) -> np.ndarray:
    """Images side by side in a square, with gaps between them."""
    count, height, width = images.shape
    across = int(np.ceil(np.sqrt(count)))
    down = -(-count // across)
    tiled = np.full((down * (height + 1) - 1, across * (width + 1) - 1), np.nan)
    for number, image in enumerate(images):
        row, column = divmod(number, across)
        top, left = row * (height + 1), column * (width + 1)
        tiled[top : top + height, left : left + width] = image
    return tiled
