"""The trained weights that come with the package: they are what their cards say."""

import json
import shutil

import numpy as np
import pytest

from dropout_zoo.models import build_mlp, create_model, trained_weights, weights_card
from dropout_zoo.models.trained_weights import WEIGHTS

CARDS = sorted(path.stem for path in WEIGHTS.glob("*.json"))


@pytest.mark.parametrize("name", CARDS)
def test_the_test_error_is_what_the_card_says(name, mnist_path):
    model, weights = name.split("_")
    with np.load(mnist_path) as mnist:
        x, y = mnist["x_test"].astype("float32") / 255, mnist["y_test"]
    predicted = create_model(model, weights=weights).predict(x, batch_size=500, verbose=0)
    error = 100 * np.mean(predicted.argmax(axis=1) != y)
    assert error == pytest.approx(weights_card(model, weights).test_error_of_weights, abs=0.011)


@pytest.mark.parametrize("name", CARDS)
def test_cards_agree_with_their_runs(name):
    read = json.loads((WEIGHTS / f"{name}.json").read_text())
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


@pytest.mark.parametrize("damage", ["changed", "deleted"])
def test_damaged_weights_are_refused(damage, tmp_path, monkeypatch):
    copy = tmp_path / "weights"
    shutil.copytree(WEIGHTS, copy)
    file = copy / "mlp_mnist.npz"
    content = bytearray(file.read_bytes())
    file.unlink()
    if damage == "changed":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    monkeypatch.setattr(trained_weights, "WEIGHTS", copy)
    with pytest.raises(ValueError, match=r"mlp_mnist.npz: expected the sha256 .* install the"):
        build_mlp(weights="mnist")
