"""The registry of named models. Looking up models does not import Keras; building them does."""

from __future__ import annotations

import fnmatch
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ParamSpec

from dropout_zoo.models.argument_validation import did_you_mean
from dropout_zoo.models.trained_weights import load_trained_weights, weights_card

if TYPE_CHECKING:
    import keras

Parameters = ParamSpec("Parameters")

BUILDER_MODULES = (
    "dropout_zoo.models.architectures.mlp",
    "dropout_zoo.models.architectures.cnn",
    "dropout_zoo.models.architectures.published",
    "dropout_zoo.models.architectures.tabular_mlp",
    "dropout_zoo.models.architectures.wide_resnet",
    "dropout_zoo.models.architectures.autoencoder",
    "dropout_zoo.models.architectures.lstm",
    "dropout_zoo.models.architectures.transformer",
    "dropout_zoo.models.architectures.vit",
)
"""Modules whose import registers this package's models; they import Keras only in builders."""


@dataclass(frozen=True)
class ModelEntry:
    """The registry's description of a model, available without building it.

    Attributes:
        name: the name to build the model by.
        builder: the function that builds it; with its default arguments it builds the model
            described here. The `arguments` of a variant are among its defaults.
        family: kind of architecture, such as ``"MLP"``.
        parameters: number of trainable parameters.
        sites: default rate (fraction dropped) by site path, from input to output.
        source: the source of the architecture and its rates.
        arguments: the arguments by name that distinguish a variant from the builder's own default
            model; empty for that model.
        data: the dataset it was trained on in its source, such as ``"MNIST"``; empty if there is
            none.

    Example:
        >>> from dropout_zoo.models import model_entry
        >>> entry = model_entry("cnn")
        >>> entry.family, entry.parameters, dict(entry.sites)
        ('CNN', 225034, {'hidden_1_dropout': 0.5})
    """

    name: str
    builder: Callable[..., keras.Model]
    family: str
    parameters: int
    sites: Mapping[str, float]
    source: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """Shape of one example of the default model; None if the builder takes no shape."""
        shape = self._default("input_shape")
        return None if shape is None else tuple(shape)

    @property
    def num_classes(self) -> int | None:
        """Number of classes of the default model; None if it does not classify."""
        number: int | None = self._default("num_classes")
        return number

    def _default(self, argument: str) -> Any:
        parameter = inspect.signature(self.builder).parameters.get(argument)
        if parameter is None or parameter.default is inspect.Parameter.empty:
            return None
        return parameter.default


_entries: dict[str, ModelEntry] = {}


def register_model(
    name: str,
    *,
    family: str,
    parameters: int,
    sites: Mapping[str, float],
    source: str,
    arguments: Mapping[str, Any] | None = None,
    data: str = "",
) -> Callable[[Callable[Parameters, keras.Model]], Callable[Parameters, keras.Model]]:
    """Register a builder, so that `create_model` and the command line find it by name.

    To be built for data, a builder takes `input_shape`, `num_classes` and, if it has layers that
    are adapted to the training inputs, such as `Normalization`, `adapt_to`.

    A builder may be registered several times, once for each variant, with the arguments that define
    the variant. The model is named after its variant unless the arguments say otherwise.

    Args:
        name: the name to build the model by; must not be taken.
        family: kind of architecture, such as ``"MLP"``.
        parameters: number of trainable parameters of the default model.
        sites: default rate by site path, from input to output.
        source: the source of the architecture and its rates.
        arguments: arguments of the builder by name, which become the defaults of this variant; use
            values that do not need Keras, so that looking up the entry does not import it. None for
            the builder's own defaults.
        data: the dataset it was trained on in its source, such as ``"MNIST"``.

    Returns:
        A decorator that registers the builder and returns it unchanged.

    Raises:
        ValueError: the name is taken by another builder.
        TypeError: the builder lacks one of the arguments.

    Example:
        >>> from dropout_zoo.models import build_mlp, create_model, register_model
        >>> build = register_model(
        ...     "small_mlp",
        ...     family="MLP",
        ...     parameters=25_450,
        ...     sites={"hidden_1_dropout": 0.25},
        ...     source="this example",
        ...     arguments={"units": (32,), "hidden_rates": 0.25},
        ... )(build_mlp)
        >>> create_model("small_mlp").count_params()
        25450
    """

    def register(builder: Callable[Parameters, keras.Model]) -> Callable[Parameters, keras.Model]:
        if not _is_being_defined(builder):
            _load_builders()  # this package's own names take precedence
        given = dict(arguments or {})
        taken = _entries.get(name)
        # Running a notebook cell again registers the same builder again.
        if taken and (taken.builder.__module__, taken.builder.__qualname__, bool(given)) != (
            builder.__module__,
            builder.__qualname__,
            bool(taken.arguments),
        ):
            raise ValueError(
                f"expected a free model name, received {name!r}, which is taken by "
                f"{taken.builder.__module__}.{taken.builder.__qualname__}"
            )
        _entries[name] = ModelEntry(
            name,
            _variant(builder, {"name": name} | given) if given else builder,
            family,
            parameters,
            MappingProxyType(dict(sites)),
            source,
            MappingProxyType(given),
            data,
        )
        return builder

    return register


def _variant(builder: Callable[..., Any], arguments: Mapping[str, Any]) -> Callable[..., Any]:
    """A builder with different defaults, visible in its signature."""
    takes = inspect.signature(builder).parameters
    unknown = [name for name in arguments if name not in takes and name != "name"]
    if unknown:
        raise TypeError(
            f"expected arguments of {builder.__qualname__}(), which are {', '.join(takes)}; "
            f"received {', '.join(map(repr, unknown))}"
        )
    variant = partial(builder, **{name: arguments[name] for name in arguments if name in takes})
    # `functools.update_wrapper` would set `__wrapped__`, which shows the builder's own defaults.
    for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(variant, attribute, getattr(builder, attribute))
    return variant


def list_models(pattern: str = "*") -> list[str]:
    """List the names of the registered models, sorted.

    Args:
        pattern: shell-style wildcards to filter the names, such as ``"*mlp*"``.

    Returns:
        The names that match.

    Example:
        >>> from dropout_zoo.models import list_models
        >>> list_models("wide_*")[:2]
        ['wide_resnet_10_1', 'wide_resnet_10_1_after_norm']
    """
    _load_builders()
    return sorted(fnmatch.filter(_entries, pattern))


def model_entry(name: str) -> ModelEntry:
    """Look up the description of a registered model, without building the model.

    Args:
        name: a name from `list_models`.

    Returns:
        The entry.

    Raises:
        ValueError: there is no such model; the message suggests a similar name, if there is one.

    Example:
        >>> from dropout_zoo.models import model_entry
        >>> model_entry("srivastava_1024x3").data
        'MNIST'
    """
    _load_builders()
    if name not in _entries:
        hint = did_you_mean(str(name), _entries)
        raise ValueError(
            f"expected the name of a registered model, received {name!r}"
            f"{hint or '; `dropout-zoo list` or list_models() lists all names'}"
        )
    return _entries[name]


def create_model(name: str, /, **arguments: Any) -> keras.Model:
    """Build a registered model by name.

    Args:
        name: a name from `list_models`.
        **arguments: arguments of the builder, in place of the defaults of this model. This
            package's models also take `weights`, the name of trained weights: those of
            `weights_card`, which are named after their data and set its shape and number of
            classes.

    Returns:
        The model that the builder returns.

    Raises:
        ValueError: there is no such model or weights; the message suggests a similar name, if there
            is one. Or the weights are of other sizes than the model.
        TypeError: the builder has no argument of that name.

    Example:
        >>> from dropout_zoo.models import create_model
        >>> model = create_model("tabular_mlp", input_shape=(13,), num_classes=3)
        >>> model.input_shape, model.output_shape
        ((None, 13), (None, 3))
        >>> trained = create_model("cnn", weights="mnist")
    """
    entry = model_entry(name)
    own = entry.builder.__module__ in BUILDER_MODULES
    weights = arguments.pop("weights", None) if own else None
    if weights is None:
        return entry.builder(**arguments)
    model = entry.builder(**{**weights_card(name, weights).arguments, **arguments})
    load_trained_weights(model, name, weights)
    return model


def _load_builders() -> None:
    """Import the modules that register this package's own models."""
    for module in BUILDER_MODULES:
        importlib.import_module(module)


def _is_being_defined(builder: Callable[..., Any]) -> bool:
    """Whether a module of this package is decorating a builder, which is not yet defined there."""
    module = sys.modules.get(builder.__module__)
    return builder.__module__ in BUILDER_MODULES and not hasattr(module, builder.__name__)
