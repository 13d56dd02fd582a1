"""Fingerprints of models, independent of names and weights."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FunctionType
from typing import Any

import keras

from dropout_zoo.models.graph.model_graph import flat_layers, read_graph
from dropout_zoo.models.graph.own_noise import rate_attribute
from dropout_zoo.models.graph.sites import DROPOUT_FAMILY
from dropout_zoo.models.graph.user_code import bytecode
from dropout_zoo.models.layers.drop_connect import DropConnect


def model_fingerprint(model: keras.Model, *, rates: bool = True) -> str:
    """Hash the layers of a model, their settings and connections, and how the model is compiled.

    Names that Keras numbers automatically are ignored, so that a function that builds a model gives
    the same fingerprint every time. Functions defined by the user, such as a loss, are identified
    by their code and by the plain values in their closures.

    Args:
        model: a Keras model, compiled or not.
        rates: whether dropout rates are part of the fingerprint.

    Returns:
        16 hexadecimal digits.
    """
    layers = [
        (
            type(layer).__name__,
            _settings(layer, rates),
            _functions(vars(layer)),
            [
                (tuple(weight.shape), weight.trainable, _penalties(weight))
                for weight in layer.weights
            ],
        )
        for layer in flat_layers(model)
    ]
    parts = [layers, _wiring(model) or _subclass(model, rates), _compiled(model)]
    text = json.dumps(parts, sort_keys=True, default=_type_name)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def function_fingerprint(function: Callable[..., Any]) -> str:
    """Hash the code of a function and the plain values in its closure, defaults and `partial`.

    Functions inside it are included; those that it calls are not.

    Args:
        function: a function, or any other callable, of which only the type is hashed.

    Returns:
        16 hexadecimal digits.
    """
    parts: list[Any] = []
    while isinstance(function, functools.partial):
        given = (*function.args, *function.keywords.items())
        parts.append([repr(value) for value in given if _is_plain(value)])
        function = function.func
    parts.append(_code(function) if isinstance(function, FunctionType) else _type_name(function))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _subclass(model: keras.Model, rates: bool) -> Any:
    """The settings of a model without a graph, and the code of its class."""
    added = set(vars(model)) - set(vars(keras.Model()))
    plain = {name: vars(model)[name] for name in added if _is_plain(vars(model)[name])}
    return _settings(model, rates), plain, _functions(vars(type(model)))


def _compiled(model: keras.Model) -> Any:
    """How a model is compiled; None if it is not."""
    if not model.compiled:
        return None
    try:
        config = _nameless(model.get_compile_config())
    except NotImplementedError:  # such as a user's learning rate schedule that cannot be saved
        config = _type_name(model.optimizer)
    return config, _functions({"loss": model.loss})


def _wiring(model: keras.Model) -> Any:
    """For each call in the graph, its layer and its inputs; None if there is no graph."""
    graph = read_graph(model)
    if graph is None:
        return None
    layers = {id(layer): place for place, layer in enumerate(flat_layers(model))}
    numbers = {id(call): number for number, call in enumerate(graph.calls)}
    return [
        (
            layers.get(id(call.operation), type(call.operation).__name__),
            [[numbers[id(source)] for source in sources] for sources in call.received],
            None if call.training is None else call.training.value,
            call.is_output,
        )
        for call in graph.calls
    ]


def _functions(attributes: Mapping[str, Any]) -> list[Any]:
    """The code of the user's functions among some attributes; names alone say too little."""
    return [
        (name, *_code(value))
        for name, value in sorted(attributes.items())
        if isinstance(value, FunctionType) and value.__module__.partition(".")[0] != "keras"
    ]


def _code(function: FunctionType) -> tuple[Any, list[str]]:
    enclosed: list[Any] = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # a cell without a value yet
            enclosed.append(cell.cell_contents)
    values = [*enclosed, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()]
    return bytecode(function.__code__), [repr(value) for value in values if _is_plain(value)]


def _is_plain(value: Any) -> bool:
    """Whether a value has the same `repr` in every process; others may show their address."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str | bytes | None)


def _settings(layer: keras.Layer, rates: bool) -> Any:
    try:
        config = _nameless(layer.get_config())
    except NotImplementedError:  # a user's layer that cannot be saved
        return None
    if not rates:
        known = isinstance(layer, (*DROPOUT_FAMILY, DropConnect))
        config.pop("rate" if known else rate_attribute(layer), None)
    return config


def _penalties(weight: keras.Variable) -> list[Any]:
    """Regularizer and constraint, which Keras reads from the weight, not from its layer."""
    read: list[Any] = []
    for penalty in (weight.regularizer, weight.constraint):
        config = None
        with suppress(AttributeError, NotImplementedError):  # a user's function, or class
            config = penalty.get_config()
        read.append([_type_name(penalty), config])
    return read


def _type_name(thing: object) -> str:
    # In place of a `repr` with the address of the object.
    return type(thing).__name__


def _nameless(config: Any) -> Any:
    """A configuration without names, which Keras numbers, and without the graph that uses them."""
    if isinstance(config, dict):
        left_out = ("name", "layers", "input_layers", "output_layers", "inbound_nodes")
        return {key: _nameless(value) for key, value in config.items() if key not in left_out}
    if isinstance(config, list | tuple):
        return [_nameless(value) for value in config]
    return config
