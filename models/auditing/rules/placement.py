"""Rules on the placement of dropout: on the output, between convolutions, twice in a row."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from dropout_zoo.models.auditing.context import AuditContext, PlacedSite, after, before
from dropout_zoo.models.auditing.predicates import (
    activates_or_is_affine,
    activation_of,
    is_activation,
    is_dropout,
    keeps_features,
    keeps_values,
)
from dropout_zoo.models.auditing.rules.base import Fault, rule
from dropout_zoo.models.graph.model_graph import GraphCall
from dropout_zoo.models.graph.sites import DROPOUT_FAMILY
from dropout_zoo.models.guidance import SRIVASTAVA

PROBABILITIES = ("softmax", "sigmoid")


@rule(
    "DZ101",
    "error",
    "dropout on the output",
    why="Dropout sets random outputs to 0, and the loss is computed on them; a softmax that "
    "follows gives their probability to the other classes. Dropout is meant for the units of the "
    "input and the hidden layers, not for those of the output.",
    source=f"{SRIVASTAVA}, Section 4",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dense(10),
    layers.Dropout(0.5),
    layers.Softmax(),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(10),
    layers.Softmax(),
])
""",
)
def dropout_on_output(context: AuditContext) -> Iterator[Fault]:
    """The values that a model returns are dropped, and they are predictions, not features."""
    for placed in context.dropping:
        if not context.is_output(placed):
            continue
        last = next(before(placed.call, context.computes_features), None)
        if last is not None and (context.model.compiled or _are_predictions(placed.call)):
            path, name = placed.site.path, last.path
            yield Fault(
                path,
                f"{path!r} drops outputs of the model, after its last layer {name!r}",
                f"remove {path!r}, or move it before {name!r}",
                {path: 0.0},
            )


def _are_predictions(call: GraphCall) -> bool:
    """Whether probabilities, logits or regression outputs pass through a call."""
    following = after(call, is_activation, keeps_features)
    if any(activation_of(found) in PROBABILITIES for found in following):
        return True
    preceding = before(call, activates_or_is_affine, keeps_features)
    is_vector = bool(call.shapes) and len(call.shapes[0]) == 2
    # Features have other activations, except in residual branches, which return sequences or
    # maps without an activation.
    return any(
        activation_of(found) in PROBABILITIES or (activation_of(found) == "linear" and is_vector)
        for found in preceding
    )


@rule(
    "DZ105",
    "note",
    "plain dropout between convolutions",
    why="Neighboring values of a feature map are strongly correlated, so the next convolution can "
    "recover a dropped value from those beside it and sees noise instead of a missing feature. "
    "SpatialDropout drops whole feature maps. After the last convolution, plain dropout is right; "
    "between convolutions the evidence is mixed, so measure both.",
    source="Tompson et al. 2015, arXiv:1411.4280; to the contrary: " + SRIVASTAVA + ", "
    "Tables 3 and 4, which report gains from plain dropout in all layers",
    bad="""
model = keras.Sequential([
    keras.Input((16, 16, 3)),
    layers.Conv2D(16, 3, activation="relu"),
    layers.Dropout(0.2),
    layers.Conv2D(16, 3, activation="relu"),
    layers.Flatten(),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((16, 16, 3)),
    layers.Conv2D(16, 3, activation="relu"),
    layers.SpatialDropout2D(0.2),
    layers.Conv2D(16, 3, activation="relu"),
    layers.Dropout(0.2),
    layers.Flatten(),
    layers.Dense(10, activation="softmax"),
])
""",
)
def plain_dropout_between_convolutions(context: AuditContext) -> Iterator[Fault]:
    """Plain dropout on feature maps, followed by a convolution over more than one value."""
    for placed in context.dropping:
        layer, path = placed.site.layer, placed.site.path
        plain = type(layer) is keras.layers.Dropout and layer.noise_shape is None
        if not plain or placed.site.placement != "convolutional":
            continue
        for following in context.computing_after(placed.call):
            kernel = getattr(following.operation, "kernel_size", ())
            if any(size > 1 for size in kernel):
                new = f"layers.SpatialDropout{len(kernel)}D({placed.site.rate:g})"
                yield Fault(
                    path,
                    f"{path!r} drops single values of feature maps before the convolution "
                    f"{following.path!r}",
                    f"{new}  # instead of {path!r}",
                )
                break


@rule(
    "DZ106",
    "warning",
    "dropout twice in a row",
    why="The same values are dropped twice. Two layers with the rates a and b together drop "
    "1 - (1 - a)(1 - b), which is more than either rate.",
    source="arithmetic: a value is kept if both layers keep it",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.3),
    layers.Dropout(0.4),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.3),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.4),
    layers.Dense(10, activation="softmax"),
])
""",
)
def dropout_twice(context: AuditContext) -> Iterator[Fault]:
    """Two sites with at most a change of shape or an activation between them."""
    by_call = {id(placed.call): placed for placed in context.dropping}
    for call in context.graph.calls:
        second = by_call.get(id(call)) or _drops_its_input(context, call)
        if second is None:
            continue
        for earlier in before(call, is_dropout, _keeps_or_activates):
            first = by_call.get(id(earlier))
            if first is None or context.decides_by_example(first) != context.decides_by_example(
                second
            ):
                continue  # stochastic depth after dropout is deliberate
            both = 1 - (1 - first.site.rate) * (1 - second.site.rate)
            yield Fault(
                second.site.path,
                f"{second.site.path!r} follows {first.site.path!r} directly: together they drop "
                f"{both:.0%}",
                f"remove {first.site.path!r} or {second.site.path!r}",
            )
            break


def _keeps_or_activates(call: GraphCall) -> bool:
    # After a concatenation with other features, dropout on all of them is not a repetition.
    return (keeps_values(call) and len(call.received) == 1) or is_activation(call)


def _drops_its_input(context: AuditContext, call: GraphCall) -> PlacedSite | None:
    """The site at which a recurrent layer drops its inputs."""
    for placed in context.placed:
        if placed.call is call and placed.site.argument == "dropout":
            recurrent = not isinstance(placed.site.layer, (*DROPOUT_FAMILY, keras.layers.Attention))
            if recurrent:
                return placed
    return None
