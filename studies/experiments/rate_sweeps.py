"""Validation curves over the dropout rate: one site, all of a placement, or a grid over two."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import pandas as pd

from dropout_zoo.models.argument_validation import check_choice
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.studies.metric_names import rate_text
from dropout_zoo.studies.plan import (
    NO_DROPOUT,
    Bench,
    Execution,
    Model,
    Setting,
    StudyPlan,
    as_dataset,
    as_seeds,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import run_plan
from dropout_zoo.studies.site_groups import (
    build_with,
    check_rates,
    model_with_sites,
    rates_at,
    sites_of,
    units_of,
)
from dropout_zoo.studies.summary_text import (
    best_sentence,
    failure_sentences,
    method_sentence,
    ranked,
    within_one_standard_error,
)
from dropout_zoo.studies.verdicts import verdict_by_setting
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.settings import TrainOptions, TrainSettings

SWEPT_RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Rates of a validation curve: Srivastava et al. 2014, Fig. 9, go as far."""

WIDTHS = ("fixed", "expected")
EACH = "each"
"""Word for a sweep of one site at a time."""


def rate_sweep(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    sites: str = "hidden",
    rates: Sequence[float] = SWEPT_RATES,
    width: str | Sequence[str] = "fixed",
    units: Sequence[int] | None = None,
    seeds: int | Sequence[int] = 5,
    execution: Execution | None = None,
    **settings: Unpack[TrainOptions],
) -> TrainingStudyResult:
    """Train a model at every rate: the validation curve over the dropout rate.

    Args:
        model: a compiled Keras model, a registered name, ``"package.module:function"``, or a
            function that returns a compiled model; for other widths than its own a name or a
            function with the argument ``units``.
        dataset: a `Dataset`, or what `load_dataset` takes.
        sites: ``"all"``, a placement such as ``"hidden"``, or a path: the sites that share the
            rate; ``"each"`` goes through the sites one at a time. Other sites keep their rates.
        rates: rates (fractions dropped, in [0, 1)); 0 is always among them.
        width: ``"fixed"`` keeps the widths; ``"expected"`` trains ``units / (1 - rate)`` units,
            so that as many are kept on average at every rate (Srivastava et al. 2014, Fig. 9b);
            both may be given. It widens all hidden layers: `sites` has to name all of them.
        units: widths of the hidden layers at a rate of 0; None for the model's own.
        seeds: number of seeds, or the seeds.
        execution: where the study runs and who hears of it.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The result, with the factors ``series`` (what is swept), ``rate`` and ``parameters``. The
        control without any dropout is a series of its own where a rate of 0 leaves some, or where
        there are several series.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.
        RuntimeError: every training failed.
    """
    training = TrainSettings.from_options(settings, rate_sweep)
    data = as_dataset(dataset)
    widths = [width] if isinstance(width, str) else list(width)
    for each in widths:
        check_choice(each, WIDTHS, "width")
    swept = check_rates(rates)
    groups = [sites]
    base = Bench(model_with_sites(model, data, groups), data)
    start: tuple[int, ...] = ()
    if units is not None or "expected" in widths:
        if sites not in ("hidden", "all"):
            raise ValueError(
                "expected sites to be 'hidden' or 'all' where widths are given or change, which "
                f"are those of all hidden layers; received {sites!r}"
            )
        start = units_of(model, units)
        base = Bench(build_with(model, data, {"units": start}), data)
    if sites == EACH:
        groups = [site.path for site in settable_sites(base.model)]
        sites_of(base.model, "all")
    planned = []
    for group, each in itertools.product(groups, widths):
        series = group if len(widths) == 1 and each == "fixed" else f"{group}, {each} width"
        for rate in swept:
            bench = base
            if each == "expected" and rate:
                wider = tuple(round(count / (1 - rate)) for count in start)
                bench = Bench(build_with(model, data, {"units": wider}), data)
            paths = sites_of(bench.model, group)
            planned.append(
                Setting(
                    f"{series} {rate_text(rate)}",
                    _factors(series, rate, bench),
                    rates_at(bench.model, paths, rate),
                    bench,
                )
            )
    planned = _with_control(planned, base, len(groups) * len(widths))
    plan = StudyPlan(
        kind="rate_sweep",
        settings=planned,
        controls={each.name: NO_DROPOUT for each in planned if each.name != NO_DROPOUT},
        seeds=as_seeds(seeds),
        training=training,
        arguments={"sites": sites, "rates": swept, "width": widths, "units": list(start) or None},
    )
    return run_plan(plan, data, execution or Execution(), _conclude)


def rate_grid(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    first: str = "input",
    second: str = "hidden",
    first_rates: Sequence[float] = (0.0, 0.1, 0.2, 0.3),
    second_rates: Sequence[float] = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8),
    seeds: int | Sequence[int] = 5,
    execution: Execution | None = None,
    **settings: Unpack[TrainOptions],
) -> TrainingStudyResult:
    """Train a model on a grid of rates at two groups of sites, such as input and hidden.

    Args:
        model: what `rate_sweep` takes; a registered model gains input dropout where it has none.
        dataset: a `Dataset`, or what `load_dataset` takes.
        first: placement or path of the first group of sites.
        second: placement or path of the second group.
        first_rates: its rates (fractions dropped, in [0, 1)); 0 is always among them.
        second_rates: the same for the second group.
        seeds: number of seeds, or the seeds.
        execution: where the study runs and who hears of it.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The result, with the factors ``first_rate`` and ``second_rate``.

    Raises:
        ValueError: an argument is out of range, the groups share a site, or model and data do
            not fit.
        RuntimeError: every training failed.
    """
    training = TrainSettings.from_options(settings, rate_grid)
    data = as_dataset(dataset)
    bench = Bench(model_with_sites(model, data, [first, second]), data)
    paths = sites_of(bench.model, first), sites_of(bench.model, second)
    if set(paths[0]) & set(paths[1]):
        raise ValueError(
            f"expected first and second to be different sites, received {first!r} and {second!r}, "
            f"which share {', '.join(sorted(set(paths[0]) & set(paths[1])))}"
        )
    grid = check_rates(first_rates, "first_rates"), check_rates(second_rates, "second_rates")
    planned = []
    for one, other in itertools.product(*grid):
        rates = rates_at(bench.model, paths[0], one, others="none")
        rates |= dict.fromkeys(paths[1], other)
        name = f"{first} {rate_text(one)}, {second} {rate_text(other)}"
        name = name if one or other else NO_DROPOUT
        planned.append(Setting(name, {"first_rate": one, "second_rate": other}, rates, bench))
    plan = StudyPlan(
        kind="rate_grid",
        settings=planned,
        controls={each.name: NO_DROPOUT for each in planned if each.name != NO_DROPOUT},
        seeds=as_seeds(seeds),
        training=training,
        arguments={"first": first, "second": second},
    )
    return run_plan(plan, data, execution or Execution(), _conclude_grid)


def _factors(series: str, rate: float, bench: Bench) -> dict[str, Any]:
    return {"series": series, "rate": rate, "parameters": bench.model.count_params()}


def _with_control(settings: list[Setting], base: Bench, series: int) -> list[Setting]:
    """The settings with the one that drops nothing among them, under its own name."""
    nothing = base.rates(0.0)
    if series == 1 and settings[0].rates == nothing:
        first = settings[0]
        return [Setting(NO_DROPOUT, first.factors, first.rates, first.bench), *settings[1:]]
    control = Setting(NO_DROPOUT, _factors(NO_DROPOUT, 0.0, base), nothing, base)
    return [control, *settings]


def _conclude(result: TrainingStudyResult) -> list[str]:
    means = result.means()
    sentences = [best_sentence(result)]
    for series, group in means.groupby("series", sort=False):
        if len(group) > 1:
            sentences += _curve_sentences(str(series), group, result)
    sentences += _verdict_sentences(result)
    return [*sentences, *failure_sentences(result), method_sentence(result)]


def _curve_sentences(series: str, means: pd.DataFrame, result: TrainingStudyResult) -> list[str]:
    order = ranked(means, result.objective)
    if order.empty:
        return []
    best = float(order.iloc[0]["rate"])
    alike = sorted(within_one_standard_error(means, result.objective)["rate"])
    sentences = [
        f"{series}: {'lowest' if result.objective.direction == 'min' else 'highest'} at rate "
        f"{rate_text(best)}; within one standard error of it: {', '.join(map(rate_text, alike))}."
    ]
    if best == max(means["rate"]):
        sentences.append(
            f"{series}: the best rate is the largest that was tried, {rate_text(best)}: a larger "
            "one may do better."
        )
    return sentences


def _verdict_sentences(result: TrainingStudyResult) -> list[str]:
    by_label: dict[str, list[str]] = {}
    for name, found in verdict_by_setting(result).items():
        by_label.setdefault(found.label, []).append(name)
    return [f"{label.capitalize()}: {', '.join(names)}." for label, names in by_label.items()]


def _conclude_grid(result: TrainingStudyResult) -> list[str]:
    alike = within_one_standard_error(result.means(), result.objective)["setting"]
    sentences = [best_sentence(result), f"Within one standard error of it: {'; '.join(alike)}."]
    return [*sentences, *failure_sentences(result), method_sentence(result)]
