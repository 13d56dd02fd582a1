"""Maps of the rate against another factor: the width of the model, or the number of examples."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Unpack

from dropout_zoo.studies.experiments.size_sweeps import benches_by_size, check_sizes_of_data
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
    failure_sentences,
    gain_counts,
    method_sentence,
    ranked,
)
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.settings import TrainOptions, TrainSettings


def rate_width_map(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    widths: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
    rates: Sequence[float] = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8),
    units: Sequence[int] | None = None,
    seeds: int | Sequence[int] = 3,
    execution: Execution | None = None,
    **settings: Unpack[TrainOptions],
) -> TrainingStudyResult:
    """Train every rate at every width: does a wider model want more dropout?

    Args:
        model: a registered name or a builder function with the argument ``units``.
        dataset: a `Dataset`, or what `load_dataset` takes.
        widths: factors on the widths of the hidden layers, larger than 0.
        rates: rates (fractions dropped, in [0, 1)) at all hidden sites; 0 is always among them.
        units: widths at a factor of 1; None for the builder's own.
        seeds: number of seeds, or the seeds.
        execution: where the study runs and who hears of it.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The result, with the factors ``width``, ``parameters`` and ``rate``.

    Raises:
        ValueError: an argument is out of range, or the model has no such builder.
        RuntimeError: every training failed.
    """
    training = TrainSettings.from_options(settings, rate_width_map)
    data = as_dataset(dataset)
    start = units_of(model, units)
    if not widths or min(widths) <= 0:
        raise ValueError(f"expected widths to be factors larger than 0, received {list(widths)}")
    planned, controls = [], {}
    for width in widths:
        counts = tuple(max(1, round(width * count)) for count in start)
        bench = Bench(build_with(model, data, {"units": counts}), data)
        paths = sites_of(bench.model, "hidden")
        for rate in check_rates(rates):
            name = f"width x {width:g}, {f'rate {rate_text(rate)}' if rate else NO_DROPOUT}"
            if rate:
                controls[name] = f"width x {width:g}, {NO_DROPOUT}"
            factors = {"width": width, "parameters": bench.model.count_params(), "rate": rate}
            planned.append(Setting(name, factors, rates_at(bench.model, paths, rate), bench))
    plan = StudyPlan(
        kind="rate_width_map",
        settings=planned,
        controls=controls,
        seeds=as_seeds(seeds),
        training=training,
        arguments={"units": list(start)},
    )
    return run_plan(plan, data, execution or Execution(), partial(_conclude_map, "width"))


def rate_size_map(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    sizes: Sequence[int] | None = None,
    rates: Sequence[float] = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8),
    sites: str = "hidden",
    subsets: str = "shared",
    stretch: float = 5.0,
    seeds: int | Sequence[int] = 3,
    execution: Execution | None = None,
    **settings: Unpack[TrainOptions],
) -> TrainingStudyResult:
    """Train every rate on every number of examples: do fewer data want more dropout?

    Args:
        model: what `data_size_sweep` takes.
        dataset: a `Dataset`, or what `load_dataset` takes.
        sizes: numbers of training examples; None for 100 to all in steps of about the factor 3.
        rates: rates (fractions dropped, in [0, 1)) at `sites`; 0 is always among them.
        sites: ``"all"``, a placement, or a path; other sites have no dropout.
        subsets: as in `data_size_sweep`.
        stretch: as in `data_size_sweep`.
        seeds: number of seeds, or the seeds.
        execution: where the study runs and who hears of it.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The result, with the factors ``examples`` and ``rate``.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.
        RuntimeError: every training failed.
    """
    training = TrainSettings.from_options(settings, rate_size_map)
    data = as_dataset(dataset)
    built = model_with_sites(model, data, [sites])
    paths = sites_of(built, sites)
    counts = check_sizes_of_data(sizes, data)
    planned, controls = [], {}
    for (examples, bench, of_seeds), rate in itertools.product(
        benches_by_size(built, data, counts, subsets, stretch, as_seeds(seeds), training.epochs),
        check_rates(rates),
    ):
        name = f"{examples:,} examples, {f'rate {rate_text(rate)}' if rate else NO_DROPOUT}"
        if rate:
            controls[name] = f"{examples:,} examples, {NO_DROPOUT}"
        each = rates_at(built, paths, rate, others="none")
        planned.append(Setting(name, {"examples": examples, "rate": rate}, each, bench, of_seeds))
    plan = StudyPlan(
        kind="rate_size_map",
        settings=planned,
        controls=controls,
        seeds=as_seeds(seeds),
        training=training,
        arguments={"sizes": counts, "sites": sites, "subsets": subsets, "stretch": stretch},
    )
    return run_plan(plan, data, execution or Execution(), partial(_conclude_map, "examples"))


def _conclude_map(factor: str, result: TrainingStudyResult) -> list[str]:
    means = result.means()
    sentences = []
    for value, group in means.groupby(factor, sort=False):
        order = ranked(group, result.objective)
        if len(order):
            sentences.append(
                f"{factor} {value:g}: the best mean is at rate {rate_text(order.iloc[0]['rate'])} "
                f"({result.objective.name} {order.iloc[0]['mean']:.4g})."
            )
    return [*sentences, gain_counts(result), *failure_sentences(result), method_sentence(result)]
