"""Models whose dropout rates are variables, so that one traced program serves every rate."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Mapping

import keras

from dropout_zoo.models.graph.cloning import clone_model, cloned_layer, copy_weights
from dropout_zoo.models.graph.compilation import compile_like
from dropout_zoo.models.graph.model_graph import flat_layers, is_own_code
from dropout_zoo.models.graph.own_noise import own_classes
from dropout_zoo.models.graph.sites import ATTENTION, DropoutSite, dropout_sites, settable_sites
from dropout_zoo.models.graph.user_code import names_in_code
from dropout_zoo.models.keras_internals import (
    apply_dropout_at_any_rate,
    dropout_of_attention,
    names_of_attention_rate,
    nested_layers,
    set_attention_rate,
    set_dropout_rate,
)
from dropout_zoo.models.layers.lifting import LIFTED, lift, rate_in_variables
from dropout_zoo.models.layers.runtime_rate import LIFTED_LAYERS, RateInVariables

_PLAIN = {lifted: plain for plain, lifted in LIFTED_LAYERS.items()}


def with_runtime_rates(model: keras.Model) -> keras.Model:
    """Return a copy of a model whose dropout rates are variables and can change during training.

    Keras reads the `rate` of a plain dropout layer only once, when it traces the model; later
    changes have no effect. `with_rates` returns to plain layers.

    Layers inside other layers are included, such as those of `MultiHeadAttention` and of custom
    layers, and so are the rates of recurrent layers. At a rate of 0, Keras uses a different
    attention function than at other rates; the copy always uses the one with dropout, so that its
    results at 0 differ by rounding.

    Args:
        model: any model that Keras can clone, compiled or not.

    Returns:
        A new model with the same weights, compiled in the same way, with a new optimizer state.

    Raises:
        ValueError: a rate cannot become a variable; the message names it.
        TypeError: the model or one of its layers cannot be cloned.

    Example:
        >>> from dropout_zoo.models import build_mlp, with_runtime_rates
        >>> model = with_runtime_rates(build_mlp())
        >>> layer = model.get_layer("hidden_1_dropout")
        >>> layer.set_rate(0.2)
        >>> layer.rate
        0.2
    """
    reason = why_rates_are_fixed(model)
    if reason is not None:
        raise ValueError(
            f"expected a model whose rates can become variables, received one where they cannot: "
            f"{reason}"
        )
    clone = clone_model(model, lambda layer: cloned_layer(plain_layer(layer)))
    set_rates_in_place(clone, {site.path: site.rate for site in dropout_sites(model)})
    copy_weights(model, clone)
    compile_like(model, clone)
    for layer in flat_layers(clone):
        if type(layer) in LIFTED:
            lift(layer)
        elif isinstance(layer, ATTENTION) and dropout_of_attention(layer) is not None:
            apply_dropout_at_any_rate(layer)
    return clone


def set_rates_in_place(model: keras.Model, rates: Mapping[str, float]) -> None:
    """Set the rates that differ from those wanted, without changing any configuration.

    Args:
        model: a clone of plain layers that has not been called in training.
        rates: wanted rate (fraction dropped) by site path.
    """
    changed = [site for site in settable_sites(model) if site.rate != rates[site.path]]
    for site in changed:
        if site.own_noise:
            setattr(site.layer, site.argument, rates[site.path])
            continue
        set_dropout_rate(site.layer, site.argument, rates[site.path])
        for layer in flat_layers(model):
            if isinstance(layer, ATTENTION) and dropout_of_attention(layer) is site.layer:
                set_attention_rate(layer, rates[site.path])


def plain_layer(layer: keras.Layer) -> keras.Layer:
    """Return the plain equivalent of a runtime-rate layer.

    Args:
        layer: any layer.

    Returns:
        A new layer with the same name and settings; layers of any other class are returned as is.
    """
    if type(layer) not in _PLAIN:
        return layer
    plain = _PLAIN[type(layer)].from_config(layer.get_config())
    plain.dtype_policy = layer.dtype_policy
    return plain


def why_rates_are_fixed(model: keras.Model) -> str | None:
    """Say why the dropout rates of a model cannot all become variables.

    Rates that custom layers read themselves stay numbers; see `why_rates_are_constants`.

    Args:
        model: a Keras model.

    Returns:
        The reason, worded as the end of a sentence; None if they can.
    """
    for site in settable_sites(model):
        if site.own_noise or rate_in_variables(site.layer, site.argument) is not None:
            continue
        if type(site.layer) not in LIFTED:
            if site.argument != "rate":
                return f"the layer {site.owner.name!r} fixes its {site.argument} in its code"
            return f"{site.path!r} is a {type(site.layer).__name__}, a custom dropout layer"
        if site.layer is not site.owner and may_depend_on_rate(model, site):
            return f"the layer {site.owner.name!r} may fix the rate of {site.path!r} in its code"
    return None


def why_rates_are_constants(sites: Iterable[DropoutSite], rates: Mapping[str, float]) -> str | None:
    """Say why a model that has been traced cannot be trained at some rates.

    Args:
        sites: its sites whose rates can be set.
        rates: rate (fraction dropped) by site path.

    Returns:
        The reason, worded as the end of a sentence; None if it can be.
    """
    for site in sites:
        if site.own_noise and rates[site.path] != site.rate:
            return (
                f"{site.path!r} ({type(site.layer).__name__}) reads its rate in its own code, "
                "which is traced anew for each rate"
            )
    return None


def may_depend_on_rate(model: keras.Model, site: DropoutSite) -> bool:
    """Return whether the code around a site may read its rate, as Keras's attention does.

    Args:
        model: a Keras model.
        site: a site of it inside another layer.

    Returns:
        Whether another rate in the layer might not be all that changes.
    """
    around = [
        layer
        for layer in [model, *flat_layers(model)]
        if is_own_code(layer) and any(inner is site.layer for inner in nested_layers(layer))
    ]
    in_attention = any(
        isinstance(layer, ATTENTION) and dropout_of_attention(layer) is site.layer
        for layer in flat_layers(model)
    )
    # Where a rate of 0 means that a layer is left out, no other rate would reach it. That of
    # attention is there at any rate.
    left_out = site.rate == 0 and bool(around) and not in_attention
    return left_out or any(_reads_rate(each, site) for each in around)


def _reads_rate(layer: keras.Layer, site: DropoutSite) -> bool:
    """Whether the methods of a custom layer name its rate, or a number computed from it."""
    numbers = {site.rate, 1 - site.rate, 1 / (1 - site.rate)}
    kinds = (int, float) if site.rate else (float,)  # 0 and 1 are mostly other numbers
    suspects = {"rate"} | {
        name for name, value in vars(layer).items() if type(value) in kinds and value in numbers
    }
    if isinstance(layer, ATTENTION):
        suspects |= names_of_attention_rate(layer)
    names: dict[str, set[str]] = defaultdict(set)  # by function, those in it
    for each in own_classes(layer):
        for name, value in vars(each).items():
            if inspect.isfunction(value):
                names[name] |= names_in_code(value.__code__)
    # What a layer is built with may use functions of its own, such as one that makes a block.
    built_with = _reached(names, set(_NOT_IN_CALLS) & set(names))
    called = _reached(names, set(names) - built_with | {"call"} & set(names))
    return any(suspects & names[name] for name in called - set(_NOT_IN_CALLS))


def _reached(names: Mapping[str, set[str]], functions: set[str]) -> set[str]:
    """The functions of a class that some of them name, these included."""
    found: set[str] = set()
    while functions:
        found |= functions
        functions = {inner for name in functions for inner in names[name] & set(names)} - found
    return found


_NOT_IN_CALLS = ("__init__", "get_config", "from_config", "build", "compute_output_shape")


def runtime_rates(model: keras.Model) -> dict[str, RateInVariables]:
    """The rates of a model that are variables.

    Args:
        model: a Keras model.

    Returns:
        What holds each rate, by site path: the dropout layer, or a rate of a recurrent cell.
    """
    found = {
        site.path: rate_in_variables(site.layer, site.argument) for site in dropout_sites(model)
    }
    return {path: rate for path, rate in found.items() if rate is not None}


def set_rate_factor(rates: Mapping[str, RateInVariables], factor: float) -> None:
    """Multiply rates by a factor from now on, as a schedule does.

    Args:
        rates: what `runtime_rates` returned.
        factor: the factor, from 0 to 1.
    """
    for rate in rates.values():
        rate.set_factor(factor)
