"""The tables of training runs: nothing in a model may have the name of another column."""

import keras
import pytest

from dropout_zoo.tuning import tune


def model_with(site="drop", metric="accuracy", units=4):
    model = keras.Sequential([
        keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(units, activation="relu"),
        keras.layers.Dropout(0.5, name=site), keras.layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    measured = keras.metrics.SparseCategoricalAccuracy(name=metric)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=[measured])
    return model


def search(model, directory):
    return tune(
        model, "digits", rates=[0.2, 0.5], epochs=1, max_trials=2, num_seeds=2, num_finalists=1,
        progress=False, directory=directory,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "setting", "seed", "split", "status", "reason", "score", "best_epoch", "epochs", "seconds",
        "val_loss", "accuracy",
    ],
)  # fmt: skip
def test_a_dropout_layer_with_the_name_of_a_column_is_refused_before_training(name, tmp_path):
    with pytest.raises(ValueError, match=f"received dropout layers called '{name}'; rename them"):
        search(model_with(site=name), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["seed", "phase"])
def test_a_metric_with_the_name_of_a_column_is_refused_before_training(name, tmp_path):
    with pytest.raises(ValueError, match=f"received metrics called '{name}'; rename them"):
        search(model_with(metric=name), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["score", "val_accuracy"])
def test_a_layer_that_only_some_hyperparameters_add_is_refused_too(name, tmp_path):
    def build(hp):
        return model_with(
            site=name if hp.Boolean("wide") else "drop", units=hp.Choice("units", [4, 8])
        )

    with pytest.raises(ValueError, match=f"received dropout layers called '{name}'; rename them"):
        search(build, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_hyperparameter_with_the_name_of_a_metric_is_refused_before_training(tmp_path):
    def build(hp):
        return model_with(units=hp.Choice("val_accuracy", [4, 8]))

    with pytest.raises(ValueError, match="received hyperparameters called 'val_accuracy'; rename"):
        search(build, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_dropout_layer_with_the_name_of_a_column_of_the_comparison_keeps_its_rate(tmp_path):
    result = search(model_with(site="mean"), tmp_path / "run")
    assert set(result.trials["mean"]) == {0.0, 0.2, 0.5}
    assert set(result.comparison["rate/mean"]) <= {0.0, 0.2, 0.5}
    assert set(result.best_rates) == {"mean"}
