"""What custom code adds to a loss, as far as its numbers can be read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from dropout_zoo.models.graph.fingerprint import function_fingerprint
from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.models.graph.own_noise import own_classes
from dropout_zoo.models.graph.user_code import names_in_code

_OF_MODELS = ("compute_loss", "test_step", "train_step")
_PLAIN = (bool, int, float, str)


def own_losses(model: keras.Model) -> list[Any]:
    """Return the numbers in custom code that adds to the loss of a model.

    Args:
        model: a compiled model.

    Returns:
        For each layer that calls `add_loss`, for a custom `compute_loss`, `train_step` or
        `test_step`, and for each custom loss function: the code, the values that it
        encloses, and the attributes that it reads. The values of two models differ if their losses
        may measure different things.
    """
    losses = [each for each in keras.tree.flatten(model.loss) if inspect.isfunction(each)]
    found: list[Any] = [function_fingerprint(each) for each in losses]
    for layer in [model, *flat_layers(model)]:
        adding = _adding_methods(layer)
        if adding:
            read = {name for each in adding.values() for name in names_in_code(each.__code__)}
            found.append(
                [
                    {name: function_fingerprint(each) for name, each in sorted(adding.items())},
                    dict(sorted(_numbers(layer, read))),
                ]
            )
    return found


def _adding_methods(layer: keras.Layer) -> dict[str, Callable[..., Any]]:
    """The custom methods in which a layer adds to the loss, and those that they call."""
    methods = {
        name: value
        for each in reversed(own_classes(layer))
        for name, value in vars(each).items()
        if inspect.isfunction(value) and name != "__init__"
    }
    names = {name: names_in_code(value.__code__) for name, value in methods.items()}
    waiting = [
        name
        for name in methods
        if "add_loss" in names[name] or (isinstance(layer, keras.Model) and name in _OF_MODELS)
    ]
    found: dict[str, Callable[..., Any]] = {}
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = methods[name]
            waiting += names[name] & set(methods)
    return found


def _numbers(layer: keras.Layer, names: set[str]) -> Iterator[tuple[str, Any]]:
    """The plain attributes of a layer with some names."""
    held: Mapping[str, Any] = vars(layer)
    for name in names & set(held):
        if isinstance(held[name], _PLAIN):
            yield name, held[name]
