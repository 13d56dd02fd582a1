"""Rules on dropout and the activations around it."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from dropout_zoo.models.auditing.context import AuditContext, PlacedSite, after, before
from dropout_zoo.models.auditing.predicates import (
    activates_or_is_affine,
    activation_of,
    is_activation,
    is_affine,
    is_multiplication,
    keeps_features,
    keeps_values,
)
from dropout_zoo.models.auditing.rules.base import Fault, rule
from dropout_zoo.models.graph.model_graph import GraphCall
from dropout_zoo.models.guidance import SRIVASTAVA

KLAMBAUER = "Klambauer et al. 2017, arXiv:1706.02515"

_SATURATING = ("sigmoid", "hard_sigmoid", "tanh", "hard_tanh")
_GATES = ("sigmoid", "hard_sigmoid")
_SCALE_SENSITIVE = ("softmax", *_SATURATING)


@rule(
    "DZ107",
    "warning",
    "dropout before a sigmoid or tanh",
    why="Dropout sets the input of the activation to 0, for which a sigmoid returns 0.5: the unit "
    "is not dropped. The values that are kept are scaled up by 1 / (1 - rate), which pushes both "
    "activations towards saturation. After the activation, a dropped unit is 0. For ReLU both "
    "orders are equivalent.",
    source=f"{SRIVASTAVA}, Section 4: the mask multiplies the outputs y of a layer",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64),
    layers.Dropout(0.5),
    layers.Activation("sigmoid"),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64),
    layers.Activation("sigmoid"),
    layers.Dropout(0.5),
    layers.Dense(10, activation="softmax"),
])
""",
)
def dropout_before_saturation(context: AuditContext) -> Iterator[Fault]:
    """Dropout on a layer without an activation is followed by a sigmoid or tanh."""
    for placed in context.dropping:
        if context.is_output(placed):
            continue
        linear = _is_linear(placed.call)
        for following in after(placed.call, is_activation, keeps_values):
            name, path = activation_of(following), placed.site.path
            if linear and name in _SATURATING:
                effect = (
                    "turns dropped values into 0.5"
                    if name in _GATES
                    else "saturates the values that are kept"
                )
                yield Fault(
                    path,
                    f"{path!r} comes before the {name} {following.path!r}, which {effect}",
                    f"move {path!r} after {following.path!r}",
                )


def _is_linear(call: GraphCall) -> bool:
    sources = before(call, activates_or_is_affine, keeps_values)
    return any(is_affine(found) and activation_of(found) == "linear" for found in sources)


@rule(
    "DZ108",
    "warning",
    "dropout between a bounded activation and a function that depends on its scale",
    why="Dropout scales the values that it keeps by 1 / (1 - rate): at a rate of 0.5, a gate with "
    "values up to 1 reaches 2, and scores bounded by tanh become twice as large in a softmax. A "
    "dense layer could learn to undo the scale; a product or a softmax cannot.",
    source="keras.layers.Dropout: inputs not set to 0 are scaled up by 1 / (1 - rate)",
    bad="""
inputs = keras.Input((20,))
values = layers.Dense(64, activation="relu")(inputs)
gate = layers.Dense(64, activation="sigmoid")(inputs)
gated = layers.Multiply()([values, layers.Dropout(0.5)(gate)])
model = keras.Model(inputs, layers.Dense(10, activation="softmax")(gated))
""",
    good="""
inputs = keras.Input((20,))
values = layers.Dense(64, activation="relu")(inputs)
gate = layers.Dense(64, activation="sigmoid")(inputs)
gated = layers.Dropout(0.5)(layers.Multiply()([values, gate]))
model = keras.Model(inputs, layers.Dense(10, activation="softmax")(gated))
""",
)
def dropout_after_bounded_activation(context: AuditContext) -> Iterator[Fault]:
    """Dropout on a sigmoid before a product, or on a sigmoid or tanh before a scaled function."""
    for placed in context.dropping:
        path = placed.site.path
        sources = before(placed.call, activates_or_is_affine, keeps_values)
        bounded = {activation_of(found) for found in sources} & set(_SATURATING)
        if not bounded or context.is_output(placed):
            continue
        for following in after(placed.call, _depends_on_scale, keeps_values):
            if is_multiplication(following) and not bounded & set(_GATES):
                continue
            yield Fault(
                path,
                f"{path!r} scales up the outputs of a {min(bounded)} before {following.path!r}, "
                f"which depends on their scale",
                f"move {path!r} after {following.path!r}",
            )


def _depends_on_scale(call: GraphCall) -> bool:
    return is_multiplication(call) or (
        is_activation(call) and activation_of(call) in _SCALE_SENSITIVE
    )


@rule(
    "DZ109",
    "warning",
    "AlphaDropout without selu",
    why="AlphaDropout sets units to the lower limit of selu and restores the mean and variance of "
    "selu activations. After any other activation, neither the limit nor the mean and variance "
    "are right.",
    source=f"{KLAMBAUER}, paragraph on a new dropout technique",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.AlphaDropout(0.2),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="selu", kernel_initializer="lecun_normal"),
    layers.AlphaDropout(0.2),
    layers.Dense(10, activation="softmax"),
])
""",
)
def alpha_dropout_without_selu(context: AuditContext) -> Iterator[Fault]:
    """AlphaDropout follows an activation other than selu."""
    for placed in context.dropping:
        path = placed.site.path
        alpha = isinstance(placed.site.layer, keras.layers.AlphaDropout)
        found = _activations_before(context, placed)
        if alpha and found and "selu" not in found:
            yield Fault(
                path,
                f"{path!r} is AlphaDropout and follows {' and '.join(sorted(found))}, not selu",
                f"layers.Dropout({placed.site.rate:g})  # instead of {path!r}",
            )


@rule(
    "DZ110",
    "warning",
    "selu with plain dropout",
    why="Self-normalizing networks keep mean 0 and variance 1 from layer to layer. Plain dropout "
    "changes both; AlphaDropout preserves them.",
    source=f"{KLAMBAUER}, paragraph on a new dropout technique",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="selu", kernel_initializer="lecun_normal"),
    layers.Dropout(0.2),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="selu", kernel_initializer="lecun_normal"),
    layers.AlphaDropout(0.2),
    layers.Dense(10, activation="softmax"),
])
""",
)
def plain_dropout_after_selu(context: AuditContext) -> Iterator[Fault]:
    """Dropout other than AlphaDropout follows selu."""
    for placed in context.dropping:
        path = placed.site.path
        alpha = isinstance(placed.site.layer, keras.layers.AlphaDropout)
        if not alpha and "selu" in _activations_before(context, placed):
            yield Fault(
                path,
                f"{path!r} is {type(placed.site.layer).__name__} and follows selu",
                f"layers.AlphaDropout({placed.site.rate:g})  # instead of {path!r}",
            )


def _activations_before(context: AuditContext, placed: PlacedSite) -> set[str]:
    """The activations whose outputs a site drops; empty for inputs and unknown layers."""
    sources = before(
        placed.call,
        context.activates_or_computes,
        keeps_features,
    )
    return {activation_of(found) for found in sources if is_activation(found) or is_affine(found)}
