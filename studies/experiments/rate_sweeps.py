"""Validation curves over the dropout rate: one site, all of a placement, or a grid over two."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Unpack

import pandas as pd

from dropout_zoo.models.argument_validation import as_names, check_choice
from dropout_zoo.models.factory import ModelLike
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.studies.control_names import name_of_control
from dropout_zoo.studies.defaults import NUM_SEEDS, SITES, SWEPT_RATES
from dropout_zoo.studies.metric_names import rate_text
from dropout_zoo.studies.plan import (
    Setting,
    StudyPlan,
    TrainingSetup,
    as_seeds,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import train_and_conclude
from dropout_zoo.studies.site_groups import (
    build_with,
    check_rates,
    model_with_sites,
    rates_at,
    sites_of,
    units_of,
)
from dropout_zoo.studies.study import study
from dropout_zoo.studies.summary_text import (
    basis_sentences,
    best_sentence,
    not_ended_sentences,
    ranked,
    settings_that_may_be_best,
)
from dropout_zoo.studies.verdicts import verdict_by_setting
from dropout_zoo.training.data.adapters import Data, as_dataset
from dropout_zoo.training.settings import TrainOptions, TrainSettings

WIDTHS = ("fixed", "expected")
EACH = "each"
"""Value of `sites` that sweeps one site at a time."""


def plan_rate_sweep(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    sites: str = SITES,
    rates: float | Sequence[float] = SWEPT_RATES,
    width: str | Sequence[str] = "fixed",
    units: Sequence[int] | None = None,
    num_seeds: int = NUM_SEEDS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `rate_sweep`.

    Args:
        model: a compiled Keras model, a registered name, ``"package.module:function"``, or a
            function that returns a compiled model. To use other widths, pass a name or a function
            with the argument ``units``.
        dataset: the data; see `as_dataset`.
        sites: the sites that share the rate: ``"all"``, a placement such as ``"hidden"``, or the
            path of a site; ``"each"`` sweeps one site at a time. The other sites keep their rates.
        rates: rates (fractions dropped, in [0, 1)); 0 is added.
        width: ``"fixed"`` keeps the widths; ``"expected"`` trains ``units / (1 - rate)`` units,
            so that the expected number of units that are kept is the same at every rate
            (Srivastava et al. 2014, Fig. 9b), and needs `sites` to be ``"hidden"`` or ``"all"``.
            A sequence of both compares them.
        units: widths of the hidden layers at a rate of 0; None for the model's own.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The plan.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.

    Example:
        >>> from dropout_zoo.studies import plan_rate_sweep
        >>> plan_rate_sweep("mlp", "digits", rates=[0.2, 0.5], num_seeds=3).num_runs
        9
    """
    data = as_dataset(dataset)
    training = TrainSettings.from_options(data.training_options | settings, rate_sweep)
    widths = as_names(width)
    for each in widths:
        check_choice(each, WIDTHS, "width")
    swept = check_rates(rates)
    groups = [sites]
    base = TrainingSetup(model_with_sites(model, data, groups), data)
    start: tuple[int, ...] = ()
    if units is not None or "expected" in widths:
        if sites not in ("hidden", "all"):
            raise ValueError(
                "expected sites to be 'hidden' or 'all' when widths are given or vary (because "
                f"widths apply to all hidden layers), received {sites!r}"
            )
        start = units_of(model, units)
        base = TrainingSetup(build_with(model, data, {"units": start}), data)
    if sites == EACH:
        groups = [site.path for site in settable_sites(base.model)]
        sites_of(base.model, "all")
    curves = []
    control = name_of_control(base.model, base.rates(0.0))
    for group, each in itertools.product(groups, widths):
        series = group if len(widths) == 1 and each == "fixed" else f"{group}, {each} width"
        for rate in swept:
            setup = base
            if each == "expected" and rate:
                wider = tuple(round(count / (1 - rate)) for count in start)
                setup = TrainingSetup(build_with(model, data, {"units": wider}), data)
            curves.append(_setting(series, group, rate, setup, control))
    return StudyPlan(
        kind="rate_sweep",
        dataset=data,
        settings=_with_control(curves, base, len(groups) * len(widths), control),
        seeds=as_seeds(num_seeds),
        training=training,
        procedure=train_and_conclude(_conclude),
        arguments={"sites": sites, "rates": swept, "width": widths, "units": list(start) or None},
    )


@study(plan_rate_sweep)
def rate_sweep() -> None:
    """Train a model at every rate: the validation curve over the dropout rate.

    Returns:
        The result, with the factors ``series`` (what is swept), ``rate`` and ``parameters``. The
        control without any dropout is a separate series if there are several series, or if a rate
        of 0 leaves dropout at other sites.

    Example:
        >>> from dropout_zoo.studies import rate_sweep
        >>> study = rate_sweep("mlp", "digits", rates=[0.2, 0.5], epochs=1, num_seeds=1)
        >>> study.means()["setting"].tolist()
        ['no dropout', 'hidden 0.20', 'hidden 0.50']
    """


def plan_rate_grid(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    first: str = "input",
    second: str = "hidden",
    first_rates: float | Sequence[float] = (0.0, 0.1, 0.2, 0.3),
    second_rates: float | Sequence[float] = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8),
    num_seeds: int = NUM_SEEDS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `rate_grid`.

    Args:
        model: a compiled Keras model, a registered name, ``"package.module:function"``, or a
            function that returns a compiled model. A registered model is built with the placements
            that are swept.
        dataset: the data; see `as_dataset`.
        first: placement or path of the first group of sites.
        second: placement or path of the second group.
        first_rates: rates of the first group (fractions dropped, in [0, 1)); 0 is added.
        second_rates: rates of the second group.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The plan.

    Raises:
        ValueError: an argument is out of range, the groups share a site, or model and data do
            not fit.

    Example:
        >>> from dropout_zoo.studies import plan_rate_grid
        >>> plan = plan_rate_grid(
        ...     "mlp", "digits", first_rates=[0.2], second_rates=[0.5], num_seeds=3
        ... )
        >>> plan.num_runs
        12
    """
    data = as_dataset(dataset)
    training = TrainSettings.from_options(data.training_options | settings, rate_grid)
    setup = TrainingSetup(model_with_sites(model, data, [first, second]), data)
    paths = sites_of(setup.model, first), sites_of(setup.model, second)
    if set(paths[0]) & set(paths[1]):
        raise ValueError(
            f"expected first and second to be different sites, received {first!r} and {second!r}, "
            f"which share {', '.join(sorted(set(paths[0]) & set(paths[1])))}"
        )
    grid = check_rates(first_rates, "first_rates"), check_rates(second_rates, "second_rates")
    cells = []
    control = name_of_control(setup.model, setup.rates(0.0))
    for one, other in itertools.product(*grid):
        rates = rates_at(setup.model, paths[0], one, others="none")
        rates |= dict.fromkeys(paths[1], other)
        factors = {"first_rate": one, "second_rate": other}
        name = f"{first} {rate_text(one)}, {second} {rate_text(other)}"
        cells.append(
            Setting(name, factors, rates, setup, control)
            if one or other
            else Setting(control, factors, rates, setup)
        )
    return StudyPlan(
        kind="rate_grid",
        dataset=data,
        settings=cells,
        seeds=as_seeds(num_seeds),
        training=training,
        procedure=train_and_conclude(_conclude_grid),
        arguments={"first": first, "second": second},
    )


@study(plan_rate_grid)
def rate_grid() -> None:
    """Train a model on a grid of rates at two groups of sites, such as input and hidden.

    Returns:
        The result, with the factors ``first_rate`` and ``second_rate``.

    Example:
        >>> from dropout_zoo.studies import rate_grid
        >>> study = rate_grid(
        ...     "mlp", "digits", first_rates=[0.2], second_rates=[0.5], epochs=1, num_seeds=1
        ... )
        >>> study.means()["setting"].tolist()[2:]
        ['input 0.20, hidden 0.00', 'input 0.20, hidden 0.50']
    """


def _setting(series: str, group: str, rate: float, setup: TrainingSetup, control: str) -> Setting:
    paths = sites_of(setup.model, group, f"'all', {EACH!r}, a placement or a path")
    rates = rates_at(setup.model, paths, rate)
    name = f"{series} {rate_text(rate)}"
    return Setting(name, _factors(series, rate, setup), rates, setup, control)


def _factors(series: str, rate: float, setup: TrainingSetup) -> dict[str, Any]:
    return {"series": series, "rate": rate, "parameters": setup.model.count_params()}


def _with_control(
    curves: list[Setting], base: TrainingSetup, series: int, control: str
) -> list[Setting]:
    """Put the setting without any dropout first, under its own name."""
    nothing = base.rates(0.0)
    first, *others = curves
    if series == 1 and first.rates == nothing:
        return [Setting(control, first.factors, first.rates, first.setup), *others]
    return [Setting(control, _factors(control, 0.0, base), nothing, base), *curves]


def _conclude(result: TrainingStudyResult) -> list[str]:
    means = result.means()
    sentences = [*not_ended_sentences(result), best_sentence(result)]
    for series, group in means.groupby("series", sort=False):
        if len(group) > 1:
            sentences += _curve_sentences(str(series), group, result)
    sentences += _verdict_sentences(result)
    return [*sentences, *basis_sentences(result)]


def _curve_sentences(series: str, means: pd.DataFrame, result: TrainingStudyResult) -> list[str]:
    order = ranked(means, result.objective)
    if order.empty:
        return []
    best = float(order.iloc[0]["rate"])
    names = settings_that_may_be_best(result, means["setting"])
    alike = sorted(means[means["setting"].isin(names)]["rate"])
    extreme = "lowest" if result.objective.direction == "min" else "highest"
    sentences = [
        f"{series}: the mean {result.objective.name} is {extreme} at rate {rate_text(best)}; "
        f"rates that may be the best: {', '.join(map(rate_text, alike))}."
    ]
    if max(means["rate"]) in alike:
        sentences.append(
            f"{series}: {rate_text(max(alike))}, the largest rate that was tried, may be the best; "
            "a larger one may do better."
        )
    return sentences


def _verdict_sentences(result: TrainingStudyResult) -> list[str]:
    by_label: dict[str, list[str]] = {}
    for name, found in verdict_by_setting(result).items():
        by_label.setdefault(found.label, []).append(name)
    return [f"{label.capitalize()}: {', '.join(names)}." for label, names in by_label.items()]


def _conclude_grid(result: TrainingStudyResult) -> list[str]:
    alike = settings_that_may_be_best(result, result.means()["setting"])
    return [
        *not_ended_sentences(result),
        best_sentence(result),
        f"May be the best: {'; '.join(alike)}.",
        *basis_sentences(result),
    ]
