"""Co-adaptation: how much a model depends on single units, and what its first layer has learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import keras
import numpy as np
import pandas as pd

from dropout_zoo.models.factory import ModelLike
from dropout_zoo.studies.control_names import without_dropout
from dropout_zoo.studies.defaults import NUM_SEEDS, PREDICTION_BATCH_SIZE, SITES
from dropout_zoo.studies.paired_tests import holm_differences
from dropout_zoo.studies.plan import (
    Execution,
    Setting,
    StudyPlan,
    TrainingSetup,
    as_seeds,
)
from dropout_zoo.studies.result import StudyResult
from dropout_zoo.studies.runner import check_any_completed, train_settings
from dropout_zoo.studies.site_groups import RateSpec, model_with_sites, with_and_without_dropout
from dropout_zoo.studies.study import study
from dropout_zoo.studies.summary_text import NO_INTERVALS, failure_sentences
from dropout_zoo.studies.training_ends import has_ended, length_sentences, shares_not_ended
from dropout_zoo.training.data.adapters import Data, as_dataset
from dropout_zoo.training.data.structures import Structure, take
from dropout_zoo.training.data.targets import with_loss_targets
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.provenance import as_json, versions
from dropout_zoo.training.settings import TrainOptions, TrainSettings

MEASURES = {
    "ablation": "loss added by ablating a unit",
    "mean_activation": "mean activation",
    "active_share": "share of examples on which a unit is active",
    "correlation": "mean absolute correlation with other units",
}
"""What is measured about every unit of the first dense layer."""

_BINS = 40


def plan_coadaptation(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    rates: RateSpec | Sequence[RateSpec] = (None,),
    sites: str = SITES,
    examples: int = 500,
    num_seeds: int = NUM_SEEDS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[StudyResult]:
    """Plan the study of `coadaptation`.

    Args:
        model: a compiled model, or what builds one; see `learning_curves`. The
            activation of its first dense layer must be 0 at 0, such as relu.
        dataset: the data; see `as_dataset`.
        rates: what is compared with no dropout; see `learning_curves`.
        sites: where a single rate applies; see `learning_curves`.
        examples: number of validation examples on which the units are measured; all where there
            are fewer.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`. The best epoch is measured.

    Returns:
        The plan.

    Raises:
        ValueError: the model has no such layer, or model and data do not fit.

    Example:
        >>> from dropout_zoo.studies import plan_coadaptation
        >>> plan_coadaptation("mlp", "digits", num_seeds=3).num_runs
        6
    """
    data = as_dataset(dataset)
    training = TrainSettings.from_options(data.training_options | settings, coadaptation)
    setup = TrainingSetup(model_with_sites(model, data, [sites]), data)
    _first_dense(setup.model)
    return StudyPlan(
        kind="coadaptation",
        dataset=data,
        settings=with_and_without_dropout(setup, rates, sites),
        seeds=as_seeds(num_seeds),
        training=training,
        procedure=_measure_units,
        arguments={"sites": sites, "examples": examples},
    )


@study(plan_coadaptation)
def coadaptation() -> None:
    """Measure the units of the first dense layer, with and without dropout.

    Srivastava et al. 2014, Sections 7.1 and 7.2 (Figs. 7 and 8): with dropout, features are
    meaningful on their own, and activations are sparser.

    Returns:
        The result, with one row per unit of each training run: ``dropout``, ``seed``, ``ended``
        (whether the run was long enough to tell its best epoch), ``unit``, ``ablation`` (loss added
        when the unit is ablated), ``mean_activation``, ``active_share`` (share of the examples on
        which the unit is active), ``correlation`` (mean absolute correlation with other units),
        ``feature`` (its incoming weights), and ``counts`` (histogram of its activations over the
        bins in ``settings["edges"]``).

    Example:
        >>> from dropout_zoo.studies import coadaptation
        >>> study = coadaptation("mlp", "digits", examples=20, epochs=1, num_seeds=1)
        >>> len(study.data)
        256
    """


def _measure_units(plan: StudyPlan[StudyResult], execution: Execution) -> StudyResult:
    """Train every setting and measure the units of the first dense layer at the best epoch."""
    data = plan.dataset
    examples = take(data.validation, slice(plan.arguments["examples"]))
    tables: list[pd.DataFrame] = []
    activations: list[np.ndarray] = []

    def measure(setting: Setting, trained: TrainedMember) -> Mapping[str, Any]:
        model = trained.model()
        table, values = _units(model, *with_loss_targets(model, examples, data))
        ended = has_ended(trained.best_epoch, len(trained.curves), plan.max_epochs[setting.name])
        tables.append(table.assign(dropout=setting.name, seed=trained.member.seed, ended=ended))
        activations.append(values)
        return {}

    trained = train_settings(plan, execution, measure)
    if not tables:  # what diverged late still has an epoch that can be measured
        check_any_completed(trained)
    units, edges = _with_histograms(tables, activations)
    failed = trained[trained["status"] != "completed"].drop_duplicates("run")
    shape = as_json(data.input_shape)
    return StudyResult(
        kind=plan.kind,
        data=units,
        settings=plan.describe() | {"edges": edges.tolist(), "input_shape": shape},
        versions=versions(),
        conclusions=(
            *length_sentences(trained, plan.max_epochs),
            *failure_sentences(failed),
            *_conclude(units, plan.settings[0].name, shares_not_ended(trained)),
        ),
    )


def _with_histograms(
    tables: Sequence[pd.DataFrame], activations: Sequence[np.ndarray]
) -> tuple[pd.DataFrame, np.ndarray]:
    """All tables in one, with histograms of the activations over the same bins, and their edges."""
    largest = max(float(values.max()) for values in activations)
    smallest = min(0.0, *(float(values.min()) for values in activations))
    edges = np.linspace(smallest, largest, _BINS + 1)
    with_counts = [
        table.assign(counts=[np.histogram(unit, edges)[0].tolist() for unit in values.T])
        for table, values in zip(tables, activations, strict=True)
    ]
    units = pd.concat(with_counts, ignore_index=True)
    first = ["dropout", "seed", "ended", "unit"]
    return units[first + [name for name in units.columns if name not in first]], edges


def _first_dense(model: keras.Model) -> keras.layers.Dense:
    for layer in model.layers[:-1]:
        if isinstance(layer, keras.layers.Dense):
            at_zero = float(
                keras.ops.convert_to_numpy(layer.activation(keras.ops.zeros((1, 1))))[0, 0]
            )
            if at_zero:
                raise ValueError(
                    f"expected {layer.name!r} to have an activation that is 0 at 0 (such as relu) "
                    f"to ablate its units, received one that is {at_zero:g}"
                )
            return layer
    raise ValueError(
        f"expected a model with a hidden Dense layer, received {model.name!r} without one"
    )


def _units(model: keras.Model, x: Structure, targets: Structure) -> tuple[pd.DataFrame, np.ndarray]:
    """Measures of each unit of the first dense layer, and activations, one column per unit."""
    layer = _first_dense(model)
    until = keras.Model(model.inputs, layer.output)
    values = np.asarray(until.predict(x, batch_size=PREDICTION_BATCH_SIZE, verbose=0), float)
    kernel, *bias = layer.get_weights()
    whole = _loss(model, x, targets)
    added = []
    for unit in range(kernel.shape[1]):
        without = [kernel.copy(), *(each.copy() for each in bias)]
        for weights in without:
            weights[..., unit] = 0
        layer.set_weights(without)
        added.append(_loss(model, x, targets) - whole)
    layer.set_weights([kernel, *bias])
    table = pd.DataFrame(
        {
            "unit": np.arange(kernel.shape[1]),
            "ablation": added,
            "mean_activation": values.mean(axis=0),
            "active_share": (values > 0).mean(axis=0),
            "correlation": mean_correlation(values),
            "feature": [weights.tolist() for weights in kernel.T],
        }
    )
    return table, values


def _loss(model: keras.Model, x: np.ndarray, targets: np.ndarray) -> float:
    return float(model.test_on_batch(x, targets, return_dict=True)["loss"])


def mean_correlation(values: np.ndarray) -> np.ndarray:
    """Compute the mean absolute correlation of each unit with the others.

    Args:
        values: activations, shape ``(examples, units)``.

    Returns:
        One value per unit; NaN for constant units.
    """
    spread = values.std(axis=0)
    varying = spread > 0
    found = np.full(values.shape[1], np.nan)
    if varying.sum() > 1:
        matrix = np.abs(np.corrcoef(values[:, varying], rowvar=False))
        found[varying] = (matrix.sum(axis=1) - 1) / (len(matrix) - 1)
    return found


def _conclude(units: pd.DataFrame, control_name: str, not_ended: Mapping[str, float]) -> list[str]:
    by_seed = units.groupby(["dropout", "seed"], sort=False)[list(MEASURES)].mean()
    control = by_seed.loc[control_name]
    without = without_dropout(control_name)
    sentences = []
    for name in dict.fromkeys(units["dropout"]):
        if name == control_name:
            continue
        common = by_seed.loc[name].index.intersection(control.index)
        changes = {
            measure: (
                by_seed.loc[name].loc[common, measure] - control.loc[common, measure]
            ).tolist()
            for measure in MEASURES
        }
        found = holm_differences(changes, [0.0] * len(common))
        for measure, what in MEASURES.items():
            change, before = found[measure], float(control[measure].mean())
            text = (
                f"{name}, {what}: {before + change.mean:.3g}, compared with {before:.3g} {without}"
            )
            if change.pairs > 1 and not_ended.keys().isdisjoint([name, control_name]):
                zero = "" if change.excludes_zero else ", includes 0"
                text += f" (95% CI of the difference {change.low:.2g} to {change.high:.2g}{zero})"
            sentences.append(f"{text}.")
    pairs = units["seed"].nunique()
    sentences.append(
        f"Values are means over units. Differences are paired over {pairs} seeds, with "
        "confidence intervals by Student's t, adjusted by Holm's method for all measures of a "
        "setting together."
        if pairs > 1
        else NO_INTERVALS
    )
    return sentences
