"""The dropout sites that a study varies together, and the rates of its settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from dropout_zoo.models.factory import (
    PLACEMENT_ARGUMENTS,
    ModelLike,
    builder_arguments,
    resolve_model,
    resolve_variant,
)
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.models.guidance import check_rate, listed_rates
from dropout_zoo.studies.control_names import name_of_control
from dropout_zoo.studies.metric_names import rate_text
from dropout_zoo.studies.plan import Setting, TrainingSetup
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.tables.encoder import without_encoder
from dropout_zoo.training.preparation import built

RateSpec = float | Mapping[str, float] | None
"""A rate for all sites of a study, rates by site path, or None for the model's own rates."""

AS_GIVEN = "as given"
"""Name of the setting with the model's own rates."""


def model_with_sites(model: ModelLike, dataset: Dataset, groups: Iterable[str]) -> keras.Model:
    """Find or build a model with the sites that a study varies.

    Args:
        model: what `resolve_model` takes.
        dataset: the data, for the shape of the inputs and the number of classes.
        groups: placements or paths of sites; a registered model is built with these placements.

    Returns:
        A compiled model.

    Raises:
        ValueError: there is no such model, or it is not compiled.
    """
    if isinstance(model, str) and ":" not in model:
        found = resolve_model(
            model,
            **dataset.builder_arguments,
            placements=[group for group in groups if group in PLACEMENT_ARGUMENTS],
        )
        return built(found, dataset)
    return build_with(model, dataset, {})


def sites_of(
    model: keras.Model, group: str, allowed: str = "'all', a placement or a path"
) -> list[str]:
    """Return the sites of a group.

    Args:
        model: the model.
        group: ``"all"``, a placement such as ``"hidden"``, or the path of a site.
        allowed: what the argument may be, in the message.

    Returns:
        Their paths.

    Raises:
        ValueError: the model has no such site.
    """
    sites = settable_sites(model)
    found = [site.path for site in sites if group in ("all", site.placement, site.path)]
    if not found:
        there = ", ".join(f"{site.path} ({site.placement})" for site in sites) or "none"
        raise ValueError(
            f"expected sites to be {allowed}, received {group!r}; the dropout sites of "
            f"{model.name!r}: {there}"
        )
    return found


def rates_at(
    model: keras.Model, paths: Sequence[str], rate: float, others: str = "given"
) -> dict[str, float]:
    """Return the rate of every site, where some sites get one rate.

    Args:
        model: the model.
        paths: the sites that get the rate.
        rate: fraction dropped, in [0, 1).
        others: ``"given"`` keeps the model's own rates at the other sites; ``"none"`` sets them
            to 0.

    Returns:
        Rate by path.
    """
    return {
        site.path: rate if site.path in paths else site.rate if others == "given" else 0.0
        for site in settable_sites(model)
    }


def named_rates(
    model: keras.Model, rates: RateSpec | Sequence[RateSpec], sites: str
) -> dict[str, dict[str, float]]:
    """Name the rates that a study compares, with no dropout before them.

    Args:
        model: the model.
        rates: one or several of: a rate for all of `sites`, rates by site path, or None for the
            model's own rates.
        sites: ``"all"``, a placement, or a path.

    Returns:
        Rate by path, by name of the setting.

    Raises:
        ValueError: a rate is out of range, or there is no such site.
    """
    given = {site.path: site.rate for site in settable_sites(model)}
    nothing = dict.fromkeys(given, 0.0)
    named = {name_of_control(model, nothing): nothing}
    for each in rate_specs(rates):
        if each is None:
            name, wanted = AS_GIVEN, given
        elif isinstance(each, Mapping):
            for path in each:
                sites_of(model, path)
            name = ", ".join(f"{path} {rate_text(rate)}" for path, rate in each.items())
            wanted = given | {path: check_rate(rate, path) for path, rate in each.items()}
        else:
            rate = check_rate(each, "rates")
            name = f"rate {rate_text(rate)}"
            wanted = rates_at(model, sites_of(model, sites), rate)
        if wanted not in named.values():
            named[name] = wanted
    return named


def with_and_without_dropout(
    setup: TrainingSetup,
    rates: RateSpec | Sequence[RateSpec],
    sites: str,
    *,
    level: str = "",
    factors: Mapping[str, Any] | None = None,
    factor: str = "dropout",
    seeds: Sequence[int] | None = None,
) -> list[Setting]:
    """Return settings that compare some rates with no dropout, on one model and its data.

    Args:
        setup: model and data.
        rates: what `named_rates` takes.
        sites: where a single rate applies.
        level: name of the level of another factor that the settings share, if there is one.
        factors: value of each other factor.
        factor: the factor whose values are the names of the rates.
        seeds: the seeds of these settings, if they differ from the study's.

    Returns:
        The settings, no dropout first, with which the others are compared.
    """
    prefix = f"{level}, " if level else ""
    named = named_rates(setup.model, rates, sites)
    control = next(iter(named))
    return [
        Setting(
            f"{prefix}{name}",
            {**(factors or {}), factor: name},
            each,
            setup,
            None if name == control else f"{prefix}{control}",
            seeds,
        )
        for name, each in named.items()
    ]


def over_rates(
    setup: TrainingSetup,
    rates: float | Sequence[float],
    sites: str,
    *,
    level: str,
    factors: Mapping[str, Any],
    factor: str = "rate",
    others: str = "given",
    seeds: Sequence[int] | None = None,
) -> list[Setting]:
    """Return one setting per rate, and one at a rate of 0, on one model and its data.

    Args:
        setup: model and data.
        rates: fractions dropped, in [0, 1).
        sites: ``"all"``, a placement, or a path.
        level: name of the level of another factor that the settings share.
        factors: value of each other factor.
        factor: ``"rate"``, whose values are the rates, or ``"dropout"``, whose values are their
            names.
        others: as in `rates_at`.
        seeds: the seeds of these settings, if they differ from the study's.

    Returns:
        The settings, a rate of 0 first, with which the others are compared.
    """
    paths = sites_of(setup.model, sites)
    control = name_of_control(setup.model, rates_at(setup.model, paths, 0.0, others))
    settings = []
    for rate in check_rates(rates):
        dropout = f"rate {rate_text(rate)}" if rate else control
        settings.append(
            Setting(
                f"{level}, {dropout}",
                {**factors, factor: rate if factor == "rate" else dropout},
                rates_at(setup.model, paths, rate, others),
                setup,
                f"{level}, {control}" if rate else None,
                seeds,
            )
        )
    return settings


def rate_specs(rates: RateSpec | Sequence[RateSpec]) -> list[RateSpec]:
    """Return what a study compares with no dropout as a list, where it may be one of them."""
    if rates is None or isinstance(rates, Mapping):
        return [rates]
    return list(rates) if isinstance(rates, Sequence) else [*listed_rates(rates)]


def check_rates(rates: float | Sequence[float], name: str = "rates") -> list[float]:
    """Check the rates of a study and add 0, the control.

    Args:
        rates: one or several fractions dropped, in [0, 1).
        name: the argument's name, for the message.

    Returns:
        The distinct rates in increasing order.

    Raises:
        ValueError: a rate is out of range.
    """
    listed = listed_rates(rates)
    checked = {check_rate(rate, f"{name}[{index}]") for index, rate in enumerate(listed)}
    return sorted(checked | {0.0})


def build_with(model: ModelLike, dataset: Dataset, arguments: Mapping[str, Any]) -> keras.Model:
    """Build a variant of a model, whose hidden dropout layers have a rate of 0.

    The rates are set for each run; the builder's own might not fit the new number of layers.

    Args:
        model: a registered name or a builder function; without `arguments` also a built model.
        dataset: the data, for the shape of the inputs and the number of classes.
        arguments: arguments of the builder that differ from its defaults.

    Returns:
        A compiled model with weights, without layers that encode the raw columns of these data.

    Raises:
        ValueError: the builder does not have an argument, or the model has no builder.
    """
    known = builder_arguments(model)
    hidden = [name for name in PLACEMENT_ARGUMENTS["hidden"] if name in known]
    rates = dict.fromkeys(hidden, 0.0) if arguments else {}
    resolved = resolve_variant(model, rates | dict(arguments), **dataset.builder_arguments)
    return built(without_encoder(resolved, dataset.encoder), dataset)


def units_of(model: ModelLike, units: Sequence[int] | None) -> tuple[int, ...]:
    """Return the widths of the hidden layers that a study starts from.

    Args:
        model: a registered name or a builder function with the argument ``units``.
        units: the widths; None for the builder's default.

    Returns:
        The widths.

    Raises:
        ValueError: the model has no builder with this argument, or the argument has no default.
    """
    if units is None:
        units = builder_arguments(model).get("units")
    if not isinstance(units, Sequence) or isinstance(units, str):
        raise ValueError(
            "expected a registered model or a builder function with an argument such as "
            f"units=(128, 64) (the widths of the hidden layers), received {model!r}"
        )
    return tuple(units)
