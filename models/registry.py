"""Named models: what there is, and how to build one by name, without importing Keras to look."""

from __future__ import annotations

import difflib
import fnmatch
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    import keras

Parameters = ParamSpec("Parameters")

BUILDER_MODULES = ("dropout_zoo.models.mlp", "dropout_zoo.models.cnn")
"""Modules whose import registers the models of the zoo; none of them imports Keras at its top."""


@dataclass(frozen=True)
class ModelEntry:
    """What the registry knows of a model without building it.

    Attributes:
        name: the name to build it by.
        builder: the function that builds it; called with the defaults, it gives what the rest
            of the entry describes.
        family: kind of architecture, such as ``"MLP"``.
        parameters: number of trainable parameters.
        sites: default rate (fraction dropped) by site path, from input to output.
        source: where the architecture and its rates come from.
    """

    name: str
    builder: Callable[..., keras.Model]
    family: str
    parameters: int
    sites: Mapping[str, float]
    source: str


_entries: dict[str, ModelEntry] = {}


def register_model(
    name: str, *, family: str, parameters: int, sites: Mapping[str, float], source: str
) -> Callable[[Callable[Parameters, keras.Model]], Callable[Parameters, keras.Model]]:
    """Decorate a builder so that `create_model` and the command line find it by name.

    Args:
        name: the name to build it by; must be free.
        family: kind of architecture, such as ``"MLP"``.
        parameters: number of trainable parameters of the default model.
        sites: default rate by site path, from input to output.
        source: where the architecture and its rates come from.

    Returns:
        A decorator that registers the builder and returns it unchanged, signature and all.

    Raises:
        ValueError: the name is taken by another builder.
    """

    def register(builder: Callable[Parameters, keras.Model]) -> Callable[Parameters, keras.Model]:
        _load_builders_unless(builder.__module__)
        taken = _entries.get(name)
        # A notebook cell that is run again registers the same builder anew.
        if taken and (taken.builder.__module__, taken.builder.__qualname__) != (
            builder.__module__,
            builder.__qualname__,
        ):
            raise ValueError(
                f"expected a free model name, received {name!r}, which is taken by "
                f"{taken.builder.__module__}.{taken.builder.__qualname__}"
            )
        _entries[name] = ModelEntry(
            name, builder, family, parameters, MappingProxyType(dict(sites)), source
        )
        return builder

    return register


def list_models(pattern: str = "*") -> list[str]:
    """List the names of the registered models, sorted.

    Args:
        pattern: shell-style wildcards that the names have to match, such as ``"*mlp*"``.

    Returns:
        The names that match.
    """
    _load_builders_unless()
    return sorted(fnmatch.filter(_entries, pattern))


def model_entry(name: str) -> ModelEntry:
    """Look up what is known of a registered model, without building it.

    Args:
        name: a name that `list_models` lists.

    Returns:
        The entry.

    Raises:
        ValueError: there is no such model; the message names the nearest ones.
    """
    _load_builders_unless()
    if name not in _entries:
        near = difflib.get_close_matches(str(name), _entries, n=3, cutoff=0.4) or sorted(_entries)
        raise ValueError(
            f"expected the name of a registered model, received {name!r}; "
            f"the nearest: {', '.join(near)}"
        )
    return _entries[name]


def create_model(name: str, /, **arguments: Any) -> keras.Model:
    """Build a registered model by name.

    Args:
        name: a name that `list_models` lists.
        **arguments: handed to its builder, which refuses those that it does not know.

    Returns:
        The model that the builder returns.

    Raises:
        ValueError: there is no such model; the message names the nearest ones.
        TypeError: the builder has no argument of that name.
    """
    return model_entry(name).builder(**arguments)


def _load_builders_unless(being_loaded: str = "") -> None:
    """Register the zoo's own models first, unless one of their modules is what is being loaded."""
    if being_loaded not in BUILDER_MODULES:
        for module in BUILDER_MODULES:
            importlib.import_module(module)
