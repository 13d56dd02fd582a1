"""What claims measure of trained models."""

import keras
import numpy as np
import pytest

from dropout_zoo.models import with_rates
from dropout_zoo.studies.claims import model_measures
from dropout_zoo.studies.claims.held_out import held_out_scores, predictions
from dropout_zoo.studies.experiments.monte_carlo import dropout_passes


def test_predictions_are_those_of_predict(trained, few_digits):
    x = few_digits.test[0]
    assert predictions(trained, x) == pytest.approx(trained.predict(x, verbose=0), abs=1e-5)


def test_the_test_error_is_in_percent(trained, few_digits):
    loss, accuracy = trained.evaluate(*few_digits.test, verbose=0)
    scores = held_out_scores(trained, few_digits)
    assert scores["test_error"] == pytest.approx(100 * (1 - accuracy), abs=1e-3)
    assert scores["test_loss"] == pytest.approx(loss, abs=1e-4)


def test_a_single_pass_is_worse_than_fifty(trained, few_digits):
    found = model_measures.averaging(trained, few_digits)
    assert found["mc_1_minus_scaling_loss"] > found["mc_50_minus_scaling_loss"]
    assert model_measures.averaging(with_rates(trained, 0.0), few_digits) == {}


def test_weight_scaling_is_the_geometric_mean_where_dropout_precedes_the_softmax_alone(few_digits):
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    found = model_measures.averaging(model, few_digits)
    assert found["closer_to_geometric"] > 0.001
    passes = np.stack(list(dropout_passes(model, few_digits.test[0], 200)))
    geometric = np.exp(np.log(passes).mean(axis=0))
    scaling = predictions(model, few_digits.test[0])
    assert geometric / geometric.sum(axis=-1, keepdims=True) == pytest.approx(scaling, abs=0.05)


def test_measures_of_uncertainty_are_compared_where_there_are_errors(trained, few_digits):
    found = model_measures.uncertainty(trained, few_digits)
    assert -1 < found["disagreement_minus_entropy_area"] < 1
    assert model_measures.uncertainty(with_rates(trained, 0.0), few_digits) == {}


def test_dropout_layers_are_the_identity_at_inference_and_scale_in_training(trained, few_digits):
    found = model_measures.dropout_layers(trained, few_digits)
    assert found["inference_change"] == 0.0
    assert found["kept_scale_error"] < 1e-6
    assert model_measures.dropout_layers(with_rates(trained, 0.0), few_digits) == {}


def test_corruption_and_ablation_add_error_and_leave_the_model_as_it_was(trained, few_digits):
    before = [weights.copy() for weights in trained.get_weights()]
    found = model_measures.corrupted_inputs(trained, few_digits)
    found |= model_measures.joint_ablation(trained, few_digits)
    assert found["noise_increase"] > 0
    assert found["missing_increase"] > 0
    assert found["ablation_increase"] > -5
    for given, after in zip(before, trained.get_weights(), strict=True):
        assert np.array_equal(given, after)


def test_units_of_the_first_layer_are_measured_on_test_examples(trained, few_digits):
    found = model_measures.first_layer(trained, few_digits)
    layer = trained.get_layer("hidden_1")
    x = few_digits.test[0].reshape(len(few_digits.test[0]), -1)
    kernel, bias = layer.get_weights()
    values = np.maximum(x @ kernel + bias, 0)
    assert found["active_share"] == pytest.approx((values > 0).mean(), abs=1e-3)
    assert found["mean_activation"] == pytest.approx(values.mean(), rel=1e-3)
    assert 0 < found["correlation"] < 1


def test_the_rare_class_is_class_0(trained, few_digits):
    x, y = few_digits.test
    missed = trained.predict(x[y == 0], verbose=0).argmax(axis=1) != 0
    found = model_measures.rare_recall(trained, few_digits)["rare_recall_error"]
    assert found == pytest.approx(100 * missed.mean())
