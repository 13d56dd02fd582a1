"""Generalization gaps: the numbers of the last epoch, and the comparisons that follow."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import (
    Execution,
    FactorCurveDisplay,
    data_size_sweep,
    generalization_gaps,
)


@pytest.fixture(scope="module")
def sweep(few_digits):
    return data_size_sweep(
        build_mlp(units=(16,), hidden_rates=(0.5,)), few_digits, sizes=[60, 150],
        subsets="shared", epochs=4, num_seeds=3, execution=Execution(workers=1),
    )  # fmt: skip


def test_the_gap_is_that_after_the_last_epoch_with_dropout_off(sweep):
    gaps = generalization_gaps(sweep)
    for run, rows in sweep.data.groupby("run"):
        last = rows.loc[rows["epoch"].idxmax()]
        [found] = gaps.data.loc[gaps.data["run"] == run, "gap"]
        assert found == pytest.approx(100 * (last["train_accuracy"] - last["val_accuracy"]))
    assert gaps.objective == ("gap", "min")
    assert "gap" not in sweep.data


def test_gains_and_sentences_are_those_of_the_gap(sweep):
    gaps = generalization_gaps(sweep)
    means = gaps.means().set_index("setting")["mean"]
    for row in gaps.gains().itertuples():
        assert row.gain == pytest.approx(means[row.control] - means[row.setting])
        assert f"{row.setting}: gap of {means[row.setting]:.2f} points, " in gaps.summary()
    axis = FactorCurveDisplay.from_result(gaps).plot().ax_
    drawn = {line.get_label(): line for line in axis.get_lines()}
    by_size = gaps.data[gaps.data["dropout"] == "no dropout"].groupby("examples")["gap"].mean()
    np.testing.assert_allclose(drawn["no dropout"].get_ydata(), by_size)
    assert axis.get_ylabel() == "gap after the last epoch (percentage points)"
    plt.close(axis.figure)


def test_a_study_without_an_accuracy_is_refused(sweep):
    bare = replace(sweep, data=sweep.data.drop(columns=["train_accuracy", "val_accuracy"]))
    with pytest.raises(ValueError, match="expected a study of classifiers"):
        generalization_gaps(bare)
