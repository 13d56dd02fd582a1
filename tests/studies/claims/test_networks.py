"""The networks of claims that no registered builder makes."""

import numpy as np
import pytest

from dropout_zoo.models import dropout_sites
from dropout_zoo.studies.claims.convolutional import POSITIONS
from dropout_zoo.studies.claims.networks import normalized_mlp, shifted_mlp
from dropout_zoo.studies.claims.residual_network import residual_cnn

RESIDUAL_ORDER = [
    "block_2_1_relu",
    "block_2_conv_1",
    "block_2_conv_1_dropout",
    "block_2_2_batch_norm",
    "block_2_dropout",
    "block_2_conv_2",
    "block_2_end_dropout",
    "block_2_add",
    "last_batch_norm",
    "last_dropout",
    "pool",
    "hidden_dropout",
    "classifier",
]


@pytest.mark.parametrize(
    ("position", "names", "placement"),
    [
        ("before the last batch norm", "block_{}_conv_1_dropout", "convolutional"),
        ("after the last batch norm", "block_{}_dropout", "convolutional"),
        ("end of the branch", "block_{}_end_dropout", "convolutional"),
        ("before pooling", "last_dropout", "convolutional"),
        ("after pooling", "hidden_dropout", "hidden"),
    ],
)
def test_dropout_is_at_the_position_given(position, names, placement):
    assert position in POSITIONS
    model = residual_cnn(position=position)
    sites = [(site.path, site.placement) for site in dropout_sites(model)]
    numbers = (1, 2, 3) if "{}" in names else (1,)
    assert sites == [(names.format(number), placement) for number in numbers]
    order = [layer.name for layer in model.layers]
    places = [order.index(name) for name in RESIDUAL_ORDER]
    assert places == sorted(places)


def test_batch_norm_of_claims_has_quick_averages_on_the_side_given():
    model = normalized_mlp(batch_norm="after_dropout")
    order = [layer.name for layer in model.layers]
    for number in (1, 2):
        norm = model.get_layer(f"hidden_{number}_batch_norm")
        assert norm.momentum == 0.9
        assert order.index(norm.name) > order.index(f"hidden_{number}_dropout")
    plain = [layer.name for layer in normalized_mlp().layers]
    assert not [name for name in plain if "batch_norm" in name]


def test_training_images_are_shifted_and_others_are_not():
    image = np.zeros((64, 28, 28), "float32")
    image[:, 14, 14] = 1.0
    shift = shifted_mlp(pixels=2.0).get_layer("shift")
    shifted = np.asarray(shift(image[..., None], training=True))[..., 0]
    _, rows, columns = np.nonzero(shifted > 0.2)
    assert rows.min() >= 12 and rows.max() <= 16
    assert columns.min() >= 12 and columns.max() <= 16
    assert len({tuple(each.ravel()) for each in np.round(shifted, 3)}) > 32
    unchanged = shifted_mlp().get_layer("shift")
    for layer, training in ((shift, False), (unchanged, True)):
        assert np.allclose(np.asarray(layer(image[..., None], training=training))[..., 0], image)
