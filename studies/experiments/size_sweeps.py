"""The effect of dropout by number of training examples, and by size of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Unpack

import keras
import numpy as np

from dropout_zoo.models.argument_validation import check_choice, check_count
from dropout_zoo.models.factory import ModelLike
from dropout_zoo.studies.data.subsets import with_fewer_examples
from dropout_zoo.studies.defaults import CAPACITY_RATES, NUM_SEEDS, SITES, WIDTH_FACTORS
from dropout_zoo.studies.plan import (
    Setting,
    StudyPlan,
    TrainingSetup,
    as_seeds,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import Conclude, train_and_conclude
from dropout_zoo.studies.site_groups import (
    RateSpec,
    build_with,
    model_with_sites,
    over_rates,
    units_of,
    with_and_without_dropout,
)
from dropout_zoo.studies.study import study
from dropout_zoo.studies.summary_text import basis_sentences, gain_sentences, not_ended_sentences
from dropout_zoo.training.data.adapters import Data, as_dataset
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.settings import TrainOptions, TrainSettings

SMALLEST = 100
"""The smallest size in Srivastava et al. 2014, Fig. 10."""

SUBSETS = ("fresh", "shared")


def plan_data_size_sweep(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    sizes: Sequence[int] | None = None,
    rates: RateSpec | Sequence[RateSpec] = (None,),
    sites: str = SITES,
    subsets: str = "fresh",
    max_epoch_factor: float = 5.0,
    num_seeds: int = NUM_SEEDS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `data_size_sweep`.

    Args:
        model: a compiled model, or what builds one; see `learning_curves`.
        dataset: the data; see `as_dataset`.
        sizes: numbers of training examples; None for 100 to all, about a factor of 3 apart.
        rates: what is compared with no dropout; see `learning_curves`.
        sites: where a single rate applies; see `learning_curves`.
        subsets: ``"fresh"`` draws other examples for each seed, so that the intervals cover this
            choice; ``"shared"`` draws the same for all seeds, which takes less time.
        max_epoch_factor: smaller sets are trained for more epochs so that they get as many updates
            as the full set; the number of epochs grows by at most this factor; at least 1.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`. The epochs are those of the
            training runs on all examples.

    Returns:
        The plan.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.

    Example:
        >>> from dropout_zoo.studies import plan_data_size_sweep
        >>> plan_data_size_sweep("mlp", "digits", sizes=[100, 200], num_seeds=3).num_runs
        12
    """
    data = as_dataset(dataset)
    return plan_by_size(
        "data_size_sweep",
        model,
        data,
        sizes=sizes,
        sites=sites,
        subsets=subsets,
        max_epoch_factor=max_epoch_factor,
        num_seeds=num_seeds,
        training=TrainSettings.from_options(data.training_options | settings, data_size_sweep),
        settings_of=partial(with_and_without_dropout, rates=rates, sites=sites),
        conclude=_conclude_pairs,
    )


@study(plan_data_size_sweep)
def data_size_sweep() -> None:
    """Train on increasing numbers of examples, with and without dropout.

    The experiment of Srivastava et al. 2014, Fig. 10. A model that standardizes its inputs, such as
    ``"tabular_mlp"``, is adapted to all training examples, whatever the number it is trained on.

    Returns:
        The result, with the factors ``examples`` and ``dropout``.

    Example:
        >>> from dropout_zoo.studies import data_size_sweep
        >>> study = data_size_sweep("mlp", "digits", sizes=[100], epochs=1, num_seeds=1)
        >>> study.means()["setting"].tolist()
        ['100 examples, no dropout', '100 examples, as given']
    """


def plan_capacity_sweep(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    units: Sequence[Sequence[int]] | None = None,
    rates: float | Sequence[float] = CAPACITY_RATES,
    num_seeds: int = NUM_SEEDS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `capacity_sweep`.

    Args:
        model: a registered name or a builder function with the argument ``units``.
        dataset: the data; see `as_dataset`.
        units: the widths of the hidden layers of each model, such as ``[(32,), (128, 64)]``; None
            for an eighth to four times the builder's own widths, and for half and twice as many
            layers.
        rates: rates (fractions dropped, in [0, 1)) at all hidden sites; 0 is added.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The plan.

    Raises:
        ValueError: an argument is out of range, or the model has no such builder.

    Example:
        >>> from dropout_zoo.studies import plan_capacity_sweep
        >>> plan_capacity_sweep("mlp", "digits", units=[(32,), (64, 32)], num_seeds=3).num_runs
        12
    """
    data = as_dataset(dataset)
    training = TrainSettings.from_options(data.training_options | settings, capacity_sweep)
    widths = [tuple(each) for each in units] if units else _default_widths(units_of(model, None))
    found = []
    for each in widths:
        setup = TrainingSetup(build_with(model, data, {"units": each}), data)
        shape = "-".join(map(str, each))
        factors = {
            "units": shape,
            "layers": len(each),
            "parameters": setup.model.count_params(),
        }
        found += over_rates(
            setup, rates, "hidden", level=f"{shape} units", factors=factors, factor="dropout"
        )
    return StudyPlan(
        kind="capacity_sweep",
        dataset=data,
        settings=found,
        seeds=as_seeds(num_seeds),
        training=training,
        procedure=train_and_conclude(_conclude_pairs),
        arguments={"units": [list(each) for each in widths]},
    )


@study(plan_capacity_sweep)
def capacity_sweep() -> None:
    """Train smaller and larger models, with and without dropout in their hidden layers.

    Returns:
        The result, with the factors ``units``, ``layers``, ``parameters`` and ``dropout``.

    Example:
        >>> from dropout_zoo.studies import capacity_sweep
        >>> study = capacity_sweep("mlp", "digits", units=[(16,)], epochs=1, num_seeds=1)
        >>> study.means()["setting"].tolist()
        ['16 units, no dropout', '16 units, rate 0.50']
    """


def plan_by_size(
    kind: str,
    model: ModelLike,
    data: Dataset,
    *,
    sizes: Sequence[int] | None,
    sites: str,
    subsets: str,
    max_epoch_factor: float,
    num_seeds: int,
    training: TrainSettings,
    settings_of: Callable[..., list[Setting]],
    conclude: Conclude,
) -> StudyPlan[TrainingStudyResult]:
    """Plan a study that trains the same settings on several numbers of training examples.

    Args:
        kind: name of the study.
        model: as in `data_size_sweep`, and so are the other arguments of the same names.
        data: the data.
        sizes: numbers of training examples.
        sites: the sites of the settings.
        subsets: how the examples are drawn.
        max_epoch_factor: limit of the factor by which small sets get more epochs.
        num_seeds: number of seeds on which each setting is trained.
        training: how each model is trained.
        settings_of: returns the settings of a `TrainingSetup`, called with `level`, `factors` and
            `seeds` as well.
        conclude: draws the conclusions.

    Returns:
        The plan.
    """
    built = model_with_sites(model, data, [sites])
    counts = check_sizes_of_data(sizes, data)
    all_seeds = as_seeds(num_seeds)
    return StudyPlan(
        kind=kind,
        dataset=data,
        settings=[
            setting
            for size, setup, own_seeds in setups_by_size(
                built, data, counts, subsets, max_epoch_factor, all_seeds, training.epochs
            )
            for setting in settings_of(
                setup, level=f"{size:,} examples", factors={"examples": size}, seeds=own_seeds
            )
        ],
        seeds=all_seeds,
        training=training,
        procedure=train_and_conclude(conclude),
        arguments={
            "sizes": counts,
            "sites": sites,
            "subsets": subsets,
            "max_epoch_factor": max_epoch_factor,
        },
    )


def check_sizes_of_data(sizes: Sequence[int] | None, data: Dataset) -> list[int]:
    """Check numbers of training examples, or choose them.

    Args:
        sizes: numbers of examples; None for 100 to all, about a factor of 3 apart.
        data: the data.

    Returns:
        The distinct numbers in increasing order.

    Raises:
        ValueError: a number is out of range, or the data are streamed.
    """
    data.check_in_memory()
    available = data.num_examples()
    if sizes is None:
        steps = max(2, round(np.log(available / SMALLEST) / np.log(3)) + 1)
        sizes = (
            np.geomspace(min(SMALLEST, available), available, steps).round().astype(int).tolist()
        )
    for size in sizes:
        check_count(size, "each of sizes")
        if size > available:
            raise ValueError(
                f"expected sizes of at most {available}, the number of training examples; "
                f"received {size}"
            )
    return sorted({int(size) for size in sizes})


def setups_by_size(
    built: keras.Model,
    data: Dataset,
    sizes: Sequence[int],
    subsets: str,
    max_epoch_factor: float,
    seeds: Sequence[int],
    epochs: int,
) -> list[tuple[int, TrainingSetup, Sequence[int]]]:
    """Return the training setups for several numbers of training examples.

    Args:
        built: the model.
        data: the data.
        sizes: numbers of examples.
        subsets: ``"fresh"`` examples for each seed, or ``"shared"`` ones.
        max_epoch_factor: limit of the factor by which small sets get more epochs.
        seeds: the seeds.
        epochs: epochs of the training runs on all examples.

    Returns:
        One or more setups for each size, each with the seeds that are trained on it.

    Raises:
        ValueError: `subsets` or `max_epoch_factor` is out of range.
    """
    check_choice(subsets, SUBSETS, "subsets")
    if not max_epoch_factor >= 1:
        raise ValueError(
            f"expected max_epoch_factor to be at least 1, received {max_epoch_factor!r}"
        )
    available = data.num_examples()
    setups: list[tuple[int, TrainingSetup, Sequence[int]]] = []
    for size in sizes:
        longer = round(epochs * min(max_epoch_factor, available / size))
        shared = subsets == "shared" or size == available
        for group in [list(seeds)] if shared else [[seed] for seed in seeds]:
            part = partial(with_fewer_examples, data, size, group[0])
            setups.append((size, TrainingSetup(built, part, {"epochs": longer}), group))
    return setups


def _default_widths(units: tuple[int, ...]) -> list[tuple[int, ...]]:
    wider = [tuple(max(1, round(count * factor)) for count in units) for factor in WIDTH_FACTORS]
    return list(dict.fromkeys([*wider, units[: max(1, len(units) // 2)], units + units]))


def _conclude_pairs(result: TrainingStudyResult) -> list[str]:
    return [*not_ended_sentences(result), *gain_sentences(result), *basis_sentences(result)]
