"""The functions that built models: where Keras cannot clone a model, its copies come from them."""

from __future__ import annotations

from collections.abc import Callable
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
    for old, new in zip(layers, copied, strict=True):
        new.name = old.name  # Keras numbers names within a process
        for attribute, metric in vars(old).items():
            if isinstance(metric, keras.metrics.Metric):
                getattr(new, attribute).name = metric.name
    for metric, again in zip(_given_metrics(model), _given_metrics(copy), strict=True):
        again.name = metric.name
    keep_training_settings(model, copy)
    remember_builder(copy, build)
    return copy


def _kind(layer: keras.Layer) -> tuple[type, list[tuple[int, ...]]]:
    return type(layer), [tuple(weight.shape) for weight in layer.weights]


def _given_metrics(model: keras.Model) -> list[keras.metrics.Metric]:
    given = keras.tree.flatten(compile_arguments(model)) if model.compiled else []
    return [each for each in given if isinstance(each, keras.metrics.Metric)]
