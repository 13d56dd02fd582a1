"""Rules on the size of layers: too narrow for dropout, or large and without any."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras

from dropout_zoo.models import keras_internals
from dropout_zoo.models.auditing.context import AuditContext, PlacedSite, any_after, mask_shape
from dropout_zoo.models.auditing.predicates import NORMALIZATIONS
from dropout_zoo.models.auditing.rules.base import Fault, rule
from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.models.guidance import SRIVASTAVA

MIN_SURVIVORS = 5
"""Smallest acceptable expected number of units kept. At a rate of 0.5, a layer of 8 units (4 of
them kept on average) loses all units for one example in 256, a layer of 10 for one in 1,024."""

BIG_NET = 1_000_000
"""Least number of weights in hidden dense layers at which an unregularized network is reported."""


@rule(
    "DZ111",
    "warning",
    "dropout in a narrow layer",
    why="Of n units, dropout keeps n (1 - rate) on average, but a fraction rate ** n of the "
    f"examples loses all of them. With fewer than {MIN_SURVIVORS} units kept on average, that is "
    "more than about one example in a thousand at a rate of 0.5. A layer that needs n units "
    "without dropout needs about n / (1 - rate) with it.",
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
def dropout_in_narrow_layer(context: AuditContext) -> Iterator[Fault]:
    """Fewer than `MIN_SURVIVORS` units are kept on average."""
    for placed in context.placed:
        width, rate, path = _width(context, placed), placed.site.rate, placed.site.path
        if width is None or not 0 < rate < 1 or width * (1 - rate) >= MIN_SURVIVORS:
            continue
        yield Fault(
            path,
            f"{path!r} keeps {width * (1 - rate):.2g} of {width} units on average, and none for "
            f"{rate**width:.2%} of the examples",
            f"widen the layer before {path!r}, or remove {path!r}",
        )


def _width(context: AuditContext, placed: PlacedSite) -> int | None:
    """The number of units of an example that are dropped independently; None if not known."""
    layer, call = placed.site.layer, placed.call
    if placed.site.argument != "rate":  # a recurrent cell, or attention, which has no units
        kernel = getattr(layer, "kernel", None)
        if kernel is None or len(kernel.shape) != 2:
            return None  # a convolutional cell drops positions of feature maps
        return int(kernel.shape[0] if placed.site.argument == "dropout" else layer.units)
    if not placed.direct or not call.shapes or context.is_output(placed):
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
        return None  # dropout of whole examples is reported by DZ122
    return math.prod(size for size in units if size is not None)


@rule(
    "DZ112",
    "note",
    "a large network without regularization",
    why=f"At least {BIG_NET:,} weights in hidden dense layers, without any regularization: no "
    "dropout, normalization, noise, penalty, constraint, weight decay or augmentation. Networks "
    "memorize mainly in such layers, for which dropout was designed.",
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
def big_net_without_dropout(context: AuditContext) -> Iterator[Fault]:
    """Wide dense layers without any regularization."""
    dense: dict[int, keras.Layer] = {}
    for call in context.graph.calls:
        layer = call.operation
        on_vectors = bool(call.shapes) and len(call.shapes[0]) == 2
        hidden = isinstance(layer, keras.layers.Dense) and any_after(
            call, context.computes_features
        )
        if hidden and on_vectors and layer.trainable:
            dense[id(layer)] = layer
    weights = sum(int(layer.kernel.shape[0] * layer.kernel.shape[1]) for layer in dense.values())
    if weights >= BIG_NET and not _is_regularized(context):
        widest = max(dense.values(), key=lambda layer: layer.kernel.shape[0] * layer.units)
        yield Fault(
            widest.name,
            f"{weights:,} weights in hidden dense layers, most of them in {widest.name!r}, and no "
            "regularization",
            f"layers.Dropout(0.5)  # after {widest.name!r}",
        )


def _is_regularized(context: AuditContext) -> bool:
    if any(site.rate > 0 for site in context.sites):
        return True
    optimizer = getattr(context.model, "optimizer", None)
    if getattr(optimizer, "weight_decay", None):
        return True
    for layer in flat_layers(context.model):
        # Noise and augmentation layers draw random numbers.
        if isinstance(layer, NORMALIZATIONS) or keras_internals.seed_generators(layer):
            return True
        penalties = ("kernel_regularizer", "activity_regularizer", "kernel_constraint")
        if any(getattr(layer, name, None) is not None for name in penalties):
            return True
    return False
