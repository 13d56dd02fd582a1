"""Objectives: their direction, and the best epoch they choose."""

import math

import keras_tuner
import pytest

from dropout_zoo.training import Objective, TrainSettings, parse_objective
from dropout_zoo.training.objective import BestEpoch, did_you_mean_objective


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("val_loss", "min"),
        ("val_accuracy", "max"),
        ("val_sparse_categorical_accuracy", "max"),
        ("val_f1_score", "max"),
        ("val_r2_score", "max"),
        ("val_auc", "max"),
        ("val_mean_absolute_error", "min"),
        ("val_mae", "min"),
        ("train_loss", "min"),
        ("val_my_thing:max", "max"),
        ("val_accuracy:min", "min"),
    ],
)
def test_the_direction_of_common_metrics_is_known(text, direction):
    assert parse_objective(text) == Objective(text.partition(":")[0], direction)


@pytest.mark.parametrize("text", ["val_my_thing", "", "val_loss:down", ":max"])
def test_an_unknown_direction_must_be_given(text):
    with pytest.raises(ValueError, match="expected an objective whose direction is known"):
        parse_objective(text)


@pytest.mark.parametrize("text", ["val_acuracy", "acuracy"])
def test_a_similar_name_is_suggested(text):
    with pytest.raises(ValueError, match=r"received '.*'; did you mean 'val_accuracy'\?"):
        parse_objective(text)


@pytest.mark.parametrize("text", ["f1", "val_f1", "val_dice"])
def test_no_name_is_suggested_where_none_is_similar(text):
    with pytest.raises(ValueError) as refused:
        parse_objective(text)
    assert "did you mean" not in str(refused.value)


def test_an_objective_of_keras_tuner_is_taken():
    given = keras_tuner.Objective("val_accuracy", "max")
    assert parse_objective(given) == Objective("val_accuracy", "max")
    settings = TrainSettings(objective=given)
    assert settings == TrainSettings(objective=Objective("val_accuracy", "max"))
    assert settings.describe()["objective"] == "val_accuracy:max"


@pytest.mark.parametrize(
    "several",
    [
        ["val_loss", "val_accuracy"],
        keras_tuner.oracles.GridSearchOracle(["val_loss", "val_accuracy"]).objective,
        None,
    ],
    ids=["list", "several of KerasTuner", "none"],
)
def test_what_is_no_objective_is_refused(several):
    with pytest.raises(TypeError, match=r"expected objective to be one metric, such as 'val_loss'"):
        TrainSettings(objective=several)


@pytest.mark.parametrize(
    ("name", "metrics", "suggested"),
    [
        ("val_rmse", ["loss", "mae", "root_mean_squared_error"], "val_root_mean_squared_error"),
        ("val_mean_absolute_error", ["loss", "mae"], "val_mae"),
        ("acc", ["loss", "accuracy"], "val_accuracy"),
        ("val_accuracy", ["loss", "binary_accuracy"], "val_binary_accuracy"),
        ("val_rmse", ["loss", "mae"], None),
        ("val_mse", ["loss", "mae"], None),
        ("val_auc", ["loss", "accuracy"], None),
    ],
)
def test_names_that_keras_abbreviates_are_the_same(name, metrics, suggested):
    hint = did_you_mean_objective(name, metrics)
    assert hint == (f"; did you mean {suggested!r}?" if suggested else "")


def test_gains_are_positive_for_improvements():
    assert Objective("val_loss", "min").gain(0.2, over=0.5) == pytest.approx(0.3)
    assert Objective("val_accuracy", "max").gain(0.9, over=0.95) == pytest.approx(-0.05)


def test_patience_is_counted_from_the_best_epoch():
    best = BestEpoch(Objective("val_loss", "min"), patience=2)
    improved = [best.improves(epoch, value) for epoch, value in enumerate([5, 3, 4, 3], start=1)]
    assert improved == [True, True, False, False]
    assert (best.epoch, best.value) == (2, 3)
    assert not best.out_of_patience(3)
    assert best.out_of_patience(4)


def test_a_missing_value_is_never_the_best():
    best = BestEpoch(Objective("val_accuracy", "max"))
    best.improves(1, 0.5)
    assert not best.improves(2, math.nan)
    assert best.epoch == 1
