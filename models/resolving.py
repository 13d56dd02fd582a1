"""From what a person says to a compiled model: a name, an import path, a builder, or the model."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras

from dropout_zoo.models.registry import list_models, model_entry

PLACEMENT_ARGUMENTS = {"input": "input_rate", "convolutional": "conv_rates"}
"""Builder arguments that add dropout of a placement which the default model lacks."""


def resolve_model(
    model: keras.Model | str | Callable[[], keras.Model],
    *,
    input_shape: Sequence[int] | None = None,
    num_classes: int | None = None,
    placements: Iterable[str] = (),
) -> keras.Model:
    """Find or build the model that is meant.

    Args:
        model: a compiled Keras model; a registered name; ``package.module:function``, a function
            without required arguments that returns a compiled model; or such a function itself.
        input_shape: shape of one example, for registered models and models that are not built;
            None to leave registered models at their defaults.
        num_classes: with `input_shape`: number of classes for registered models, or None for
            regression.
        placements: placements at which a registered model is to have dropout layers, at rate 0
            where its default has none.

    Returns:
        A compiled and built model.

    Raises:
        ValueError: there is no such model or function, it fails, or what it returns is no
            compiled Keras model.
    """
    if isinstance(model, str):
        if ":" not in model:
            return _build_registered(model, input_shape, num_classes, placements)
        model = _import_function(model)
    if not isinstance(model, keras.Model):
        model = _call_builder(model)
    if not getattr(model, "compiled", False):
        raise ValueError(
            f"expected a compiled model, received {model.name!r} without an optimizer and a "
            "loss; call model.compile(...) first"
        )
    if not model.built and input_shape is not None:
        model.build((None, *input_shape))
    return model


def _build_registered(
    name: str, input_shape: Sequence[int] | None, num_classes: int | None, placements: Iterable[str]
) -> keras.Model:
    try:
        builder = model_entry(name).builder
    except ValueError as error:
        raise ValueError(
            f"{error}; registered are {', '.join(list_models())}, and a model of your own is "
            "given as package.module:function"
        ) from None
    arguments: dict[str, Any] = {}
    if input_shape is not None:
        arguments = {"input_shape": tuple(input_shape), "num_classes": num_classes}
    for placement in placements:
        argument = PLACEMENT_ARGUMENTS.get(placement, "")
        if argument in inspect.signature(builder).parameters:
            arguments[argument] = 0.0
    return builder(**arguments)


def _import_function(path: str) -> Callable[[], keras.Model]:
    module_name, _, function_name = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # a console script does not look in the working folder
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's module may raise anything
        raise ValueError(
            f"expected package.module:function, received {path!r}; importing {module_name!r} "
            f"fails: {type(error).__name__}: {error}"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [name for name, value in vars(module).items() if inspect.isfunction(value)]
        raise ValueError(
            f"expected package.module:function, received {path!r}; {module_name!r} has no "
            f"function {function_name!r}, only {', '.join(known) or 'none'}"
        )
    return function


def _call_builder(builder: Callable[[], keras.Model]) -> keras.Model:
    if not callable(builder):
        raise ValueError(
            "expected a compiled Keras model, a registered name, package.module:function or a "
            f"function that returns a model; received {type(builder).__name__}"
        )
    name = getattr(builder, "__qualname__", repr(builder))
    try:
        inspect.signature(builder).bind()
    except TypeError as error:
        raise ValueError(
            f"expected a function without required arguments, received {name}: {error}"
        ) from None
    try:
        model = builder()
    except Exception as error:  # a user's function may raise anything
        raise ValueError(f"{name}() fails: {type(error).__name__}: {error}") from error
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"expected {name}() to return a Keras model, received {type(model).__name__}"
        )
    return model
