"""The trained weights that come with the package: they are what their cards say."""

import json
import shutil

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from dropout_zoo.models import (
    build_cnn,
    build_mlp,
    create_model,
    register_model,
    registry,
    trained_weights,
    weights_card,
)
from dropout_zoo.models.trained_weights import WEIGHTS
from dropout_zoo.training import load_dataset
from dropout_zoo.training.data.split import split_arrays

CARDS = sorted((path.parent.name, path.stem) for path in WEIGHTS.glob("*/*.json"))


def data_for(weights, mnist_path):
    """The inputs and labels on which weights were tested."""
    if weights == "mnist":
        with np.load(mnist_path) as mnist:
            return mnist["x_test"].astype("float32") / 255, mnist["y_test"]
    if weights == "breast_cancer":
        x, y = load_breast_cancer(return_X_y=True)
        return split_arrays(x.astype("float32"), y, seed=0)[2]
    return load_dataset(weights, seed=0).test


@pytest.mark.parametrize(("model", "weights"), CARDS)
def test_the_test_error_is_what_the_card_says(model, weights, mnist_path):
    x, y = data_for(weights, mnist_path)
    predicted = create_model(model, weights=weights).predict(x, batch_size=500, verbose=0)
    error = 100 * np.mean(predicted.argmax(axis=1) != y)
    # One example of MNIST's 10,000 may be on the edge between two classes.
    allowed = max(0.011, 0.1 / len(y))
    assert error == pytest.approx(weights_card(model, weights).test_error_of_weights, abs=allowed)


def test_the_weights_are_small_enough_to_come_with_the_package():
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 15e6


@pytest.mark.parametrize(("model", "weights"), CARDS)
def test_cards_agree_with_their_runs(model, weights):
    read = json.loads((WEIGHTS / model / f"{weights}.json").read_text())
    card = weights_card(read["model"], read["weights"])
    for setting in ("dropout", "no dropout"):
        runs = read["test_error"][setting]["runs"]
        assert len(runs) == card.seeds
        estimate = card.test_error[setting]
        assert estimate.mean == pytest.approx(np.mean(runs))
        assert estimate.low < np.mean(runs) < estimate.high
    difference = np.subtract(
        *(read["test_error"][each]["runs"] for each in ("no dropout", "dropout"))
    )
    assert card.gain.mean == pytest.approx(difference.mean())
    assert card.test_error_of_weights == read["test_error"]["dropout"]["runs"][card.seed]
    assert "Test error without dropout: " in str(card)


def test_rates_and_other_dropout_layers_do_not_matter_to_weights():
    one = build_mlp(weights="mnist")
    other = create_model("mlp", weights="mnist", hidden_rates=(0.2, 0.0), input_rate=0.1)
    for weight, same in zip(one.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(weight, same)
    assert not np.array_equal(one.get_weights()[0], build_mlp().get_weights()[0])


def test_a_registered_model_is_built_for_the_data_of_its_weights():
    model = create_model("tabular_mlp", weights="breast_cancer")
    assert model.input_shape == (None, 30) and model.output_shape == (None, 2)
    with pytest.raises(ValueError, match=r"has the shape \(30,\), received \(4,\)"):
        create_model("tabular_mlp", weights="breast_cancer", input_shape=(4,))


def test_the_builder_of_the_cnn_takes_weights_too():
    one, other = build_cnn(weights="mnist"), create_model("cnn", weights="mnist", name="other")
    for weight, same in zip(one.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(weight, same)


def test_the_argument_weights_of_other_builders_is_theirs():
    def build(weights="none"):
        return weights

    register = register_model("own-weights", family="test", parameters=0, sites={}, source="test")
    register(build)
    try:
        assert create_model("own-weights") == "none"
        assert create_model("own-weights", weights=None) is None
        assert create_model("own-weights", weights="imagenet") == "imagenet"
    finally:
        del registry._entries["own-weights"]


def test_variants_do_not_take_the_weights_of_another_model():
    with pytest.raises(ValueError, match=r"trained weights .* received 'srivastava_1024x3'"):
        create_model("srivastava_1024x3", weights="mnist")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"units": (128, 32)}, r"hidden_2/kernel has the shape \(128, 64\), received \(128, 32\)"),
        (
            {"units": (128,), "hidden_rates": 0.5},
            r"classifier/kernel has the shape \(64, 10\), received \(128, 10\)",
        ),
        ({"batch_norm": "before_dropout"}, r"has the shape None, received \(128,\)"),
        ({"num_classes": 3}, r"classifier/kernel has the shape \(64, 10\), received \(64, 3\)"),
    ],
)
def test_networks_of_other_sizes_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        build_mlp(weights="mnist", **arguments)


def test_weights_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match="to be 'mnist', or None for random ones, received 'mnst'"):
        build_mlp(weights="mnst")
    with pytest.raises(ValueError, match=r"comes with trained weights .* received 'vit'"):
        weights_card("vit", "mnist")
    with pytest.raises(ValueError, match="received None with weights='mnist'"):
        weights_card(None, "mnist")


@pytest.mark.parametrize("damage", ["changed", "deleted"])
def test_damaged_weights_are_refused(damage, tmp_path, monkeypatch):
    copy = tmp_path / "weights"
    shutil.copytree(WEIGHTS, copy)
    file = copy / "mlp" / "mnist.npz"
    content = bytearray(file.read_bytes())
    file.unlink()
    if damage == "changed":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    monkeypatch.setattr(trained_weights, "WEIGHTS", copy)
    with pytest.raises(ValueError, match=r"mlp/mnist.npz: expected the sha256 .* install the"):
        build_mlp(weights="mnist")
