"""Clones of a Keras model: with other rates, compiled the same way, with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
from dropout_zoo.models.graph import flat_layers, is_plain_model
from dropout_zoo.models.guidance import check_rate
from dropout_zoo.models.sites import DROPOUT_FAMILY, DropoutSite, dropout_sites


def with_rates(model: keras.Model, rates: Mapping[str, float]) -> keras.Model:
    """Build the same model with other dropout rates: plain Keras, ready to train or to save.

    Args:
        model: a Sequential or Functional model, compiled or not.
        rates: new rate (fraction dropped, in [0, 1)) by path of the site, as `dropout_sites`
            gives them. Sites that are left out keep their rates.

    Returns:
        A new model with plain layers, the same weights, compiled the same way. The optimizer
        starts anew.

    Raises:
        ValueError: a path names no site, a rate is out of range, or the rate is fixed by the code
            of the layer that holds the site.
        TypeError: the model is neither Sequential nor Functional, or one of its layers cannot be
            cloned.
    """
    sites = {site.path: site for site in dropout_sites(model)}
    unknown = [path for path in rates if path not in sites]
    if unknown:
        raise ValueError(
            f"expected paths of dropout sites, received {', '.join(map(repr, unknown))}; the "
            f"sites of this model: {', '.join(sites) or 'none'}"
        )
    wanted = {path: site.rate for path, site in sites.items()}
    wanted |= {path: check_rate(rate, path) for path, rate in rates.items()}
    by_owner: dict[int, list[DropoutSite]] = {}
    for site in sites.values():
        by_owner.setdefault(id(site.owner), []).append(site)

    def clone_layer(layer: keras.Layer) -> keras.Layer:
        changed = [s for s in by_owner.get(id(layer), []) if s.rate != wanted[s.path]]
        return _with_new_rates(layer, changed, wanted) if changed else same_layer(layer)

    clone = clone_model(model, clone_layer)
    # The arguments of recurrent layers are no sites while they are 0.
    received = dict.fromkeys(wanted, 0.0) | {s.path: s.rate for s in dropout_sites(clone)}
    for path, rate in received.items():
        if rate != wanted.get(path):
            raise ValueError(
                f"expected to set the rate of {path!r} to {wanted.get(path, 0):g}, received "
                f"{rate:g}: the layer {sites[path].owner.name!r} that holds it has no argument "
                "for that rate alone; make it one that its get_config() returns"
            )
    copy_weights(model, clone)
    compile_alike(model, clone)
    return clone


def clone_model(
    model: keras.Model, clone_layer: Callable[[keras.Layer], keras.Layer]
) -> keras.Model:
    """Clone a Sequential or Functional model, nested models included, without compiling it.

    Args:
        model: the model.
        clone_layer: makes the clone of a layer that is no model itself.

    Returns:
        The clone, with fresh weights.

    Raises:
        TypeError: the model is neither Sequential nor Functional, or one of its layers cannot be
            cloned.
    """
    if not is_plain_model(model):
        raise TypeError(
            "expected a Sequential or Functional model, received the subclassed "
            f"{type(model).__name__!r}: its graph cannot be read; build it with keras.Input and "
            "the functional API"
        )
    if isinstance(model, keras.Sequential) and type(model) is not keras.Sequential:
        raise TypeError(
            f"expected a Sequential or Functional model, received {type(model).__name__!r}, a "
            "subclass of Sequential, which Keras clones without its own methods; subclass "
            "keras.Model and build it with inputs and outputs"
        )
    # Keras compiles clones from a serialised form, which custom losses do not survive.
    was_compiled, model.compiled = model.compiled, False
    try:
        return keras.models.clone_model(model, clone_function=clone_layer, recursive=True)
    finally:
        model.compiled = was_compiled


def same_layer(layer: keras.Layer) -> keras.Layer:
    """Clone a layer as it is, with fresh weights."""
    return _from_config(layer, layer.get_config())


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy all that the layers of a model have learnt into its clone, normalisers included.

    Args:
        source: the model to copy from.
        target: a clone of it; its dropout layers may be of another class.
    """
    for old, new in zip(flat_layers(source), flat_layers(target), strict=True):
        copy_layer_weights(old, new)


def copy_layer_weights(source: keras.Layer, target: keras.Layer) -> None:
    """Copy what one layer itself has learnt, without the layers inside it."""
    if isinstance(source, DROPOUT_FAMILY):  # they learn nothing; a clone may hold its rate
        return
    store: dict[str, Any] = {}
    source.save_own_variables(store)
    if store:
        target.load_own_variables(
            {key: keras.ops.convert_to_numpy(value) for key, value in store.items()}
        )


def compile_alike(source: keras.Model, target: keras.Model) -> None:
    """Compile a clone as its original was, with an optimizer and metrics of its own.

    Args:
        source: the original; where it is not compiled nothing happens.
        target: the clone.
    """
    if not source.compiled:
        return
    arguments = dict(source._compile_config.config)
    arguments["optimizer"] = _renewed(source.optimizer)
    for kind in ("metrics", "weighted_metrics"):
        arguments[kind] = keras.tree.map_structure(_renewed, arguments[kind])
    target.compile(**arguments)
    if target.optimizer is not None:
        # A saved file wants the optimizer's variables, trained or not.
        target.optimizer.build(target.trainable_variables)


def _renewed(thing: Any) -> Any:
    """A copy without state of an optimizer or a metric; names and functions as they are."""
    if isinstance(thing, (keras.optimizers.Optimizer, keras.metrics.Metric)):
        return type(thing).from_config(thing.get_config())
    return thing


def _with_new_rates(
    layer: keras.Layer, sites: list[DropoutSite], wanted: Mapping[str, float]
) -> keras.Layer:
    """Clone a layer with the rates of its sites replaced wherever its configuration holds them."""
    config = layer.get_config()
    for holder, key in _rates_in(config):
        for site in sites:
            # A composite layer may call the rate of the dropout inside it anything.
            if holder[key] == site.rate and site.argument in ("rate", key):
                holder[key] = wanted[site.path]
                break
    return _from_config(layer, config)


def _rates_in(config: Any) -> Iterator[tuple[dict, str]]:
    """Every number in a layer's configuration whose name speaks of a rate or of dropout."""
    if isinstance(config, dict):
        for key, value in config.items():
            if isinstance(value, float | int) and not isinstance(value, bool):
                if key == "rate" or "drop" in key:
                    yield config, key
            else:
                yield from _rates_in(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _rates_in(value)


def _from_config(layer: keras.Layer, config: dict) -> keras.Layer:
    if isinstance(layer, keras.layers.Lambda):
        return layer  # it has no weights, and its code is already in this process
    try:
        return type(layer).from_config(config)
    except Exception as error:
        raise TypeError(
            f"expected layers that Keras can clone, received {type(layer).__name__} "
            f"{layer.name!r}, whose from_config(get_config()) fails: {error}"
        ) from error
