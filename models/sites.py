"""Where dropout happens in a Keras model, read from its graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import keras
from dropout_zoo.models.graph import Graph, inner_layers, is_plain_model, read_graph

DROPOUT_FAMILY: tuple[type[keras.Layer], ...] = (
    keras.layers.Dropout,  # and with it SpatialDropout1D, 2D and 3D
    keras.layers.GaussianDropout,
    keras.layers.AlphaDropout,
)
"""Layers whose job is dropout; each has a `rate` and a `seed_generator`."""

RECURRENT_ARGUMENTS = ("dropout", "recurrent_dropout")

# Layers that hand on what they receive, as far as the question "dropout on what?" goes. An
# embedding is a table of inputs: dropout after it is dropout on the input.
_WEIGHTS_THAT_HAND_ON: tuple[type[keras.Layer], ...] = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.Normalization,
    keras.layers.Embedding,
    keras.layers.PReLU,
)
_CONVOLUTIONS: tuple[type[keras.Layer], ...] = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
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
        layer: the layer that drops: of the dropout family, or a recurrent cell.
        argument: the attribute of that layer that holds the rate: ``"rate"``, or for cells
            ``"dropout"`` or ``"recurrent_dropout"``.
        owner: the layer of the model's graph that holds the site: the dropout layer itself, or
            the composite or recurrent layer around it.
    """

    path: str
    rate: float
    placement: str
    layer: keras.Layer = field(repr=False)
    argument: str = field(repr=False)
    owner: keras.Layer = field(repr=False)


def dropout_sites(model: keras.Model) -> list[DropoutSite]:
    """Find every place where a Keras model applies dropout.

    Found are the layers of the dropout family (`Dropout`, `SpatialDropout1D/2D/3D`,
    `GaussianDropout`, `AlphaDropout`) at any depth: in nested models, wrappers, composite layers
    such as `MultiHeadAttention`, and subclassed models; and the `dropout` and `recurrent_dropout`
    arguments of recurrent layers where they are not 0. A layer that is called several times is
    one site.

    Placements are read from the graph: what is dropped is an input when no layer with weights
    lies before the site, an output when none follows, convolutional when the nearest such layer
    before it is a convolution whose feature maps have not been flattened or pooled away, and
    hidden otherwise. Inside a composite layer, which has no graph, the kinds of its layers
    decide.

    Args:
        model: any Keras model. One that has not been built is read without its graph.

    Returns:
        The sites, from input to output.
    """
    graph = read_graph(model)
    sites: list[DropoutSite] = []
    taken: set[str] = set()
    for owner, prefix in graph.layers if graph else [(model, "")]:
        for layer, names in _with_inner_layers(owner, prefix):
            for argument in _dropping_arguments(layer):
                suffix = [] if argument == "rate" else [argument]
                path = _unique("/".join([*names, *suffix]), taken)
                placement = _placement(layer, owner, graph)
                rate = float(getattr(layer, argument))
                sites.append(DropoutSite(path, rate, placement, layer, argument, owner))
    return sites


def _with_inner_layers(
    owner: keras.Layer, prefix: str
) -> Iterator[tuple[keras.Layer, tuple[str, ...]]]:
    """A layer and all that it holds, depth first, each once, with its names from outside in.

    Inner layers go by the attribute that holds them: Keras numbers their own names anew in every
    clone.
    """
    seen: set[int] = set()

    def walk(layer: keras.Layer, names: tuple[str, ...]) -> Iterator:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        yield layer, names
        for name, inner in inner_layers(layer):
            yield from walk(inner, (*names, name))

    # A subclassed model names itself in no path, like any other model.
    outer = () if isinstance(owner, keras.Model) else (*filter(None, [prefix]), owner.name)
    yield from walk(owner, outer)


def _dropping_arguments(layer: keras.Layer) -> list[str]:
    """The attributes of a layer that are dropout rates of its own."""
    if isinstance(layer, DROPOUT_FAMILY):
        return ["rate"]
    # Recurrent layers pass their cell's rates on as properties: the cell is what drops.
    is_cell = hasattr(layer, "state_size") and not isinstance(layer, keras.layers.RNN)
    return [name for name in RECURRENT_ARGUMENTS if is_cell and getattr(layer, name, 0)]


def _unique(path: str, taken: set[str]) -> str:
    candidate, number = path, 2
    while candidate in taken:
        candidate, number = f"{path}#{number}", number + 1
    taken.add(candidate)
    return candidate


def _placement(layer: keras.Layer, owner: keras.Layer, graph: Graph | None) -> str:
    if not isinstance(layer, DROPOUT_FAMILY):
        return "recurrent"
    stands_in_graph = layer is owner or getattr(owner, "layer", None) is layer  # a wrapper
    if graph is None or not stands_in_graph:
        return "hidden" if isinstance(owner, keras.Model) else _kind_of_composite(owner)
    before = graph.nearest_before(owner, _has_weights_of_note)
    if not graph.nearest_after(owner, _has_weights_of_note):
        # Before the first weights and after the last ones: there are none, as in a probe of
        # augmentations; what is dropped is still the input.
        return "output" if before else "input"
    if not before:
        return "input"
    # Without its spatial axes a feature map is a vector of features, like any dense layer's.
    if graph.input_rank(owner) > 2 and any(_is_convolutional(found) for found in before):
        return "convolutional"
    return "hidden"


def _kind_of_composite(owner: keras.Layer) -> str:
    kinds = [inner for inner, _ in _with_inner_layers(owner, "")]
    if any(isinstance(inner, keras.layers.RNN) for inner in kinds):
        return "recurrent"
    if any(isinstance(inner, keras.layers.Dense) for inner in kinds):
        return "hidden"
    convolves = any(isinstance(inner, _CONVOLUTIONS) for inner in kinds)
    return "convolutional" if convolves else "hidden"


def _has_weights_of_note(layer: keras.Layer) -> bool:
    """Whether a layer computes features from weights, rather than handing on what it receives."""
    return (
        isinstance(layer, keras.Layer)
        and bool(layer.weights)
        and not isinstance(layer, (*_WEIGHTS_THAT_HAND_ON, *DROPOUT_FAMILY))
        and not is_plain_model(layer)
    )


def _is_convolutional(layer: keras.Layer) -> bool:
    inner = getattr(layer, "layer", layer)  # TimeDistributed(Conv2D(...))
    return isinstance(inner, _CONVOLUTIONS) or (
        not isinstance(layer, keras.layers.Wrapper) and _kind_of_composite(layer) == "convolutional"
    )
