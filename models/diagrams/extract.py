"""Reads the content of a diagram from a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from dropout_zoo.models.diagrams.layer_settings import main_settings
from dropout_zoo.models.diagrams.spec import DiagramSpec, LayerSpec, SiteSpec, model_sections
from dropout_zoo.models.graph.model_graph import GraphCall, flat_layers, inner_layers, read_graph
from dropout_zoo.models.graph.sites import DropoutSite, dropout_sites

NO_GRAPH = (
    "a subclassed model has no graph to read: these are its layers in the order in which they "
    "were created; how they are connected is not known"
)


def extract_spec(model: keras.Model) -> DiagramSpec:
    """Read the content of a diagram from a model.

    Args:
        model: any Keras model.

    Returns:
        All its layers; for a subclassed model, which has no graph, a list of them with a note.
    """
    sites = dropout_sites(model)
    graph = read_graph(model)
    if graph is None:
        layers = _list_layers(model, sites)
    else:
        layers = _branch_order(_layers_of_calls(graph.calls, sites))
    return DiagramSpec(
        name=_printable(model.name),
        layers=tuple(layers),
        sections=model_sections(layers),
        parameters=_parameters(model),
        sites=len(sites),
        note="" if graph else NO_GRAPH,
    )


def _layers_of_calls(calls: Sequence[GraphCall], sites: Sequence[DropoutSite]) -> list[LayerSpec]:
    """The inputs of a model, then all calls in order of computation."""
    inputs = list(dict.fromkeys(layer for call in calls for layer in call.inputs))
    layers = [
        LayerSpec(_printable(layer.name), "Input", shapes=(tuple(layer.batch_shape[1:]),))
        for layer in inputs
    ]
    numbers = {id(call): number for number, call in enumerate(calls, start=len(inputs))}
    called: set[int] = set()
    for call in calls:
        operation = call.operation
        sources = [inputs.index(layer) for layer in call.inputs]
        sources += [numbers[id(source)] for source in call.fed_by]
        again = id(operation) in called
        called.add(id(operation))
        held = _sites_in(operation, sites)
        layers.append(
            LayerSpec(
                path=_printable(call.path),
                kind=type(operation).__name__,
                settings=main_settings(operation),
                shapes=tuple(tuple(shape[1:]) for shape in call.produced[:1]),
                parameters=0 if again else _parameters(operation),
                sites=held,
                sources=tuple(dict.fromkeys(sources)),
                models=_model_paths(call),
                drops=any(site.layer is operation for site in sites),
                is_output=call.is_output,
                is_shared=again,
            )
        )
    return layers


def _list_layers(model: keras.Model, sites: Sequence[DropoutSite]) -> list[LayerSpec]:
    return [
        LayerSpec(
            path=_printable(name),
            kind=type(layer).__name__,
            settings=main_settings(layer),
            parameters=_parameters(layer),
            sites=_sites_in(layer, sites),
            drops=any(site.layer is layer for site in sites),
        )
        for name, layer in inner_layers(model)
    ]


def _branch_order(layers: Sequence[LayerSpec]) -> list[LayerSpec]:
    """The layers sorted so that each branch runs up to where it joins before the next starts."""
    consumers: list[list[int]] = [[] for _ in layers]
    waiting = [len(layer.sources) for layer in layers]
    for number, layer in enumerate(layers):
        for source in layer.sources:
            consumers[source].append(number)
    order: list[int] = []
    ready = [number for number in reversed(range(len(layers))) if not waiting[number]]
    while ready:
        number = ready.pop()
        order.append(number)
        for consumer in consumers[number]:
            waiting[consumer] -= 1
        ready += [each for each in reversed(consumers[number]) if not waiting[each]]
    places = {number: place for place, number in enumerate(order)}
    return [
        replace(layers[number], sources=tuple(places[each] for each in layers[number].sources))
        for number in order
    ]


def _sites_in(operation: Any, sites: Sequence[DropoutSite]) -> tuple[SiteSpec, ...]:
    if not isinstance(operation, keras.Layer):
        return ()
    held = {id(layer) for layer in [operation, *flat_layers(operation)]}
    return tuple(
        SiteSpec(
            (_printable(site.path),),
            (site.rate,),
            site.placement,
            own_noise=site.own_noise and not site.is_settable,
        )
        for site in sites
        if id(site.layer) in held
    )


def _model_paths(call: GraphCall) -> tuple[str, ...]:
    names = _printable(call.path).split("/")
    return tuple("/".join(names[: depth + 1]) for depth in range(len(call.models)))


def _printable(name: str) -> str:
    """A name without characters that would move the cursor of a terminal or are invalid in XML."""
    return "".join(letter if letter.isprintable() else "�" for letter in name)


def _parameters(operation: Any) -> int | None:
    if not isinstance(operation, keras.Layer):
        return 0
    if not operation.built:
        return None
    return sum(int(math.prod(weight.shape)) for weight in operation.weights)
