"""The graph of a Keras model with its nested models unfolded: which layer feeds which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras


class GraphLayer(NamedTuple):
    """A layer in an unfolded graph.

    Attributes:
        layer: the layer.
        path: names of the nested models that hold it, and its own, joined by ``/``.
        owner: the layer that Keras clones when it clones the model: the layer itself, or the
            wrapper around the nested model that holds it.
    """

    layer: keras.Layer
    path: str
    owner: keras.Layer


@dataclass
class Graph:
    """The layers and operations of a model, unfolded, and how they feed each other.

    Attributes:
        layers: each layer once, in the order of computation.
        feeds: by id of an operation, the operations that it feeds.
        fed_by: by id of an operation, the operations that feed it; the model's inputs are left
            out.
        extents: by id of an operation, how many axes of what it receives are longer than 1, the
            batch left out; unknown in a model that has not been built.
    """

    layers: list[GraphLayer] = field(default_factory=list)
    feeds: dict[int, list[Any]] = field(default_factory=lambda: defaultdict(list))
    fed_by: dict[int, list[Any]] = field(default_factory=lambda: defaultdict(list))
    extents: dict[int, int] = field(default_factory=dict)

    def nearest_before(self, layer: keras.Layer, wanted: Callable[[Any], bool]) -> list[Any]:
        """The first operations on the ways back to the input that are wanted."""
        return _nearest(layer, self.fed_by, wanted)

    def nearest_after(self, layer: keras.Layer, wanted: Callable[[Any], bool]) -> list[Any]:
        """The first operations on the ways forward to the output that are wanted."""
        return _nearest(layer, self.feeds, wanted)


def is_plain_model(layer: Any) -> bool:
    """Whether a layer is a Sequential or Functional model, which has a graph to read."""
    return isinstance(layer, keras.Sequential) or (
        isinstance(layer, keras.Model) and hasattr(layer, "_nodes_by_depth")
    )


def inner_layers(layer: keras.Layer) -> list[tuple[str, keras.Layer]]:
    """The layers that a layer holds, each with the name of the attribute that holds it."""
    named: dict[int, str] = {}
    # On PyTorch a Keras layer is a module, which keeps the modules it holds apart.
    attributes = {**vars(layer).get("_modules", {}), **vars(layer)}
    for attribute, value in attributes.items():
        # Keras and TensorFlow keep books of their own.
        if attribute != "_layers" and not attribute.startswith("_self_"):
            for name, inner in _layers_in(value, attribute.strip("_")):
                named.setdefault(id(inner), name)
    inner = [each for each in layer._layers if not isinstance(each, keras.layers.InputLayer)]
    return [(named.get(id(each), f"layers_{index}"), each) for index, each in enumerate(inner)]


def flat_layers(model: keras.Layer) -> list[keras.Layer]:
    """Every layer of a model, or of a layer, at any depth, each once, in an order that its clones share."""
    return model._flatten_layers(include_self=False)


def read_graph(model: keras.Model) -> Graph | None:
    """Unfold the graph of a model.

    Args:
        model: any Keras model.

    Returns:
        The graph, or None where there is none to read, as in subclassed models.
    """
    graph = Graph()
    functional = _functional(model)
    if functional is not None:
        _unfold(functional, {}, "", None, graph)
    elif isinstance(model, keras.Sequential):
        _unfold_chain(model, [], "", graph)
    else:
        return None
    return graph


def _functional(layer: Any) -> Any:
    """The model that holds a layer's graph, if it has one."""
    if not is_plain_model(layer):
        return None
    # A Sequential keeps its graph in a Functional of its own, once it is built.
    return layer._functional if isinstance(layer, keras.Sequential) else layer


def _unfold(
    model: Any, sources: dict[int, list[Any]], prefix: str, owner: Any, graph: Graph
) -> list[list[Any]]:
    """Walk one Functional model; `sources` maps its tensors to the operations they come from."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            operation = node.operation
            path, held, holder = prefix + operation.name, operation, owner or operation
            if isinstance(operation, keras.layers.TimeDistributed) and _functional(operation.layer):
                path, held = f"{path}/layer", operation.layer
            received = [sources.get(id(tensor), []) for tensor in node.input_tensors]
            inner = _functional(held)
            if inner is None:
                _add(GraphLayer(operation, path, holder), received, node.input_tensors, graph)
                produced = [[operation]] * len(node.outputs)
            else:
                # Masks may follow the inputs, and optional inputs may be missing.
                entry = dict(zip(map(id, inner.inputs), received, strict=False))
                # Only a nested model itself is cloned layer by layer.
                holder = owner if held is operation else holder
                produced = _unfold(inner, entry, f"{path}/", holder, graph)
            for tensor, operations in zip(node.outputs, produced, strict=True):
                sources[id(tensor)] = operations
    return [sources.get(id(tensor), []) for tensor in model.outputs]


def _unfold_chain(
    model: keras.Sequential, before: list[Any], prefix: str, graph: Graph
) -> list[Any]:
    """Walk a Sequential that has not been built: each layer feeds the next."""
    for layer in model.layers:
        path, inner = prefix + layer.name, _functional(layer)
        if inner is not None:
            outputs = _unfold(inner, {id(inner.inputs[0]): before}, f"{path}/", None, graph)
            before = [operation for operations in outputs for operation in operations]
        elif isinstance(layer, keras.Sequential):
            before = _unfold_chain(layer, before, f"{path}/", graph)
        else:
            _add(GraphLayer(layer, path, layer), [before], [], graph)
            before = [layer]
    return before


def _add(entry: GraphLayer, received: list[list[Any]], tensors: list[Any], graph: Graph) -> None:
    operation = entry.layer
    if isinstance(operation, keras.Layer) and all(
        known.layer is not operation for known in graph.layers
    ):
        graph.layers.append(entry)
    for tensor in tensors:
        extent = sum(length != 1 for length in tensor.shape[1:])
        graph.extents[id(operation)] = max(graph.extents.get(id(operation), 0), extent)
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


def _layers_in(value: Any, name: str) -> Iterator[tuple[str, keras.Layer]]:
    if isinstance(value, keras.Layer):
        yield name, value
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            yield from _layers_in(entry, f"{name}_{index}")
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from _layers_in(entry, f"{name}_{key}")
