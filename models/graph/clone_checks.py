"""Checks that a clone computes what its original computes, where the user's own code may differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np

from dropout_zoo.models.graph.building_copies import OR_BUILD, not_cloneable
from dropout_zoo.models.graph.example_calls import example_inputs, outputs_at_inference
from dropout_zoo.models.graph.model_graph import (
    flat_layers,
    has_own_code,
    is_own_code,
    is_plain_model,
)
from dropout_zoo.models.graph.sites import dropout_sites
from dropout_zoo.models.random_state import random_states_restored

_CHECKED: WeakKeyDictionary[keras.Model, list[dict[str, Any]]] = WeakKeyDictionary()


def check_outputs(
    source: keras.Model, target: keras.Model, clone_again: Callable[[], keras.Model]
) -> None:
    """Check that a clone computes what its original computes, where that is not certain.

    A custom layer may leave arguments out of its configuration, and for subclassed models without
    `get_config`, Keras returns the defaults. Attributes that are set later are in neither. Models
    without code of the user's own are not called, nor is one whose attributes are those of the
    last check. Of a model that is not built, numbers and text in attributes are compared.

    Args:
        source: the original.
        target: a clone of it with the same weights; its rates may differ.
        clone_again: returns a clone with the same weights and rates.

    Raises:
        TypeError: the clone computes something else, or a model cannot be called.
    """
    if not has_own_code(source):
        return
    if not source.built:
        _check_attributes(source, clone_again)
        return
    attributes = [_plain_attributes(layer) for layer in _own_layers(source)]
    if _CHECKED.get(source) == attributes:
        return
    compared, failed = None, None
    for inputs in example_inputs(source):
        try:
            compared = inputs, outputs_at_inference(source, inputs)
        except Exception as error:  # the user's own code may raise anything
            failed = failed or error
        else:
            break
    if compared is not None:
        if not _computes(target, *compared):
            _refuse_other_outputs(source, *compared, clone_again)
    elif failed is not None and not all(map(is_plain_model, own_models(source))):
        raise not_cloneable(source, "call on random inputs", failed) from failed
    _CHECKED[source] = attributes


def _check_attributes(source: keras.Model, clone_again: Callable[[], keras.Model]) -> None:
    """Check the settings in a clone of a model that cannot be called yet."""
    changed = list(_changed_attributes(source, clone_again()))
    if changed:
        layer, text = changed[0]
        raise TypeError(
            f"expected a model that Keras can clone, received {source.name!r}, whose clone has "
            f"other settings ({text}); let get_config() of {type(layer).__name__} return all "
            "arguments of __init__ and set no attributes later, build the model first, so that "
            f"its outputs can be compared{OR_BUILD}"
        )


def _computes(
    model: keras.Model, inputs: dict[str, Any], expected: list[Any], seed: int = 0
) -> bool:
    try:
        received = outputs_at_inference(model, inputs, seed)
    except Exception as error:  # the user's own code may raise anything
        raise not_cloneable(model, "call on random inputs", error) from error
    return len(received) == len(expected) and all(
        one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True)
        for one, other in zip(received, expected, strict=True)
    )


def _refuse_other_outputs(
    source: keras.Model,
    inputs: dict[str, Any],
    expected: list[Any],
    clone_again: Callable[[], keras.Model],
) -> None:
    """Raise an error if a clone at the same rates computes other outputs than its original."""
    if not _computes(source, inputs, expected):
        return  # its outputs differ from one call to the next
    with random_states_restored():  # dropout that is always on depends on the rates
        clone = clone_again()
    if _computes(clone, inputs, expected):
        return
    rates = [[site.rate for site in dropout_sites(each)] for each in (source, clone)]
    if rates[0] != rates[1] and not _computes(source, inputs, expected, seed=1):
        return  # rates that were set in the layers themselves act at inference
    changed = list(_changed_attributes(source, clone))
    own = {type(layer).__name__ for layer, _ in changed} or {
        type(layer).__name__ for layer in _own_layers(source) if not is_plain_model(layer)
    }
    details = "".join(f" ({text})" for _, text in changed[:1])
    raise TypeError(
        f"expected a model that Keras can clone, received {source.name!r}, whose clone "
        f"computes other outputs; let get_config() of {', '.join(sorted(own))} return all "
        f"arguments of __init__, and set no attributes later{details}{OR_BUILD}"
    )


# By `build` and `compile`, which have no effect on what the code computes.
_SET_BY_KERAS = (
    "built", "compiled", "loss", "stop_training", "steps_per_execution",
    "unrolled_steps_per_execution",
)  # fmt: skip


def _own_layers(model: keras.Model) -> list[keras.Layer]:
    return [layer for layer in [model, *flat_layers(model)] if is_own_code(layer)]


def _plain_attributes(layer: keras.Layer) -> dict[str, Any]:
    """The attributes of a layer that are numbers or text."""
    return {
        name: value
        for name, value in vars(layer).items()
        if type(value) in (bool, int, float, str)
        and not name.startswith("_")
        and name not in _SET_BY_KERAS
    }


def _changed_attributes(
    source: keras.Model, clone: keras.Model
) -> Iterator[tuple[keras.Layer, str]]:
    """The custom layers of which a clone has another attribute, and what it has."""
    for old, new in zip(_own_layers(source), _own_layers(clone), strict=True):
        kept = _plain_attributes(new)
        for name, value in _plain_attributes(old).items():
            if kept.get(name) != value:
                given = f"{kept[name]!r}" if name in kept else "nothing"
                yield old, f"{name} of {old.name!r} is {value!r}, and {given} in the clone"
                break


def own_models(model: keras.Model) -> list[keras.Model]:
    """The model and the models inside it of classes that are not Keras's own.

    Keras may not have recorded their arguments.
    """
    return [
        each
        for each in [model, *flat_layers(model)]
        if isinstance(each, keras.Model) and is_own_code(each)
    ]
