"""Rules on dropout before batch normalization: the variance shift."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from dropout_zoo.models.auditing.context import AuditContext, PlacedSite, after, before
from dropout_zoo.models.auditing.predicates import (
    is_addition,
    is_affine,
    is_batch_norm,
    is_convolution,
    keeps_features,
)
from dropout_zoo.models.auditing.rules.base import Fault, rule
from dropout_zoo.models.graph.model_graph import GraphCall

LI = "Li et al. 2018, arXiv:1801.05134"
GARBIN = "Garbin et al. 2020, Multimedia Tools and Applications 79:12777-12815"


@rule(
    "DZ102",
    "warning",
    "dropout directly before batch normalization",
    why="Dropout increases the variance of its outputs, but only during training. Batch "
    "normalization learns that variance and also divides by it at inference, where the variance "
    "is smaller: a variance shift. With a rate of 0.5 in each bottleneck, the accuracy of a "
    "DenseNet on CIFAR-100 fell from 77.42% to 68.55%.",
    source=f"{LI}; {GARBIN}",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5),
    layers.BatchNormalization(),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.BatchNormalization(),
    layers.Dropout(0.5),
    layers.Dense(10, activation="softmax"),
])
""",
)
def dropout_before_batch_norm(context: AuditContext) -> Iterator[Fault]:
    """Dropout, not directly after a convolution, feeds batch normalization."""
    for placed, norm in _before_batch_norm(context):
        if not _after_convolution(context, placed):
            yield _shift(placed, norm, "feeds")


@rule(
    "DZ103",
    "warning",
    "dropout between a convolution and its batch normalization",
    why="As in DZ102, batch normalization learns a variance that is only present during training. "
    "Place dropout after the normalization and the activation, or after the last batch "
    "normalization of the model.",
    source=LI,
    bad="""
model = keras.Sequential([
    keras.Input((16, 16, 3)),
    layers.Conv2D(16, 3),
    layers.SpatialDropout2D(0.2),
    layers.BatchNormalization(),
    layers.ReLU(),
    layers.GlobalAveragePooling2D(),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((16, 16, 3)),
    layers.Conv2D(16, 3),
    layers.BatchNormalization(),
    layers.ReLU(),
    layers.SpatialDropout2D(0.2),
    layers.GlobalAveragePooling2D(),
    layers.Dense(10, activation="softmax"),
])
""",
)
def dropout_between_convolution_and_batch_norm(context: AuditContext) -> Iterator[Fault]:
    """Dropout directly after a convolution feeds batch normalization."""
    for placed, norm in _before_batch_norm(context):
        if _after_convolution(context, placed):
            yield _shift(placed, norm, "lies between a convolution and")


@rule(
    "DZ104",
    "note",
    "dropout one layer before batch normalization",
    why="The variance shift of DZ102 passes through a layer with weights or an addition and gets "
    "smaller there; the wider the layer, the smaller it gets. Its size can be measured (DZ304).",
    source=f"{LI}, dropout before a layer with weights, and its remarks on width",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(64),
    layers.BatchNormalization(),
    layers.ReLU(),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64),
    layers.BatchNormalization(),
    layers.ReLU(),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(10, activation="softmax"),
])
""",
)
def dropout_one_layer_before_batch_norm(context: AuditContext) -> Iterator[Fault]:
    """A dense layer, a convolution or an addition lies between dropout and batch normalization."""
    direct = {id(placed.call) for placed, _ in _before_batch_norm(context)}
    for placed in _shifting(context):
        if id(placed.call) in direct:
            continue
        for step in after(placed.call, _attenuates, keeps_features):
            norm = next(after(step, is_batch_norm, keeps_features), None)
            if norm is not None:
                yield Fault(
                    placed.site.path,
                    f"{placed.site.path!r} shifts the variance of the inputs of "
                    f"{norm.path!r}, through {step.path!r}",
                    f"move the dropout after the last batch normalization, or measure the shift: "
                    f'examine(model, dataset, select=["DZ304"])  # {placed.site.path}',
                )
                break


def _shifting(context: AuditContext) -> list[PlacedSite]:
    """The sites whose outputs have a different variance during training than at inference."""
    return [
        placed
        for placed in context.dropping
        # AlphaDropout keeps the variance, and stochastic depth belongs to the addition after it.
        if not isinstance(placed.site.layer, keras.layers.AlphaDropout)
        and not context.is_stochastic_depth(placed)
    ]


def _before_batch_norm(context: AuditContext) -> Iterator[tuple[PlacedSite, GraphCall]]:
    for placed in _shifting(context):
        norm = next(after(placed.call, is_batch_norm, keeps_features), None)
        if norm is not None:
            yield placed, norm


def _attenuates(call: GraphCall) -> bool:
    return is_affine(call) or is_addition(call)


def _after_convolution(context: AuditContext, placed: PlacedSite) -> bool:
    return any(map(is_convolution, before(placed.call, context.computes_features, keeps_features)))


def _shift(placed: PlacedSite, norm: GraphCall, how: str) -> Fault:
    path = placed.site.path
    return Fault(
        path,
        f"{path!r} {how} batch normalization {norm.path!r}, which causes a variance shift",
        f"move {path!r} after {norm.path!r} and its activation",
    )
