"""The places where a Keras model applies dropout, read from its graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, NamedTuple

import keras

from dropout_zoo.models import keras_internals
from dropout_zoo.models.caller_warnings import warn_caller
from dropout_zoo.models.graph.model_graph import (
    Graph,
    GraphLayer,
    flat_layers,
    inner_layers,
    reached_from,
    read_graph,
)
from dropout_zoo.models.graph.own_noise import is_own_noise, rate_attribute, rate_of_own_noise
from dropout_zoo.models.layers.concrete_dropout import ConcreteDropout
from dropout_zoo.models.layers.drop_connect import DropConnect
from dropout_zoo.models.layers.lifting import rate_in_variables
from dropout_zoo.models.layers.position_embedding import PositionEmbedding
from dropout_zoo.models.placements import Placement

DROPOUT_FAMILY: tuple[type[keras.Layer], ...] = (
    keras.layers.Dropout,  # and with it SpatialDropout1D, 2D and 3D, DropBlock2D, StochasticDepth
    keras.layers.GaussianDropout,
    keras.layers.AlphaDropout,
)
"""Layers that only apply dropout; each has a `rate` and a `seed_generator`."""

DROPPING_DENSE: tuple[type[keras.Layer], ...] = (DropConnect, ConcreteDropout)
"""Dense layers that drop their weights or inputs, with their own `rate`."""

# Layers that do not affect the placement of dropout after them. An embedding is a table of
# inputs: dropout after it is dropout on the input.
_PASS_THROUGH: tuple[type[keras.Layer], ...] = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.RMSNormalization,
    keras.layers.Normalization,
    keras.layers.Embedding,
    PositionEmbedding,
    keras.layers.PReLU,
)
# Layers that remove the spatial axes of feature maps.
_VECTORIZING: tuple[type[keras.Layer], ...] = (
    keras.layers.Flatten,
    *(
        getattr(keras.layers, f"Global{kind}Pooling{axes}D")
        for kind in ("Average", "Max")
        for axes in (1, 2, 3)
    ),
)


ATTENTION = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
"""The layers of attention that hold a dropout layer."""


@dataclass(frozen=True)
class DropoutSite:
    """A place in a model where dropout is applied.

    Attributes:
        path: name of the site, unique in its model: layer names from the outermost to the
            innermost, joined by ``/``.
        rate: fraction dropped.
        placement: ``"input"``, ``"hidden"``, ``"convolutional"``, ``"recurrent"`` or ``"output"``.
        layer: the layer that applies dropout: one of the dropout family, a recurrent cell, or
            `Attention`.
        argument: the attribute of that layer that holds the rate: ``"rate"``, or ``"dropout"`` or
            ``"recurrent_dropout"`` for cells and `Attention`.
        owner: the layer of the model's graph that contains the site: the dropout layer itself, or
            the composite or recurrent layer around it.
        learned: whether the layer learns its rate, so that it cannot be set (`ConcreteDropout`).
        own_noise: whether the layer is a custom one that draws its masks or noise itself. The rate
            is that of an attribute such as ``rate`` or ``drop_prob``, or NaN if there is none.
        is_settable: whether the rate can be set. Not where it is learned, nor in a custom layer
            that draws its noise itself and does not read the rate in each call.

    Example:
        >>> from dropout_zoo.models import build_cnn, dropout_sites
        >>> (site,) = dropout_sites(build_cnn())
        >>> site.path, site.rate, site.placement, site.is_settable
        ('hidden_1_dropout', 0.5, 'hidden', True)
    """

    path: str
    rate: float
    placement: Placement
    layer: keras.Layer = field(repr=False)
    argument: str = field(repr=False)
    owner: keras.Layer = field(repr=False)
    learned: bool = False
    own_noise: bool = False
    is_settable: bool = True


def dropout_sites(model: keras.Model) -> list[DropoutSite]:
    """Find every place where a Keras model applies dropout.

    Sites are the layers of the dropout family (`Dropout`, `SpatialDropout1D/2D/3D`,
    `GaussianDropout`, `AlphaDropout`, and this package's `StochasticDepth`, `DropBlock2D`,
    `DropConnect` and `ConcreteDropout`) at any depth: in nested models, wrappers, composite layers
    such as `MultiHeadAttention`, and subclassed models. Sites are also, if they are not 0, the
    `dropout` and `recurrent_dropout` arguments of recurrent layers and the `dropout` of `Attention`
    and `AdditiveAttention`. A layer that is called several times is one site.

    Layers of your own that draw their masks or noise themselves are sites as well. They are
    recognized by what they do: they are called on random numbers, and return them unchanged at
    inference and changed at random in training. Their rates can be set if they are kept in an
    attribute such as ``rate`` or ``drop_prob`` that is read in each call: at a rate of 0, the layer
    has to return its inputs, and at others to drop that fraction of them.

    The placement of a site is read from the graph:

    - ``"input"``: no layer that computes features from weights precedes it; embeddings and
      normalization do not count.
    - ``"output"``: no such layer follows it.
    - ``"convolutional"``: the nearest such layer before it is a convolution, and its feature maps
      have not been flattened or pooled to vectors.
    - ``"recurrent"``: it is inside a recurrent layer.
    - ``"hidden"``: anywhere else, including the weights that `DropConnect` drops.

    Composite layers and subclassed models have no graph; inside them, the order in which layers
    were created distinguishes convolutional from hidden.

    Args:
        model: any Keras model. A model that has not been built is read without its graph, and a
            warning names attention layers in it that create their dropout when they are built.

    Returns:
        The sites, from input to output.

    Raises:
        TypeError: `model` is not a Keras model.

    Example:
        >>> from dropout_zoo.models import build_mlp, dropout_sites
        >>> for site in dropout_sites(build_mlp(input_rate=0.2)):
        ...     print(site.path, site.rate, site.placement)
        input_dropout 0.2 input
        hidden_1_dropout 0.5 hidden
        hidden_2_dropout 0.3 hidden
    """
    if not isinstance(model, keras.Layer):  # a layer holds sites as a model does
        raise TypeError(f"expected a Keras model, received {type(model).__name__}")
    unbuilt = [layer.name for layer in flat_layers(model) if _creates_dropout_later(layer)]
    if unbuilt:
        warn_caller(
            f"expected a model whose layers are built, received {model.name!r}, in which "
            f"{', '.join(map(repr, unbuilt))} will create dropout that is not among the sites yet; "
            "call the model on an example first"
        )
    return _find_sites(model)


def _creates_dropout_later(layer: keras.Layer) -> bool:
    """Whether a layer is of attention with dropout, and not built."""
    is_attention = isinstance(layer, ATTENTION) and not layer.built
    return is_attention and layer.get_config()["dropout"] > 0


def _find_sites(model: keras.Model, *, fixed_noise: bool = True) -> list[DropoutSite]:
    """Find the sites, with or without custom noise layers whose rate cannot be set."""
    graph = read_graph(model)
    placements = _Placements(graph) if graph else None
    sites: list[DropoutSite] = []
    taken: set[str] = set()
    for entry in graph.layers if graph else [GraphLayer(model, "", model)]:
        held = list(_with_inner_layers(entry))
        for index, (layer, names, in_recurrence) in enumerate(held):
            for argument, rate, suffix, *kind in _dropping(layer, fixed_noise):
                path = _unique("/".join([*names, *filter(None, [suffix])]), taken)
                placement: Placement
                if in_recurrence:
                    placement = "recurrent"
                elif isinstance(layer, (keras.layers.Attention, DropConnect)):
                    placement = "hidden"  # these drop weights
                elif placements and (layer is entry.layer or not computes_features(entry.layer)):
                    placement = placements.of(entry.layer)
                else:
                    placement = _placement_in_order(index, [each.layer for each in held])
                sites.append(
                    DropoutSite(path, rate, placement, layer, argument, entry.owner, *kind)
                )
    return sites


def settable_sites(model: keras.Model) -> list[DropoutSite]:
    """Find the dropout sites whose rates can be set.

    Those of layers that learn the rate, and of custom noise layers that do not read it in each
    call, are left out.

    Args:
        model: any Keras model.

    Returns:
        The sites, from input to output.
    """
    return [site for site in _find_sites(model, fixed_noise=False) if site.is_settable]


class _Held(NamedTuple):
    layer: keras.Layer
    names: tuple[str, ...]
    in_recurrence: bool


def _with_inner_layers(entry: GraphLayer) -> Iterator[_Held]:
    """A layer and all layers inside it, depth first, each once, with names from the outside in.

    Inner layers are named by the attribute that holds them, or by number, because Keras numbers
    their own names again in every clone.
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


class _Dropping(NamedTuple):
    argument: str
    rate: float
    suffix: str
    learned: bool = False
    own_noise: bool = False
    is_settable: bool = True


def _dropping(layer: keras.Layer, fixed_noise: bool) -> Iterator[_Dropping]:
    """The dropout that a layer applies itself, and what the path of the site adds to its name."""
    arguments = _dropping_arguments(layer)
    for argument in arguments:
        variable = rate_in_variables(layer, argument)
        rate = float(getattr(layer, argument)) if variable is None else variable.rate
        learned = isinstance(layer, ConcreteDropout)
        suffix = "" if argument == "rate" else argument
        yield _Dropping(argument, rate, suffix, learned=learned, is_settable=not learned)
    if arguments:
        return
    if name := rate_attribute(layer):
        yield _Dropping(name, float(getattr(layer, name)), "", own_noise=True)
    elif fixed_noise and is_own_noise(layer):
        yield _Dropping(*rate_of_own_noise(layer), "", own_noise=True, is_settable=False)


def _dropping_arguments(layer: keras.Layer) -> list[str]:
    """The attributes of a layer that hold its own dropout rates."""
    if isinstance(layer, (*DROPOUT_FAMILY, *DROPPING_DENSE)):
        return ["rate"]
    names: tuple[str, ...] = ()
    # Recurrent layers expose the rates of their cell, which is what applies dropout.
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


class _Placements:
    """The placements of the layers in a graph, from one search of it for all of them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        operations = graph.operations()
        self.computing = [each for each in operations if computes_features(each)]
        self.kinds = {id(each): _last_kind(each) for each in operations}
        self.convolutional = [
            each for each in operations if self.kinds[id(each)] == "convolutional"
        ]
        self.calls = Counter(id(call.operation) for call in graph.calls)
        self._of_others = self._searched(self.computing, self.convolutional)

    def of(self, layer: keras.Layer) -> Placement:
        """The placement of dropout in a layer."""
        searched = self._of_others
        if self.calls[id(layer)] > 1 and computes_features(layer):
            # It may follow itself, which does not count.
            searched = self._searched(
                [each for each in self.computing if each is not layer],
                [each for each in self.convolutional if each is not layer],
            )
        after_computing, before_computing, after_convolution = searched
        if id(layer) not in after_computing:
            return "input"
        # These dense layers drop before they compute, so they never drop outputs.
        if id(layer) not in before_computing and not isinstance(layer, DROPPING_DENSE):
            return "output"
        # A feature map has a spatial axis besides its channels; without one it is a feature vector.
        is_map = self.graph.input_ranks.get(id(layer), 2) > 1
        return "convolutional" if is_map and id(layer) in after_convolution else "hidden"

    def _searched(self, computing: list[Any], convolutional: list[Any]) -> tuple[set[int], ...]:
        feeds, fed_by = self.graph.feeds, self.graph.fed_by
        return (
            reached_from(computing, lambda found: feeds.get(id(found), ())),
            reached_from(computing, lambda found: fed_by.get(id(found), ())),
            # The nearest kind decides: the search ends at layers that have one.
            reached_from(
                convolutional,
                lambda found: feeds.get(id(found), ()),
                lambda found: not self.kinds[id(found)],
            ),
        )


def _placement_in_order(index: int, layers: Sequence[keras.Layer]) -> Placement:
    """The placement, without a graph, from the layers created before this one, or else after it."""
    made_before, made_after = layers[1:index], layers[index + 1 :]
    # Layers without weights are often created first, whatever their place.
    kinds = map(_kind, [*reversed(made_before), *made_after])
    return next((kind for kind in kinds if kind is not None), "hidden")


def computes_features(layer: object) -> bool:
    """Whether an operation computes features from weights, itself or in the layers inside it."""
    return isinstance(layer, keras.Layer) and any(map(_computes_itself, _all_within(layer)))


def _all_within(layer: keras.Layer) -> list[keras.Layer]:
    """A layer and all layers inside it, in the order in which they were created."""
    return [held.layer for held in _with_inner_layers(GraphLayer(layer, "", layer))]


def _computes_itself(layer: keras.Layer) -> bool:
    """Whether a layer has weights of its own and does more than pass its inputs on."""
    if isinstance(layer, (*_PASS_THROUGH, *DROPOUT_FAMILY)):
        return False
    if not layer.built:  # it has no weights yet
        return any(name.endswith("_initializer") for name in vars(layer))
    inner = {id(weight) for held in keras_internals.direct_layers(layer) for weight in held.weights}
    return any(id(weight) not in inner for weight in layer.weights)


def _last_kind(operation: object) -> Placement | None:
    """The kind of the outputs of an operation: that of its last inner layer that has a kind."""
    if not isinstance(operation, keras.Layer):
        return None
    return next(filter(None, map(_kind, reversed(_all_within(operation)))), None)


def _kind(layer: keras.Layer) -> Placement | None:
    """The placement of dropout directly after a layer, if the layer determines it."""
    if isinstance(layer, _VECTORIZING):
        return "hidden"
    if not _computes_itself(layer):
        return None
    # Keras has no common base class of all convolutions.
    return "convolutional" if hasattr(layer, "kernel_size") else "hidden"
