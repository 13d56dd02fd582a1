"""Clones of a Keras model: with other rates, compiled the same way, with the same weights."""

from __future__ import annotations

import inspect
import os
import tempfile
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras

from dropout_zoo.models import keras_internals
from dropout_zoo.models.graph.model_graph import flat_layers, is_plain_model
from dropout_zoo.models.graph.sites import DROPOUT_FAMILY, DropoutSite, dropout_sites
from dropout_zoo.models.guidance import check_rate
from dropout_zoo.models.layers.runtime_rate import plain_layer
from dropout_zoo.models.layers.seeded_dropout import seed_drawn

ConfigPath = tuple[Any, ...]  # keys and indices, from the outside in


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
        ValueError: a path names no site, a rate is out of range, a rate cannot be set without
            changing another one, or its layer learns it.
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
    changed = [site for path, site in sites.items() if wanted[path] != site.rate]
    for site in changed:
        if site.learnt:
            raise ValueError(
                f"expected sites whose rates can be set, received {site.path!r}: the layer "
                f"learns its rate, {site.rate:.3g} so far; its initial_rate is where it starts"
            )
    settings = _settings(model, changed, wanted)
    clone = clone_model(
        model, lambda layer: plain_layer(same_layer(layer, settings.get(id(layer), {})))
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
    plain_models = [model, *filter(is_plain_model, flat_layers(model))]
    # Keras compiles clones from a serialised form, which custom losses do not survive.
    compiled = [each for each in plain_models if each.compiled]
    for each in compiled:
        each.compiled = False
    twins: dict[int, Any] = {}

    def twin(operation: Any) -> Any:
        # The same again for the same, so that what is shared stays shared, in nested models too.
        if id(operation) not in twins:
            if is_plain_model(operation):
                made = keras.models.clone_model(operation, clone_function=twin)
            elif isinstance(operation, keras.Layer):
                made = clone_layer(operation)
            else:
                made = keras_internals.copy_of_operation(operation)
            twins[id(operation)] = made
        return twins[id(operation)]

    try:
        clone = twin(model)
    finally:
        for each in compiled:
            each.compiled = True
    clones = [clone, *filter(is_plain_model, flat_layers(clone))]
    for old, new in zip(plain_models, clones, strict=True):
        if type(new) is not type(old):
            raise TypeError(
                f"expected Sequential and Functional models, received {type(old).__name__!r}, a "
                f"subclass that Keras clones as a plain {type(new).__name__}, without its own "
                "methods"
            )
    _keep_trainable(model, clone)
    return clone


def _keep_trainable(model: keras.Model, clone: keras.Model) -> None:
    """Freeze in a clone what is frozen in its original; not every configuration says so."""
    pairs = [(model, clone), *zip(flat_layers(model), flat_layers(clone), strict=True)]
    # To freeze a layer is to freeze the layers in it, so that these come last.
    for old, new in sorted(pairs, key=lambda pair: not keras_internals.direct_layers(pair[0])):
        if new.trainable != old.trainable:
            new.trainable = old.trainable


def same_layer(
    layer: keras.Layer, settings: Mapping[ConfigPath, float] = MappingProxyType({})
) -> keras.Layer:
    """Clone a layer as it is, or with other numbers in its configuration, with fresh weights.

    Args:
        layer: the layer.
        settings: numbers by their path in the layer's configuration, such as ``("rate",)``.

    Returns:
        The clone.

    Raises:
        TypeError: Keras cannot clone the layer.
    """
    if isinstance(layer, keras.layers.Lambda):
        # Keras refuses to rebuild Python's lambdas from a configuration, as code from a file.
        return type(layer)(
            layer.function,
            output_shape=keras_internals.lambda_output_shape(layer),
            mask=layer.mask,
            arguments=layer.arguments,
            **keras.Layer.get_config(layer),
        )
    config = _config(layer)
    if settings:
        config = _with_numbers(config, settings)
    try:
        with keras.saving.custom_object_scope(_own_code(layer)):
            clone = type(layer).from_config(config)
    except Exception as error:  # the code of a custom layer may raise anything
        raise _not_cloneable(layer, "from_config(get_config())", error) from error
    # The configuration that Keras makes up for a custom layer may leave the name out.
    clone.name = layer.name
    if isinstance(layer, DROPOUT_FAMILY):
        # The configuration of spatial dropout names a dtype where others name the policy.
        clone.dtype_policy = layer.dtype_policy
        return seed_drawn(clone)
    return clone


def _own_code(layer: keras.Layer) -> dict[str, Any]:
    """Classes and functions in a layer that are not Keras's, and may not be registered with it."""
    found = {}
    for inner in [layer, *flat_layers(layer)]:
        for value in [inner, *vars(inner).values()]:
            code = value if inspect.isfunction(value) else type(value)
            if (code.__module__ or "").partition(".")[0] not in ("keras", "builtins"):
                found[code.__name__] = code
    return found


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
    if hasattr(source, "save_assets"):  # vocabularies
        with tempfile.TemporaryDirectory() as folder:
            source.save_assets(folder)
            if os.listdir(folder):
                target.load_assets(folder)


def compile_alike(source: keras.Model, target: keras.Model) -> None:
    """Compile a clone as its original was, with an optimizer and metrics of its own.

    Args:
        source: the original; where it is not compiled nothing happens.
        target: the clone.
    """
    if not source.compiled:
        return
    arguments = keras_internals.compile_arguments(source)
    arguments["optimizer"] = _renewed(source.optimizer)
    for kind in ("metrics", "weighted_metrics"):
        arguments[kind] = keras.tree.map_structure(_renewed, arguments[kind])
    target.compile(**arguments)
    if target.optimizer is None:
        return
    if getattr(source.optimizer, "weight_decay", None):
        pairs = zip(source.trainable_variables, target.trainable_variables, strict=True)
        without = [
            new
            for old, new in pairs
            if not keras_internals.uses_weight_decay(source.optimizer, old)
        ]
        target.optimizer.exclude_from_weight_decay(var_list=without)
    if target.built:
        # A saved file wants the optimizer's variables, trained or not.
        target.optimizer.build(target.trainable_variables)


def _renewed(thing: Any) -> Any:
    """A copy without state of an optimizer or a metric; names and functions as they are."""
    if not isinstance(thing, keras.optimizers.Optimizer | keras.metrics.Metric):
        return thing
    # Schedules and functions have no state; made anew from a configuration, they would have to
    # be registered with Keras.
    if type(thing) is keras.metrics.MeanMetricWrapper:
        function, arguments = keras_internals.function_of_metric(thing)
        return type(thing)(function, name=thing.name, dtype=thing.dtype, **arguments)
    try:
        config = thing.get_config()
        schedule = keras_internals.learning_rate_of(thing)
        if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            config["learning_rate"] = schedule
        return type(thing).from_config(config)
    except Exception as error:  # the code of a custom class may raise anything
        raise _not_cloneable(thing, "from_config(get_config())", error) from error


def _settings(
    model: keras.Model, changed: Sequence[DropoutSite], wanted: Mapping[str, float]
) -> dict[int, dict[ConfigPath, float]]:
    """What to write where into the configurations of which layers, to change the sites' rates.

    Args:
        model: the model.
        changed: the sites whose rates are to change.
        wanted: the rate by path of every site of the model, changed or not.

    Returns:
        By id of a layer, numbers by their path in its configuration.

    Raises:
        ValueError: a rate cannot be set without changing another one.
    """
    settings: dict[int, dict[ConfigPath, float]] = defaultdict(dict)
    composites = []
    for site in changed:
        if site.owner is site.layer:
            settings[id(site.owner)][(site.argument,)] = wanted[site.path]
        elif site.owner not in composites:
            composites.append(site.owner)
    for holder, sites in _sites_by_argument(model, composites, changed).items():
        names = ", ".join(repr(site.path) for site in sites)
        owner = f"{type(sites[0].owner).__name__} {sites[0].owner.name!r}"
        if holder is None:
            raise ValueError(
                f"expected sites whose rates can be set, received {names}: no argument of {owner} "
                "is just that rate; make it one that its get_config() returns"
            )
        owner_id, path = holder
        rates = [wanted[site.path] for site in sites]
        if len(set(rates)) > 1:
            raise ValueError(
                f"expected one rate for {names}, which {path[-1]!r} of {owner} sets together; "
                f"received {', '.join(f'{rate:g}' for rate in rates)}: give all of them the same"
            )
        settings[owner_id][path] = rates[0]
    return settings


def _sites_by_argument(
    model: keras.Model, owners: Sequence[keras.Layer], changed: Sequence[DropoutSite]
) -> dict[tuple[int, ConfigPath] | None, list[DropoutSite]]:
    """Find which numbers in the configurations of composite layers are the rates of which sites.

    Found by trying: a clone in which each number that may be a rate is another one shows at which
    sites it arrives. Sites to be changed at which none arrives come under None.
    """
    if not owners:
        return {}
    candidates = [
        (id(owner), path)
        for owner in owners
        for path, number in _numbers(_config(owner))
        if any(site.owner is owner and site.rate == number for site in changed)
    ]
    probes: dict[int, dict[ConfigPath, float]] = defaultdict(dict)
    by_probe = {}
    for count, (owner_id, path) in enumerate(candidates, start=1):
        probe = 0.7310585786300049 * count / len(candidates)  # no rate that a person would choose
        probes[owner_id][path], by_probe[probe] = probe, (owner_id, path)
    probed = clone_model(model, lambda layer: same_layer(layer, probes.get(id(layer), {})))
    arrived = {site.path: by_probe.get(site.rate) for site in dropout_sites(probed)}
    to_change = {site.path for site in changed if site.owner in owners}
    found: dict[tuple[int, ConfigPath] | None, list[DropoutSite]] = defaultdict(list)
    for site in dropout_sites(model):
        if arrived.get(site.path) or site.path in to_change:
            found[arrived.get(site.path)].append(site)
    return found


def _numbers(config: Any, path: ConfigPath = ()) -> Iterator[tuple[ConfigPath, float]]:
    """The numbers in a configuration that may be rates, each with its path."""
    if isinstance(config, dict | list | tuple):
        for key, value in config.items() if isinstance(config, dict) else enumerate(config):
            yield from _numbers(value, (*path, key))
    elif isinstance(config, float):
        yield path, config
    elif config == 0 and type(config) is int and ("drop" in str(path) or "rate" in str(path)):
        yield path, config  # few whole numbers are rates


def _with_numbers(config: Any, numbers: Mapping[ConfigPath, float], path: ConfigPath = ()) -> Any:
    """A copy of a configuration in which the numbers at some paths are others."""
    if path in numbers:
        return numbers[path]
    if isinstance(config, dict):
        return {key: _with_numbers(value, numbers, (*path, key)) for key, value in config.items()}
    if type(config) in (list, tuple):
        values = enumerate(config)
        return type(config)(_with_numbers(value, numbers, (*path, key)) for key, value in values)
    return config


def _config(layer: keras.Layer) -> dict[str, Any]:
    try:
        return layer.get_config()
    except Exception as error:  # the code of a custom layer may raise anything
        raise _not_cloneable(layer, "get_config()", error) from error


def _not_cloneable(thing: Any, call: str, error: Exception) -> TypeError:
    return TypeError(
        f"expected a model that Keras can clone, received one with {type(thing).__name__} "
        f"{thing.name!r}, whose {call} fails: {textwrap.shorten(str(error), 300)}"
    )
