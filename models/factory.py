"""Compiled models from a registered name, an import path, a builder function or a model."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np

from dropout_zoo.models.graph.builders import builder_of, remember_builder
from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.models.graph.model_graph import has_own_code, is_plain_model
from dropout_zoo.models.graph.training_methods import check_has_call
from dropout_zoo.models.registry import model_entry

ModelLike: TypeAlias = keras.Model | str | Callable[..., keras.Model]
"""What an argument `model` may be; see `resolve_model`."""

PLACEMENT_ARGUMENTS = {
    "input": ("input_rate",),
    "convolutional": ("conv_rates",),
    "hidden": ("hidden_rates", "hidden_rate"),
}
"""Builder arguments that add dropout at a placement where the default model has none.

A builder has at most one such argument per placement: one rate per layer, or a single rate.
"""


def resolve_model(
    model: ModelLike,
    *,
    input_shape: Sequence[int] | None = None,
    num_classes: int | None = None,
    adapt_to: Any = None,
    placements: Iterable[str] = (),
) -> keras.Model:
    """Return the model that an argument refers to, building it if necessary.

    A function with the argument `adapt_to` is a builder for data: like that of a registered model,
    it is called with whichever of `input_shape`, `num_classes` and `adapt_to` it accepts.

    Args:
        model: a compiled Keras model, which is not changed, except that a subclassed one is built
            if it is not yet; a registered name; ``package.module:function``, where the
            function has no required arguments and returns a compiled model; or such a function.
        input_shape: shape of one example, for registered models and models that are not built; None
            for the defaults of registered models.
        num_classes: with `input_shape`, the number of classes for registered models; None for
            regression.
        adapt_to: with `input_shape`, the training inputs for builders of models that standardize
            their inputs, such as `build_tabular_mlp`; None if there are no data.
        placements: placements at which a registered model gets dropout layers, with rate 0 where
            its default has none.

    Returns:
        A compiled and built model. Where Keras cannot clone it, the function that built it builds
        the copies that training and `with_rates` need.

    Raises:
        ValueError: there is no such model or function, the function fails, or it returns something
            other than a compiled Keras model.
    """
    if isinstance(model, str):
        if ":" not in model:
            return _build_registered(model, input_shape, num_classes, adapt_to, placements)
        model = import_function(model)
    if not isinstance(model, keras.Model):
        model = call_builder(
            model, input_shape=input_shape, num_classes=num_classes, adapt_to=adapt_to
        )
    check_compiled(model)
    if not model.built and input_shape is not None:
        check_has_call(model)
        model = copy_to_build(model)
        model(_example(input_shape, adapt_to))
    return model


def copy_to_build(model: keras.Model) -> keras.Model:
    """Return what is built in place of a model that is not built yet: a copy, if there can be one.

    Args:
        model: a model that has not been called.

    Returns:
        A copy of a model of Keras's layers, so that the caller's stays as it is. Others are
        returned as they are: a subclassed model is built by its first call only, and custom layers
        cannot be compared with their copies before.
    """
    if is_plain_model(model) and builder_of(model) is None and not has_own_code(model):
        return with_rates(model, {})
    return model


def _example(input_shape: Sequence[int], inputs: Any) -> Any:
    """One example of the inputs: zeros, or a symbol where strings have to be looked up."""
    if _dtype_kind(inputs) == "O":
        return keras.KerasTensor((1, *input_shape), "string")
    return np.zeros((1, *input_shape), "float32")


def _dtype_kind(inputs: Any) -> str:
    return getattr(getattr(inputs, "dtype", None), "kind", "")


def resolve_variant(
    model: ModelLike,
    arguments: Mapping[str, Any],
    *,
    input_shape: Sequence[int] | None,
    num_classes: int | None,
    adapt_to: Any,
) -> keras.Model:
    """Build the model that an argument refers to with different arguments, such as other widths.

    Args:
        model: as in `resolve_model`; to change arguments it must be a registered name or a
            function.
        arguments: arguments of the builder by name, such as ``{"units": (64,)}``.
        input_shape: shape of one example, passed to builders that take it; None for several inputs,
            of which builders are told nothing.
        num_classes: number of classes, or None for regression; passed to builders that take it.
        adapt_to: the training inputs; passed to builders that take it.

    Returns:
        A compiled and built model.

    Raises:
        ValueError: the builder lacks an argument or fails, or there is no builder.
    """
    if isinstance(model, keras.Model) and not arguments:
        return resolve_model(model, input_shape=input_shape)
    known = builder_arguments(model)
    unknown = [name for name in arguments if name not in known]
    if unknown:
        wanted = ", ".join(map(repr, unknown))
        if isinstance(model, keras.Model):
            raise ValueError(
                f"expected a registered name or a function with the arguments {wanted} (which "
                f"change the architecture), received the built model {model.name!r}"
            )
        raise ValueError(
            f"expected a builder with the arguments {wanted}, received "
            f"{_builder(model).__name__}(), which takes {', '.join(known) or 'none'}; add them to "
            "its signature"
        )
    given = dict(arguments)
    if input_shape is not None:
        given = _for_data(known, input_shape, num_classes, adapt_to) | given
    builder = _builder(model)

    def variant() -> keras.Model:
        return builder(**given)

    variant.__qualname__ = getattr(builder, "__qualname__", repr(builder))
    return resolve_model(variant, input_shape=input_shape)


def check_compiled(
    model: keras.Model, name: str = "", remedy: str = "call model.compile(...) first"
) -> None:
    """Raise an error if a model has not been compiled.

    Args:
        model: the model.
        name: what the message calls it; empty for its name.
        remedy: what to do.

    Raises:
        ValueError: the model has no optimizer and loss.
    """
    if not getattr(model, "compiled", False) or model.optimizer is None:
        raise ValueError(
            f"expected a compiled model, received {name or repr(model.name)} without an optimizer "
            f"and a loss; {remedy}"
        )


def builder_arguments(model: ModelLike) -> dict[str, Any]:
    """The arguments of a model's builder, with their defaults.

    Args:
        model: as in `resolve_model`.

    Returns:
        Defaults by name, `inspect.Parameter.empty` for arguments without one; empty for a built
        model, which has no builder.

    Raises:
        ValueError: there is no such builder.
    """
    if isinstance(model, keras.Model):
        return {}
    parameters = inspect.signature(_builder(model)).parameters.values()
    named = (p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    return {parameter.name: parameter.default for parameter in named}


def _builder(model: str | Callable[..., keras.Model]) -> Callable[..., keras.Model]:
    if isinstance(model, str):
        return import_function(model) if ":" in model else _registered_builder(model)
    if not callable(model):
        raise ValueError(
            "expected a compiled Keras model, a registered name, package.module:function or a "
            f"function that returns a model, received {type(model).__name__}"
        )
    return model


def _registered_builder(name: str) -> Callable[..., keras.Model]:
    try:
        return model_entry(name).builder
    except ValueError as error:
        raise ValueError(
            f"{error} (to use your own function, write package.module:function)"
        ) from None


def _build_registered(
    name: str,
    input_shape: Sequence[int] | None,
    num_classes: int | None,
    adapt_to: Any,
    placements: Iterable[str],
) -> keras.Model:
    builder = _registered_builder(name)
    defaults = builder_arguments(name)
    arguments: dict[str, Any] = {}
    if input_shape is not None:
        arguments = _for_data(defaults, input_shape, num_classes, adapt_to)
    for placement in placements:
        for argument in PLACEMENT_ARGUMENTS.get(placement, ()):
            # A model that has dropout there keeps its rates, which are a control in every search.
            if argument in defaults and defaults[argument] is None:
                arguments[argument] = 0.0
    return builder(**arguments)


def _for_data(
    known: Iterable[str], input_shape: Sequence[int], num_classes: int | None, adapt_to: Any
) -> dict[str, Any]:
    """Those arguments of a builder that fit its model to data."""
    if not input_shape and "input_shape" in known and _dtype_kind(adapt_to) != "O":
        raise ValueError(
            "expected inputs of shape (examples, features, ...) for a model that is built for "
            "them, received (examples,); one feature has shape (examples, 1), as in x[:, None]"
        )
    data = {
        "input_shape": tuple(input_shape),
        "num_classes": num_classes,
        "adapt_to": adapt_to,
    }
    return {name: value for name, value in data.items() if name in known}


def import_function(path: str) -> Callable[[], keras.Model]:
    """Import the function that ``package.module:function`` refers to.

    Args:
        path: the module, which may be in the working directory, and the function.

    Returns:
        The function.

    Raises:
        ValueError: the module cannot be imported, or has no such function.
    """
    module_name, _, function_name = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # which console scripts do not search
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise ValueError(
            f"expected package.module:function, received {path!r}; importing {module_name!r} "
            f"fails: {type(error).__name__}: {error}"
        ) from error
    function: Any = getattr(module, function_name, None)
    if not callable(function):
        known = [name for name, value in vars(module).items() if inspect.isfunction(value)]
        raise ValueError(
            f"expected package.module:function, received {path!r}; {module_name!r} has no "
            f"function {function_name!r}, only {', '.join(known) or 'none'}"
        )
    builder: Callable[[], keras.Model] = function
    return builder


def call_builder(
    model: Callable[..., keras.Model],
    *,
    input_shape: Sequence[int] | None = None,
    num_classes: int | None = None,
    adapt_to: Any = None,
) -> keras.Model:
    """Call a user's function that builds a model.

    Args:
        model: a function without required arguments.
        input_shape: as in `resolve_model`, like the next two arguments.
        num_classes: number of classes.
        adapt_to: the training inputs.

    Returns:
        The model.

    Raises:
        ValueError: the function has required arguments, fails, or does not return a Keras model.
    """
    builder = _builder(model)
    name = getattr(builder, "__qualname__", repr(builder))
    try:
        inspect.signature(builder).bind()
    except TypeError as error:
        raise ValueError(
            f"expected a function without required arguments, received {name}: {error}"
        ) from None
    known, given = builder_arguments(builder), {}
    # Without `adapt_to`, a user's function may give the other names a different meaning.
    if input_shape is not None and adapt_to is not None and "adapt_to" in known:
        given = _for_data(known, input_shape, num_classes, adapt_to)
    try:
        model = builder(**given)
    except (Exception, SystemExit) as error:  # a user's function may raise anything
        raise ValueError(
            f"expected {name}() to return a Keras model, received {type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"expected {name}() to return a Keras model, received {type(model).__name__}"
        )
    remember_builder(model, functools.partial(builder, **given))
    return model
