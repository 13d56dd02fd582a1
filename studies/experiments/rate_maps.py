"""Maps of the rate against another factor: the width of the model, or the number of examples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Unpack

from dropout_zoo.models.factory import ModelLike
from dropout_zoo.studies.defaults import NUM_SEEDS_OF_MAPS, SITES
from dropout_zoo.studies.experiments.size_sweeps import plan_by_size
from dropout_zoo.studies.metric_names import rate_text
from dropout_zoo.studies.plan import (
    StudyPlan,
    TrainingSetup,
    as_seeds,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import train_and_conclude
from dropout_zoo.studies.site_groups import build_with, over_rates, units_of
from dropout_zoo.studies.study import study
from dropout_zoo.studies.summary_text import (
    basis_sentences,
    gain_counts,
    not_ended_sentences,
    ranked,
)
from dropout_zoo.training.data.adapters import Data, as_dataset
from dropout_zoo.training.settings import TrainOptions, TrainSettings

MAP_RATES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8)


def plan_rate_width_map(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    widths: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
    rates: float | Sequence[float] = MAP_RATES,
    units: Sequence[int] | None = None,
    num_seeds: int = NUM_SEEDS_OF_MAPS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `rate_width_map`.

    Args:
        model: a registered name or a builder function with the argument ``units``.
        dataset: the data; see `as_dataset`.
        widths: factors on the widths of the hidden layers, larger than 0.
        rates: rates (fractions dropped, in [0, 1)) at all hidden sites; 0 is added.
        units: widths at a factor of 1; None for the builder's own.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The plan.

    Raises:
        ValueError: an argument is out of range, or the model has no such builder.

    Example:
        >>> from dropout_zoo.studies import plan_rate_width_map
        >>> plan_rate_width_map("mlp", "digits", widths=[0.5, 1], rates=[0.5], num_seeds=3).num_runs
        12
    """
    data = as_dataset(dataset)
    training = TrainSettings.from_options(data.training_options | settings, rate_width_map)
    start = units_of(model, units)
    if not widths or min(widths) <= 0:
        raise ValueError(f"expected widths to be factors larger than 0, received {list(widths)}")
    cells = []
    for width in widths:
        counts = tuple(max(1, round(width * count)) for count in start)
        setup = TrainingSetup(build_with(model, data, {"units": counts}), data)
        factors = {"width": width, "parameters": setup.model.count_params()}
        cells += over_rates(setup, rates, "hidden", level=f"width x {width:g}", factors=factors)
    return StudyPlan(
        kind="rate_width_map",
        dataset=data,
        settings=cells,
        seeds=as_seeds(num_seeds),
        training=training,
        procedure=train_and_conclude(partial(_conclude_map, "width")),
        arguments={"units": list(start)},
    )


@study(plan_rate_width_map)
def rate_width_map() -> None:
    """Train every rate at every width: does a wider model need more dropout?

    Returns:
        The result, with the factors ``width``, ``parameters`` and ``rate``.

    Example:
        >>> from dropout_zoo.studies import rate_width_map
        >>> study = rate_width_map(
        ...     "mlp", "digits", widths=[0.25], rates=[0.5], epochs=1, num_seeds=1
        ... )
        >>> study.means()["setting"].tolist()
        ['width x 0.25, no dropout', 'width x 0.25, rate 0.50']
    """


def plan_rate_size_map(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    sizes: Sequence[int] | None = None,
    rates: float | Sequence[float] = MAP_RATES,
    sites: str = SITES,
    subsets: str = "shared",
    max_epoch_factor: float = 5.0,
    num_seeds: int = NUM_SEEDS_OF_MAPS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `rate_size_map`.

    Args:
        model: a compiled model, or what builds one; see `learning_curves`.
        dataset: the data; see `as_dataset`.
        sizes: numbers of training examples; None for 100 to all, about a factor of 3 apart.
        rates: rates (fractions dropped, in [0, 1)) at `sites`; 0 is added.
        sites: ``"all"``, a placement, or a path; the other sites have no dropout.
        subsets: ``"fresh"`` or ``"shared"`` examples; see `data_size_sweep`.
        max_epoch_factor: limit of the epochs on smaller sets; see `data_size_sweep`.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`. The epochs are those of the
            training runs on all examples.

    Returns:
        The plan.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.

    Example:
        >>> from dropout_zoo.studies import plan_rate_size_map
        >>> plan_rate_size_map("mlp", "digits", sizes=[100, 200], rates=[0.5], num_seeds=3).num_runs
        12
    """
    data = as_dataset(dataset)
    return plan_by_size(
        "rate_size_map",
        model,
        data,
        sizes=sizes,
        sites=sites,
        subsets=subsets,
        max_epoch_factor=max_epoch_factor,
        num_seeds=num_seeds,
        training=TrainSettings.from_options(data.training_options | settings, rate_size_map),
        settings_of=partial(over_rates, rates=rates, sites=sites, others="none"),
        conclude=partial(_conclude_map, "examples"),
    )


@study(plan_rate_size_map)
def rate_size_map() -> None:
    """Train every rate on every number of examples: do fewer examples need more dropout?

    Returns:
        The result, with the factors ``examples`` and ``rate``.

    Example:
        >>> from dropout_zoo.studies import rate_size_map
        >>> study = rate_size_map("mlp", "digits", sizes=[100], rates=[0.5], epochs=1, num_seeds=1)
        >>> study.means()["setting"].tolist()
        ['100 examples, no dropout', '100 examples, rate 0.50']
    """


def _conclude_map(factor: str, result: TrainingStudyResult) -> list[str]:
    means, objective = result.means(), result.objective
    best = "lowest" if objective.direction == "min" else "highest"
    named = {"examples": "{:g} examples", "width": "width x {:g}"}[factor]
    sentences = not_ended_sentences(result)
    for value, group in means.groupby(factor, sort=False):
        order = ranked(group, result.objective)
        if len(order):
            sentences.append(
                f"{named.format(value)}: the mean {objective.name} is {best} at rate "
                f"{rate_text(order.iloc[0]['rate'])} ({order.iloc[0]['mean']:.4g})."
            )
    return [*sentences, gain_counts(result), *basis_sentences(result)]
