"""Predictors compared: each is what its name says, and is measured on the test set."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import (
    Execution,
    FactorCurveDisplay,
    StudyResult,
    calibration,
    monte_carlo,
    plan_predictive_uncertainty,
    predictive_uncertainty,
)
from dropout_zoo.studies.data.corruption import corrupt
from dropout_zoo.training import Member, train_members

pytestmark = pytest.mark.slow

LEVELS = {"rotation": (0.0, 60.0), "gaussian noise": (0.4,)}
ALONE = Execution(workers=1)
ENSEMBLE = "ensemble of 3 without dropout"


@pytest.fixture(scope="module")
def model():
    return build_mlp(units=(16,), hidden_rates=(0.5,))


@pytest.fixture(scope="module")
def study(model, few_digits):
    return predictive_uncertainty(
        model, few_digits, levels=LEVELS, samples=8, ensemble_size=3, num_seeds=2, epochs=3,
        execution=ALONE,
    )  # fmt: skip


def test_every_predictor_is_measured_at_every_level_on_the_same_seeds(study):
    names = ["no dropout", "as given, weight scaling", "as given, 8 passes", ENSEMBLE]
    assert list(dict.fromkeys(study.data["predictor"])) == names
    assert len(study.data) == len(names) * 3 * 2
    assert set(study.data["seed"]) == {0, 1}
    gains = study.gains()
    assert set(gains["control"]) == {
        f"no dropout, {where}" for where in ("rotation 0", "rotation 60", "Gaussian noise 0.4")
    }
    last = gains.set_index("setting").loc[f"{ENSEMBLE}, rotation 60"]
    means = study.means().set_index("setting")["mean"]
    expected = means["no dropout, rotation 60"] - means[f"{ENSEMBLE}, rotation 60"]
    assert last["gain"] == pytest.approx(expected)
    assert f"{ENSEMBLE}, rotation 60: expected calibration error" in study.summary()


@pytest.mark.slow
def test_the_numbers_are_those_of_the_trained_models(study, model, few_digits):
    rates = [0.0, 0.0, 0.0, 0.5]
    members = [Member([rate], seed) for rate, seed in zip(rates, (0, 2, 3, 0), strict=True)]
    trained = [
        each.model() for each in train_members(model, members, few_digits, epochs=3, batch_size=32)
    ]
    x, y = few_digits.test
    turned = corrupt(x, "rotation", 60, seed=0)
    found = study.data[(study.data["seed"] == 0) & (study.data["severity"] == 60)]
    found = found.set_index("predictor")
    single, *fellows, dropped = (each.predict(turned, verbose=0) for each in trained)
    assert found.loc["no dropout", "corrupted_accuracy"] == pytest.approx(
        (single.argmax(axis=1) == y).mean()
    )
    for name, outputs in [
        ("no dropout", single),
        (ENSEMBLE, np.mean([single, *fellows], axis=0)),
        ("as given, weight scaling", dropped),
    ]:
        assert found.loc[name, "ece"] == pytest.approx(calibration(outputs, y).error, abs=1e-6)
        entropy = -(outputs * np.log(np.clip(outputs, 1e-12, 1))).sum(axis=1).mean()
        assert found.loc[name, "entropy"] == pytest.approx(entropy, rel=1e-4)
    assert np.isnan(found.loc["no dropout", "mutual_information"])
    shared = found.loc[ENSEMBLE, "mutual_information"]
    assert 0 < shared < found.loc[ENSEMBLE, "entropy"]
    everything = np.concatenate(
        [x, turned, corrupt(x, "gaussian noise", 0.4, seed=0)]
    )  # one draw of masks for all levels
    passes = monte_carlo(trained[-1], everything, 8, seed=0)
    middle = slice(len(x), 2 * len(x))
    assert found.loc["as given, 8 passes", "mutual_information"] == pytest.approx(
        passes.mutual_information[middle].mean(), rel=1e-4
    )


def test_the_result_is_saved_and_drawn(study, tmp_path):
    again = StudyResult.from_parquet(study.to_parquet(tmp_path / "study.parquet"))
    assert again.summary() == study.summary()
    axis = FactorCurveDisplay.from_result(study, "entropy").plot().ax_
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert f"{ENSEMBLE}, rotation" in legend
    assert axis.get_ylabel() == "mean entropy of the prediction (nats)"
    plt.close(axis.figure)


@pytest.mark.slow
def test_levels_that_do_not_exist_are_refused_before_any_training(model, few_digits):
    with pytest.raises(ValueError, match="fog"):
        plan_predictive_uncertainty(model, few_digits, levels={"fog": (0.1,)})


@pytest.mark.slow
def test_without_an_ensemble_no_extra_models_are_trained(model, few_digits):
    plan = plan_predictive_uncertainty(
        model, few_digits, levels={"rotation": (0,)}, samples=2, ensemble_size=1, num_seeds=1,
        epochs=1,
    )  # fmt: skip
    assert plan.num_runs == 2
    found = plan.run(ALONE)
    assert set(found.data["predictor"]) == {
        "no dropout", "as given, weight scaling", "as given, 2 passes",
    }  # fmt: skip
