"""Clones of Keras models, with the same weights."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import keras

from dropout_zoo.models import keras_internals
from dropout_zoo.models.graph.builders import builder_of, built_again
from dropout_zoo.models.graph.building_copies import (
    OR_BUILD,
    build_like,
    keep_training_settings,
    not_cloneable,
)
from dropout_zoo.models.graph.clone_checks import check_outputs, own_models
from dropout_zoo.models.graph.compilation import compile_like
from dropout_zoo.models.graph.equality import read_model
from dropout_zoo.models.graph.example_calls import create_all_weights
from dropout_zoo.models.graph.model_graph import (
    flat_layers,
    has_own_code,
    is_graph_alone,
    is_own_code,
    is_plain_model,
)
from dropout_zoo.models.graph.sites import DROPOUT_FAMILY
from dropout_zoo.models.graph.user_code import wraps
from dropout_zoo.models.layers.seeded_dropout import consume_seed

ConfigPath = tuple[Any, ...]  # keys and indices, outermost first


def clone_model(
    model: keras.Model, clone_layer: Callable[[keras.Layer], keras.Layer]
) -> keras.Model:
    """Clone a model, including nested models, without compiling it.

    A subclassed model is cloned as a custom layer is: from its configuration. Where Keras cannot
    clone a model, the function that built it builds another one, which is compiled.

    Args:
        model: the model.
        clone_layer: returns the clone of a layer, or of a subclassed model.

    Returns:
        The clone, with fresh weights.

    Raises:
        TypeError: the model or one of its layers cannot be cloned.
    """
    build = builder_of(model)
    if build is not None and is_built_again(model):
        copy = built_again(model, build)
        _BUILT_AGAIN[copy] = True
        return copy
    with _refused_in_one_line(model):
        create_all_weights(model)
        if not is_plain_model(model):
            return _cloned_subclass(model, clone_layer)
        return _cloned_graph(model, clone_layer)


@contextmanager
def _refused_in_one_line(model: keras.Model) -> Iterator[None]:
    """Turn whatever Keras and the user's own code raise into the error for such models."""
    try:
        yield
    except Exception as error:  # the user's own code may raise anything
        if isinstance(error, TypeError) and str(error).endswith(OR_BUILD):
            raise  # it says what cannot be cloned
        raise not_cloneable(model, "clone", error) from error


def _cloned_graph(
    model: keras.Model, clone_layer: Callable[[keras.Layer], keras.Layer]
) -> keras.Model:
    """A clone of a Sequential or Functional model, layer by layer."""
    plain_models = [model, *filter(is_plain_model, flat_layers(model))]
    # Keras compiles clones from a serialized configuration, which fails for custom losses.
    compiled = [each for each in plain_models if each.compiled]
    for each in compiled:
        each.compiled = False
    cloned: dict[int, Any] = {}

    def clone_operation(operation: Any) -> Any:
        # Cloned once each, so that shared layers stay shared, in nested models too.
        if id(operation) not in cloned:
            if is_graph_alone(operation):
                new = keras.models.clone_model(operation, clone_function=clone_operation)
            elif isinstance(operation, keras.Layer):
                new = clone_layer(operation)
            else:
                new = keras_internals.copy_of_operation(operation)
            cloned[id(operation)] = new
        return cloned[id(operation)]

    try:
        clone = clone_operation(model)
    finally:
        for each in compiled:
            each.compiled = True
    clones = [clone, *filter(is_plain_model, flat_layers(clone))]
    for old, new in zip(plain_models, clones, strict=True):
        if type(new) is not type(old):
            raise TypeError(
                f"expected Sequential and Functional models, received {type(old).__name__!r}, a "
                f"subclass that Keras clones as a plain {type(new).__name__}, which loses its own "
                f"methods{OR_BUILD}"
            )
    if not is_graph_alone(clone):
        clone.compiled = False  # its class may have compiled it in another way
    create_all_weights(clone)
    _check_same_layers(model, clone)
    keep_training_settings(model, clone)
    return clone


def _check_same_layers(model: keras.Model, clone: keras.Model) -> None:
    if len(flat_layers(clone)) != len(flat_layers(model)):
        raise TypeError(
            f"expected a model that Keras can clone, received {model.name!r}, whose clone has "
            f"other layers, as where a custom layer holds one that is used elsewhere too{OR_BUILD}"
        )


def is_built_again(model: keras.Model) -> bool:
    """Return whether copies of a model come from the function that built it.

    Args:
        model: a built model.
    """
    build = builder_of(model)
    if build is None:
        return False
    if model not in _BUILT_AGAIN:
        _BUILT_AGAIN[model] = False  # while it is tried
        found = why_not_cloneable(model) is not None
        if not model.built and has_own_code(model):  # it could not be called beside its clone
            del _BUILT_AGAIN[model]
            return found
        _BUILT_AGAIN[model] = found
    return _BUILT_AGAIN[model]


_BUILT_AGAIN: WeakKeyDictionary[keras.Model, bool] = WeakKeyDictionary()


def why_not_cloneable(model: keras.Model) -> str | None:
    """Say why Keras cannot clone a model, or why the clone would not be the same.

    Args:
        model: a built model.

    Returns:
        The message of an error; None if it can be cloned.
    """
    try:
        clone = clone_model(model, cloned_layer)
        copy_weights(model, clone)
        compile_like(model, clone)
    except TypeError as error:
        return str(error)
    own = own_models(model)
    if own and not read_model(model).equals(read_model(clone)):
        names = ", ".join(sorted({type(each).__name__ for each in own}))
        return (
            f"expected a model that Keras can clone, received {model.name!r}, whose clone has "
            f"other attributes; let get_config() of {names} return all arguments of __init__, and "
            f"set no attributes later{OR_BUILD}"
        )
    return None


def _cloned_subclass(
    model: keras.Model, clone_layer: Callable[[keras.Layer], keras.Layer]
) -> keras.Model:
    """A clone of a subclassed model, built as the model was."""
    clone = clone_layer(model)
    if model.built:
        build_like(model, clone)
        create_all_weights(clone)
    shapes = [[weight.shape for weight in each.weights] for each in (model, clone)]
    if shapes[0] != shapes[1]:
        raise TypeError(
            f"expected a model that Keras can clone, received {model.name!r}, a "
            f"{type(model).__name__} whose from_config(get_config()) has other weights; return "
            f"all arguments of __init__ in get_config(){OR_BUILD}"
        )
    keep_training_settings(model, clone)
    return clone


def cloned_layer(
    layer: keras.Layer, settings: Mapping[ConfigPath, float] = MappingProxyType({})
) -> keras.Layer:
    """Clone a layer, optionally with different numbers in its configuration, with fresh weights.

    Args:
        layer: the layer.
        settings: numbers by their path in the layer's configuration, such as ``("rate",)``.

    Returns:
        The clone.

    Raises:
        TypeError: Keras cannot clone the layer.
    """
    if isinstance(layer, keras.layers.Lambda):
        # Keras does not rebuild lambdas from configurations, which could run code from a file.
        return type(layer)(
            layer.function,
            output_shape=keras_internals.lambda_output_shape(layer),
            mask=layer.mask,
            arguments=layer.arguments,
            **keras.Layer.get_config(layer),
        )
    config = layer_config(layer)
    if not is_own_code(layer):
        # Of a tf.function, Keras writes only the name down, from which it cannot be found again.
        config |= {key: each for key, each in vars(layer).items() if key in config and wraps(each)}
    if settings:
        config = _with_numbers(config, settings)
    left_out = _not_taken(layer, config)
    try:
        with keras.saving.custom_object_scope(_own_code(layer)):
            clone = type(layer).from_config(
                {key: value for key, value in config.items() if key not in left_out}
            )
    except Exception as error:  # the code of a custom layer may raise anything
        raise not_cloneable(layer, "from_config(get_config())", error) from error
    # The configuration that Keras creates for a custom layer may lack the name.
    clone.name = layer.name
    if "dtype" in left_out:
        clone.dtype_policy = layer.dtype_policy
    if isinstance(layer, DROPOUT_FAMILY):
        # The configuration of spatial dropout has a dtype in place of the dtype policy.
        clone.dtype_policy = layer.dtype_policy
        return consume_seed(clone)
    return clone


def _not_taken(layer: keras.Layer, config: Mapping[str, Any]) -> set[str]:
    """The common layer settings in this layer's configuration that its `__init__` does not accept.

    An `__init__` without ``**kwargs`` is common in custom layers, and the configuration that Keras
    creates for them has these settings anyway.
    """
    parameters = inspect.signature(type(layer).__init__).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return set()
    return {"name", "trainable", "dtype"} & set(config) - set(parameters)


def _own_code(layer: keras.Layer) -> dict[str, Any]:
    """The classes and functions in a layer that are not Keras's own and may not be registered."""
    found = {}
    for inner in [layer, *flat_layers(layer)]:
        for value in [inner, *vars(inner).values()]:
            code = value if inspect.isfunction(value) else type(value)
            if (code.__module__ or "").partition(".")[0] not in ("keras", "builtins"):
                found[code.__name__] = code
    return found


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy the weights and other learned state, such as vocabularies, from a model to its clone.

    Args:
        source: the model to copy from.
        target: a clone of it; its dropout layers may be of a different class.
    """
    with _refused_in_one_line(source):
        _copy_all_weights(source, target)
        check_outputs(source, target, lambda: _plain_clone(source))


def _plain_clone(source: keras.Model) -> keras.Model:
    clone = clone_model(source, cloned_layer)
    _copy_all_weights(source, clone)
    return clone


def _copy_all_weights(source: keras.Model, target: keras.Model) -> None:
    if not is_plain_model(source):  # it may have weights of its own
        copy_layer_weights(source, target)
    for old, new in zip(flat_layers(source), flat_layers(target), strict=True):
        copy_layer_weights(old, new)


def copy_layer_weights(source: keras.Layer, target: keras.Layer) -> None:
    """Copy the weights and other learned state of one layer, without the layers inside it."""
    if isinstance(source, DROPOUT_FAMILY):  # nothing is learned; a clone may hold its rate
        return
    store: dict[str, Any] = {}
    source.save_own_variables(store)
    if store:
        target.load_own_variables(
            {key: keras.ops.convert_to_numpy(value) for key, value in store.items()}
        )
    if hasattr(source, "save_assets"):  # vocabularies
        with tempfile.TemporaryDirectory() as folder:
            source.save_assets(folder)
            if os.listdir(folder):
                target.load_assets(folder)


def _with_numbers(config: Any, numbers: Mapping[ConfigPath, float], path: ConfigPath = ()) -> Any:
    """A copy of a configuration with different numbers at some paths."""
    if path in numbers:
        return numbers[path]
    if isinstance(config, dict):
        return {key: _with_numbers(value, numbers, (*path, key)) for key, value in config.items()}
    if type(config) in (list, tuple):
        values = enumerate(config)
        return type(config)(_with_numbers(value, numbers, (*path, key)) for key, value in values)
    return config


def layer_config(layer: keras.Layer) -> dict[str, Any]:
    """Return the configuration of a layer.

    Raises:
        TypeError: the layer's own code fails.
    """
    try:
        config: dict[str, Any] = layer.get_config()
    except Exception as error:  # the code of a custom layer may raise anything
        raise not_cloneable(layer, "get_config()", error) from error
    return config
