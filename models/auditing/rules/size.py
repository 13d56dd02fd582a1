"""Rules on how much is dropped of how much: layers too narrow for dropout, big nets without any."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras

from dropout_zoo.models import keras_internals
from dropout_zoo.models.auditing.context import AuditView, Placed, mask_shape
from dropout_zoo.models.auditing.predicates import NORMALISATIONS
from dropout_zoo.models.auditing.rules.base import Fault, rule
from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.models.guidance import SRIVASTAVA

MIN_SURVIVORS = 5
"""Fewer expected survivors than this are too few: at a rate of 0.5, a layer of 8 units (4
survivors) hands on nothing at all for one example in 256, one of 10 units for one in 1,024."""

BIG_NET = 1_000_000
"""Weights of hidden, fully connected layers from which on a net without dropout is told so."""


@rule(
    "DZ111",
    "warning",
    "dropout in a layer too narrow for it",
    why="Of n units a rate drops n x rate on average, but rate to the power of n of all examples "
    f"lose everything. Below {MIN_SURVIVORS} expected survivors that happens to more than about "
    "one example in a thousand at a rate of 0.5. A net that wants n units needs n / (1 - rate) "
    "with dropout.",
    source=f"{SRIVASTAVA}, Appendix A.1 (n / p units)",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(6, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(12, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(10, activation="softmax"),
])
""",
)
def dropout_in_narrow_layer(view: AuditView) -> Iterator[Fault]:
    """Fewer units are expected to survive than `MIN_SURVIVORS`."""
    for placed in view.placed:
        width, rate, path = _width(view, placed), placed.site.rate, placed.site.path
        if width is None or not 0 < rate < 1 or width * (1 - rate) >= MIN_SURVIVORS:
            continue
        yield Fault(
            path,
            f"{path!r} leaves {width * (1 - rate):.2g} of {width} units on average, and none at "
            f"all for {rate**width:.2%} of the examples",
            f"make the layer before {path!r} wider, or take {path!r} out",
        )


def _width(view: AuditView, placed: Placed) -> int | None:
    """The number of units of an example that are dropped one by one; None where it is not known."""
    layer, call = placed.site.layer, placed.call
    if placed.site.argument != "rate":  # a recurrent cell, or attention, which has no units
        kernel = getattr(layer, "kernel", None)
        if kernel is None or len(kernel.shape) != 2:
            return None  # a convolutional cell drops places of maps
        return int(kernel.shape[0] if placed.site.argument == "dropout" else layer.units)
    if not placed.direct or not call.shapes or view.is_output(placed):
        return None
    shape, mask = call.shapes[0], mask_shape(placed)
    if type(layer).__name__.startswith("SpatialDropout"):
        first = getattr(layer, "data_format", None) == "channels_first"
        units = [shape[1 if first else -1]]
    else:
        units = [size if mask is None else mask[axis] or size for axis, size in enumerate(shape)][
            1:
        ]
    if None in units or (mask is not None and all(size == 1 for size in mask[1:])):
        return None  # what drops whole examples has a rule of its own
    return math.prod(size for size in units if size is not None)


@rule(
    "DZ112",
    "note",
    "a big net without dropout",
    why=f"At least {BIG_NET:,} weights in hidden, fully connected layers, and nothing that "
    "regularises them: no dropout, normalisation, noise, penalty, constraint, weight decay or "
    "augmentation. Such layers are where nets memorise, and what dropout was made for.",
    source=f"{SRIVASTAVA}, Table 9; Simonyan and Zisserman 2015, arXiv:1409.1556, Section 3.1: "
    "VGG was trained with a rate of 0.5 in its first two dense layers",
    bad="""
model = keras.Sequential([
    keras.Input((784,)),
    layers.Dense(1024, activation="relu"),
    layers.Dense(1024, activation="relu"),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((784,)),
    layers.Dense(1024, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(1024, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(10, activation="softmax"),
])
""",
)
def big_net_without_dropout(view: AuditView) -> Iterator[Fault]:
    """Wide dense layers that nothing regularises."""
    dense: dict[int, keras.Layer] = {}
    for call in view.graph.calls:
        layer = call.operation
        on_vectors = bool(call.shapes) and len(call.shapes[0]) == 2
        hidden = isinstance(layer, keras.layers.Dense) and bool(view.computing_after(call))
        if hidden and on_vectors and layer.trainable:
            dense[id(layer)] = layer
    weights = sum(int(layer.kernel.shape[0] * layer.kernel.shape[1]) for layer in dense.values())
    if weights >= BIG_NET and not _is_regularised(view):
        widest = max(dense.values(), key=lambda layer: layer.kernel.shape[0] * layer.units)
        yield Fault(
            widest.name,
            f"{weights:,} weights in hidden dense layers, the most in {widest.name!r}, and nothing "
            "that regularises them",
            f"layers.Dropout(0.5)  # behind {widest.name!r}",
        )


def _is_regularised(view: AuditView) -> bool:
    if any(site.rate > 0 for site in view.sites):
        return True
    optimizer = getattr(view.model, "optimizer", None)
    if getattr(optimizer, "weight_decay", None):
        return True
    for layer in flat_layers(view.model):
        # Noise and augmentation draw random numbers.
        if isinstance(layer, NORMALISATIONS) or keras_internals.seed_generators(layer):
            return True
        penalties = ("kernel_regularizer", "activity_regularizer", "kernel_constraint")
        if any(getattr(layer, name, None) is not None for name in penalties):
            return True
    return False
