"""What all displays share: axes, styles by keyword, saving, and what they refuse."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from dropout_zoo import studies, tuning
from dropout_zoo.studies import DifferenceDisplay, MonteCarloDisplay, calibration
from dropout_zoo.studies.displays.base import Display, means_over_seeds
from dropout_zoo.studies.displays.factor_curve import FACTORS
from dropout_zoo.studies.displays.units import Histograms
from dropout_zoo.training.objective import Objective

POINTS = pd.DataFrame(
    {"series": ["a"] * 4, "x": [0.2, 0.2, 0.5, 0.5], "value": [1.0, 3.0, 4.0, np.nan]}
)
GAINS = pd.DataFrame({"setting": ["a"], "control": ["b"], "gain": [1.0], "low": 0.5, "high": 1.5})
CURVES = pd.DataFrame(
    {"metric": "loss", "setting": "a", "measure": "validation", "epoch": [1, 2], "mean": [2.0, 1.0],
     "std": 0.1}
)  # fmt: skip
TRIALS = pd.DataFrame({"site": [0.2, 0.5], "score": [1.0, 2.0]})
SHARES = Histograms({"a": np.array([0.25, 0.75])}, np.array([0.0, 1.0, 2.0]))
MADE = {
    "ActivationDisplay": {"means": SHARES, "activations": SHARES},
    "DifferenceDisplay": {"gains": GAINS, "pairs": GAINS, "label": "gain"},
    "FactorCurveDisplay": {
        "points": POINTS, "factor": FACTORS["label_noise_sweep"], "ylabel": "loss",
    },
    "FeatureDisplay": {"features": {"a": np.ones((4, 3, 3))}},
    "HeatMapDisplay": {
        "values": pd.DataFrame([[1.0, 2.0]]), "xlabel": "x", "ylabel": "y", "label": "loss",
    },
    "LearningCurveDisplay": {"curves": CURVES, "settings": {"a": 0}, "metrics": ["loss"]},
    "MonteCarloDisplay": {
        "points": POINTS.assign(series="average of passes\nwith dropout on"),
        "weight_scaling": 2.0, "ylabel": "loss",
    },
    "RateCurveDisplay": {
        "points": POINTS, "training": POINTS, "ylabel": "loss", "optimum": 0.2, "series": "a",
        "may_be_best": (0.2, 0.5), "labels": {0.2: "overfitting", 0.5: "balanced"},
    },
    "RatesDisplay": {
        "trials": TRIALS, "panels": {"site": ["site"]}, "controls": {"no dropout": 1.5},
        "race": DifferenceDisplay(gains=GAINS, pairs=GAINS[:0], label="gain"),
        "best_rates": {"site": 0.2}, "objective": Objective("val_loss", "min"),
    },
    "ReliabilityDisplay": {
        "calibrations": {"a": calibration([[0.9, 0.1], [0.4, 0.6]], [0, 0], bins=2)},
    },
}  # fmt: skip
STYLES = {
    "line_kw": {"lw": 7.0},
    "fill_kw": {"alpha": 0.5},
    "scatter_kw": {"s": 81, "c": "#ff0000"},
    "errorbar_kw": {"ms": 11},
    "bar_kw": {"hatch": "||"},
    "im_kw": {"cmap": "gray"},
    "text_kw": {"fontsize": 20},
    "stairs_kw": {"lw": 7.0},
}


@pytest.fixture(params=sorted(MADE))
def display(request):
    owner = tuning if request.param == "RatesDisplay" else studies
    yield getattr(owner, request.param)(**MADE[request.param])
    plt.close("all")


def test_every_public_display_is_a_display():
    public = {name for part in (studies, tuning) for name in part.__all__ if "Display" in name}
    assert public == set(MADE)
    for name in public:
        owner = tuning if name == "RatesDisplay" else studies
        assert issubclass(getattr(owner, name), Display)


def test_a_display_can_be_saved_without_being_drawn_before(display, tmp_path):
    assert not hasattr(display, "figure_")
    path = display.save(tmp_path / "picture.png", dpi=20)
    assert plt.imread(path).shape[0] > 20
    assert display.figure_ is display.ax_.figure
    assert display.ax_ is display.axes_[0]


def test_plot_returns_the_display_with_the_axes_given(display):
    count = len(display.plot().axes_)
    figure, axes = plt.subplots(1, count, squeeze=False)
    assert display.plot(axes[0] if count > 1 else axes[0, 0]) is display
    assert display.axes_ == list(axes[0])
    assert display.figure_ is figure
    with pytest.raises(ValueError, match=f"expected {count} axes.*, received {count + 1}"):
        display.plot([*axes[0], axes[0, 0]])
    with pytest.raises(TypeError, match="expected matplotlib axes as ax, received 'left'"):
        display.plot("left")


def artists(display):
    """The look of everything drawn that `STYLES` changes."""
    found = {"line_kw": [], "fill_kw": [], "scatter_kw": [], "errorbar_kw": [], "bar_kw": [],
             "im_kw": [], "text_kw": [], "stairs_kw": []}  # fmt: skip
    for axis in display.axes_:
        for line in axis.get_lines():
            found["line_kw"].append({"lw": line.get_linewidth()})
            found["errorbar_kw"].append({"ms": line.get_markersize()})
        for each in axis.collections:
            found["fill_kw"].append({"alpha": each.get_alpha()})
            if isinstance(each, PathCollection) and len(each.get_facecolor()):
                look = {"s": each.get_sizes()[0], "c": to_hex(each.get_facecolor()[0])}
                found["scatter_kw"].append(look)
        for each in axis.patches:
            found["bar_kw"].append({"hatch": each.get_hatch()})
            found["stairs_kw"].append({"lw": each.get_linewidth()})
        for each in axis.get_images():
            found["im_kw"].append({"cmap": each.get_cmap().name})
        for each in axis.texts:
            found["text_kw"].append({"fontsize": each.get_fontsize()})
    return found


def test_styles_are_given_by_keyword(display):
    names = [name for name in inspect.signature(display.plot).parameters if name != "ax"]
    assert names
    assert set(names) <= set(STYLES)
    for name in names:
        assert STYLES[name] not in artists(display.plot())[name], "another look by default"
        display.plot(**{name: STYLES[name]})
        assert STYLES[name] in artists(display)[name]


def test_a_color_of_the_caller_replaces_that_of_the_display():
    display = MonteCarloDisplay(**MADE["MonteCarloDisplay"])
    axis = display.plot(line_kw={"color": "red"}, fill_kw={"color": "blue"}).ax_
    assert axis.get_lines()[0].get_color() == "red"
    assert to_hex(axis.collections[0].get_facecolor()[0]) == "#0000ff"
    plt.close("all")


def test_means_ignore_missing_values():
    found = means_over_seeds(POINTS)
    assert list(found.columns) == ["series", "x", "mean", "std"]
    assert found["mean"].tolist() == [2.0, 4.0]
    assert found["std"].tolist() == pytest.approx([np.sqrt(2), 0.0])
    assert means_over_seeds(POINTS[:0]).empty


@pytest.mark.parametrize("name", [name for name in MADE if name != "RatesDisplay"])
def test_a_display_refuses_results_of_other_studies(name):
    with pytest.raises(
        ValueError, match=r"expected the result of .*, received an object of type DataFrame"
    ):
        getattr(studies, name).from_result(POINTS)
