"""The graph of a Keras model with nested models unfolded: which layer feeds which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import keras

from dropout_zoo.models import keras_internals

SCALE = (keras.layers.Rescaling, keras.layers.Normalization)
READ_INDICES = (
    keras.layers.Embedding,
    keras.layers.CategoryEncoding,
    keras.layers.Hashing,
    keras.layers.IntegerLookup,
)


def check_is_model(model: object) -> None:
    """Check that an argument is a Keras model.

    Args:
        model: the argument.

    Raises:
        TypeError: it is something else, such as the path of a file.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"expected a Keras model, received {type(model).__name__}; load a file with "
            "keras.saving.load_model, or call the function that builds the model"
        )


class GraphLayer(NamedTuple):
    """A layer in an unfolded graph.

    Attributes:
        layer: the layer.
        path: names of the nested models that contain it, and its own name, joined by ``/``.
        owner: the layer that Keras clones when it clones the model: the layer itself, or the
            wrapper around the nested model that contains it.
    """

    layer: keras.Layer
    path: str
    owner: keras.Layer


class TrainingArgument(NamedTuple):
    """A `training` argument of a call in the graph.

    Attributes:
        value: the argument.
        path: path of the layer that was called with it.
    """

    value: bool
    path: str


@dataclass(eq=False)
class GraphCall:
    """A call of a layer or operation in an unfolded graph; a shared layer has several.

    Attributes:
        operation: the layer or operation that is called.
        path: names of the nested models that contain it, and its own name, joined by ``/``.
        models: the nested models that contain it, outermost first.
        training: the `training` argument of this call, or of the call of a model that contains it;
            None if there is none.
        shapes: shapes of the input tensors, with the batch axis; empty if the model is not built.
        dtypes: their data types, likewise.
        received: for each input tensor, the calls that produced it; empty for inputs of the model.
        inputs: the inputs of the model among its inputs.
        produced: shapes of the output tensors, with the batch axis; empty if the model is not
            built.
        produced_dtypes: their data types, likewise.
        feeds: the calls that use its outputs.
        is_output: whether its outputs are outputs of the model.
        place: its place in the order of computation.
        next_choices: by search, the call that it finds from here, or at which it has to choose;
            None if it finds nothing.
    """

    operation: Any
    path: str
    models: tuple[keras.Model, ...] = ()
    training: TrainingArgument | None = None
    shapes: list[tuple[int | None, ...]] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=list)
    received: list[list[GraphCall]] = field(default_factory=list)
    inputs: list[keras.layers.InputLayer] = field(default_factory=list)
    produced: list[tuple[int | None, ...]] = field(default_factory=list)
    produced_dtypes: list[str] = field(default_factory=list)
    feeds: list[GraphCall] = field(default_factory=list)
    is_output: bool = False
    place: int = 0
    next_choices: dict[Any, GraphCall | None] = field(default_factory=dict)

    @cached_property
    def fed_by(self) -> list[GraphCall]:
        """The calls whose outputs are its inputs, without the inputs of the model."""
        return [call for calls in self.received for call in calls]


@dataclass
class Graph:
    """The layers and operations of a model, unfolded, and how they feed each other.

    Attributes:
        layers: each layer once, in order of computation.
        calls: every call of a layer or operation, in order of computation.
        feeds: by id of an operation, the operations that use its outputs.
        fed_by: by id of an operation, the operations whose outputs are its inputs, without the
            inputs of the model.
        input_ranks: by id of an operation, the number of axes of its inputs that are longer than 1,
            without the batch axis; empty if the model is not built.
        known: the ids of the layers.
    """

    layers: list[GraphLayer] = field(default_factory=list)
    calls: list[GraphCall] = field(default_factory=list)
    feeds: dict[int, list[Any]] = field(default_factory=lambda: defaultdict(list))
    fed_by: dict[int, list[Any]] = field(default_factory=lambda: defaultdict(list))
    input_ranks: dict[int, int] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)

    def operations(self) -> list[Any]:
        """The layers and operations, each once, in order of computation."""
        return list({id(call.operation): call.operation for call in self.calls}.values())


def is_plain_model(layer: Any) -> bool:
    """Whether a layer is a Sequential or Functional model, whose graph can be read."""
    return isinstance(layer, keras.Sequential) or (
        isinstance(layer, keras.Model) and keras_internals.is_functional(layer)
    )


def is_graph_alone(layer: Any) -> bool:
    """Whether a layer is a Sequential or Functional model that its graph describes entirely.

    A subclass with a configuration of its own, as the models of KerasHub have, is built from that.
    """
    if not is_plain_model(layer):
        return False
    owner = next(each for each in type(layer).__mro__ if "get_config" in vars(each))
    return owner.__module__.partition(".")[0] == "keras"


def inner_layers(layer: keras.Layer) -> list[tuple[str, keras.Layer]]:
    """The layers that a layer contains, each with the name of the attribute that holds it."""
    inner = [
        each
        for each in keras_internals.direct_layers(layer)
        if not isinstance(each, keras.layers.InputLayer)
    ]
    if not inner:  # most layers; their attributes may hold much else
        return []
    named: dict[int, str] = {}
    for attribute, value in keras_internals.layer_attributes(layer).items():
        for name, held in _layers_in(value, attribute.strip("_")):
            named.setdefault(id(held), name)
    return [(named.get(id(each), f"layers_{index}"), each) for index, each in enumerate(inner)]


def flat_layers(model: keras.Layer) -> list[keras.Layer]:
    """The layers inside a model or layer at any depth, each once, in the order of its clones."""
    # Input layers are left out: models may share one, but their clones do not.
    return [
        layer
        for layer in keras_internals.nested_layers(model)
        if not isinstance(layer, keras.layers.InputLayer)
    ]


def own_weights(layer: keras.Layer) -> list[keras.Variable]:
    """Return the weights of a layer, without those of the layers inside it."""
    inner = {id(w) for each in keras_internals.direct_layers(layer) for w in each.weights}
    return [weight for weight in layer.weights if id(weight) not in inner]


def reads_indices(model: keras.Layer) -> bool:
    """Whether the inputs of a model are indices, such as those of tokens, which have no order."""
    return any(isinstance(layer, READ_INDICES) for layer in flat_layers(model))


def takes_raw_values(model: keras.Model) -> bool:
    """Whether a model scales its inputs before its first weights, or looks them up as indices."""
    for layer in flat_layers(model):
        if isinstance(layer, (*READ_INDICES, *SCALE)):
            return True
        if layer.trainable_weights and not keras_internals.direct_layers(layer):
            return False
    return False


def is_own_code(layer: keras.Layer) -> bool:
    """Whether the class of a layer is neither one of Keras nor of this package."""
    return type(layer).__module__.partition(".")[0] not in ("keras", "dropout_zoo")


def has_own_code(model: keras.Model) -> bool:
    """Whether a model or a layer inside it is of a custom class."""
    return any(map(is_own_code, [model, *flat_layers(model)]))


def has_fixed_weights(layer: keras.Layer) -> bool:
    """Whether a layer keeps its weights where fresh ones are drawn: it is frozen or adapted."""
    return not layer.trainable or hasattr(layer, "adapt")


def read_graph(model: keras.Model) -> Graph | None:
    """Read the graph of a model, with nested models unfolded.

    Args:
        model: any Keras model.

    Returns:
        The graph; None if there is none to read, as in subclassed models.
    """
    graph = Graph()
    functional = _functional(model)
    if functional is not None:
        inputs = {id(x): [_input_call(x)] for x in functional.inputs}
        outputs = _unfold(functional, inputs, "", None, graph, _CallContext())
    elif isinstance(model, keras.Sequential):
        outputs = [_unfold_chain(model, [], "", graph, _CallContext())]
    else:
        return None
    for call in (call for calls in outputs for call in calls):
        call.is_output = True
    return graph


def _functional(layer: Any) -> Any:
    """The Functional model that holds the graph of a layer, if it has one."""
    if not is_plain_model(layer):
        return None
    # Once it is built, a Sequential keeps its graph in a Functional model.
    if isinstance(layer, keras.Sequential):
        return keras_internals.functional_of(layer)
    return layer


class _CallContext(NamedTuple):
    """The nested models that contain a call, and the `training` argument of the outermost one."""

    models: tuple[keras.Model, ...] = ()
    training: TrainingArgument | None = None

    def within(self, model: keras.Model, training: TrainingArgument | None) -> _CallContext:
        return _CallContext((*self.models, model), self.training or training)


def _unfold(
    model: Any,
    sources: dict[int, list[GraphCall]],
    prefix: str,
    owner: Any,
    graph: Graph,
    around: _CallContext,
) -> list[list[GraphCall]]:
    """Walk a Functional model; `sources` maps its tensors to the calls that produced them."""
    nodes = keras_internals.nodes_by_depth(model)
    for depth in sorted(nodes, reverse=True):
        for node in nodes[depth]:
            if node.is_input:
                continue
            operation = node.operation
            path, held, holder = prefix + operation.name, operation, owner or operation
            training = _training_argument(node, path)
            if isinstance(operation, keras.layers.TimeDistributed) and _functional(operation.layer):
                path, held = f"{path}/layer", operation.layer
            received = [sources.get(id(tensor), []) for tensor in node.input_tensors]
            inner = _functional(held)
            if inner is None:
                call = GraphCall(operation, path, around.models, around.training or training)
                call.shapes = [tuple(tensor.shape) for tensor in node.input_tensors]
                call.dtypes = [str(tensor.dtype) for tensor in node.input_tensors]
                call.produced_dtypes = [str(tensor.dtype) for tensor in node.outputs]
                call.produced = [tuple(tensor.shape) for tensor in node.outputs]
                _add(GraphLayer(operation, path, holder), call, received, graph)
                produced = [[call]] * len(node.outputs)
            else:
                # Masks may follow the inputs, and optional inputs may be missing.
                entry = dict(zip(map(id, inner.inputs), received, strict=False))
                # Only a nested model itself is cloned layer by layer.
                holder = owner if held is operation else holder
                nested = around.within(held, training)
                produced = _unfold(inner, entry, f"{path}/", holder, graph, nested)
            for tensor, calls in zip(node.outputs, produced, strict=True):
                sources[id(tensor)] = calls
    return [sources.get(id(tensor), []) for tensor in model.outputs]


def _unfold_chain(
    model: keras.Sequential,
    before: list[GraphCall],
    prefix: str,
    graph: Graph,
    around: _CallContext,
) -> list[GraphCall]:
    """Walk a Sequential that has not been built, in which each layer feeds the next."""
    for layer in model.layers:
        path, inner = prefix + layer.name, _functional(layer)
        nested = around.within(layer, None)
        if inner is not None:
            entry = {id(inner.inputs[0]): before}
            outputs = _unfold(inner, entry, f"{path}/", None, graph, nested)
            before = [call for calls in outputs for call in calls]
        elif isinstance(layer, keras.Sequential):
            before = _unfold_chain(layer, before, f"{path}/", graph, nested)
        else:
            call = GraphCall(layer, path, around.models)
            _add(GraphLayer(layer, path, layer), call, [before], graph)
            before = [call]
    return before


def _add(entry: GraphLayer, call: GraphCall, received: list[list[GraphCall]], graph: Graph) -> None:
    operation = entry.layer
    if isinstance(operation, keras.Layer) and id(operation) not in graph.known:
        graph.known.add(id(operation))
        graph.layers.append(entry)
    call.place = len(graph.calls)
    graph.calls.append(call)
    call.received = [[source for source in calls if not _is_input(source)] for calls in received]
    given = (source.operation for calls in received for source in calls if _is_input(source))
    call.inputs = list(dict.fromkeys(given))
    for shape in call.shapes:
        extent = sum(length != 1 for length in shape[1:])
        graph.input_ranks[id(operation)] = max(graph.input_ranks.get(id(operation), 0), extent)
    for source in call.fed_by:
        source.feeds.append(call)
        graph.feeds[id(source.operation)].append(operation)
        graph.fed_by[id(operation)].append(source.operation)


def _input_call(tensor: Any) -> GraphCall:
    """A placeholder for an input of the model; it does not become part of the graph."""
    layer = keras_internals.origin_of(tensor)
    return GraphCall(layer, layer.name)


def _is_input(call: GraphCall) -> bool:
    return isinstance(call.operation, keras.layers.InputLayer)


def _training_argument(node: Any, path: str) -> TrainingArgument | None:
    """The `training` argument of a call, which Keras accepts by name only."""
    value = node.arguments.kwargs.get("training")
    # Keras records a layer's default, False, as if it had been passed; for models it is None.
    if value is None or (not value and not is_plain_model(node.operation)):
        return None
    return TrainingArgument(bool(value), path)


def reached_from(
    starts: Iterable[Any],
    neighbors: Callable[[Any], Iterable[Any]],
    through: Callable[[Any], bool] | None = None,
) -> set[int]:
    """Find everything in a graph that can be reached in one step or more, in linear time.

    Args:
        starts: where to start.
        neighbors: returns what one step leads to.
        through: condition on what to search beyond; None for all.

    Returns:
        The ids of what can be reached.
    """
    reached: set[int] = set()
    waiting = [each for start in starts for each in neighbors(start)]
    while waiting:
        found = waiting.pop()
        if id(found) not in reached:
            reached.add(id(found))
            if through is None or through(found):
                waiting.extend(neighbors(found))
    return reached


def _layers_in(value: Any, name: str) -> Iterator[tuple[str, keras.Layer]]:
    if isinstance(value, keras.Layer):
        yield name, value
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            yield from _layers_in(entry, f"{name}_{index}")
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from _layers_in(entry, f"{name}_{key}")
