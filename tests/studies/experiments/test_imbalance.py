"""A class that is made rare: how rare, and how often it is still found."""

import numpy as np
import pytest

from dropout_zoo.studies import Execution, imbalance_sweep, plan_imbalance_sweep
from dropout_zoo.studies.data.corruption import with_rare_class

ALONE = Execution(workers=1)


@pytest.mark.slow
def test_a_rare_class_is_made_rare_and_found_less_often(few_digits, model):
    data = with_rare_class(few_digits, 3, 10, seed=0)
    before, after = (np.bincount(each.train[1]) for each in (few_digits, data))
    assert after[3] == max(1, round(before[3] / 10))
    np.testing.assert_array_equal(np.delete(after, 3), np.delete(before, 3))
    result = imbalance_sweep(
        model, few_digits, rare_class=3, ratios=(1, 100), rates=(0.5,), epochs=15, num_seeds=2,
        execution=ALONE,
    )  # fmt: skip
    recall = result.means("rare_recall").set_index("setting")["mean"]
    assert recall["1:1, no dropout"] > 0.5
    assert recall["100:1, no dropout"] < recall["1:1, no dropout"]
    assert result.controls == {
        "1:1, rate 0.50": "1:1, no dropout", "100:1, rate 0.50": "100:1, no dropout",
    }  # fmt: skip
    with pytest.raises(
        ValueError, match="expected rare_class to be a class from 0 to 9, received 12"
    ):
        imbalance_sweep(model, few_digits, rare_class=12)


def test_a_ratio_given_twice_is_trained_once(model, few_digits):
    once = plan_imbalance_sweep(model, few_digits, ratios=(10,), num_seeds=2)
    assert plan_imbalance_sweep(model, few_digits, ratios=(10, 10), num_seeds=2).num_runs == (
        once.num_runs
    )


@pytest.mark.slow
def test_another_rare_class_is_another_study(model, few_digits, tmp_path):
    settings = {"ratios": (10,), "epochs": 1, "num_seeds": 2}
    execution = Execution(directory=tmp_path / "study", workers=1)
    imbalance_sweep(model, few_digits, rare_class=0, **settings, execution=execution)
    with pytest.raises(ValueError, match=r"arguments\.rare_class: 0 in that run, now 3"):
        imbalance_sweep(model, few_digits, rare_class=3, **settings, execution=execution)
