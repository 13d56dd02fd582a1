"""How well predictors know their own errors: single networks, dropout averages, ensembles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Unpack

import numpy as np
import pandas as pd

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.factory import ModelLike
from dropout_zoo.studies.control_names import without_dropout
from dropout_zoo.studies.data.corruption import check_levels, corrupt, corruption_name
from dropout_zoo.studies.defaults import NUM_SEEDS, PREDICTION_BATCH_SIZE, SITES
from dropout_zoo.studies.experiments.calibration import calibration
from dropout_zoo.studies.experiments.monte_carlo import monte_carlo, proper_scores, row_entropy
from dropout_zoo.studies.plan import (
    Execution,
    Setting,
    StudyPlan,
    TrainingSetup,
    as_classification,
    as_seeds,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import result_of, train_settings
from dropout_zoo.studies.site_groups import RateSpec, model_with_sites, named_rates
from dropout_zoo.studies.study import study
from dropout_zoo.studies.summary_text import (
    failure_sentences,
    gain_sentences,
    method_sentence,
    not_ended_sentences,
)
from dropout_zoo.training.data.adapters import Data
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.objective import Objective
from dropout_zoo.training.settings import TrainOptions, TrainSettings

_ENSEMBLE_MEMBERS = "other members of the ensembles"
"""Name of the setting that trains them; their first member is the network without dropout."""


def plan_predictive_uncertainty(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    levels: Mapping[str, Sequence[float]] | None = None,
    rates: RateSpec | Sequence[RateSpec] = (None,),
    sites: str = SITES,
    samples: int = 50,
    ensemble_size: int = 5,
    examples: int = 1000,
    num_seeds: int = NUM_SEEDS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `predictive_uncertainty`.

    Args:
        model: a compiled classifier, or what builds one; see `learning_curves`. Its
            output is one probability per class.
        dataset: a classification with a test set; see `as_dataset`.
        levels: levels by corruption; see `corrupt`. A level of 0 leaves the inputs clean. None for
            0, 0.1, 0.2, 0.3, 0.5 of ``"gaussian noise"``.
        rates: what is compared with no dropout; see `learning_curves`.
        sites: where a single rate applies; see `learning_curves`.
        samples: number of passes with dropout on that are averaged.
        ensemble_size: number of networks in an ensemble; no two ensembles share a network. 1 for no
            ensemble.
        examples: number of test examples on which the predictors are measured; all where there
            are fewer.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`. The best epoch is measured.

    Returns:
        The plan.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.

    Example:
        >>> from dropout_zoo.studies import plan_predictive_uncertainty
        >>> plan_predictive_uncertainty("mlp", "digits", ensemble_size=2, num_seeds=3).num_runs
        9
    """
    data = as_classification(dataset)
    training = TrainSettings.from_options(data.training_options | settings, predictive_uncertainty)
    if data.test is None:
        raise ValueError(
            f"expected data with a test set, on which the predictors are measured, received "
            f"{data.source!r} without one; give as_dataset() test_data, or load_dataset() a split "
            "of three fractions"
        )
    check_count(samples, "samples")
    check_count(ensemble_size, "ensemble_size")
    wanted = levels or {"gaussian noise": (0.0, 0.1, 0.2, 0.3, 0.5)}
    check_levels(wanted)
    for kind, each in wanted.items():  # what does not fit is found before any training
        for level in each:
            corrupt(data.test[0][:1], kind, level, seed=0)
    measurement = _Measurement(
        wanted, samples, ensemble_size, *(part[:examples] for part in data.test)
    )
    setup = TrainingSetup(model_with_sites(model, data, [sites]), data)
    named = named_rates(setup.model, rates, sites)
    predictors = [Setting(name, {"predictor": name}, each, setup) for name, each in named.items()]
    first = as_seeds(num_seeds)
    if ensemble_size > 1:
        others = [seed for each in _other_members(first, ensemble_size).values() for seed in each]
        factors = {"predictor": _ENSEMBLE_MEMBERS}
        predictors.append(
            Setting(_ENSEMBLE_MEMBERS, factors, next(iter(named.values())), setup, seeds=others)
        )
    return StudyPlan(
        kind="predictive_uncertainty",
        dataset=data,
        settings=predictors,
        seeds=first,
        training=training,
        procedure=measurement,
        arguments={
            "levels": {kind: list(each) for kind, each in wanted.items()},
            "sites": sites,
            "samples": samples,
            "ensemble_size": ensemble_size,
            "examples": len(measurement.y),
        },
    )


@study(plan_predictive_uncertainty)
def predictive_uncertainty() -> None:
    """Compare the accuracy, calibration and uncertainty of predictors on corrupted inputs.

    The predictors are a network without dropout, a network with dropout by weight scaling (dropout
    off, one pass) and by Monte Carlo averages, and an ensemble of networks without dropout, which
    includes the single network of the same seed. All are evaluated on the test set, because the
    validation set was used to choose the best epochs and would flatter the calibration.

    Returns:
        The result, with the factors ``corruption``, ``severity`` and ``predictor``. Measured are
        ``corrupted_accuracy``, ``corrupted_loss``, ``ece`` (the objective), ``entropy`` and
        ``mutual_information`` (means over the examples, in nats; the latter NaN where a predictor
        is a single pass of a single network).

    Example:
        >>> from dropout_zoo.studies import predictive_uncertainty
        >>> study = predictive_uncertainty(
        ...     "mlp", "digits", levels={"gaussian noise": [0]}, samples=2, ensemble_size=1,
        ...     examples=20, epochs=1, num_seeds=1,
        ... )
        >>> study.data["predictor"].tolist()
        ['no dropout', 'as given, weight scaling', 'as given, 2 passes']
    """


@dataclass(frozen=True, eq=False)
class _Measurement:
    """Trains a plan and measures its predictors on every level of corruption.

    Attributes:
        levels: levels by corruption.
        samples: number of passes with dropout on.
        ensemble_size: number of networks in an ensemble.
        x: test inputs.
        y: their classes.
    """

    levels: Mapping[str, Sequence[float]]
    samples: int
    ensemble_size: int
    x: np.ndarray
    y: np.ndarray

    def __call__(
        self, plan: StudyPlan[TrainingStudyResult], execution: Execution
    ) -> TrainingStudyResult:
        scores = _Scores(
            [(kind, float(v)) for kind, each in self.levels.items() for v in each], self.y
        )
        inputs = np.concatenate(
            [corrupt(self.x, kind, level, seed=0) for kind, level in scores.levels]
        )
        outputs: dict[tuple[str, int], np.ndarray] = {}
        control = plan.settings[0].name
        without = without_dropout(control)

        def measure(setting: Setting, trained: TrainedMember) -> Mapping[str, Any]:
            best, seed = trained.model(), trained.member.seed
            scaled = np.asarray(
                best.predict(inputs, batch_size=PREDICTION_BATCH_SIZE, verbose=0), float
            )
            outputs[setting.name, seed] = scaled
            if setting.name == control:
                scores.add(control, control, seed, scaled)
            elif setting.name != _ENSEMBLE_MEMBERS:
                scores.add(f"{setting.name}, weight scaling", setting.name, seed, scaled)
                found = monte_carlo(best, inputs, self.samples, seed=seed)
                name = f"{setting.name}, {self.samples} passes"
                scores.add(name, setting.name, seed, found.mean, found.mutual_information)
            return {}

        whole = result_of(plan, train_settings(plan, execution, measure), lambda result: [])
        for seed, others in _other_members(plan.seeds, self.ensemble_size).items():
            keys = [(control, seed), *((_ENSEMBLE_MEMBERS, other) for other in others)]
            if self.ensemble_size > 1 and all(key in outputs for key in keys):
                name = f"ensemble of {self.ensemble_size} {without}"
                scores.add(name, control, seed, *_averaged([outputs[key] for key in keys]))
        return _by_predictor(whole, pd.DataFrame(scores.rows), control)


@dataclass(frozen=True)
class _Scores:
    """What is measured about the predictors: one row per predictor, seed and level.

    Attributes:
        levels: corruption and level of each part of the inputs, in order.
        y: the classes of the examples in each part.
        rows: the rows.
    """

    levels: Sequence[tuple[str, float]]
    y: np.ndarray
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        predictor: str,
        trained: str,
        seed: int,
        probabilities: np.ndarray,
        mutual_information: np.ndarray | None = None,
    ) -> None:
        """Add the scores of one predictor: probabilities and mutual information of all parts.

        Args:
            predictor: its name.
            trained: name of the setting whose networks it consists of.
            seed: the seed.
            probabilities: what it predicts for all parts.
            mutual_information: of all parts; None for a single pass of a single network.
        """
        if mutual_information is None:
            mutual_information = np.full(len(probabilities), np.nan)
        measured = (probabilities, row_entropy(probabilities), mutual_information)
        parts = zip(*(np.split(each, len(self.levels)) for each in measured), strict=True)
        for (kind, level), (of_part, entropy, shared) in zip(self.levels, parts, strict=True):
            found = proper_scores(of_part, self.y)
            self.rows.append(
                {
                    "predictor": predictor,
                    "trained": trained,
                    "corruption": kind,
                    "severity": level,
                    "seed": seed,
                    "corrupted_accuracy": 1 - found["error"] / 100,
                    "corrupted_loss": found["loss"],
                    "ece": calibration(of_part, self.y).error,
                    "entropy": float(entropy.mean()),
                    "mutual_information": float(shared.mean()),
                }
            )


def _averaged(members: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the members' probabilities, and their mutual information."""
    mean = np.mean(members, axis=0)
    entropies = np.mean([row_entropy(each) for each in members], axis=0)
    return mean, np.maximum(row_entropy(mean) - entropies, 0)


def _other_members(seeds: Sequence[int], ensemble_size: int) -> dict[int, list[int]]:
    """By seed, the seeds of the other members of its ensemble; no two ensembles share a network."""
    start, each = max(seeds) + 1, ensemble_size - 1
    return {
        seed: list(range(start + place * each, start + (place + 1) * each))
        for place, seed in enumerate(seeds)
    }


def _by_predictor(
    whole: TrainingStudyResult, measured: pd.DataFrame, control: str
) -> TrainingStudyResult:
    """One row per predictor, seed and corruption, in place of the learning curves."""
    kinds = measured["corruption"].map(corruption_name)
    where = kinds + " " + measured["severity"].map("{:g}".format)
    ended = ~measured.pop("trained").isin(whole.not_ended())
    table = measured.assign(
        setting=measured["predictor"] + ", " + where,
        run=range(len(measured)),
        status="completed",
        reason="",
        best_epoch=1,
        ended=ended,
        epoch=1,
    )
    first = ["run", "setting", "corruption", "severity", "predictor", "seed"]
    order = [*first, "status", "reason", "best_epoch", "ended", "epoch"]
    table = table[order + [name for name in measured if name not in order]]
    compared = measured["predictor"] != control
    result = replace(
        whole,
        data=table,
        objective=Objective("ece", "min"),
        factors=["corruption", "severity", "predictor"],
        controls={
            name: f"{control}, {at}"
            for name, at in zip(table["setting"][compared], where[compared], strict=True)
        },
    )
    return replace(result, conclusions=tuple(_conclude(result, whole)))


def _conclude(result: TrainingStudyResult, whole: TrainingStudyResult) -> list[str]:
    """The calibration of each predictor on clean inputs, and at the highest of each corruption."""
    gains = result.gains()
    # Clean inputs are the same for all corruptions: they are mentioned once.
    gains = gains[(gains["severity"] > 0) | ~gains.duplicated(["predictor", "severity"])]
    sentences = []
    for _, group in gains.groupby(["predictor", "corruption"], sort=False):
        shown = group[group["severity"].isin([0, group["severity"].max()])]
        sentences += gain_sentences(
            result, describe=lambda mean: f"expected calibration error {mean:.3f}", gains=shown
        )
    failures = failure_sentences(whole.failures())
    return [*not_ended_sentences(whole), *sentences, *failures, method_sentence(result)]
