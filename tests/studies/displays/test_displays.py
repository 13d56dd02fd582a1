"""Displays: every series is there, on the right axes, under the right label."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import (
    Execution,
    FactorCurveDisplay,
    HeatMapDisplay,
    LearningCurveDisplay,
    RateCurveDisplay,
    capacity_sweep,
    data_size_sweep,
    generalization_gaps,
    rate_grid,
    rate_sweep,
)
from dropout_zoo.studies.control_names import NO_DROPOUT
from dropout_zoo.studies.displays.style import COLORS, setting_style
from dropout_zoo.training.objective import Objective

RATE_LABEL = "dropout rate (fraction dropped)"
QUICK = {"epochs": 2, "num_seeds": 2, "execution": Execution(workers=1)}


@pytest.fixture(autouse=True)
def no_figure_and_no_style_is_left_behind():
    before = dict(plt.rcParams)
    yield
    assert dict(plt.rcParams) == before, "a display changed matplotlib's global style"
    plt.close("all")


@pytest.fixture(scope="module")
def model():
    return build_mlp(units=(16,), hidden_rates=(0.5,))


@pytest.fixture(scope="module")
def sweep(model, few_digits):
    return rate_sweep(model, few_digits, rates=(0.3, 0.95), epochs=4, num_seeds=3)


@pytest.fixture(scope="module")
def grid(few_digits):
    return rate_grid("mlp", few_digits, first_rates=(0.2,), second_rates=(0.5, 0.9), **QUICK)


def lines(axis):
    return {line.get_label(): line for line in axis.get_lines()}


def legend(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


def test_the_rate_curve_shows_mean_seeds_training_and_optimum(sweep):
    display = RateCurveDisplay.from_result(sweep).plot()
    axis, drawn = display.ax_, lines(display.ax_)
    scores = sweep.scores()
    mean = scores.groupby("rate")["val_loss"].mean()
    np.testing.assert_allclose(drawn["validation"].get_xdata(), [0.0, 0.3, 0.95])
    np.testing.assert_allclose(drawn["validation"].get_ydata(), mean)
    [dots] = [each for each in axis.collections if each.get_label() == "_seeds"]
    np.testing.assert_allclose(sorted(dots.get_offsets()[:, 1]), sorted(scores["val_loss"]))
    training = drawn["training, dropout off"]
    np.testing.assert_allclose(training.get_ydata(), scores.groupby("rate")["train_loss"].mean())
    assert training.get_linestyle() == ":"
    assert drawn[f"best rate so far {mean.idxmin():.2f}"].get_xdata()[0] == mean.idxmin()
    assert any(label.startswith("may be the best: ") for label in drawn)
    assert display.optimum in display.may_be_best
    assert axis.get_xlabel() == RATE_LABEL
    assert axis.get_ylabel() == "validation loss at the best epoch"
    assert len(axis.collections) >= 1, "the band"
    assert display.keep_axis_.get_xlabel() == "keep probability (fraction kept)"
    axis.figure.canvas.draw()
    places = {rate: axis.transData.transform((rate, 0))[0] for rate in (0.0, 0.2, 0.5)}
    for rate, place in places.items():
        kept = display.keep_axis_.transData.transform((1 - rate, 0))[0]
        assert kept == pytest.approx(place), f"rate {rate} lies under keep {1 - rate}"


def test_the_rate_curve_shades_what_the_verdicts_say(sweep):
    display = RateCurveDisplay.from_result(sweep)
    assert display.labels[0.95] == "underfitting"
    axis = display.plot().ax_
    shade = axis.patches[-1]
    assert shade.get_label().lstrip("_") == "underfitting"
    left = shade.get_x()
    assert left <= 0.95 <= left + shade.get_width()
    assert left == pytest.approx((0.3 + 0.95) / 2)
    assert shade.get_hatch(), "never color alone"
    display = RateCurveDisplay.from_result(sweep)
    display.labels = {0.0: "overfitting", 0.3: "balanced", 0.95: "undecided"}
    shaded = display.plot().ax_.patches
    assert [patch.get_label() for patch in shaded] == ["overfitting", "balanced"]
    assert shaded[0].get_hatch() != shaded[1].get_hatch()


def test_rates_that_may_be_the_best_are_drawn_one_by_one(sweep):
    display = RateCurveDisplay.from_result(sweep)
    display.may_be_best = (0.0, 0.95)
    marked = lines(display.plot().ax_)["may be the best: 0.00, 0.95"]
    assert list(marked.get_xdata()) == [0.0, 0.95], "not 0.3 between them"
    assert marked.get_linestyle() == "None"
    assert marked.get_marker() not in ("", "None")
    display.may_be_best = (0.3,)
    assert "may be the best: 0.30" in lines(display.plot().ax_)
    display.may_be_best = tuple(tenth / 10 for tenth in range(10))
    [label] = [each for each in lines(display.plot().ax_) if each.startswith("may be the best")]
    assert max(map(len, label.split("\n"))) <= 36, "a long list does not squeeze the axes"
    assert label.replace("\n", " ").endswith("0.70, 0.80, 0.90")


def test_only_rates_that_may_be_the_best_are_marked_in_a_result(sweep):
    losses = {0.0: (0.30, 0.41, 0.50), 0.3: (0.50, 0.60, 0.70), 0.95: (0.31, 0.40, 0.52)}
    data = sweep.data.assign(ended=True)
    for rate, values in losses.items():
        for seed, value in enumerate(values):
            data.loc[(data["rate"] == rate) & (data["seed"] == seed), "val_loss"] = value
    display = RateCurveDisplay.from_result(replace(sweep, data=data))
    assert display.may_be_best == (0.0, 0.95)


def test_the_error_is_drawn_in_percent(sweep):
    display = RateCurveDisplay.from_result(sweep, "error").plot()
    error = 100 * (1 - sweep.scores().groupby("rate")["val_accuracy"].mean())
    np.testing.assert_allclose(lines(display.ax_)["validation"].get_ydata(), error)
    assert display.ax_.get_ylabel() == "validation error (%) at the best epoch"
    assert display.optimum == error.idxmin()


@pytest.mark.slow
def test_a_control_outside_the_curve_is_a_horizontal_line(few_digits):
    two = build_mlp(units=(8, 8), hidden_rates=0.3)
    result = rate_sweep(
        two, few_digits, sites="each", rates=(0.5,), epochs=1, num_seeds=1,
        execution=Execution(workers=1),
    )  # fmt: skip
    drawn = lines(RateCurveDisplay.from_result(result).plot().ax_)
    control = result.scores().set_index("setting").loc[NO_DROPOUT, "val_loss"]
    assert set(drawn[NO_DROPOUT].get_ydata()) == {control}
    first, second = (drawn[f"hidden_{number}_dropout: validation"] for number in (1, 2))
    assert first.get_color() != second.get_color()
    assert first.get_marker() != second.get_marker()


def test_learning_curves_have_three_lines_per_setting(sweep):
    display = LearningCurveDisplay.from_result(sweep, [NO_DROPOUT, "hidden 0.30"]).plot()
    assert [axis.get_ylabel() for axis in display.axes_] == ["error (%)", "loss"]
    assert {axis.get_xlabel() for axis in display.axes_} == {"epoch"}
    styles = {"training (dropout on)": "-", "training, dropout off": ":", "validation": "--"}
    columns = {"training (dropout on)": "", "training, dropout off": "train_", "validation": "val_"}
    for axis, metric in zip(display.axes_, ("accuracy", "loss"), strict=True):
        drawn = lines(axis)
        assert len(drawn) == 6
        for name in (NO_DROPOUT, "hidden 0.30"):
            curves = sweep.curves(name)
            for what, style in styles.items():
                line = drawn[f"{name}, {what}"]
                assert line.get_linestyle() == style
                expected = curves.groupby("epoch")[columns[what] + metric].mean()
                if metric == "accuracy":
                    expected = 100 * (1 - expected)
                np.testing.assert_allclose(line.get_ydata(), expected)
    one, other = (lines(display.axes_[0])[f"{n}, validation"] for n in (NO_DROPOUT, "hidden 0.30"))
    assert one.get_color() != other.get_color()
    assert lines(display.axes_[1])[f"{NO_DROPOUT}, validation"].get_color() == one.get_color()
    assert legend(display.axes_[1]) == [NO_DROPOUT, "hidden 0.30", *styles]
    with pytest.raises(ValueError, match="expected the name of a setting"):
        LearningCurveDisplay.from_result(sweep, ["rate 7"])


def test_displays_draw_on_axes_that_are_given(sweep):
    figure, axes = plt.subplots(1, 2)
    display = LearningCurveDisplay.from_result(sweep).plot(axes)
    assert display.axes_ == list(axes)
    assert display.figure_ is figure
    with pytest.raises(ValueError, match=r"expected 2 axes \(one for each of accuracy, loss"):
        LearningCurveDisplay.from_result(sweep).plot(axes[0])
    assert RateCurveDisplay.from_result(sweep).plot(axes[1]).ax_ is axes[1]


@pytest.mark.slow
def test_the_size_curve_has_a_logarithmic_axis_and_one_line_per_setting(model, few_digits):
    result = data_size_sweep(model, few_digits, sizes=(30, 150), max_epoch_factor=1, **QUICK)
    axis = FactorCurveDisplay.from_result(result, "error").plot().ax_
    assert axis.get_xscale() == "log"
    assert axis.get_xlabel() == "training examples"
    assert legend(axis) == [NO_DROPOUT, "as given"]
    drawn = lines(axis)
    for name in (NO_DROPOUT, "as given"):
        scores = result.scores()
        mean = scores[scores["dropout"] == name].groupby("examples")["val_accuracy"].mean()
        np.testing.assert_allclose(drawn[name].get_xdata(), [30, 150])
        np.testing.assert_allclose(drawn[name].get_ydata(), 100 * (1 - mean))
    assert drawn[NO_DROPOUT].get_linestyle() != drawn["as given"].get_linestyle()
    with pytest.raises(ValueError, match="expected metric to be a column of the scores"):
        FactorCurveDisplay.from_result(result, "val_happiness")


@pytest.mark.slow
def test_models_of_different_depth_are_not_connected(few_digits):
    result = capacity_sweep("mlp", few_digits, units=[(4,), (8,), (4, 4)], **QUICK)
    axis = FactorCurveDisplay.from_result(result).plot().ax_
    assert axis.get_xlabel() == "parameters"
    assert legend(axis) == [
        f"{dropout}, {layers}"
        for layers in ("1 hidden layer", "2 hidden layers")
        for dropout in (NO_DROPOUT, "rate 0.50")
    ]


def test_the_map_shows_every_value_and_marks_the_best(grid, sweep):
    display = HeatMapDisplay.from_result(grid).plot()
    axis = display.ax_
    mean = grid.scores().pivot_table(index="first_rate", columns="second_rate", values="val_loss")
    written = [text.get_text() for text in axis.texts]
    assert [float(text.removesuffix(" *")) for text in written] == pytest.approx(
        mean.to_numpy().ravel(), rel=5e-3
    )
    assert [text.endswith(" *") for text in written].index(True) == mean.to_numpy().argmin()
    assert axis.get_xlabel() == f"hidden {RATE_LABEL}"
    assert axis.get_ylabel() == f"input {RATE_LABEL}"
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["0", "0.5", "0.9"]
    assert display.figure_.axes[1].get_ylabel() == "validation loss, mean over seeds"
    with pytest.raises(ValueError, match="received that of rate_sweep"):
        HeatMapDisplay.from_result(sweep)


def test_no_two_settings_look_the_same():
    styles = [setting_style(number) for number in range(49)]
    assert len(set(styles)) == 49
    assert [to_hex(color).upper() for color, _ in styles[:7]] == list(COLORS)
    assert len({marker for _, marker in styles[:7]}) == 7


def test_a_setting_looks_the_same_whichever_others_are_drawn(sweep):
    name = "hidden 0.95"
    whole = LearningCurveDisplay.from_result(sweep).plot()
    alone = LearningCurveDisplay.from_result(sweep, [name]).plot()
    label = f"{name}, validation"
    one, other = (lines(display.axes_[0])[label] for display in (whole, alone))
    assert one.get_color() == other.get_color()
    assert one.get_marker() == other.get_marker()
    assert one.get_color() != lines(whole.axes_[0])[f"{NO_DROPOUT}, validation"].get_color()


@pytest.mark.slow
def test_marks_name_their_series_if_there_are_several(few_digits):
    result = rate_sweep(
        build_mlp(units=(16, 8), hidden_rates=0.5), few_digits, sites="each", rates=(0.3, 0.9),
        **QUICK,
    )  # fmt: skip
    display = RateCurveDisplay.from_result(result).plot()
    assert display.series in ("hidden_1_dropout", "hidden_2_dropout", NO_DROPOUT)
    marked = [text for text in legend(display.ax_) if "best rate" in text or "may be" in text]
    assert len(marked) == 2
    assert all(text.startswith(f"{display.series}: ") for text in marked)


def test_gaps_are_drawn_without_a_training_curve(sweep):
    display = RateCurveDisplay.from_result(generalization_gaps(sweep)).plot()
    assert "validation" in lines(display.ax_)
    assert "training, dropout off" not in lines(display.ax_)


def test_the_best_of_another_metric_is_best_by_that_metric(sweep, grid):
    larger = {"objective": Objective("val_accuracy", "max")}
    result = replace(sweep, **larger)
    losses = result.scores().groupby("rate")["val_loss"].mean()
    assert RateCurveDisplay.from_result(result, "val_loss").optimum == losses.idxmin()
    assert RateCurveDisplay.from_result(result, "val_loss:max").optimum == losses.idxmax()
    drawn = HeatMapDisplay.from_result(replace(grid, **larger), "val_loss")
    row, column = drawn.best
    assert drawn.values.iloc[row, column] == drawn.values.to_numpy().min()
