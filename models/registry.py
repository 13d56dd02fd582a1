"""Named models: what there is, and how to build one by name, without importing Keras to look."""

from __future__ import annotations

import difflib
import fnmatch
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    import keras

Parameters = ParamSpec("Parameters")

BUILDER_MODULES = (
    "dropout_zoo.models.architectures.mlp",
    "dropout_zoo.models.architectures.cnn",
    "dropout_zoo.models.architectures.published",
    "dropout_zoo.models.architectures.wide_resnet",
    "dropout_zoo.models.architectures.autoencoder",
    "dropout_zoo.models.architectures.lstm",
    "dropout_zoo.models.architectures.transformer",
    "dropout_zoo.models.architectures.vit",
)
"""Modules whose import registers the models of the zoo; none of them imports Keras at its top."""


@dataclass(frozen=True)
class ModelEntry:
    """What the registry knows of a model without building it.

    Attributes:
        name: the name to build it by.
        builder: the function that builds it; called with the defaults, it gives what the rest
            of the entry describes. The `arguments` of a variant are among its defaults.
        family: kind of architecture, such as ``"MLP"``.
        parameters: number of trainable parameters.
        sites: default rate (fraction dropped) by site path, from input to output.
        source: where the architecture and its rates come from.
        arguments: what makes this model a variant of what its builder builds by itself; arguments
            by name, none for the builder's own model.
        data: the data that its source trained it on, such as ``"MNIST"``; empty where it has none.
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
        """Shape of one example of the default model; None where the builder takes no shape."""
        shape = self._default("input_shape")
        return None if shape is None else tuple(shape)

    @property
    def num_classes(self) -> int | None:
        """Number of classes of the default model; None where it tells no classes apart."""
        return self._default("num_classes")

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
    """Decorate a builder so that `create_model` and the command line find it by name.

    One builder serves a family: register it once for each variant, with the arguments that make
    the variant. The model goes by the name of its variant unless the arguments say otherwise.

    Args:
        name: the name to build it by; must be free.
        family: kind of architecture, such as ``"MLP"``.
        parameters: number of trainable parameters of the default model.
        sites: default rate by site path, from input to output.
        source: where the architecture and its rates come from.
        arguments: arguments of the builder by name, which become the defaults of this variant;
            values that need no Keras, so that looking at the entry imports none. None for the
            builder's own defaults.
        data: the data that the source trained it on, such as ``"MNIST"``.

    Returns:
        A decorator that registers the builder and returns it unchanged, signature and all.

    Raises:
        ValueError: the name is taken by another builder.
        TypeError: the builder lacks one of the arguments.
    """

    def register(builder: Callable[Parameters, keras.Model]) -> Callable[Parameters, keras.Model]:
        if not _is_being_defined(builder):
            _load_builders()  # the names of the zoo are taken first
        given = dict(arguments or {})
        taken = _entries.get(name)
        # A notebook cell that is run again registers the same builder anew.
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
    """A builder with other defaults, which its signature shows."""
    takes = inspect.signature(builder).parameters
    unknown = [name for name in arguments if name not in takes and name != "name"]
    if unknown:
        raise TypeError(
            f"expected arguments of {builder.__qualname__}(), which takes {', '.join(takes)}; "
            f"received {', '.join(map(repr, unknown))}"
        )
    variant = partial(builder, **{name: arguments[name] for name in arguments if name in takes})
    # Not `functools.update_wrapper`: its `__wrapped__` would show the builder's own defaults.
    for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(variant, attribute, getattr(builder, attribute))
    return variant


def list_models(pattern: str = "*") -> list[str]:
    """List the names of the registered models, sorted.

    Args:
        pattern: shell-style wildcards that the names have to match, such as ``"*mlp*"``.

    Returns:
        The names that match.
    """
    _load_builders()
    return sorted(fnmatch.filter(_entries, pattern))


def model_entry(name: str) -> ModelEntry:
    """Look up what is known of a registered model, without building it.

    Args:
        name: a name that `list_models` lists.

    Returns:
        The entry.

    Raises:
        ValueError: there is no such model; the message names the nearest ones, if any is near.
    """
    _load_builders()
    if name not in _entries:
        near = difflib.get_close_matches(str(name).lower(), _entries, n=3, cutoff=0.4)
        raise ValueError(
            f"expected the name of a registered model, received {name!r}; "
            + (f"the nearest: {', '.join(near)}" if near else "list_models() names them all")
        )
    return _entries[name]


def create_model(name: str, /, **arguments: Any) -> keras.Model:
    """Build a registered model by name.

    Args:
        name: a name that `list_models` lists.
        **arguments: handed to its builder in place of the defaults of this model; it refuses those
            that it does not know.

    Returns:
        The model that the builder returns.

    Raises:
        ValueError: there is no such model; the message names the nearest ones.
        TypeError: the builder has no argument of that name.
    """
    return model_entry(name).builder(**arguments)


def _load_builders() -> None:
    """Import the modules that register the zoo's own models."""
    for module in BUILDER_MODULES:
        importlib.import_module(module)


def _is_being_defined(builder: Callable[..., Any]) -> bool:
    """Whether a module of the zoo is decorating its builder, which has no name there yet."""
    module = sys.modules.get(builder.__module__)
    return builder.__module__ in BUILDER_MODULES and not hasattr(module, builder.__name__)
