"""What claims measure of a trained model beyond its test error, at the best epoch."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from dropout_zoo.models.graph.sites import dropout_sites
from dropout_zoo.studies.claims.held_out import predictions
from dropout_zoo.studies.data.corruption import corrupt
from dropout_zoo.studies.experiments.coadaptation import mean_correlation
from dropout_zoo.studies.experiments.monte_carlo import (
    dropout_passes,
    monte_carlo,
    proper_scores,
    row_entropy,
)
from dropout_zoo.training.data.dataset import Dataset

_EXAMPLES = 2000
"""Test examples that are measured; more would take longer than the training."""

_PASSES = (1, 50, 200)


def averaging(model: keras.Model, data: Dataset) -> dict[str, float]:
    """Compare weight scaling with averages of passes with dropout on.

    Args:
        model: a classifier.
        data: the data, with a test set.

    Returns:
        Differences of error and loss, and of the distance from weight scaling to the arithmetic and
        the geometric mean of the probabilities, by metric; nothing for a model without dropout.
    """
    if not any(site.rate for site in dropout_sites(model)):
        return {}
    x, y = _test_examples(data)
    scaling = predictions(model, x)
    scaled = proper_scores(scaling, y)
    outputs = np.stack(list(dropout_passes(model, x, max(_PASSES))))
    found = {}
    for passes in _PASSES:
        averaged = proper_scores(outputs[:passes].mean(axis=0), y)
        found[f"scaling_minus_mc_{passes}"] = scaled["error"] - averaged["error"]
        found[f"mc_{passes}_minus_scaling_loss"] = averaged["loss"] - scaled["loss"]
    found["mc_200_minus_mc_50_loss"] = (
        found["mc_200_minus_scaling_loss"] - found["mc_50_minus_scaling_loss"]
    )
    geometric = _geometric_mean(outputs)
    found["scaling_minus_geometric"] = scaled["error"] - proper_scores(geometric, y)["error"]
    found["closer_to_geometric"] = _distance(scaling, outputs.mean(axis=0)) - _distance(
        scaling, geometric
    )
    return found


def _geometric_mean(outputs: np.ndarray) -> np.ndarray:
    """The geometric mean of the probabilities of all passes, divided by its sum over classes."""
    logarithms = np.log(np.maximum(outputs, np.finfo(float).tiny)).mean(axis=0)
    means = np.exp(logarithms - logarithms.max(axis=-1, keepdims=True))
    return np.asarray(means / means.sum(axis=-1, keepdims=True))


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """The total variation between predicted distributions, averaged over the examples."""
    return float(np.abs(one - other).sum(axis=-1).mean() / 2)


def uncertainty(model: keras.Model, data: Dataset) -> dict[str, float]:
    """Compare how well two measures of uncertainty tell wrong predictions from right ones.

    Args:
        model: a classifier.
        data: the data, with a test set.

    Returns:
        ``disagreement_minus_entropy_area``; nothing for a model without dropout, or one that is
        right or wrong on all examples.
    """
    if not any(site.rate for site in dropout_sites(model)):
        return {}
    x, y = _test_examples(data)
    scaling = predictions(model, x)
    wrong = scaling.argmax(axis=-1) != y
    if wrong.all() or not wrong.any():
        return {}
    disagreement = monte_carlo(model, x, 50).mutual_information
    areas = [roc_auc_score(wrong, values) for values in (disagreement, row_entropy(scaling))]
    return {"disagreement_minus_entropy_area": float(areas[0] - areas[1])}


def dropout_layers(model: keras.Model, data: Dataset) -> dict[str, float]:
    """Check what the dropout layers of a model do to their inputs.

    Args:
        model: a sequential classifier with `keras.layers.Dropout`.
        data: the data, with a test set.

    Returns:
        ``inference_change`` and ``kept_scale_error``; nothing for a model without dropout.
    """
    x = _test_examples(data)[0]
    changes, errors = [], []
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout) and layer.rate:
            values = np.abs(_activations(model, layer.input, x)) + 1.0  # none is 0
            kept = np.asarray(layer(values, training=True))
            scaled = values / (1 - layer.rate)
            changes.append(np.abs(np.asarray(layer(values, training=False)) - values).max())
            errors.append(np.abs(kept / scaled - 1)[kept != 0].max())
    if not changes:
        return {}
    return {"inference_change": float(max(changes)), "kept_scale_error": float(max(errors))}


def corrupted_inputs(model: keras.Model, data: Dataset) -> dict[str, float]:
    """Measure by how much corrupted inputs raise the test error.

    Args:
        model: a classifier.
        data: the data, with a test set.

    Returns:
        ``noise_increase`` (standard deviation 0.3 of the largest value) and ``missing_increase``
        (half of the pixels).
    """
    x, y = _test_examples(data)
    clean = proper_scores(predictions(model, x), y)["error"]
    levels = {"noise": ("gaussian noise", 0.3), "missing": ("missing pixels", 0.5)}
    return {
        f"{name}_increase": proper_scores(predictions(model, corrupt(x, *level, seed=0)), y)[
            "error"
        ]
        - clean
        for name, level in levels.items()
    }


def first_layer(model: keras.Model, data: Dataset) -> dict[str, float]:
    """Measure the units of the first hidden layer on test examples.

    Args:
        model: a sequential model with a dense layer ``hidden_1`` of relu units.
        data: the data, with a test set.

    Returns:
        ``active_share``, ``mean_activation`` and ``correlation``.
    """
    layer = model.get_layer("hidden_1")
    values = _activations(model, layer.output, _test_examples(data)[0])
    return {
        "active_share": float((values > 0).mean()),
        "mean_activation": float(values.mean()),
        "correlation": float(np.nanmean(mean_correlation(values))),
    }


def joint_ablation(model: keras.Model, data: Dataset) -> dict[str, float]:
    """Measure by how much the test error rises without a quarter of the first hidden layer.

    Args:
        model: a sequential classifier with a dense layer ``hidden_1`` of relu units.
        data: the data, with a test set.

    Returns:
        ``ablation_increase``, the mean of five draws of the units. The weights are the same
        afterwards.
    """
    x, y = _test_examples(data)
    layer = model.get_layer("hidden_1")
    given = layer.get_weights()
    clean = proper_scores(predictions(model, x), y)["error"]
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(5):
        removed = rng.permutation(layer.units)[: layer.units // 4]
        changed = [weights.copy() for weights in given]
        for weights in changed:
            weights[..., removed] = 0
        layer.set_weights(changed)
        errors.append(proper_scores(predictions(model, x), y)["error"])
    layer.set_weights(given)
    return {"ablation_increase": float(np.mean(errors)) - clean}


def of_a_classifier(model: keras.Model, data: Dataset) -> Mapping[str, float]:
    """Measure everything above."""
    return {
        **averaging(model, data),
        **uncertainty(model, data),
        **dropout_layers(model, data),
        **corrupted_inputs(model, data),
        **first_layer(model, data),
        **joint_ablation(model, data),
    }


def rare_recall(model: keras.Model, data: Dataset) -> dict[str, float]:
    """Measure how much of class 0 is missed in the test set."""
    assert data.test is not None
    x, y = data.test
    missed = predictions(model, x[y == 0]).argmax(axis=1) != 0
    return {"rare_recall_error": 100 * float(missed.mean())}


def _test_examples(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    assert data.test is not None  # the data of all claims have one
    x, y = data.test
    return x[:_EXAMPLES], y[:_EXAMPLES]


def _activations(model: keras.Model, output: keras.KerasTensor, x: np.ndarray) -> np.ndarray:
    return predictions(keras.Model(model.inputs[0], output), x).astype("float32")
