"""Dropout at one placement: the input, after convolutions, after dense layers, or everywhere."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Unpack

from dropout_zoo.models.factory import PLACEMENT_ARGUMENTS, ModelLike, builder_arguments
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.models.guidance import check_rate
from dropout_zoo.studies.control_names import name_of_control
from dropout_zoo.studies.defaults import NUM_SEEDS
from dropout_zoo.studies.plan import (
    Setting,
    StudyPlan,
    TrainingSetup,
    as_seeds,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import train_and_conclude
from dropout_zoo.studies.site_groups import build_with
from dropout_zoo.studies.study import study
from dropout_zoo.studies.summary_text import (
    basis_sentences,
    best_sentence,
    gain_counts,
    not_ended_sentences,
)
from dropout_zoo.training.data.adapters import Data, as_dataset
from dropout_zoo.training.settings import TrainOptions, TrainSettings

PLACEMENT_RATES = {"input": 0.2, "convolutional": 0.25, "recurrent": 0.25, "hidden": 0.5}
"""Rates of the convolutional network of Srivastava et al. 2014, Section 6.1.2, except for its
input: 0.2 instead of 0.1, as the paper advises in Appendix A.4."""

PLAIN, SPATIAL = "Dropout", "SpatialDropout2D"


def plan_placement_sweep(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    rates: Mapping[str, float] | None = None,
    num_seeds: int = NUM_SEEDS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `placement_sweep`.

    Args:
        model: a compiled model, or what builds one; see `learning_curves`. Builders
            with the arguments ``input_rate`` and ``conv_rates`` are built with these placements.
        dataset: the data; see `as_dataset`.
        rates: rate (fraction dropped, in [0, 1)) by placement, where it differs from the default:
            input 0.2, convolutional 0.25, recurrent 0.25, hidden 0.5.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The plan.

    Raises:
        ValueError: an argument is out of range, the model has no site that takes dropout, or
            model and data do not fit.

    Example:
        >>> from dropout_zoo.studies import plan_placement_sweep
        >>> plan_placement_sweep("mlp", "digits", num_seeds=3).num_runs
        12
    """
    data = as_dataset(dataset)
    training = TrainSettings.from_options(data.training_options | settings, placement_sweep)
    wanted = PLACEMENT_RATES | {
        name: check_rate(rate, f"rates[{name!r}]") for name, rate in (rates or {}).items()
    }
    known = builder_arguments(model)
    names = itertools.chain.from_iterable(PLACEMENT_ARGUMENTS.values())
    arguments = {name: 0.0 for name in names if name in known}
    plain = TrainingSetup(build_with(model, data, arguments), data)
    available = list(dict.fromkeys(site.placement for site in settable_sites(plain.model)))
    unknown = [name for name in wanted if name not in (*PLACEMENT_RATES, *available)]
    usable = [name for name in available if name in wanted]
    if unknown or not usable:
        raise ValueError(
            f"expected rates for placements of {plain.model.name!r} "
            f"({', '.join(available) or 'none'}), received {', '.join(unknown or wanted)}"
        )
    nothing = plain.rates(0.0)
    control = name_of_control(plain.model, nothing)
    compared = [
        Setting(control, {"placement": "none", "layer": PLAIN}, nothing, plain),
        *_settings(plain, usable, wanted, PLAIN, control),
    ]
    if "convolutional" in usable and "conv_dropout" in known:
        spatial_model = build_with(model, data, arguments | {"conv_dropout": "spatial"})
        spatial = TrainingSetup(spatial_model, data)
        compared += _settings(spatial, usable, wanted, SPATIAL, control)
    return StudyPlan(
        kind="placement_sweep",
        dataset=data,
        settings=compared,
        seeds=as_seeds(num_seeds),
        training=training,
        procedure=train_and_conclude(_conclude),
        arguments={"rates": {name: wanted[name] for name in usable}},
    )


@study(plan_placement_sweep)
def placement_sweep() -> None:
    """Train with dropout at one placement at a time, and at all of them together.

    All settings but those with `SpatialDropout2D` share one architecture, with dropout layers at a
    rate of 0 where nothing is dropped. `SpatialDropout2D` is compared if the builder has the
    argument ``conv_dropout``.

    Returns:
        The result, with the factors ``placement`` and ``layer``.

    Example:
        >>> from dropout_zoo.studies import placement_sweep
        >>> study = placement_sweep("mlp", "digits", epochs=1, num_seeds=1)
        >>> study.means()["setting"].tolist()
        ['no dropout', 'input', 'dense only', 'all']
    """


def _settings(
    setup: TrainingSetup,
    placements: Sequence[str],
    rates: Mapping[str, float],
    layer: str,
    control: str,
) -> list[Setting]:
    """One placement at a time, then all; with spatial dropout only those that it changes."""
    groups = {name: [name] for name in placements if layer == PLAIN or name == "convolutional"}
    if len(placements) > 1:
        groups["all"] = list(placements)
    suffix = f" ({SPATIAL})" if layer == SPATIAL else ""
    return [
        Setting(
            f"{'dense only' if name == 'hidden' else name}{suffix}",
            {"placement": name, "layer": layer},
            setup.rates({each: rates[each] for each in group}),
            setup,
            control,
        )
        for name, group in groups.items()
    ]


def _conclude(result: TrainingStudyResult) -> list[str]:
    return [
        *not_ended_sentences(result),
        best_sentence(result),
        gain_counts(result),
        *basis_sentences(result),
    ]
