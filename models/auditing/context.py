"""A model as the rules of the audit read it: its sites, each with the calls that hold it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import keras

from dropout_zoo.models.auditing.predicates import is_addition, keeps_features
from dropout_zoo.models.graph.model_graph import Graph, GraphCall, flat_layers, read_graph
from dropout_zoo.models.graph.sites import DROPPING_DENSE, DropoutSite, computes, dropout_sites

Wanted = Callable[[GraphCall], bool]


class Placed(NamedTuple):
    """A dropout site at one of the calls that hold it.

    Attributes:
        site: the site.
        call: the call of its layer, or of the layer around it.
        direct: whether the layer that drops is itself what is called, and drops what it hands
            on rather than weights or what it receives.
    """

    site: DropoutSite
    call: GraphCall
    direct: bool


class AuditView:
    """A model with all that the rules ask for, each read once.

    Args:
        model: any Keras model.

    Attributes:
        model: the model.
        graph: its graph, empty where there is none to read.
        sites: its dropout sites.
    """

    def __init__(self, model: keras.Model) -> None:
        graph = read_graph(model)
        self.model = model
        self.has_graph = graph is not None
        self.graph = graph or Graph()
        self.sites = dropout_sites(model)
        self._computing: dict[int, bool] = {}

    @cached_property
    def placed(self) -> list[Placed]:
        """Every site at every call that holds it; sites outside a graph are left out."""
        by_layer: dict[int, list[tuple[GraphCall, bool]]] = {}
        for call in self.graph.calls:
            if not isinstance(call.operation, keras.Layer):
                continue
            for layer in [call.operation, *flat_layers(call.operation)]:
                called = layer is call.operation or layer is _wrapped(call.operation)
                direct = called and not isinstance(layer, DROPPING_DENSE)
                by_layer.setdefault(id(layer), []).append((call, direct))
        return [
            Placed(site, call, direct)
            for site in self.sites
            for call, direct in by_layer.get(id(site.layer), [])
        ]

    @cached_property
    def dropping(self) -> list[Placed]:
        """The layers that drop something, at each of their calls in the graph."""
        return [each for each in self.placed if each.direct and 0 < each.site.rate < 1]

    def computes(self, call: GraphCall) -> bool:
        """Whether a call computes features from weights; normalisation and embeddings do not."""
        key = id(call.operation)
        if key not in self._computing:
            self._computing[key] = computes(call.operation)
        return self._computing[key]

    def computing_before(self, call: GraphCall) -> list[GraphCall]:
        """The nearest calls before a call that compute features from weights."""
        return before(call, self.computes)

    def computing_after(self, call: GraphCall) -> list[GraphCall]:
        """The nearest calls after a call that compute features from weights."""
        return after(call, self.computes)

    def joins_residual(self, call: GraphCall) -> bool:
        """Whether what a call hands on is added to something that does not come from it."""
        own = {id(each) for each in [call, *all_after(call)]}
        additions = after(call, is_addition, lambda found: not self.computes(found))
        return any(
            all(id(source) not in own for source in sources)
            for addition in additions
            for sources in addition.received
        )

    def decides_by_example(self, placed: Placed) -> bool:
        """Whether a site keeps or drops all that an example has, as stochastic depth does."""
        mask = mask_shape(placed)
        return mask is not None and mask[0] is None and all(size == 1 for size in mask[1:])

    def is_stochastic_depth(self, placed: Placed) -> bool:
        """Whether a site drops the residual branches of whole examples (Huang et al. 2016)."""
        return self.decides_by_example(placed) and self.joins_residual(placed.call)

    def is_output(self, placed: Placed) -> bool:
        """Whether all that a site hands on is what the model returns."""
        if after(placed.call, lambda found: not keeps_features(found)):
            return False
        return any(end.is_output for end in [placed.call, *all_after(placed.call)])


def mask_shape(placed: Placed) -> tuple[int | None, ...] | None:
    """The `noise_shape` of a site, one entry an axis of what it receives; None without one."""
    noise_shape = getattr(placed.site.layer, "noise_shape", None)
    if noise_shape is None:
        return None
    shape = placed.call.shapes[0] if placed.call.shapes else noise_shape
    # Missing axes are the first ones, as in NumPy's broadcasting.
    filled = (1,) * (len(shape) - len(noise_shape)) + tuple(noise_shape)
    return tuple(1 if index and shape[index] == 1 else size for index, size in enumerate(filled))


def before(call: GraphCall, wanted: Wanted, through: Wanted | None = None) -> list[GraphCall]:
    """The first calls on the ways back to the input that are wanted.

    Args:
        call: where to start.
        wanted: what to look for.
        through: the other calls to look behind; None for all.

    Returns:
        The calls that are wanted, the nearest first.
    """
    return _first(call, wanted, through, lambda found: found.fed_by)


def after(call: GraphCall, wanted: Wanted, through: Wanted | None = None) -> list[GraphCall]:
    """The same as `before`, on the ways forward to the output."""
    return _first(call, wanted, through, lambda found: found.feeds)


def all_after(call: GraphCall) -> list[GraphCall]:
    """Every call that something of what a call computes reaches."""
    seen: dict[int, GraphCall] = {}

    def note(found: GraphCall) -> bool:
        seen[id(found)] = found
        return False

    after(call, note)
    return list(seen.values())


def _first(
    start: GraphCall,
    wanted: Wanted,
    through: Wanted | None,
    neighbours: Callable[[GraphCall], list[GraphCall]],
) -> list[GraphCall]:
    found, seen, waiting = [], {id(start)}, list(neighbours(start))
    for call in waiting:  # grows while it is read: breadth first
        if id(call) in seen:
            continue
        seen.add(id(call))
        if wanted(call):
            found.append(call)
        elif through is None or through(call):
            waiting.extend(neighbours(call))
    return found


def _wrapped(layer: keras.Layer) -> keras.Layer | None:
    return layer.layer if isinstance(layer, keras.layers.TimeDistributed) else None
