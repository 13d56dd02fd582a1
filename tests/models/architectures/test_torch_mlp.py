"""The documented PyTorch net, and weights on their way to Keras and back."""

import copy
import io
import subprocess
import sys

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from dropout_zoo.models import (  # noqa: E402
    build_mlp,
    build_torch_mlp,
    keras_weights_to_torch,
    torch_weights_to_keras,
)


@pytest.fixture
def images():
    return np.random.default_rng(0).random((16, 28, 28)).astype("float32")


def keras_logits(model, images):
    """What the classifier computes before its softmax."""
    features = keras.Model(model.inputs, model.layers[-2].output).predict(images, verbose=0)
    kernel, bias = model.layers[-1].get_weights()
    return features @ kernel + bias


def torch_logits(net, images):
    with torch.no_grad():
        return net(torch.from_numpy(images)).numpy()


def test_the_network_has_the_documented_layers():
    net = build_torch_mlp()
    assert type(net).__name__ == "NeuralNet"
    assert list(dict(net.named_children())) == ["fc1", "dropout1", "fc2", "dropout2", "fc3"]
    shapes = [(net.fc1.in_features, net.fc1.out_features), (128, 64), (64, 10)]
    assert [(f.in_features, f.out_features) for f in (net.fc1, net.fc2, net.fc3)] == shapes
    assert shapes[0] == (784, 128)
    assert (net.dropout1.p, net.dropout2.p) == (0.5, 0.3)
    assert sum(p.numel() for p in net.parameters()) == 109_386 == build_mlp().count_params()


def test_keras_weights_give_the_same_logits(images):
    model = build_mlp()
    net = keras_weights_to_torch(model, build_torch_mlp())
    assert not net.training
    np.testing.assert_allclose(torch_logits(net, images), keras_logits(model, images), atol=1e-5)
    probabilities = torch.softmax(torch.from_numpy(torch_logits(net, images)), 1).numpy()
    np.testing.assert_allclose(probabilities, model.predict(images, verbose=0), atol=1e-5)


def test_torch_weights_give_the_same_logits(images):
    net = build_torch_mlp().eval()
    model = torch_weights_to_keras(net, build_mlp(hidden_rates=0.0))
    np.testing.assert_allclose(torch_logits(net, images), keras_logits(model, images), atol=1e-5)


def test_a_round_trip_of_the_weights_changes_nothing():
    model = build_mlp()
    other = torch_weights_to_keras(keras_weights_to_torch(model, build_torch_mlp()), build_mlp())
    for before, after in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_copies_are_independent():
    model, net = build_mlp(), build_torch_mlp()
    keras_weights_to_torch(model, net)
    before = model.get_weights()[0]
    with torch.no_grad():
        net.fc1.weight.zero_()
    np.testing.assert_array_equal(model.get_weights()[0], before)


def test_flat_and_square_images_are_the_same(images):
    net = build_torch_mlp().eval()
    flat = torch_logits(net, images.reshape(16, 784))
    np.testing.assert_array_equal(flat, torch_logits(net, images))
    assert flat.shape == (16, 10)


def test_the_rate_is_what_is_dropped():
    net = build_torch_mlp(hidden_rates=(0.2, 0.0)).train()
    dropped = (net.dropout1(torch.ones(10_000)) == 0).float().mean().item()
    assert abs(dropped - 0.2) < 0.03
    assert (net.dropout2(torch.ones(1000)) == 1).all()
    assert build_torch_mlp(hidden_rates=0.4).dropout2.p == 0.4


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ((0.5,), "expected 2 hidden_rates"),
        ((0.5, 1.0), r"hidden_rates\[1\] to be in \[0, 1\)"),
        ("ab", "expected hidden_rates to be a number"),
        (None, "expected hidden_rates to be a number"),
    ],
)
def test_wrong_rates_are_named(rates, message):
    with pytest.raises(ValueError, match=message):
        build_torch_mlp(hidden_rates=rates)


@pytest.mark.parametrize(
    "model", [{"units": (128, 32)}, {"input_shape": (8, 8)}, {"batch_norm": "before_dropout"}]
)
def test_networks_of_another_shape_are_refused(model):
    model, net = build_mlp(**model), build_torch_mlp()
    for transfer, pair in [
        (keras_weights_to_torch, (model, net)),
        (torch_weights_to_keras, (net, model)),
    ]:
        with pytest.raises(ValueError, match="same dense layers, received kernels of shapes"):
            transfer(*pair)


def test_the_net_can_be_copied_and_saved_whole(images):
    net = build_torch_mlp().eval()
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    for other in (copy.deepcopy(net), torch.load(file, weights_only=False)):
        np.testing.assert_array_equal(torch_logits(net, images), torch_logits(other, images))


@pytest.mark.slow
def test_building_it_needs_no_keras():
    program = (
        "import sys; from dropout_zoo.models import build_torch_mlp; build_torch_mlp();"
        "print('keras' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_without_pytorch_the_extra_is_named():
    program = """
import sys
sys.modules["torch"] = None  # as if it were not installed
from dropout_zoo.models import build_torch_mlp
build_torch_mlp()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode != 0
    assert (
        "ImportError: build_torch_mlp needs the package torch; run pip install torch" in done.stderr
    )
    assert "pip install torch" in done.stderr
