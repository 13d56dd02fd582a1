"""How much dropout helps: with the size of the training part, and with the size of the model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Unpack

import keras
import numpy as np

from dropout_zoo.models.argument_validation import check_choice, check_count
from dropout_zoo.studies.data.subsets import with_fewer_examples
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
    Wanted,
    build_with,
    check_rates,
    model_with_sites,
    named_rates,
    rates_at,
    sites_of,
    units_of,
)
from dropout_zoo.studies.summary_text import (
    failure_sentences,
    gain_clause,
    method_sentence,
)
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.settings import TrainOptions, TrainSettings

SMALLEST = 100
"""Srivastava et al. 2014, Fig. 10, begin with as few examples."""

SUBSETS = ("fresh", "shared")


def data_size_sweep(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    sizes: Sequence[int] | None = None,
    rates: Sequence[Wanted] = (None,),
    sites: str = "hidden",
    subsets: str = "fresh",
    stretch: float = 5.0,
    seeds: int | Sequence[int] = 5,
    execution: Execution | None = None,
    **settings: Unpack[TrainOptions],
) -> TrainingStudyResult:
    """Train on more and more examples, with and without dropout (Srivastava et al. 2014, Fig. 10).

    Args:
        model: a compiled Keras model, a registered name, ``"package.module:function"``, or a
            function that returns a compiled model.
        dataset: a `Dataset`, or what `load_dataset` takes.
        sizes: numbers of training examples; None for 100 to all in steps of about the factor 3.
        rates: the settings beside no dropout, as in `learning_curves`.
        sites: where a single rate applies.
        subsets: ``"fresh"`` draws the examples anew from each seed, so that the intervals cover
            the draw; ``"shared"`` draws them once, which takes less time.
        stretch: small sets are trained for more epochs, to as many updates as the whole set gets
            in `epochs`; at most for so many times as many epochs.
        seeds: number of seeds, or the seeds.
        execution: where the study runs and who hears of it.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The result, with the factors ``examples`` and ``dropout``.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.
        RuntimeError: every training failed.
    """
    training = TrainSettings.from_options(settings, data_size_sweep)
    data = as_dataset(dataset)
    built = model_with_sites(model, data, [sites])
    counts = check_sizes_of_data(sizes, data)
    wanted = named_rates(built, rates, sites)
    planned: list[Setting] = []
    controls: dict[str, str] = {}
    for examples, bench, of_seeds in benches_by_size(
        built, data, counts, subsets, stretch, as_seeds(seeds), training.epochs
    ):
        names = {name: f"{examples:,} examples, {name}" for name in wanted}
        controls |= {full: names[NO_DROPOUT] for name, full in names.items() if name != NO_DROPOUT}
        planned += [
            Setting(names[name], {"examples": examples, "dropout": name}, each, bench, of_seeds)
            for name, each in wanted.items()
        ]
    plan = StudyPlan(
        kind="data_size_sweep",
        settings=planned,
        controls=controls,
        seeds=as_seeds(seeds),
        training=training,
        arguments={"sizes": counts, "sites": sites, "subsets": subsets, "stretch": stretch},
    )
    return run_plan(plan, data, execution or Execution(), _conclude_pairs)


def capacity_sweep(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    units: Sequence[Sequence[int]] | None = None,
    rates: Sequence[float] = (0.5,),
    seeds: int | Sequence[int] = 5,
    execution: Execution | None = None,
    **settings: Unpack[TrainOptions],
) -> TrainingStudyResult:
    """Train smaller and larger models, with and without dropout in their hidden layers.

    Args:
        model: a registered name or a builder function with the argument ``units``.
        dataset: a `Dataset`, or what `load_dataset` takes.
        units: the widths of the hidden layers of each model, such as ``[(32,), (128, 64)]``; None
            for an eighth to four times the builder's own widths, and for half and twice as many
            layers.
        rates: rates (fractions dropped, in [0, 1)) beside 0, at all hidden sites.
        seeds: number of seeds, or the seeds.
        execution: where the study runs and who hears of it.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The result, with the factors ``units``, ``layers``, ``parameters`` and ``dropout``.

    Raises:
        ValueError: an argument is out of range, or the model has no such builder.
        RuntimeError: every training failed.
    """
    training = TrainSettings.from_options(settings, capacity_sweep)
    data = as_dataset(dataset)
    widths = [tuple(each) for each in units] if units else _default_widths(units_of(model, None))
    planned, controls = [], {}
    for each in widths:
        bench = Bench(build_with(model, data, {"units": each}), data)
        shape = "-".join(map(str, each))
        paths = sites_of(bench.model, "hidden")
        for rate in check_rates(rates):
            dropout = f"rate {rate_text(rate)}" if rate else NO_DROPOUT
            name = f"{shape} units, {dropout}"
            if rate:
                controls[name] = f"{shape} units, {NO_DROPOUT}"
            factors = {
                "units": shape,
                "layers": len(each),
                "parameters": bench.model.count_params(),
                "dropout": dropout,
            }
            planned.append(Setting(name, factors, rates_at(bench.model, paths, rate), bench))
    plan = StudyPlan(
        kind="capacity_sweep",
        settings=planned,
        controls=controls,
        seeds=as_seeds(seeds),
        training=training,
        arguments={"units": [list(each) for each in widths]},
    )
    return run_plan(plan, data, execution or Execution(), _conclude_pairs)


def check_sizes_of_data(sizes: Sequence[int] | None, data: Dataset) -> list[int]:
    """Check numbers of training examples, or choose some.

    Args:
        sizes: numbers of examples; None for 100 to all in steps of about the factor 3.
        data: the data.

    Returns:
        The numbers, each once, from small to large.

    Raises:
        ValueError: a number is out of range.
    """
    there = len(data.train[1])
    if sizes is None:
        steps = max(2, round(np.log(there / SMALLEST) / np.log(3)) + 1)
        sizes = np.geomspace(min(SMALLEST, there), there, steps).round().astype(int).tolist()
    for size in sizes:
        check_count(size, "each of sizes")
        if size > there:
            raise ValueError(
                f"expected sizes of at most {there}, the training examples there are; received "
                f"{size}"
            )
    return sorted({int(size) for size in sizes})


def benches_by_size(
    built: keras.Model,
    data: Dataset,
    sizes: Sequence[int],
    subsets: str,
    stretch: float,
    seeds: Sequence[int],
    epochs: int,
) -> list[tuple[int, Bench, Sequence[int]]]:
    """Make the benches for several numbers of training examples.

    Args:
        built: the model.
        data: the data.
        sizes: numbers of examples.
        subsets: whether each seed draws its own examples, ``"fresh"`` or ``"shared"``.
        stretch: how many times as many epochs a small set gets at most.
        seeds: the seeds.
        epochs: epochs of the trainings on all examples.

    Returns:
        For each size one or more benches, each with the seeds that are trained on it.

    Raises:
        ValueError: `subsets` or `stretch` is out of range.
    """
    check_choice(subsets, SUBSETS, "subsets")
    if not stretch >= 1:
        raise ValueError(f"expected stretch to be at least 1, received {stretch!r}")
    there = len(data.train[1])
    benches: list[tuple[int, Bench, Sequence[int]]] = []
    for size in sizes:
        longer = round(epochs * min(stretch, there / size))
        shared = subsets == "shared" or size == there
        for group in [list(seeds)] if shared else [[seed] for seed in seeds]:
            part = partial(with_fewer_examples, data, size, group[0])
            benches.append((size, Bench(built, part, {"epochs": longer}), group))
    return benches


def _default_widths(units: tuple[int, ...]) -> list[tuple[int, ...]]:
    wider = [
        tuple(max(1, round(count * factor)) for count in units)
        for factor in (0.125, 0.25, 0.5, 1, 2, 4)
    ]
    return list(dict.fromkeys([*wider, units[: max(1, len(units) // 2)], units + units]))


def _conclude_pairs(result: TrainingStudyResult) -> list[str]:
    sentences = [
        f"{row['setting']}: {gain_clause(row, row['control'])}."
        for _, row in result.gains().iterrows()
    ]
    return [*sentences, *failure_sentences(result), method_sentence(result)]
