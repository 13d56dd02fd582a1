"""Rules on where dropout stands: at the output, between convolutions, twice in a row."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from dropout_zoo.models.auditing.context import AuditView, Placed, after, before
from dropout_zoo.models.auditing.predicates import (
    activation_of,
    is_activation,
    is_affine,
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
    why="The loss is told that random outputs are 0, and a softmax that follows hands their "
    "probability to the other classes. Units of the input and the hidden layers are dropped, "
    "those of the output are not.",
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
def dropout_on_output(view: AuditView) -> Iterator[Fault]:
    """What a model returns is dropped, and it looks like an answer rather than like features."""
    for placed in view.dropping:
        if not view.is_output(placed):
            continue
        last = before(placed.call, view.computes)
        name = last[0].path if last else "the input"
        if last and (view.model.compiled or _answers(placed.call)):
            path = placed.site.path
            yield Fault(
                path,
                f"{path!r} drops what the model returns, after its last layer {name!r}",
                f"take {path!r} out, or put it before {name!r}",
                {path: 0.0},
            )


def _answers(call: GraphCall) -> bool:
    """Whether probabilities, logits or the values of a regression go through a call."""
    following = after(call, is_activation, keeps_features)
    if any(activation_of(found) in PROBABILITIES for found in following):
        return True
    preceding = before(call, lambda found: is_activation(found) or is_affine(found), keeps_features)
    is_vector = bool(call.shapes) and len(call.shapes[0]) == 2
    # Features have another activation; a block that is to be added to something has sequences
    # or maps without any.
    return any(
        activation_of(found) in PROBABILITIES or (activation_of(found) == "linear" and is_vector)
        for found in preceding
    )


@rule(
    "DZ105",
    "note",
    "plain dropout between convolutions",
    why="Neighbouring values of a feature map are much alike, so that what is dropped can be read "
    "off beside it: the next convolution sees noise rather than a missing feature. "
    "SpatialDropout drops whole feature maps. Single values are right behind the last "
    "convolution, and are a matter of taste elsewhere: measure both.",
    source="Tompson et al. 2015, arXiv:1411.4280; against it: " + SRIVASTAVA + ", "
    "Tables 3 and 4, which gain from single values dropped in all layers",
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
def plain_dropout_between_convolutions(view: AuditView) -> Iterator[Fault]:
    """Single values of a feature map are dropped, and the next layer is a convolution over them."""
    for placed in view.dropping:
        layer, path = placed.site.layer, placed.site.path
        plain = type(layer) is keras.layers.Dropout and layer.noise_shape is None
        if not plain or placed.site.placement != "convolutional":
            continue
        for following in view.computing_after(placed.call):
            kernel = getattr(following.operation, "kernel_size", ())
            if any(size > 1 for size in kernel):
                new = f"layers.SpatialDropout{len(kernel)}D({placed.site.rate:g})"
                yield Fault(
                    path,
                    f"{path!r} drops single values of feature maps before the convolution "
                    f"{following.path!r}",
                    f"{new}  # in place of {path!r}",
                )
                break


@rule(
    "DZ106",
    "warning",
    "dropout twice in a row",
    why="The same values are dropped twice: together the rates a and b drop 1 - (1 - a)(1 - b), "
    "more than either says.",
    source="arithmetic: what is kept is kept by both",
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
def dropout_twice(view: AuditView) -> Iterator[Fault]:
    """Two sites with nothing between them but another shape or an activation."""
    by_call = {id(placed.call): placed for placed in view.dropping}
    for call in view.graph.calls:
        second = by_call.get(id(call)) or _drops_its_input(view, call)
        if second is None:
            continue
        for earlier in before(call, is_dropout, _keeps_or_activates):
            first = by_call.get(id(earlier))
            if first is None or view.decides_by_example(first) != view.decides_by_example(second):
                continue  # stochastic depth behind dropout is another thing to do
            both = 1 - (1 - first.site.rate) * (1 - second.site.rate)
            yield Fault(
                second.site.path,
                f"{second.site.path!r} drops again what {first.site.path!r} has dropped: "
                f"{both:.0%} in all",
                f"take {first.site.path!r} out, or {second.site.path!r}",
            )
            break


def _keeps_or_activates(call: GraphCall) -> bool:
    # Concatenated with other features, they may well be dropped once more as a part of all.
    return (keeps_values(call) and len(call.received) == 1) or is_activation(call)


def _drops_its_input(view: AuditView, call: GraphCall) -> Placed | None:
    """The site by which a recurrent layer drops what it receives."""
    for placed in view.placed:
        if placed.call is call and placed.site.argument == "dropout":
            recurrent = not isinstance(placed.site.layer, (*DROPOUT_FAMILY, keras.layers.Attention))
            if recurrent:
                return placed
    return None
