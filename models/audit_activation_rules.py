"""Rules on dropout and the activations around it, and on how much of a layer is left."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from dropout_zoo.models.audit_operations import (
    NORMALISATIONS,
    activation_of,
    is_activation,
    is_affine,
    is_multiplication,
    keeps_features,
    keeps_values,
)
from dropout_zoo.models.audit_rule import Fault, rule
from dropout_zoo.models.audit_view import AuditView, Placed, after, before
from dropout_zoo.models.graph import GraphCall, flat_layers
from dropout_zoo.models.guidance import SRIVASTAVA

KLAMBAUER = "Klambauer et al. 2017, arXiv:1706.02515"

MIN_SURVIVORS = 5
"""Fewer expected survivors than this are too few: at a rate of 0.5, a layer of 8 units (4
survivors) hands on nothing at all for one example in 256, one of 10 units for one in 1,024."""

BIG_NET = 1_000_000
"""Weights of hidden, fully connected layers from which on a net without dropout is told so."""

_SATURATING = ("sigmoid", "hard_sigmoid", "tanh", "hard_tanh")
_GATES = ("sigmoid", "hard_sigmoid")
_SCALE_SENSITIVE = ("softmax", *_SATURATING)


@rule(
    "DZ107",
    "warning",
    "dropout before a sigmoid or tanh",
    why="Dropout sets the input of the activation to 0, which sigmoid makes 0.5: the unit is not "
    "dropped. What is kept is scaled up by 1 / (1 - rate), which drives both into saturation. "
    "Behind the activation, a dropped unit is 0. For ReLU the two orders are the same.",
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
def dropout_before_saturation(view: AuditView) -> Iterator[Fault]:
    """A sigmoid or tanh receives what was dropped of a layer without an activation."""
    for placed in view.dropping:
        if view.is_output(placed):
            continue
        linear = _is_linear(placed.call)
        for following in after(placed.call, is_activation, keeps_values):
            name, path = activation_of(following), placed.site.path
            if linear and name in _SATURATING:
                zero = "0.5" if name in _GATES else "0, and saturates what is kept"
                yield Fault(
                    path,
                    f"{path!r} comes before the {name} {following.path!r}, which makes what is "
                    f"dropped {zero}",
                    f"put {path!r} behind {following.path!r}",
                )


def _is_linear(call: GraphCall) -> bool:
    sources = before(call, lambda found: is_activation(found) or is_affine(found), keeps_values)
    return any(is_affine(found) and activation_of(found) == "linear" for found in sources)


@rule(
    "DZ108",
    "warning",
    "dropout between a bounded activation and what depends on its scale",
    why="Dropout scales what it keeps by 1 / (1 - rate): at a rate of 0.5 a gate that was to be at "
    "most 1 becomes 2, and scores that tanh had bounded become twice as sharp in a softmax. A "
    "dense layer would learn the scale; a product or a softmax cannot.",
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
def dropout_behind_bounded(view: AuditView) -> Iterator[Fault]:
    """A sigmoid is dropped before it multiplies, or a sigmoid or tanh before another function."""
    for placed in view.dropping:
        path = placed.site.path
        sources = before(
            placed.call, lambda found: is_activation(found) or is_affine(found), keeps_values
        )
        bounded = {activation_of(found) for found in sources} & set(_SATURATING)
        if not bounded or view.is_output(placed):
            continue
        for following in after(placed.call, _depends_on_scale, keeps_values):
            if is_multiplication(following) and not bounded & set(_GATES):
                continue
            yield Fault(
                path,
                f"{path!r} scales a {min(bounded)} up before {following.path!r}, which depends on "
                f"its scale",
                f"put {path!r} behind {following.path!r}",
            )


def _depends_on_scale(call: GraphCall) -> bool:
    return is_multiplication(call) or (
        is_activation(call) and activation_of(call) in _SCALE_SENSITIVE
    )


@rule(
    "DZ109",
    "warning",
    "AlphaDropout without selu",
    why="AlphaDropout sets units to the lower limit of selu and restores its mean and variance. "
    "After any other activation that value is no limit, and mean and variance are not those "
    "that it restores.",
    source=f"{KLAMBAUER}, Section 2, new dropout technique",
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
def alpha_dropout_without_selu(view: AuditView) -> Iterator[Fault]:
    """AlphaDropout follows an activation other than selu."""
    for placed in view.dropping:
        path = placed.site.path
        alpha = isinstance(placed.site.layer, keras.layers.AlphaDropout)
        found = _activations_before(view, placed)
        if alpha and found and "selu" not in found:
            yield Fault(
                path,
                f"{path!r} is AlphaDropout and follows {' and '.join(sorted(found))}, not selu",
                f"layers.Dropout({placed.site.rate:g})  # in place of {path!r}",
            )


@rule(
    "DZ110",
    "warning",
    "selu with plain dropout",
    why="Self-normalising nets keep mean 0 and variance 1 from layer to layer. Plain dropout "
    "changes both; AlphaDropout keeps them.",
    source=f"{KLAMBAUER}, Section 2, new dropout technique",
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
def plain_dropout_after_selu(view: AuditView) -> Iterator[Fault]:
    """Dropout other than AlphaDropout follows selu."""
    for placed in view.dropping:
        path = placed.site.path
        alpha = isinstance(placed.site.layer, keras.layers.AlphaDropout)
        if not alpha and "selu" in _activations_before(view, placed):
            yield Fault(
                path,
                f"{path!r} is {type(placed.site.layer).__name__} and follows selu",
                f"layers.AlphaDropout({placed.site.rate:g})  # in place of {path!r}",
            )


def _activations_before(view: AuditView, placed: Placed) -> set[str]:
    """The activations of what a site drops; none where it is the input, or not known."""
    sources = before(
        placed.call, lambda found: is_activation(found) or view.computes(found), keeps_features
    )
    return {activation_of(found) for found in sources if is_activation(found) or is_affine(found)}


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
    """The number of units that are dropped one by one; None where that is no question."""
    layer, call = placed.site.layer, placed.call
    if placed.site.argument == "dropout" and hasattr(layer, "kernel"):
        return int(layer.kernel.shape[-2])  # of a recurrent cell: what it receives
    if placed.site.argument == "recurrent_dropout" and hasattr(layer, "units"):
        return int(layer.units)
    if not placed.direct or not call.shapes or view.is_output(placed):
        return None
    spatial = type(layer).__name__.startswith("SpatialDropout")
    if placed.site.placement == "convolutional" and not spatial:
        return None  # every place of every map is a unit
    by_example = view.decides_by_example(placed)
    return None if by_example else call.shapes[0][-1]


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
        if isinstance(layer, keras.layers.Dense) and layer.trainable and on_vectors:
            if view.computing_after(call):
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
        if isinstance(layer, NORMALISATIONS) or layer._seed_generators:
            return True
        penalties = ("kernel_regularizer", "activity_regularizer", "kernel_constraint")
        if any(getattr(layer, name, None) is not None for name in penalties):
            return True
    return False
