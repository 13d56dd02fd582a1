"""Searches on inputs alone, for models whose own code computes their loss."""

import keras
import pytest
from batch_sources import SOURCES, X
from inputs_alone import autoencoder
from keras import layers
from keras_tuner.oracles import GridSearchOracle

from dropout_zoo.tuning import DropoutHyperModel, DropoutTuner, tune

FEW = {
    "rates": [0.2], "num_finalists": 1, "num_seeds": 1, "epochs": 2, "progress": False,
}  # fmt: skip


@pytest.mark.parametrize("given", ["arrays", pytest.param("tf.data", marks=pytest.mark.slow)])
def test_tune_takes_inputs_alone(given, tmp_path):
    x = X if given == "arrays" else SOURCES[given](X)
    run = tmp_path / "run"
    result = tune(autoencoder(), x, validation_split=0.2, directory=run, **FEW)
    assert result.objective.name == "val_loss"
    assert "classes" not in result.summary() and "class" not in result.answer
    again = tune(autoencoder(), x, validation_split=0.2, directory=run, resume=True, **FEW)
    assert again.summary() == result.summary()
    assert result.best_model().predict(X, verbose=0).shape == X.shape


def test_tune_names_the_loss_that_needs_targets():
    model = keras.Sequential([keras.Input((4,)), layers.Dropout(0.2), layers.Dense(1)], name="net")
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"expected y, which the loss of 'net' \(mse\) needs"):
        tune(model, X, **FEW)


@pytest.mark.slow
def test_the_tuner_takes_inputs_alone(tmp_path):
    hypermodel = DropoutHyperModel(autoencoder(), [0.2, 0.5])
    tuner = DropoutTuner(GridSearchOracle("val_loss"), hypermodel, directory=tmp_path)
    tuner.search(X, validation_split=0.2, epochs=2)
    assert len(tuner.get_best_models(2)) == 2
