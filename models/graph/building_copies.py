"""What makes a second model like a first one, whether it is a clone or was built again."""

from __future__ import annotations

import inspect
import itertools
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import keras

from dropout_zoo.models import keras_internals
from dropout_zoo.models.graph.model_graph import flat_layers, own_weights

_MOST_MIXED = 6  # inputs of which some may be strings

OR_BUILD = "; or pass the function that builds the model in its place"
"""What users can do about any model that Keras cannot clone."""


def build_like(model: keras.Model, copy: keras.Model) -> None:
    """Build a copy of a subclassed model as the model was built.

    Args:
        model: the model, which is built.
        copy: the copy, which is not.

    Raises:
        TypeError: the model's own code fails.
    """
    with warnings.catch_warnings():
        # Keras only warns where it cannot build the model.
        warnings.filterwarnings("error", "Model .* cannot be built automatically")
        try:
            copy.build_from_config(model.get_build_config())
        except Exception as error:  # the user's own code may raise anything
            # Keras knows the shapes that a model was built with, and takes them for numbers.
            if not _is_built_by_strings(model, copy):
                raise not_cloneable(model, "build_from_config()", error) from error
    copy.built = True  # Keras sets it at the first call only


def _is_built_by_strings(model: keras.Model, copy: keras.Model) -> bool:
    """Build a copy of a subclassed model that takes strings, and return whether that succeeds."""
    shapes = shapes_by_argument(model)
    for dtypes in dtypes_of_inputs(shapes):
        symbols = iter(
            keras.KerasTensor(shape, dtype)
            for shape, dtype in zip(_listed(shapes), dtypes, strict=True)
        )
        with suppress(Exception):  # the user's own code may raise anything
            copy(**keras.tree.map_shape_structure(lambda _, of=symbols: next(of), shapes))
            return True
    return False


def shapes_by_argument(model: keras.Model) -> dict[str, Any]:
    """Return the shapes of the inputs that a subclassed model was built with.

    Args:
        model: the model, which is built.

    Returns:
        Shapes by argument of its call.
    """
    config = model.get_build_config() or {}
    if "shapes_dict" in config:
        named = config["shapes_dict"].items()
        return {name.removesuffix("_shape"): shape for name, shape in named}
    return {next(iter(inspect.signature(model.call).parameters)): config.get("input_shape")}


def dtypes_of_inputs(shapes: Any) -> Iterator[tuple[str, ...]]:
    """Return what the inputs of a subclassed model may be, which Keras does not record.

    Args:
        shapes: their shapes, in any structure.

    Returns:
        The types of the inputs in order: numbers first, then all strings, then mixtures of both.
    """
    number = len(_listed(shapes))
    yield ("float32",) * number
    yield ("string",) * number
    if number <= _MOST_MIXED:
        for mixed in itertools.product(("float32", "string"), repeat=number):
            if len(set(mixed)) == 2:
                yield mixed


def _listed(shapes: Any) -> list[Any]:
    found: list[Any] = []
    keras.tree.map_shape_structure(found.append, shapes)
    return found


def keep_training_settings(model: keras.Model, copy: keras.Model) -> None:
    """Give the layers and weights of a copy the settings of training that those of the model have.

    Configurations do not always have `trainable`, and Keras takes the regularizer and the
    constraint of a weight from its layer only when it creates the weight.

    Args:
        model: the model.
        copy: the copy.
    """
    pairs = [(model, copy), *zip(flat_layers(model), flat_layers(copy), strict=True)]
    # Freezing a layer freezes the layers inside it, so these come last.
    for old, new in sorted(pairs, key=lambda pair: not keras_internals.direct_layers(pair[0])):
        if new.trainable != old.trainable:
            new.trainable = old.trainable
        # A copy whose rates are in variables has these after all others.
        for weight, copied in zip(own_weights(old), own_weights(new), strict=False):
            copied.regularizer, copied.constraint = weight.regularizer, weight.constraint


def not_cloneable(thing: Any, call: str, error: Exception) -> TypeError:
    """Return the error for a model of which a part cannot be cloned.

    Args:
        thing: the layer, optimizer or metric.
        call: the call that fails.
        error: what it raised.
    """
    text = str(error).partition("Example:")[0]  # of code, which Keras appends
    return TypeError(
        f"expected a model that Keras can clone, received one with the {type(thing).__name__} "
        f"{thing.name!r}, whose {call} fails: {textwrap.shorten(text, 300)}{OR_BUILD}"
    )
