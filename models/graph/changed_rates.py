"""Copies of Keras models with different dropout rates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from typing import Any

import keras

from dropout_zoo.models.caller_warnings import warn_caller
from dropout_zoo.models.graph.cloning import (
    ConfigPath,
    clone_model,
    cloned_layer,
    copy_weights,
    is_built_again,
    layer_config,
)
from dropout_zoo.models.graph.compilation import compile_like
from dropout_zoo.models.graph.runtime_rates import (
    may_depend_on_rate,
    plain_layer,
    set_rates_in_place,
)
from dropout_zoo.models.graph.sites import DropoutSite, dropout_sites
from dropout_zoo.models.guidance import check_rate
from dropout_zoo.models.layers.lifting import LIFTED, rate_in_variables


def with_rates(
    model: keras.Model, rates: Mapping[str, float] | Mapping[DropoutSite, float] | float
) -> keras.Model:
    """Return a copy of a model with different dropout rates.

    Args:
        model: any model that Keras can clone, or that was built by a function given in its place;
            compiled or not.
        rates: new rate (fraction dropped, in [0, 1)) by site, or by the path of a site, as
            `dropout_sites` returns them; sites that are left out keep their rates. Or one rate for
            all sites whose rates can be set (`DropoutSite.is_settable`).

    Returns:
        A new model of plain Keras layers with the same weights, compiled in the same way, with a
        new optimizer state. A rate that the code of a custom layer or model fixes, such as that of
        ``self.dropout = Dropout(0.5)``, is changed in the new model alone: once it has been saved
        and loaded again, the rate is that of the code.

    Raises:
        ValueError: a path is not that of a site, a rate is out of range, a rate cannot be set
            without changing another one, the layer learns its rate, or it is a custom noise layer
            that does not read its rate in each call.
        TypeError: the model or one of its layers cannot be cloned.

    Warns:
        UserWarning: one rate was given for all sites, and that of some sites cannot be set.

    Example:
        >>> from dropout_zoo.models import build_mlp, dropout_sites, with_rates
        >>> model = with_rates(build_mlp(), {"hidden_1_dropout": 0.25})
        >>> {site.path: site.rate for site in dropout_sites(model)}
        {'hidden_1_dropout': 0.25, 'hidden_2_dropout': 0.3}
        >>> [site.rate for site in dropout_sites(with_rates(model, 0.0))]
        [0.0, 0.0]
    """
    sites = {site.path: site for site in dropout_sites(model)}
    wanted = {path: site.rate for path, site in sites.items()} | _rates_by_path(rates, sites)
    if any(
        rate_in_variables(each.layer, each.argument) is not None and each.layer is not each.owner
        for each in sites.values()
    ):
        # A rate assigned to an inner layer is not in the outer layer's configuration.
        given = {path: site.rate for path, site in sites.items()}
        known = {path: rate for path, rate in wanted.items() if not isnan(rate)}
        return with_rates(_plain_clone(model, {}, given), known)
    changed = [
        site
        for path, site in sites.items()
        if wanted[path] != site.rate and not (isnan(wanted[path]) and isnan(site.rate))
    ]
    for site in changed:
        _check_settable(site)
    return _plain_clone(model, _settings(model, changed, wanted), wanted)


def _check_settable(site: DropoutSite) -> None:
    if site.is_settable:
        return
    remedy = (
        "read its rate from an attribute such as self.rate in each call, or use "
        "keras.layers.Dropout, or a layer that calls one, in its place"
    )
    if site.learned:
        remedy = "set its initial_rate instead"
    raise ValueError(
        f"expected sites whose rates can be set, received {_why_not_settable(site)}; {remedy}. One "
        "rate for all, as in with_rates(model, 0.0), leaves such sites as they are, and "
        "site.is_settable tells them apart"
    )


def _why_not_settable(site: DropoutSite) -> str:
    if site.learned:
        return f"{site.path!r}, whose layer learns its rate ({site.rate:.3g} so far)"
    return f"{site.path!r}, whose layer ({type(site.layer).__name__}) draws its noise itself"


def rates_fixed_in_code(model: keras.Model) -> list[str]:
    """Return the sites whose rates a saved model would not have.

    Args:
        model: any model that Keras can clone.

    Returns:
        Paths of the sites whose rate differs in a model that is created from the configuration.
    """
    copied = {site.path: site.rate for site in dropout_sites(clone_model(model, cloned_layer))}
    return [
        site.path
        for site in dropout_sites(model)
        if site.is_settable and copied[site.path] != site.rate
    ]


def _plain_clone(
    model: keras.Model,
    settings: Mapping[int, Mapping[ConfigPath, float]],
    rates: Mapping[str, float],
) -> keras.Model:
    """A compiled copy of plain layers.

    Args:
        model: the model.
        settings: as `_settings` returns them.
        rates: the rate of every site by path; what no configuration has is set in place.

    Returns:
        The copy.
    """
    clone = clone_model(
        model, lambda layer: plain_layer(cloned_layer(layer, settings.get(id(layer), {})))
    )
    set_rates_in_place(clone, rates)
    copy_weights(model, clone)
    compile_like(model, clone)
    return clone


def _rates_by_path(
    rates: Mapping[str, float] | Mapping[DropoutSite, float] | float,
    sites: Mapping[str, DropoutSite],
) -> dict[str, float]:
    """The rates of `with_rates` by path, checked."""
    if not isinstance(rates, Mapping):
        rate = check_rate(rates, "rates")
        if not any(site.is_settable for site in sites.values()):
            for site in sites.values():
                _check_settable(site)
        kept = [
            _why_not_settable(site)
            for site in sites.values()
            if not site.is_settable and site.rate != rate
        ]
        if kept:
            warn_caller(
                f"not every rate can be set to {rate:g}: the model keeps that of "
                f"{'; and that of '.join(kept)}",
            )
        return {path: rate for path, site in sites.items() if site.is_settable}
    by_path = {
        site.path if isinstance(site, DropoutSite) else site: rate for site, rate in rates.items()
    }
    unknown = [path for path in by_path if path not in sites]
    if unknown:
        raise ValueError(
            f"expected paths of dropout sites, received {', '.join(map(repr, unknown))}; the "
            f"sites of this model are {', '.join(sites) or 'none'}"
        )
    return {path: check_rate(rate, path) for path, rate in by_path.items()}


def _settings(
    model: keras.Model, changed: Sequence[DropoutSite], wanted: Mapping[str, float]
) -> dict[int, dict[ConfigPath, float]]:
    """The numbers to change in the configurations of layers so that sites get different rates.

    Args:
        model: the model.
        changed: the sites whose rates change.
        wanted: the rate of every site of the model by path, changed or not.

    Returns:
        For each layer, by its id, numbers by their path in its configuration. Rates that the code
        of a layer fixes are in none.

    Raises:
        ValueError: a rate cannot be set without changing another one.
    """
    settings: dict[int, dict[ConfigPath, float]] = defaultdict(dict)
    again = is_built_again(model)
    composites = []
    for site in changed:
        own = site.own_noise or (again and type(site.layer) not in LIFTED)
        if site.owner is site.layer and not own:
            settings[id(site.owner)][(site.argument,)] = wanted[site.path]
        elif site.owner not in composites:
            composites.append(site.owner)
    for holder, sites in _sites_by_argument(model, composites, changed).items():
        names = ", ".join(repr(site.path) for site in sites)
        owner = f"{type(sites[0].owner).__name__} {sites[0].owner.name!r}"
        if holder is None:
            if any(_is_in_config_alone(model, site) for site in sites):
                raise ValueError(
                    f"expected sites whose rates can be set, received {names}, but no argument "
                    f"of {owner} sets just that rate; add one that get_config() returns"
                )
            continue
        owner_id, path = holder
        rates = [wanted[site.path] for site in sites]
        if len(set(rates)) > 1:
            raise ValueError(
                f"expected the same rate for {names} (which {path[-1]!r} of {owner} sets "
                f"together), received {', '.join(f'{rate:g}' for rate in rates)}"
            )
        settings[owner_id][path] = rates[0]
    return settings


def _is_in_config_alone(model: keras.Model, site: DropoutSite) -> bool:
    """Whether a rate that is set in a layer itself might not be all that has to change."""
    if site.own_noise:  # it has been seen to drop at the rate that is set
        return False
    return type(site.layer) not in LIFTED or may_depend_on_rate(model, site)


def _sites_by_argument(
    model: keras.Model, owners: Sequence[keras.Layer], changed: Sequence[DropoutSite]
) -> dict[tuple[int, ConfigPath] | None, list[DropoutSite]]:
    """Find which numbers in the configurations of composite layers set the rates of which sites.

    This is found by trial: in a clone, each number that may be a rate is replaced by a distinct
    number, which then shows up as the rate of the sites that it sets. Sites to be changed at which
    no such number shows up are returned under None.
    """
    if is_built_again(model):  # by a function that knows nothing of other rates
        return {None: [site for site in changed if site.owner in owners]} if owners else {}
    if not owners:
        return {}
    candidates = [
        (id(owner), path)
        for owner in owners
        for path, number in _numbers(layer_config(owner))
        if any(site.owner is owner and site.rate == number for site in changed)
    ]
    probes: dict[int, dict[ConfigPath, float]] = defaultdict(dict)
    by_probe = {}
    for count, (owner_id, path) in enumerate(candidates, start=1):
        probe = 0.7310585786300049 * count / len(candidates)  # not a rate that anyone would set
        probes[owner_id][path], by_probe[probe] = probe, (owner_id, path)
    probed = clone_model(model, lambda layer: cloned_layer(layer, probes.get(id(layer), {})))
    arrived = {site.path: by_probe.get(site.rate) for site in dropout_sites(probed)}
    to_change = {site.path for site in changed if site.owner in owners}
    found: dict[tuple[int, ConfigPath] | None, list[DropoutSite]] = defaultdict(list)
    for site in dropout_sites(model):
        if arrived.get(site.path) or site.path in to_change:
            found[arrived.get(site.path)].append(site)
    return found


def _numbers(config: Any, path: ConfigPath = ()) -> Iterator[tuple[ConfigPath, float]]:
    """The numbers in a configuration that may be rates, with their paths."""
    if isinstance(config, dict | list | tuple):
        for key, value in config.items() if isinstance(config, dict) else enumerate(config):
            yield from _numbers(value, (*path, key))
    elif isinstance(config, float):
        yield path, config
    elif config == 0 and type(config) is int and ("drop" in str(path) or "rate" in str(path)):
        yield path, config  # a whole number is seldom a rate
