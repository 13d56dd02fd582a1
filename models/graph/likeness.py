"""What makes a second model like a first one, whether it is a clone or was built again."""

from __future__ import annotations

import textwrap
import warnings
from typing import Any

import keras

from dropout_zoo.models import keras_internals
from dropout_zoo.models.graph.model_graph import flat_layers

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
        warnings.simplefilter("error")  # Keras only warns where it cannot build the model
        try:
            copy.build_from_config(model.get_build_config())
        except Exception as error:  # the user's own code may raise anything
            raise not_cloneable(model, "build_from_config()", error) from error
    copy.built = True  # Keras sets it at the first call only


def keep_trainable(model: keras.Model, copy: keras.Model) -> None:
    """Copy `trainable` from the layers of a model to its copy; not all configurations have it.

    Args:
        model: the model.
        copy: the copy.
    """
    pairs = [(model, copy), *zip(flat_layers(model), flat_layers(copy), strict=True)]
    # Freezing a layer freezes the layers inside it, so these come last.
    for old, new in sorted(pairs, key=lambda pair: not keras_internals.direct_layers(pair[0])):
        if new.trainable != old.trainable:
            new.trainable = old.trainable


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
