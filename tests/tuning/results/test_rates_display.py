"""The picture of a search, where trials beyond the range are not part of the grid."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from dropout_zoo.training import Objective
from dropout_zoo.tuning import RatesDisplay

GRID = (0.2, 0.3, 0.4)
ALONE = "trials that differ in this rate alone"
MEAN = "mean over the other sites"


def score(first, second):
    return (first - 0.1) ** 2 + 0.1 * (second - 0.3) ** 2


def lines_of(settings, panels=("first", "second")):
    """The line in each panel, drawn for trials with these rates, as (label, rates, scores)."""
    trials = pd.DataFrame(settings, columns=["first", "second"])
    trials["score"] = score(trials["first"], trials["second"])
    display = RatesDisplay(
        trials=trials, panels={name: [name] for name in panels}, controls={}, race=None,
        best_rates=dict.fromkeys(panels, 0.3), objective=Objective("val_loss", "min"),
    ).plot()  # fmt: skip
    plt.close(display.figure_)
    return [
        (line.get_label(), *line.get_data())
        for axis in display.axes_
        for line in axis.get_lines()
        if line.get_label() in (ALONE, MEAN)
    ]


def test_a_line_is_of_trials_that_differ_in_one_rate():
    grid = list(itertools.product(GRID, GRID))
    beyond = [(0.1, 0.3), (0.05, 0.3)]
    (label, first, of_first), (_, second, of_second) = lines_of(grid + beyond)
    assert label == ALONE
    np.testing.assert_allclose(first, (0.05, 0.1, *GRID))
    np.testing.assert_allclose(of_first, score(first, 0.3))
    # Of the lines as long as this one, that through the best trial; means would dip at 0.3.
    np.testing.assert_allclose(second, GRID)
    np.testing.assert_allclose(of_second, score(0.2, second))


def test_the_line_shows_means_if_the_trials_do_not_form_a_grid():
    (label, rates, scores), _ = lines_of([(0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.4, 0.2)])
    assert label == MEAN
    np.testing.assert_allclose(rates, GRID)
    assert scores[-1] == pytest.approx((score(0.4, 0.5) + score(0.4, 0.2)) / 2)


def test_the_line_of_a_single_site_connects_all_trials():
    [(label, rates, scores)] = lines_of([(0.4, 0.3), (0.2, 0.3), (0.3, 0.3)], ["first"])
    assert label == ALONE
    np.testing.assert_allclose(rates, GRID)
    np.testing.assert_allclose(scores, score(rates, 0.3))
    [(label, rates, _)] = lines_of([(0.4, 0.3)], ["first"])
    assert (label, list(rates)) == (ALONE, [0.4])


def test_the_title_of_a_panel_names_the_sites_that_share_the_rate():
    trials = pd.DataFrame({"a": GRID, "b": GRID, "score": GRID})
    display = RatesDisplay(
        trials=trials, panels={"a": ["a", "c"], "b": ["b", "d", "e"]}, controls={}, race=None,
        best_rates=dict.fromkeys("abcde", 0.3), objective=Objective("val_loss", "min"),
    ).plot()  # fmt: skip
    plt.close(display.figure_)
    assert [axis.get_title() for axis in display.axes_] == ["a and c", "b and 2 others"]


def test_trials_of_other_hyperparameters_are_connected_with_their_controls_alone():
    trials = pd.DataFrame(
        {
            "one": [0.2, 0.0, 0.4, 0.0, 0.3],
            "two": [0.3, 0.0, 0.5, 0.0, 0.3],
            "units": ["8", "8", "16", "16", "8"],
            "score": [0.5, 0.6, 0.9, 0.7, 0.4],
        }
    )
    display = RatesDisplay(
        trials=trials, panels={"one": ["one"], "two": ["two"]}, controls={}, race=None,
        best_rates={"one": 0.3, "two": 0.3}, objective=Objective("val_loss", "min"),
        hyperparameters=["units"],
    ).plot()  # fmt: skip
    one, two = (
        {
            tuple(line.get_ydata()): (line.get_label(), tuple(line.get_xdata()))
            for line in axis.lines
        }
        for axis in display.axes_
    )
    assert one[0.6, 0.5] == ("_pair", (0.0, 0.2)) and one[0.7, 0.9] == ("_pair", (0.0, 0.4))
    assert two[0.6, 0.4] == ("_pair", (0.0, 0.3))
    # Means over trials with other hyperparameters would say nothing about the rate.
    alone = "trials that differ in this rate alone"
    assert one[0.5, 0.4] == (alone, (0.2, 0.3))
    assert alone not in {label for label, _ in two.values()}
    assert not any("mean" in label for label, _ in one.values())
    plt.close(display.figure_)


def test_trials_that_ended_early_are_crosses_at_the_top():
    trials = pd.DataFrame({
        "setting": ["a", "b", "c", "d"], "role": "trial", "first": [0.2, 0.3, 0.4, 0.4],
        "status": ["completed", "completed", "pruned", "pruned"], "score": [0.5, 0.4, 9.0, 8.0],
    })  # fmt: skip
    display = RatesDisplay.from_tables(
        trials=trials, finalists=trials[:0], comparison=trials[:0], panels={"first": ["first"]},
        best_rates={"first": 0.3}, objective=Objective("val_loss", "min"),
    ).plot()  # fmt: skip
    [axis] = display.axes_
    plt.close(display.figure_)
    [crosses] = [each for each in axis.get_lines() if "ended early" in str(each.get_label())]
    assert crosses.get_xdata().tolist() == [0.4]
    assert axis.get_ylim()[1] < 1  # their scores are not drawn
    assert "ended early" in " ".join(text.get_text() for text in axis.get_legend().get_texts())
