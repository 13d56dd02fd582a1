"""Corrupted inputs: one training run, measured at every level."""

import matplotlib.pyplot as plt
import pytest

from dropout_zoo.studies import Execution, FactorCurveDisplay, robustness

ALONE = Execution(workers=1)


@pytest.mark.slow
def test_robustness_measures_one_training_run_at_every_level(few_digits, model):
    result = robustness(
        model, few_digits, levels={"gaussian noise": (0, 0.8), "missing pixels": (0.5,)},
        epochs=15, num_seeds=2, execution=ALONE,
    )  # fmt: skip
    scores = result.scores()
    assert len(scores) == 2 * 2 * 3
    clean = scores[(scores["corruption"] == "gaussian noise") & (scores["severity"] == 0)]
    trained = clean.set_index(["dropout", "seed"])["score"]
    assert trained.min() > 0.5
    noisy = scores[scores["severity"] == 0.8].set_index(["dropout", "seed"])["score"]
    assert (noisy < trained).all()
    assert set(result.gains()["setting"]) == {
        "as given, Gaussian noise 0", "as given, Gaussian noise 0.8",
        "as given, missing pixels 0.5",
    }  # fmt: skip
    axis = FactorCurveDisplay.from_result(result).plot().ax_
    assert axis.get_xlabel() == "severity of the corruption of test inputs"
    assert len(axis.get_legend().get_texts()) == 4
    plt.close(axis.figure)


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ({"fog": [0.1]}, "expected levels of corruptions .*'rotation'.*, received 'fog'"),
        (
            {"gaussian noise": [-1]},
            r"levels\['gaussian noise'\] to be a number of at least 0",
        ),
        ({"missing pixels": [2]}, r"expected levels\['missing pixels'\] to be"),
    ],
)
def test_levels_that_do_not_exist_are_refused(levels, words, few_digits, model):
    with pytest.raises(ValueError, match=words):
        robustness(model, few_digits, levels=levels)
