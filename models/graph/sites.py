"""Where dropout happens in a Keras model, read from its graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import NamedTuple

import keras

from dropout_zoo.models import keras_internals
from dropout_zoo.models.graph.model_graph import Graph, GraphLayer, inner_layers, read_graph
from dropout_zoo.models.layers.concrete_dropout import ConcreteDropout
from dropout_zoo.models.layers.drop_connect import DropConnect
from dropout_zoo.models.layers.position_embedding import PositionEmbedding

DROPOUT_FAMILY: tuple[type[keras.Layer], ...] = (
    keras.layers.Dropout,  # and with it SpatialDropout1D, 2D and 3D, DropBlock2D, StochasticDepth
    keras.layers.GaussianDropout,
    keras.layers.AlphaDropout,
)
"""Layers whose job is dropout; each has a `rate` and a `seed_generator`."""

DROPPING_DENSE: tuple[type[keras.Layer], ...] = (DropConnect, ConcreteDropout)
"""Dense layers that drop their weights, or what they receive, at a `rate` of their own."""

# Layers that hand on what they receive, as far as the question "dropout on what?" goes. An
# embedding is a table of inputs: dropout after it is dropout on the input.
_HAND_ON: tuple[type[keras.Layer], ...] = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.RMSNormalization,
    keras.layers.Normalization,
    keras.layers.Embedding,
    PositionEmbedding,
    keras.layers.PReLU,
)
# Layers after which a feature map has no spatial axes any more.
_MAKE_VECTORS: tuple[type[keras.Layer], ...] = (
    keras.layers.Flatten,
    *(
        getattr(keras.layers, f"Global{kind}Pooling{axes}D")
        for kind in ("Average", "Max")
        for axes in (1, 2, 3)
    ),
)


@dataclass(frozen=True)
class DropoutSite:
    """One place in a model where activations are dropped.

    Attributes:
        path: name of the site, unique in its model; layer names from the outside in, joined by
            ``/``.
        rate: fraction dropped.
        placement: ``"input"``, ``"hidden"``, ``"convolutional"``, ``"recurrent"`` or
            ``"output"``.
        layer: the layer that drops: of the dropout family, a recurrent cell, or `Attention`.
        argument: the attribute of that layer that holds the rate: ``"rate"``, or for cells and
            `Attention` ``"dropout"`` or ``"recurrent_dropout"``.
        owner: the layer of the model's graph that holds the site: the dropout layer itself, or
            the composite or recurrent layer around it.
        learnt: whether the layer learns its rate, so that nobody else sets it (`ConcreteDropout`).
    """

    path: str
    rate: float
    placement: str
    layer: keras.Layer = field(repr=False)
    argument: str = field(repr=False)
    owner: keras.Layer = field(repr=False)
    learnt: bool = False


def dropout_sites(model: keras.Model) -> list[DropoutSite]:
    """Find every place where a Keras model applies dropout.

    Found are the layers of the dropout family (`Dropout`, `SpatialDropout1D/2D/3D`,
    `GaussianDropout`, `AlphaDropout`, and this package's `StochasticDepth`, `DropBlock2D`,
    `DropConnect` and `ConcreteDropout`) at any depth: in nested models, wrappers, composite layers
    such as `MultiHeadAttention`, and subclassed models; and where they are not 0, the `dropout`
    and `recurrent_dropout` arguments of recurrent layers and the `dropout` of `Attention` and
    `AdditiveAttention`. A layer that is called several times is one site.

    Placements are read from the graph. What is dropped is an input when no layer that computes
    from weights lies before the site (embeddings and normalisation do not count), an output when
    none follows, convolutional when the nearest such layer before it is a convolution whose
    feature maps have not been flattened or pooled to vectors, and hidden otherwise. Recurrent is
    all dropout inside a recurrent layer; between recurrent layers it is hidden. The weights that
    `DropConnect` drops are hidden too. Inside composite layers and subclassed models, which have
    no graph, the order in which their layers were made tells convolutional from hidden.

    Args:
        model: any Keras model. One that has not been built is read without its graph.

    Returns:
        The sites, from input to output.
    """
    graph = read_graph(model)
    sites: list[DropoutSite] = []
    taken: set[str] = set()
    for entry in graph.layers if graph else [GraphLayer(model, "", model)]:
        held = list(_with_inner_layers(entry))
        for index, (layer, names, in_recurrence) in enumerate(held):
            for argument in _dropping_arguments(layer):
                suffix = [] if argument == "rate" else [argument]
                path = _unique("/".join([*names, *suffix]), taken)
                if in_recurrence:
                    placement = "recurrent"
                elif isinstance(layer, (keras.layers.Attention, DropConnect)):
                    placement = "hidden"  # weights, whatever they weigh
                elif graph and (layer is entry.layer or not computes(entry.layer)):
                    placement = _placement_in_graph(entry.layer, graph)
                else:
                    placement = _placement_in_order(index, [each.layer for each in held])
                rate = float(getattr(layer, argument))
                learnt = isinstance(layer, ConcreteDropout)
                sites.append(
                    DropoutSite(path, rate, placement, layer, argument, entry.owner, learnt)
                )
    return sites


def settable_sites(model: keras.Model) -> list[DropoutSite]:
    """Find the dropout sites whose rate can be set: all but those whose layer learns it.

    Args:
        model: any Keras model.

    Returns:
        The sites, from input to output.
    """
    return [site for site in dropout_sites(model) if not site.learnt]


class _Held(NamedTuple):
    layer: keras.Layer
    names: tuple[str, ...]
    in_recurrence: bool


def _with_inner_layers(entry: GraphLayer) -> Iterator[_Held]:
    """A layer and all that it holds, depth first, each once, with its names from outside in.

    Inner layers go by the attribute that holds them, or by their number: Keras numbers their own
    names anew in every clone.
    """
    seen: set[int] = set()

    def walk(layer: keras.Layer, names: tuple[str, ...], in_recurrence: bool) -> Iterator[_Held]:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        in_recurrence |= hasattr(layer, "state_size")
        yield _Held(layer, names, in_recurrence)
        for name, inner in inner_layers(layer):
            yield from walk(inner, (*names, name), in_recurrence)

    return walk(entry.layer, (entry.path,) if entry.path else (), False)


def _dropping_arguments(layer: keras.Layer) -> list[str]:
    """The attributes of a layer that are dropout rates of its own."""
    if isinstance(layer, (*DROPOUT_FAMILY, *DROPPING_DENSE)):
        return ["rate"]
    names: tuple[str, ...] = ()
    # Recurrent layers pass their cell's rates on as properties: the cell is what drops.
    if hasattr(layer, "state_size") and not isinstance(layer, keras.layers.RNN):
        names = ("dropout", "recurrent_dropout")
    elif isinstance(layer, keras.layers.Attention):
        names = ("dropout",)
    rates = {name: getattr(layer, name, None) for name in names}
    return [name for name, rate in rates.items() if isinstance(rate, Real) and float(rate) > 0]


def _unique(path: str, taken: set[str]) -> str:
    candidate, number = path, 2
    while candidate in taken:
        candidate, number = f"{path}#{number}", number + 1
    taken.add(candidate)
    return candidate


def _placement_in_graph(layer: keras.Layer, graph: Graph) -> str:
    before = graph.nearest_before(layer, computes)
    if not before:
        return "input"
    # A dense layer drops before it computes, wherever it stands.
    if not graph.nearest_after(layer, computes) and not isinstance(layer, DROPPING_DENSE):
        return "output"
    # A feature map has a spatial axis besides its channels; without one it is a vector of
    # features, like any dense layer's.
    is_map = graph.extents.get(id(layer), 2) > 1
    nearest = graph.nearest_before(layer, lambda found: bool(_last_kind(found)))
    if is_map and any(_last_kind(found) == "convolutional" for found in nearest):
        return "convolutional"
    return "hidden"


def _placement_in_order(index: int, layers: Sequence[keras.Layer]) -> str:
    """Where no graph tells: from the layers made before this one, or else after it."""
    made_before, made_after = layers[1:index], layers[index + 1 :]
    # Layers without weights are often made first, whatever their place.
    kinds = filter(None, map(_kind, [*reversed(made_before), *made_after]))
    return next(kinds, "hidden")


def computes(layer: object) -> bool:
    """Whether an operation computes features from weights, itself or by the layers inside it."""
    return isinstance(layer, keras.Layer) and any(map(_computes_itself, _all_within(layer)))


def _all_within(layer: keras.Layer) -> list[keras.Layer]:
    """A layer and all that it holds, in the order in which they were made."""
    return [held.layer for held in _with_inner_layers(GraphLayer(layer, "", layer))]


def _computes_itself(layer: keras.Layer) -> bool:
    """Whether a layer has weights of its own, and more to do than to hand on what it receives."""
    if isinstance(layer, (*_HAND_ON, *DROPOUT_FAMILY)):
        return False
    if not layer.built:  # its weights are still to come
        return any(name.endswith("_initializer") for name in vars(layer))
    inner = {id(weight) for held in keras_internals.direct_layers(layer) for weight in held.weights}
    return any(id(weight) not in inner for weight in layer.weights)


def _last_kind(operation: object) -> str | None:
    """The kind of what comes out of an operation: of its last inner layer that has one."""
    if not isinstance(operation, keras.Layer):
        return None
    return next(filter(None, map(_kind, reversed(_all_within(operation)))), None)


def _kind(layer: keras.Layer) -> str | None:
    """What dropout right after a layer would drop, if the layer decides that."""
    if isinstance(layer, _MAKE_VECTORS):
        return "hidden"
    if not _computes_itself(layer):
        return None
    # Keras has no class that all convolutions share.
    return "convolutional" if hasattr(layer, "kernel_size") else "hidden"
