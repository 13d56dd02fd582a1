"""Wrong labels: what is memorized, and what it costs."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import Execution, FactorCurveDisplay, label_noise_sweep
from dropout_zoo.studies.control_names import NO_DROPOUT

ALONE = Execution(workers=1)


@pytest.mark.slow
def test_wrong_labels_are_memorized_without_dropout(few_digits):
    result = label_noise_sweep(
        build_mlp(units=(128,), hidden_rates=0.5), few_digits, noise=(0.0, 0.4), rates=(0.8,),
        epochs=100, num_seeds=2, execution=ALONE,
    )  # fmt: skip
    means = {
        metric: result.means(metric).set_index("setting")["mean"]
        for metric in ("memorized", "clean_accuracy")
    }
    learned = means["memorized"]
    assert np.isnan(learned["0% wrong labels, no dropout"])
    assert learned["40% wrong labels, no dropout"] > 0.8
    assert learned["40% wrong labels, rate 0.80"] < learned["40% wrong labels, no dropout"]
    right = means["clean_accuracy"]
    assert right["40% wrong labels, no dropout"] < right["0% wrong labels, no dropout"]
    share = f"{learned['40% wrong labels, no dropout']:.0%}"
    text = f"40% wrong labels, no dropout: {share} of the wrong labels memorized."
    assert text in result.summary()
    last = result.data[result.data["epoch"] == 100].set_index(["setting", "seed"])
    name = ("0% wrong labels, no dropout", 0)
    assert last.loc[name, "clean_accuracy"] == pytest.approx(last.loc[name, "val_accuracy"])
    axis = FactorCurveDisplay.from_result(result, "clean_accuracy").plot().ax_
    assert axis.get_xlabel() == "share of training labels that are wrong"
    assert axis.get_ylabel() == "error (%) on correct labels after the last epoch"
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [NO_DROPOUT, "rate 0.80"]
    plt.close(axis.figure)


@pytest.mark.slow
def test_similar_rates_and_noise_levels_are_different_settings(model, few_digits):
    result = label_noise_sweep(
        model, few_digits, noise=(0.101, 0.104), rates=(0.12, 0.125), epochs=1, num_seeds=1,
        execution=ALONE,
    )  # fmt: skip
    assert list(dict.fromkeys(result.data["setting"])) == [
        f"{noise}% wrong labels, {dropout}"
        for noise in ("10.1", "10.4")
        for dropout in ("no dropout", "rate 0.12", "rate 0.125")
    ]
