"""The functions that built models: where Keras cannot clone a model, its copies come from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import keras

from dropout_zoo.models.graph.building_copies import build_like, keep_training_settings
from dropout_zoo.models.graph.example_calls import create_all_weights
from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.models.keras_internals import compile_arguments, fresh_names

_BUILDERS: WeakKeyDictionary[keras.Model, Callable[[], keras.Model]] = WeakKeyDictionary()


def remember_builder(model: keras.Model, build: Callable[[], keras.Model]) -> None:
    """Remember which function built a model.

    Args:
        model: the model.
        build: returns a new model of the same kind at each call.
    """
    _BUILDERS[model] = build


def builder_of(model: keras.Model) -> Callable[[], keras.Model] | None:
    """Return the function that built a model; None if it is not known."""
    return _BUILDERS.get(model)


def built_again(model: keras.Model, build: Callable[[], keras.Model]) -> keras.Model:
    """Return another model from the function that built a model.

    Args:
        model: the model.
        build: the function.

    Returns:
        The other one, with weights of its own, compiled.

    Raises:
        TypeError: the function returns the same objects again, or another kind of model.
    """
    with fresh_names():
        copy = build()
    layers, copied = ([each, *flat_layers(each)] for each in (model, copy))
    if {*map(id, layers), id(model.optimizer)} & {*map(id, copied), id(copy.optimizer)}:
        raise TypeError(
            "expected a function that creates new layers and a new optimizer at each call, "
            f"received one whose models share some with {model.name!r}; create them inside the "
            "function"
        )
    if model.built and not copy.built:
        build_like(model, copy)
    for each in (model, copy):
        create_all_weights(each)  # layers inside may exist from then on only
    layers, copied = ([each, *flat_layers(each)] for each in (model, copy))
    if list(map(_kind, layers)) != list(map(_kind, copied)):
        raise TypeError(
            "expected a function that returns the same model at each call, received one that "
            f"returns {model.name!r} with other layers"
        )
    _set_names(copy, _names(model))
    keep_training_settings(model, copy)
    remember_builder(copy, build)
    return copy


def as_call(model: keras.Model) -> tuple[Callable[..., keras.Model], tuple[Any, ...]]:
    """Return how another process makes a model that only its function can build.

    Args:
        model: a built model whose builder is known.

    Returns:
        A function and its arguments, as `__reduce__` returns them.
    """
    trainable = [each.trainable for each in [model, *flat_layers(model)]]
    weights = model.get_weights()
    config = model.get_build_config()
    return _made_elsewhere, (builder_of(model), config, _names(model), trainable, weights)


def _made_elsewhere(
    build: Callable[[], keras.Model],
    config: Mapping[str, Any] | None,
    names: Sequence[Sequence[str]],
    trainable: Sequence[bool],
    weights: Sequence[Any],
) -> keras.Model:
    """Make the model that `as_call` was given in another process."""
    model = build()
    if not model.built:
        model.build_from_config(config)
        model.built = True  # Keras sets it at the first call only
    create_all_weights(model)
    _set_names(model, names)
    # Freezing a layer freezes the layers inside it, which come after it.
    for layer, value in zip([model, *flat_layers(model)], trainable, strict=True):
        if layer.trainable != value:
            layer.trainable = value
    model.set_weights(weights)
    remember_builder(model, build)
    return model


def _names(model: keras.Model) -> list[list[str]]:
    """The names of layers with their metrics, and those of the given metrics."""
    by_layer = [
        [each.name, *(metric.name for metric in _own_metrics(each))]
        for each in [model, *flat_layers(model)]
    ]
    return [*by_layer, [metric.name for metric in _given_metrics(model)]]


def _set_names(model: keras.Model, names: Sequence[Sequence[str]]) -> None:
    """Name a copy as its model is named: Keras numbers names within a process."""
    layers = [model, *flat_layers(model)]
    for layer, (name, *of_metrics) in zip(layers, names[:-1], strict=True):
        layer.name = name
        for metric, of_metric in zip(_own_metrics(layer), of_metrics, strict=True):
            metric.name = of_metric
    for metric, name in zip(_given_metrics(model), names[-1], strict=True):
        metric.name = name


def _own_metrics(layer: keras.Layer) -> list[keras.metrics.Metric]:
    return [each for each in vars(layer).values() if isinstance(each, keras.metrics.Metric)]


def _kind(layer: keras.Layer) -> tuple[type, list[tuple[int, ...]]]:
    return type(layer), [tuple(weight.shape) for weight in layer.weights]


def _given_metrics(model: keras.Model) -> list[keras.metrics.Metric]:
    given = keras.tree.flatten(compile_arguments(model)) if model.compiled else []
    return [each for each in given if isinstance(each, keras.metrics.Metric)]
