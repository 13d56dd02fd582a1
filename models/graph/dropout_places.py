"""Places in the graph of a model at which dropout can be added."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from dropout_zoo.models.argument_validation import did_you_mean
from dropout_zoo.models.graph.model_graph import (
    READ_INDICES,
    SCALE,
    Graph,
    GraphCall,
    flat_layers,
    is_plain_model,
    own_weights,
    read_graph,
)

_NORMALIZATION = (
    keras.layers.BatchNormalization, keras.layers.LayerNormalization,
    keras.layers.GroupNormalization, keras.layers.UnitNormalization,
)  # fmt: skip
_POOLING = (
    keras.layers.MaxPooling1D, keras.layers.MaxPooling2D, keras.layers.MaxPooling3D,
    keras.layers.AveragePooling1D, keras.layers.AveragePooling2D, keras.layers.AveragePooling3D,
)  # fmt: skip
_INPUT = -1  # the place of the inputs of the model
_PROJECTION = 1  # layers with weights that a shortcut may have
_BEFORE, _AFTER = "before ", "after "


@dataclass(frozen=True)
class Place:
    """A tensor in the graph of a model, at which a layer can be added.

    Attributes:
        call: the layer or operation beside it.
        index: which of its inputs it is; None for its output.
        on_branch: whether it ends a residual branch.
        is_input: whether it is an input of the model, scaled or not.
    """

    call: GraphCall
    index: int | None
    on_branch: bool = False
    is_input: bool = False

    @property
    def name(self) -> str:
        """Its name, such as ``"before predictions"``."""
        return f"{_AFTER if self.index is None else _BEFORE}{self.call.operation.name}"

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Shape of the tensor, with the batch axis."""
        return self.call.produced[0] if self.index is None else self.call.shapes[self.index]

    @property
    def takes_numbers(self) -> bool:
        """Whether the tensor holds numbers that can be set to 0, and no indices, masks or text."""
        if self.index is None:
            return all(map(keras.backend.is_float_dtype, self.call.produced_dtypes))
        indices = isinstance(self.call.operation, READ_INDICES)
        return not indices and keras.backend.is_float_dtype(self.call.dtypes[self.index])

    @property
    def sources(self) -> list[int]:
        """The places of the calls whose outputs the tensor is."""
        if self.index is None:
            return [self.call.place]
        return [call.place for call in self.call.received[self.index]]

    @property
    def neighbors(self) -> list[GraphCall]:
        """The calls on both sides of it."""
        if self.index is None:
            return [self.call, *self.call.feeds]
        return [self.call, *self.call.received[self.index]]


def find_places(model: keras.Model, name: str, dropping: Collection[int]) -> list[Place]:
    """Find the places that a name stands for.

    Args:
        model: a built Sequential or Functional model.
        name: as `with_dropout` takes it.
        dropping: ids of its layers that apply dropout to their inputs.

    Returns:
        The places, in order of computation.

    Raises:
        ValueError: there is none, there is dropout already, or dropout cannot be there.
    """
    graph = read_graph(model)
    assert graph is not None  # it is a plain model
    find = _NAMED.get(name)
    found = find(graph) if find else _beside_a_layer(graph, name)
    # Of a shared layer, which has several calls, each place once.
    places = list({(id(each.call.operation), each.index): each for each in found}.values())
    if not places:
        raise ValueError(f"expected a place in {model.name!r}, received {name!r}: {_MISSING[name]}")
    reached = _operations(model)
    for place in places:
        _check(place, name, dropping, reached)
    return places


def _operations(model: Any) -> set[int]:
    """The ids of the layers and operations in a model and in the models nested in it."""
    inner = model.layers if isinstance(model, keras.Sequential) else model.operations
    found = {id(each) for each in inner}
    for each in inner:
        if is_plain_model(each):
            found |= _operations(each)
    return found


def _check(place: Place, name: str, dropping: Collection[int], reached: Collection[int]) -> None:
    if id(place.call.operation) not in reached:
        raise ValueError(
            f"expected a place in the graph, received {name!r}, of which {place.call.path!r} is "
            "inside a wrapper; add dropout to the wrapped model first"
        )
    if place.index is None and place.call.is_output:
        raise ValueError(
            f"expected a place before the outputs, received {name!r}: {place.call.path!r} is one"
        )
    for call in place.neighbors:
        if id(call.operation) in dropping:
            raise ValueError(
                f"expected a place without dropout, received {name!r}, where {call.path!r} is "
                "already; set its rate with with_rates"
            )
    if not place.takes_numbers:
        verb = "returns" if place.index is None else "takes"
        raise ValueError(
            f"expected a place where numbers can be set to 0, received {name!r}: "
            f"{place.call.path!r} {verb} something else, such as indices; add dropout after what "
            "turns it into numbers"
        )


def _inputs(graph: Graph) -> list[Place]:
    return [
        Place(call, index, is_input=True)
        for call in graph.calls
        if not isinstance(call.operation, SCALE) and "bool" not in call.produced_dtypes
        for index, sources in enumerate(call.received)
        if all(_only_scales(source) for source in sources) and (sources or call.inputs)
    ]


def _only_scales(call: GraphCall) -> bool:
    """Whether a call scales an input of the model, which nothing else has changed."""
    return isinstance(call.operation, SCALE) and all(map(_only_scales, call.fed_by))


def _classifiers(graph: Graph) -> list[Place]:
    found: dict[int, Place] = {}
    for call in (call for call in graph.calls if call.is_output):
        last: GraphCall | None = call
        while last is not None and not _computes_features(last):
            last = last.fed_by[0] if last.fed_by else None
        if last is not None:
            found.setdefault(last.place, Place(last, 0))
    return [found[place] for place in sorted(found)]


def _computes_features(call: GraphCall) -> bool:
    operation = call.operation
    return (
        isinstance(operation, keras.Layer)
        and not isinstance(operation, _NORMALIZATION)
        and "Embedding" not in type(operation).__name__  # of positions, which are added too
        and any(own_weights(layer) for layer in [operation, *flat_layers(operation)])
    )


def _blocks(graph: Graph) -> list[Place]:
    ends = [place.call for place in _branches(graph)]
    if not ends:
        poolings = [call for call in graph.calls if isinstance(call.operation, _POOLING)]
        ends = [call for call in poolings if _is_passed_by_all(call, graph)]
    return [Place(call, None) for call in ends]


def _is_passed_by_all(call: GraphCall, graph: Graph) -> bool:
    """Whether there is no way around a call, as there is where it is on one of several branches."""
    before = graph.calls[: call.place]
    return all(fed.place <= call.place for earlier in before for fed in earlier.feeds)


def _branches(graph: Graph) -> list[Place]:
    return [
        Place(call, index, on_branch=True)
        for call in graph.calls
        if (index := _index_of_branch(call)) is not None
    ]


def _index_of_branch(call: GraphCall) -> int | None:
    """Which input of an addition is a residual branch; None if there is none.

    Both inputs come from one place: the shortcut without layers of weights on the way, or with a
    projection alone, and the branch with more of them.
    """
    if not _is_addition(call) or len(call.received) != 2:
        return None
    ways = [_weights_on_the_way(sources) for sources in call.received]
    shared = ways[0].keys() & ways[1].keys()
    if not shared:
        return None
    start = max(shared)  # the last place that both come from
    lengths = [way[start] for way in ways]
    if lengths[0] == lengths[1] or min(lengths) > _PROJECTION:
        return None
    return lengths.index(max(lengths))


def _weights_on_the_way(calls: Sequence[GraphCall]) -> dict[int, int]:
    """For each place that leads to a tensor, the largest number of layers with weights after it.

    Args:
        calls: the calls that produce the tensor; none for an input of the model, whose place is -1.
    """
    most = {call.place: 0 for call in calls} or {_INPUT: 0}
    todo = [(-call.place, call) for call in calls]
    while todo:
        _, last = heapq.heappop(todo)  # the latest: all that it leads to has been seen
        number = most[last.place] + _computes_features(last)
        if last.inputs:
            most[_INPUT] = max(number, most.get(_INPUT, 0))
        for source in last.fed_by:
            if source.place not in most:
                heapq.heappush(todo, (-source.place, source))
            most[source.place] = max(number, most.get(source.place, 0))
    return most


def _is_addition(call: GraphCall) -> bool:
    return isinstance(call.operation, keras.layers.Add) or type(call.operation).__name__ == "Add"


def _beside_a_layer(graph: Graph, name: str) -> list[Place]:
    calls = {call.path: call for call in graph.calls}
    for prefix in (_BEFORE, _AFTER):
        path = name.removeprefix(prefix)
        if path == name:
            continue
        if path not in calls:
            raise ValueError(
                f"expected a place beside a layer of the model, received {name!r}"
                f"{did_you_mean(path, calls)}"
            )
        call = calls[path]
        if prefix == _AFTER:
            return [Place(call, None)]
        index = _index_of_branch(call)
        if index is not None:
            return [Place(call, index, on_branch=True)]
        inputs = [Place(call, number) for number in range(len(call.shapes))]
        return [each for each in inputs if each.takes_numbers] or inputs  # others may be masks
    known = [*map(repr, _NAMED), "'before NAME'", "'after NAME'"]
    raise ValueError(f"expected a place to be one of {', '.join(known)}, received {name!r}")


_NAMED: dict[str, Callable[[Graph], list[Place]]] = {
    "input": _inputs,
    "before the classifier": _classifiers,
    "after each block": _blocks,
    "in each residual branch": _branches,
}
_MISSING = {
    "input": "no layer takes an input",
    "before the classifier": "no layer with weights leads to an output",
    "after each block": "it has neither residual branches nor pooling of feature maps",
    "in each residual branch": "its graph adds no branch to what it came from",
}
