"""The graph of a Keras model with its nested models unfolded: which layer feeds which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras


@dataclass
class Graph:
    """The layers and operations of a model, unfolded, and how they feed each other.

    Attributes:
        layers: each layer once, in the order of computation, with the path of the nested models
            that hold it (``""`` at the top).
        feeds: by id of an operation, the operations that it feeds.
        fed_by: by id of an operation, the operations that feed it; the model's inputs are left
            out.
    """

    layers: list[tuple[keras.Layer, str]] = field(default_factory=list)
    feeds: dict[int, list[Any]] = field(default_factory=lambda: defaultdict(list))
    fed_by: dict[int, list[Any]] = field(default_factory=lambda: defaultdict(list))
    _ranks: dict[int, int] = field(default_factory=dict)

    def nearest_before(self, layer: keras.Layer, wanted: Callable[[Any], bool]) -> list[Any]:
        """The first operations on the ways back to the input that are wanted."""
        return _nearest(layer, self.fed_by, wanted)

    def nearest_after(self, layer: keras.Layer, wanted: Callable[[Any], bool]) -> list[Any]:
        """The first operations on the ways forward to the output that are wanted."""
        return _nearest(layer, self.feeds, wanted)

    def input_rank(self, layer: keras.Layer) -> int:
        """Number of axes of what the layer receives, the batch included."""
        return self._ranks[id(layer)]


def is_plain_model(layer: Any) -> bool:
    """Whether a layer is a Sequential or Functional model, which has a graph to read."""
    return isinstance(layer, keras.Sequential) or (
        isinstance(layer, keras.Model) and hasattr(layer, "_nodes_by_depth")
    )


def inner_layers(layer: keras.Layer) -> list[tuple[str, keras.Layer]]:
    """The layers that a layer holds, each with the name of the attribute that holds it."""
    named: dict[int, str] = {}
    for attribute, value in vars(layer).items():
        held = value if isinstance(value, list | tuple) else [value]
        for index, inner in enumerate(held):
            if isinstance(inner, keras.Layer) and attribute != "_layers":
                number = f"_{index}" if held is value else ""
                named.setdefault(id(inner), attribute.strip("_") + number)
    return [
        (named.get(id(inner), inner.name), inner)
        for inner in layer._layers
        if not isinstance(inner, keras.layers.InputLayer)
    ]


def flat_layers(model: keras.Model) -> list[keras.Layer]:
    """Every layer of a model at any depth, each once, in an order that its clones share."""
    return model._flatten_layers(include_self=False)


def read_graph(model: keras.Model) -> Graph | None:
    """Unfold the graph of a model.

    Args:
        model: any Keras model.

    Returns:
        The graph, or None where there is none to read: subclassed models, and Sequential ones
        that have not been built.
    """
    if not is_plain_model(model) or not model.built or not _functional(model):
        return None
    graph = Graph()
    functional = _functional(model)
    _unfold(functional, {id(tensor): [] for tensor in functional.inputs}, "", graph)
    return graph


def _functional(model: keras.Model) -> Any:
    # A Sequential keeps its graph in a Functional of its own.
    return getattr(model, "_functional", model)


def _unfold(model: Any, sources: dict[int, list[Any]], prefix: str, graph: Graph) -> list[list]:
    """Walk one Functional model; `sources` maps its tensors to the operations they come from."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            operation = node.operation
            received = [sources[id(tensor)] for tensor in node.input_tensors]
            if is_plain_model(operation):
                inner = _functional(operation)
                entry = {
                    id(t): ops for t, ops in zip(inner.inputs, received, strict=True)
                }
                path = f"{prefix}/{operation.name}" if prefix else operation.name
                produced = _unfold(inner, entry, path, graph)
            else:
                _add(operation, received, node.input_tensors, prefix, graph)
                produced = [[operation]] * len(node.outputs)
            for tensor, operations in zip(node.outputs, produced, strict=True):
                sources[id(tensor)] = operations
    return [sources[id(tensor)] for tensor in model.outputs]


def _add(operation: Any, received: list[list], tensors: list, prefix: str, graph: Graph) -> None:
    if isinstance(operation, keras.Layer) and all(known is not operation for known, _ in graph.layers):
        graph.layers.append((operation, prefix))
    graph._ranks[id(operation)] = max((len(tensor.shape) for tensor in tensors), default=0)
    for operations in received:
        for source in operations:
            graph.feeds[id(source)].append(operation)
            graph.fed_by[id(operation)].append(source)


def _nearest(
    start: Any, neighbours: dict[int, list[Any]], wanted: Callable[[Any], bool]
) -> list[Any]:
    found, seen, waiting = [], {id(start)}, list(neighbours.get(id(start), []))
    while waiting:
        operation = waiting.pop()
        if id(operation) in seen:
            continue
        seen.add(id(operation))
        if wanted(operation):
            found.append(operation)
        else:
            waiting.extend(neighbours.get(id(operation), []))
    return found
