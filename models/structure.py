"""A fingerprint of what a model is, apart from its names and its weights."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import keras

from dropout_zoo.models.drop_connect import DropConnect
from dropout_zoo.models.graph import flat_layers
from dropout_zoo.models.sites import DROPOUT_FAMILY


def structure_of(model: keras.Model, *, rates: bool = True) -> str:
    """Fingerprint the layers of a model, their settings, and how it is compiled.

    Names that Keras numbers by itself are left out, so that the same function gives the same
    fingerprint each time it builds the model.

    Args:
        model: a Keras model, compiled or not.
        rates: whether models that differ in their dropout rates alone count as different.

    Returns:
        16 hexadecimal digits.
    """
    layers = [
        (
            type(layer).__name__,
            _settings(layer, rates),
            [(tuple(weight.shape), weight.trainable) for weight in layer.weights],
        )
        for layer in flat_layers(model)
    ]
    compiled = _nameless(model.get_compile_config()) if model.compiled else None
    text = json.dumps([layers, compiled], sort_keys=True, default=_type_name)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _settings(layer: keras.Layer, rates: bool) -> Any:
    try:
        config = _nameless(layer.get_config())
    except NotImplementedError:  # a layer of the user's that cannot be saved
        return None
    if not rates and isinstance(layer, (*DROPOUT_FAMILY, DropConnect)):
        del config["rate"]
    return config


def _type_name(thing: object) -> str:
    # What JSON cannot hold would else be told by its address.
    return type(thing).__name__


def _nameless(config: Any) -> Any:
    """A configuration without names, which count up, and without the graph that goes by them."""
    if isinstance(config, dict):
        left_out = ("name", "layers", "input_layers", "output_layers", "inbound_nodes")
        return {key: _nameless(value) for key, value in config.items() if key not in left_out}
    if isinstance(config, list | tuple):
        return [_nameless(value) for value in config]
    return config
