"""A model as the rules of the audit read it: its dropout sites, and the calls that apply them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import NamedTuple

import keras

from dropout_zoo.models.auditing.predicates import changes_features, is_activation, is_addition
from dropout_zoo.models.graph.model_graph import (
    Graph,
    GraphCall,
    flat_layers,
    reached_from,
    read_graph,
)
from dropout_zoo.models.graph.sites import (
    DROPPING_DENSE,
    DropoutSite,
    computes_features,
    dropout_sites,
)

Wanted = Callable[[GraphCall], bool]
_Search = tuple[Wanted, Wanted | None, Callable[[GraphCall], list[GraphCall]]]
"""What is wanted, what to search beyond, and which calls are next to a call."""


class PlacedSite(NamedTuple):
    """A dropout site at one of the calls in the graph that apply it.

    Attributes:
        site: the site.
        call: the call of its layer, or of the layer that contains it.
        direct: whether the dropout layer itself is called, and drops its outputs, rather than its
            weights or inputs.
    """

    site: DropoutSite
    call: GraphCall
    direct: bool


class AuditContext:
    """A model and everything that the rules read from it, each computed once.

    Args:
        model: any Keras model.

    Attributes:
        model: the model.
        has_graph: whether it has a graph that can be read.
        graph: its graph; empty if there is none.
        sites: its dropout sites, without those of custom noise layers.
        own_noise: the sites of those layers, about which the rules know nothing.
    """

    def __init__(self, model: keras.Model) -> None:
        graph = read_graph(model)
        self.model = model
        self.has_graph = graph is not None
        self.graph = graph or Graph()
        sites = dropout_sites(model)
        self.sites = [site for site in sites if not site.own_noise]
        self.own_noise = [site for site in sites if site.own_noise]
        self._computing: dict[int, bool] = {}

    @cached_property
    def placed(self) -> list[PlacedSite]:
        """Every site at every call that applies it; sites outside the graph are left out."""
        by_layer: dict[int, list[tuple[GraphCall, bool]]] = {}
        for call in self.graph.calls:
            if not isinstance(call.operation, keras.Layer):
                continue
            for layer in [call.operation, *flat_layers(call.operation)]:
                called = layer is call.operation or layer is _wrapped(call.operation)
                direct = called and not isinstance(layer, DROPPING_DENSE)
                by_layer.setdefault(id(layer), []).append((call, direct))
        return [
            PlacedSite(site, call, direct)
            for site in self.sites
            for call, direct in by_layer.get(id(site.layer), [])
        ]

    @cached_property
    def dropping(self) -> list[PlacedSite]:
        """Layers that apply dropout to their outputs, at each of their calls in the graph."""
        return [each for each in self.placed if each.direct and 0 < each.site.rate < 1]

    def computes_features(self, call: GraphCall) -> bool:
        """Whether a call computes features from weights; normalization and embeddings do not."""
        key = id(call.operation)
        if key not in self._computing:
            self._computing[key] = computes_features(call.operation)
        return self._computing[key]

    def computes_no_features(self, call: GraphCall) -> bool:
        """Whether a call does not compute features from weights."""
        return not self.computes_features(call)

    def activates_or_computes(self, call: GraphCall) -> bool:
        """Whether a call is an activation function, or computes features from weights."""
        return is_activation(call) or self.computes_features(call)

    def computing_after(self, call: GraphCall) -> Iterator[GraphCall]:
        """Find the nearest calls after a call that compute features from weights."""
        return after(call, self.computes_features)

    def joins_residual(self, call: GraphCall) -> bool:
        """Whether the outputs of a call are added to a tensor that does not depend on them."""
        additions = after(call, is_addition, self.computes_no_features)
        return any(_adds_to_another(addition, call) for addition in additions)

    def decides_by_example(self, placed: PlacedSite) -> bool:
        """Whether a site keeps or drops whole examples, as stochastic depth does."""
        mask = mask_shape(placed)
        return mask is not None and mask[0] is None and all(size == 1 for size in mask[1:])

    def is_stochastic_depth(self, placed: PlacedSite) -> bool:
        """Whether a site drops the residual branches of whole examples (Huang et al. 2016)."""
        return self.decides_by_example(placed) and self.joins_residual(placed.call)

    def is_output(self, placed: PlacedSite) -> bool:
        """Whether the outputs of a site reach nothing but the outputs of the model."""
        if any_after(placed.call, changes_features):
            return False
        return placed.call.is_output or any_after(placed.call, _is_output)


def mask_shape(placed: PlacedSite) -> tuple[int | None, ...] | None:
    """The `noise_shape` of a site, with one entry per axis of its input; None if it has none."""
    noise_shape = getattr(placed.site.layer, "noise_shape", None)
    if noise_shape is None:
        return None
    shape = placed.call.shapes[0] if placed.call.shapes else noise_shape
    # As in NumPy's broadcasting, missing axes are added in front.
    filled = (1,) * (len(shape) - len(noise_shape)) + tuple(noise_shape)
    return tuple(1 if index and shape[index] == 1 else size for index, size in enumerate(filled))


def before(call: GraphCall, wanted: Wanted, through: Wanted | None = None) -> Iterator[GraphCall]:
    """Find the nearest calls before a call that meet a condition.

    Args:
        call: where to start.
        wanted: the condition, a function with a name: what is found on the way is remembered by it.
        through: condition for the other calls to search beyond, likewise; None for all.

    Yields:
        The calls found, nearest first.
    """
    return _nearest(call, (wanted, through, _fed_by))


def after(call: GraphCall, wanted: Wanted, through: Wanted | None = None) -> Iterator[GraphCall]:
    """Find the nearest calls after a call that meet a condition; see `before`."""
    return _nearest(call, (wanted, through, _feeds))


def any_before(call: GraphCall, wanted: Wanted, through: Wanted | None = None) -> bool:
    """Whether there is a call before a call that meets a condition; see `before`."""
    return next(before(call, wanted, through), None) is not None


def any_after(call: GraphCall, wanted: Wanted, through: Wanted | None = None) -> bool:
    """Whether there is a call after a call that meets a condition; see `before`."""
    return next(after(call, wanted, through), None) is not None


def _adds_to_another(addition: GraphCall, call: GraphCall) -> bool:
    """Whether an addition after a call has an input that does not depend on that call."""
    place = addition.place
    own = {id(call)} | reached_from([call], _feeds, lambda reached: reached.place < place)
    return any(all(id(source) not in own for source in each) for each in addition.received)


def _is_output(call: GraphCall) -> bool:
    return call.is_output


def _fed_by(call: GraphCall) -> list[GraphCall]:
    return call.fed_by


def _feeds(call: GraphCall) -> list[GraphCall]:
    return call.feeds


def _nearest(start: GraphCall, search: _Search) -> Iterator[GraphCall]:
    wanted, _, neighbors = search
    seen, waiting = {id(start)}, list(neighbors(start))
    for nearest in waiting:  # breadth first: the list grows during the loop
        call = _next_choice(nearest, search)
        if call is None or id(call) in seen:
            continue
        seen.add(id(call))
        if wanted(call):
            yield call
        else:
            waiting.extend(neighbors(call))


def _next_choice(start: GraphCall, search: _Search) -> GraphCall | None:
    """Return where a search gets from a call before it finds something or has to choose.

    Searches by the same functions that begin elsewhere take the same way: it is remembered.

    Returns:
        What is found, or the call from which several ways lead to something; None if none does.
    """
    wanted, through, neighbors = search
    waiting = [start]
    while waiting:
        call = waiting[-1]
        if search not in call.next_choices:
            following: list[GraphCall] = []
            if not wanted(call) and (through is None or through(call)):
                following = neighbors(call)
            unknown = [each for each in following if search not in each.next_choices]
            if unknown:
                waiting += unknown
                continue
            ends = {each.next_choices[search] for each in following} - {None}
            if wanted(call) or len(ends) > 1:
                ends = {call}
            call.next_choices[search] = next(iter(ends), None)
        waiting.pop()
    return start.next_choices[search]


def _wrapped(layer: keras.Layer) -> keras.Layer | None:
    return layer.layer if isinstance(layer, keras.layers.TimeDistributed) else None
