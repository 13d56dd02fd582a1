"""Which dropout sites a study varies together, and what rates its settings come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from dropout_zoo.models.factory import (
    PLACEMENT_ARGUMENTS,
    builder_arguments,
    resolve_model,
    resolve_variant,
)
from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.models.guidance import check_rate
from dropout_zoo.studies.metric_names import rate_text
from dropout_zoo.studies.plan import NO_DROPOUT, Model
from dropout_zoo.training.data.dataset import Dataset

Wanted = float | Mapping[str, float] | None
"""What a study takes as rates: one for its sites, rates by path, or None for those of the model."""

AS_GIVEN = "as given"
"""Name of the rates that the model came with."""


def model_with_sites(model: Model, dataset: Dataset, groups: Iterable[str]) -> keras.Model:
    """Find or build a model that has the sites a study varies.

    Args:
        model: what `resolve_model` takes.
        dataset: the data, for the shape of the inputs and the number of classes.
        groups: placements or paths of sites; a registered model gains the placements it lacks.

    Returns:
        A compiled model.

    Raises:
        ValueError: there is no such model, or it is not compiled.
    """
    if isinstance(model, str) and ":" not in model:
        return resolve_model(
            model,
            input_shape=dataset.input_shape,
            num_classes=dataset.num_classes,
            placements=[group for group in groups if group in PLACEMENT_ARGUMENTS],
        )
    return resolve_variant(
        model, {}, input_shape=dataset.input_shape, num_classes=dataset.num_classes
    )


def sites_of(model: keras.Model, group: str) -> list[str]:
    """Find the sites that a word stands for.

    Args:
        model: the model.
        group: ``"all"``, a placement such as ``"hidden"``, or the path of a site.

    Returns:
        Their paths.

    Raises:
        ValueError: there is none.
    """
    sites = settable_sites(model)
    found = [site.path for site in sites if group in ("all", site.placement, site.path)]
    if not found:
        there = ", ".join(f"{site.path} ({site.placement})" for site in sites) or "none"
        raise ValueError(
            f"expected sites to be 'all', a placement or a path, received {group!r}; the dropout "
            f"sites of {model.name!r}: {there}"
        )
    return found


def rates_at(
    model: keras.Model, paths: Sequence[str], rate: float, others: str = "given"
) -> dict[str, float]:
    """Rates of every site: one at some of them, and what the model came with at the others.

    Args:
        model: the model.
        paths: the sites that get the rate.
        rate: fraction dropped, in [0, 1).
        others: ``"given"``, or ``"none"`` for a rate of 0 at the other sites.

    Returns:
        Rate by path.
    """
    return {
        site.path: rate if site.path in paths else site.rate if others == "given" else 0.0
        for site in settable_sites(model)
    }


def named_rates(
    model: keras.Model, rates: Sequence[Wanted], sites: str
) -> dict[str, dict[str, float]]:
    """Name the settings of the rates that a study was given, and no dropout before them.

    Args:
        model: the model.
        rates: a rate for all of `sites`, rates by site path, or None for those of the model.
        sites: ``"all"``, a placement, or a path.

    Returns:
        Rate by path, by name of the setting.

    Raises:
        ValueError: a rate is out of range, or there is no such site.
    """
    given = {site.path: site.rate for site in settable_sites(model)}
    named = {NO_DROPOUT: dict.fromkeys(given, 0.0)}
    for each in rates:
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


def check_rates(rates: Sequence[float], name: str = "rates") -> list[float]:
    """Check the rates that a study goes through; 0, the control, is always among them.

    Args:
        rates: fractions dropped, in [0, 1).
        name: the argument's name, for the message.

    Returns:
        The rates, each once, from small to large.

    Raises:
        ValueError: a rate is out of range.
    """
    checked = {check_rate(rate, f"{name}[{index}]") for index, rate in enumerate(rates)}
    return sorted(checked | {0.0})


def build_with(model: Model, dataset: Dataset, arguments: Mapping[str, Any]) -> keras.Model:
    """Build a variant of a model, with dropout layers at rate 0 wherever its builder sets rates.

    Rates are set for each training. Given to the builder they might not fit the new widths.

    Args:
        model: a registered name or a builder function.
        dataset: the data, for the shape of the inputs and the number of classes.
        arguments: arguments of the builder that differ from its defaults.

    Returns:
        A compiled model.

    Raises:
        ValueError: the builder lacks an argument, or there is no builder.
    """
    known = builder_arguments(model)
    rates = {"hidden_rates": 0.0} if "hidden_rates" in known and arguments else {}
    return resolve_variant(
        model,
        rates | dict(arguments),
        input_shape=dataset.input_shape,
        num_classes=dataset.num_classes,
    )


def reads_tokens(model: keras.Model) -> bool:
    """Whether the inputs of a model are numbers of tokens, of which none is larger or smaller."""
    return any(isinstance(layer, keras.layers.Embedding) for layer in flat_layers(model))


def units_of(model: Model, units: Sequence[int] | None) -> tuple[int, ...]:
    """The widths that a study starts from: those given, or the builder's own.

    Args:
        model: a registered name or a builder function with an argument ``units``.
        units: widths of the hidden layers; None for the builder's default.

    Returns:
        The widths.

    Raises:
        ValueError: the model has no builder with such an argument, or one without a default.
    """
    if units is None:
        units = builder_arguments(model).get("units")
    if not isinstance(units, Sequence) or isinstance(units, str):
        raise ValueError(
            "expected a model whose builder, a registered one or a function, has an argument "
            f"units=(128, 64), or the like, which changes the widths; received {model!r}"
        )
    return tuple(units)
