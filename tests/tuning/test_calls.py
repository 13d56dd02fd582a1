"""Calls that users of Keras and KerasTuner write without looking anything up."""

import numpy as np
import pandas as pd
import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import examine, predictive_uncertainty, rate_sweep
from dropout_zoo.training import Member, as_dataset, train_members
from dropout_zoo.tuning import TuningResult, tune

QUICK = {"rates": 0.2, "epochs": 1, "num_finalists": 1, "num_seeds": 1, "progress": False}
X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
Y = (X[:, 0] > 0).astype(int)
FRAME = pd.DataFrame(X, columns=list("abcd"))


@pytest.fixture(scope="module")
def model():
    return build_mlp(input_shape=(4,), num_classes=2, units=(4,), hidden_rates=0.3)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ((X, Y), {"validation_split": 0.2}),
        ((X, Y), {"validation_data": (X, Y), "test_data": (X, Y)}),
        ((X, Y), {"sample_weight": np.ones(60)}),
        (((X, Y),), {}),
        ((FRAME, pd.Series(Y)), {}),
        ((FRAME.assign(label=Y),), {"target": "label"}),
    ],
    ids=["split", "parts", "weights", "pair", "frame", "target"],
)
def test_tune_takes_data_as_fit_does(model, monkeypatch, data, options):
    searched = []

    def planned(search, *arguments, **options):
        searched.append(search.dataset)

    monkeypatch.setattr("dropout_zoo.tuning.tune_model.run_search", planned)
    tune(model, *data, **options, **QUICK, seed=3)
    [dataset] = searched
    assert dataset.fingerprint() == as_dataset(*data, **options, seed=3).fingerprint()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": True}, "expected directory to be that of the run with resume=True, received N"),
        ({"overwrite": True}, "run with overwrite=True, received None"),
        ({"resume": True, "overwrite": True, "directory": "run"}, "received both"),
    ],
)
def test_a_run_without_a_directory_cannot_be_resumed(model, options, message):
    with pytest.raises(ValueError, match=message):
        tune(model, X, Y, **QUICK, **options)


@pytest.mark.slow
def test_a_result_without_a_test_set_says_so_and_is_saved(model, tmp_path):
    result = tune(model, X, Y, validation_split=0.2, **QUICK, directory=tmp_path / "run")
    assert result.num_runs == 3 + 3 * 2
    assert result.test == {}
    assert "not tested: the data have no test set." in result.summary()
    loaded = TuningResult.load(tmp_path / "run")
    assert loaded.test == {}
    assert loaded.summary() == result.summary()


@pytest.mark.slow
def test_studies_and_members_take_what_tune_takes(model):
    few = {"epochs": 1}
    study = rate_sweep(model, (FRAME, pd.Series(Y)), rates=0.5, num_seeds=1, **few)
    assert study.means()["setting"].tolist() == ["no dropout", "hidden 0.50"]
    [trained] = train_members(model, [Member([0.2], 0)], (X.tolist(), Y.tolist()), epochs=1)
    assert trained.status == "completed"
    assert examine(model, (X, Y), select=["DZ302"], num_seeds=1, **few).model_name == model.name


def test_a_study_that_needs_a_test_set_says_so(model):
    data = as_dataset(X, Y, validation_split=0.2)
    with pytest.raises(ValueError, match="expected data with a test set"):
        predictive_uncertainty(model, data, epochs=1, num_seeds=1)
