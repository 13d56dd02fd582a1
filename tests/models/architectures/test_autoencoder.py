"""The autoencoder, and data whose targets are their inputs."""

import numpy as np
import pytest

from dropout_zoo.models import create_model, dropout_sites, model_entry
from dropout_zoo.models.architectures.autoencoder import build_autoencoder
from dropout_zoo.training import load_dataset, targets_for


@pytest.fixture(scope="module")
def reconstruction(few_digits):
    return few_digits.as_reconstruction()


def test_the_autoencoder_has_the_documented_layers():
    model = build_autoencoder()
    assert [layer.name for layer in model.layers] == [
        "flatten",
        "hidden_1",
        "hidden_1_dropout",
        "reconstruction",
    ]
    assert model.count_params() == (784 * 256 + 256) + (256 * 784 + 784) == 402_448
    assert model_entry("autoencoder").parameters == 402_448
    assert model.output_shape == (None, 784)
    assert [(s.path, s.rate, s.placement) for s in dropout_sites(model)] == [
        ("hidden_1_dropout", 0.5, "hidden")
    ]


def test_shapes_widths_and_bounds_can_be_set():
    model = build_autoencoder(
        input_shape=(6, 5), units=(8, 4, 8), hidden_rates=(0, 0.2, 0), input_rate=0.1, max_norm=2
    )
    assert model.output_shape == (None, 30)
    assert [site.rate for site in dropout_sites(model)] == [0.1, 0.0, 0.2, 0.0]
    assert model.get_layer("reconstruction").kernel_constraint.max_value == 2
    with pytest.raises(ValueError, match="expected units"):
        build_autoencoder(units=())


def test_the_data_are_their_own_targets(reconstruction, few_digits):
    for part in ("train", "validation", "test"):
        x, y = getattr(reconstruction, part)
        np.testing.assert_array_equal(y, x.reshape(len(x), 784))
        np.testing.assert_array_equal(x, getattr(few_digits, part)[0])
    assert reconstruction.task == "reconstruction"
    assert reconstruction.num_classes is None
    assert reconstruction.class_counts() is None
    assert "reconstruction" in reconstruction.describe()
    assert reconstruction.fingerprint() != few_digits.fingerprint()
    assert np.shares_memory(*reconstruction.train)


def test_load_dataset_reconstructs_what_it_splits_by_class():
    labeled, own = load_dataset("digits"), load_dataset("digits", task="reconstruction")
    np.testing.assert_array_equal(labeled.train[0], own.train[0])
    assert own.train[1].shape == (len(own.train[0]), 784)


def test_targets_are_the_flattened_inputs(reconstruction):
    model = create_model("autoencoder")
    x, y = reconstruction.train
    targets = targets_for(model, y, None)
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets, x.reshape(len(x), -1))
    logistic = build_autoencoder(loss="binary_crossentropy")
    np.testing.assert_array_equal(targets_for(logistic, y, None), targets)


def test_models_that_do_not_fit_are_reported(reconstruction, few_digits):
    with pytest.raises(ValueError, match="expected 784 output units, one for each feature"):
        targets_for(create_model("mlp", num_classes=None), reconstruction.train[1], None)
    with pytest.raises(ValueError, match=r"received 784; .*, or set the task to reconstruction"):
        targets_for(create_model("autoencoder"), few_digits.train[1], 10)
