"""Rules on dropout before batch normalisation: the variance shift."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from dropout_zoo.models.auditing.context import AuditView, Placed, after, before
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
    "dropout directly before batch normalisation",
    why="Dropout raises the variance of what it hands on, and only in training. Batch "
    "normalisation learns that variance and divides by it at inference too, where it is not "
    "there: a variance shift. DenseNet on CIFAR-100 fell from 77.42 to 68.55 % with a rate of 0.5 "
    "in each bottleneck.",
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
def dropout_before_batch_norm(view: AuditView) -> Iterator[Fault]:
    """Batch normalisation receives what was dropped, and no convolution is just before."""
    for placed, norm in _before_batch_norm(view):
        if not _after_convolution(view, placed):
            yield _shift(placed, norm, "feeds")


@rule(
    "DZ103",
    "warning",
    "dropout between a convolution and its batch normalisation",
    why="As in DZ102, the batch normalisation learns a variance that is there in training only. "
    "Dropout belongs after the normalisation and the activation, or after the last batch "
    "normalisation of the model.",
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
def dropout_between_convolution_and_batch_norm(view: AuditView) -> Iterator[Fault]:
    """Batch normalisation receives what was dropped, and a convolution is just before."""
    for placed, norm in _before_batch_norm(view):
        if _after_convolution(view, placed):
            yield _shift(placed, norm, "stands between a convolution and")


@rule(
    "DZ104",
    "note",
    "batch normalisation one step behind dropout",
    why="The variance shift of DZ102 passes through one layer of weights or one addition, and "
    "gets smaller there, the wider the layer the more. How large it is can be measured "
    "(DZ304).",
    source=f"{LI}, dropout before a layer of weights, and its remarks on width",
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
def batch_norm_one_step_behind(view: AuditView) -> Iterator[Fault]:
    """A dense layer, a convolution or an addition lies between dropout and batch normalisation."""
    direct = {id(placed.call) for placed, _ in _before_batch_norm(view)}
    for placed in _shifting(view):
        if id(placed.call) in direct:
            continue
        for step in after(placed.call, _attenuates, keeps_features):
            norms = after(step, is_batch_norm, keeps_features)
            if norms:
                yield Fault(
                    placed.site.path,
                    f"{placed.site.path!r} shifts the variance of what {norms[0].path!r} "
                    f"normalises, behind {step.path!r}",
                    f"put the dropout behind the last batch normalisation, or measure: "
                    f'examine(model, dataset, select=["DZ304"])  # {placed.site.path}',
                )
                break


def _shifting(view: AuditView) -> list[Placed]:
    """The sites whose variance is another in training than at inference, maps in part included."""
    return [
        placed
        for placed in view.dropping
        # AlphaDropout keeps the variance; stochastic depth is part of an addition's own scale.
        if not isinstance(placed.site.layer, keras.layers.AlphaDropout)
        and not view.is_stochastic_depth(placed)
    ]


def _before_batch_norm(view: AuditView) -> Iterator[tuple[Placed, GraphCall]]:
    for placed in _shifting(view):
        for norm in after(placed.call, is_batch_norm, keeps_features)[:1]:
            yield placed, norm


def _attenuates(call: GraphCall) -> bool:
    return is_affine(call) or is_addition(call)


def _after_convolution(view: AuditView, placed: Placed) -> bool:
    return any(map(is_convolution, before(placed.call, view.computes, keeps_features)))


def _shift(placed: Placed, norm: GraphCall, how: str) -> Fault:
    path = placed.site.path
    return Fault(
        path,
        f"{path!r} {how} batch normalisation {norm.path!r}: a variance shift",
        f"put {path!r} behind {norm.path!r} and its activation",
    )
