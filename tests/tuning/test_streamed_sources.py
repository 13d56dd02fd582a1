"""Searches and studies on sources of batches that are streamed."""

import keras
import keras_tuner
import pandas as pd
import pytest
from batch_sources import Batched, X, Y, tf_data
from time_limits import after, time_ends

from dropout_zoo.studies import rate_sweep
from dropout_zoo.training import DataError, as_dataset
from dropout_zoo.tuning import DropoutHyperModel, DropoutTuner, tune

pytestmark = pytest.mark.filterwarnings("ignore:Model.fit trains the members:UserWarning")
QUICK = {"rates": [0.2], "num_seeds": 2, "num_finalists": 1, "epochs": 1, "progress": False}
VALIDATION = (X[:20], Y[:20])


def model():
    net = keras.Sequential(
        [
            keras.Input([4]),
            keras.layers.Dropout(0.5, name="drop"),
            keras.layers.Dense(2, activation="softmax"),
        ],
        name="net",  # by which a resumed run knows it
    )
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return net


def endless():
    return tf_data(X, Y).shuffle(50, seed=1).repeat().batch(8)


@pytest.mark.nightly
def test_a_search_on_an_endless_source_is_resumed_with_the_answer_of_one_run(tmp_path):
    arguments = QUICK | {
        "validation_data": VALIDATION, "test_data": (X, Y), "steps_per_epoch": 3,
    }  # fmt: skip
    whole = tune(model(), endless, **arguments)
    with time_ends(after(3)):
        stopped = tune(model(), endless, **arguments, budget="10m", directory=tmp_path / "run")
    assert stopped.answer == "out of time" and 3 <= len(stopped.trials) < len(whole.trials)
    resumed = tune(model(), endless, **arguments, directory=tmp_path / "run", resume=True)
    assert (resumed.sentence, resumed.test) == (whole.sentence, whole.test)
    one, other = (each.trials.drop(columns="seconds") for each in (whole, resumed))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.slow
def test_a_study_trains_on_a_source_with_random_augmentation():
    with pytest.warns(UserWarning, match="it yields other examples each time"):
        data = as_dataset(Batched(X, Y, flips=True), validation_data=VALIDATION)
    study = rate_sweep(model(), data, sites="all", rates=[0.5], num_seeds=2, epochs=1)
    assert len(study.data) == 4 and study.data["val_loss"].notna().all()


def test_a_tuner_asks_for_the_source_itself(tmp_path):
    data = as_dataset(Batched(X, Y), validation_data=VALIDATION, max_bytes=0)
    oracle = keras_tuner.oracles.GridSearchOracle("val_loss", max_trials=2)
    tuner = DropoutTuner(oracle, DropoutHyperModel(model()), directory=tmp_path)
    with pytest.raises(DataError, match=r"received a keras\.utils.PyDataset that is streamed"):
        tuner.search(data)
