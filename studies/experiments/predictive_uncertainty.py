"""What predictors know of their own errors: single nets, dropout's averages, an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.studies.data.corruption import corrupted
from dropout_zoo.studies.experiments.calibration import calibration
from dropout_zoo.studies.experiments.label_noise import as_classification
from dropout_zoo.studies.experiments.monte_carlo import monte_carlo, proper_scores, row_entropy
from dropout_zoo.studies.plan import (
    NO_DROPOUT,
    Bench,
    Execution,
    Model,
    Setting,
    StudyPlan,
    as_seeds,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import announce, result_of, train_settings
from dropout_zoo.studies.site_groups import Wanted, model_with_sites, named_rates
from dropout_zoo.studies.summary_text import failure_sentences, gain_clause, method_sentence
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.objective import Objective
from dropout_zoo.training.settings import TrainOptions, TrainSettings

_FELLOWS = "fellows of the ensembles"


def predictive_uncertainty(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    levels: Mapping[str, Sequence[float]] | None = None,
    rates: Sequence[Wanted] = (None,),
    sites: str = "hidden",
    samples: int = 50,
    ensemble: int = 5,
    examples: int = 1000,
    seeds: int | Sequence[int] = 5,
    execution: Execution | None = None,
    **settings: Unpack[TrainOptions],
) -> TrainingStudyResult:
    """Compare predictors on clean and on corrupted inputs: errors, calibration, uncertainty.

    They are a net without dropout, one with dropout by weight scaling (dropout off, one pass) and
    by Monte-Carlo averages, and an ensemble of nets without dropout, the first of which is the
    single net of the same seed. All are measured on the test part: the validation part has chosen
    their epochs, and a calibration measured there would look better than it is.

    Args:
        model: a compiled classifier with a probability for each class, or what makes one, as in
            `label_noise_sweep`.
        dataset: a classification, or what `load_dataset` takes.
        levels: by corruption the levels, as in `robustness`; 0 is clean. None for 0, 0.1, 0.2,
            0.3, 0.5 of ``"gaussian noise"``.
        rates: the settings beside no dropout, as in `learning_curves`.
        sites: where a single rate applies.
        samples: passes with dropout on that are averaged.
        ensemble: nets in an ensemble, each with a seed of its own; 1 for no ensemble.
        examples: test examples to measure on, at most.
        seeds: number of seeds, or the seeds.
        execution: where the study runs and who hears of it.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The result, with the factors ``corruption``, ``severity`` and ``predictor``. Measured are
        ``corrupted_accuracy``, ``corrupted_loss``, ``ece`` (the objective), ``entropy`` and
        ``mutual_information`` (means over the examples, in nats; the latter NaN where a predictor
        has no members).

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.
        RuntimeError: every training failed.
    """
    training = TrainSettings.from_options(settings, predictive_uncertainty)
    data = as_classification(dataset)
    check_count(samples, "samples")
    check_count(ensemble, "ensemble")
    wanted = levels or {"gaussian noise": (0.0, 0.1, 0.2, 0.3, 0.5)}
    x, y = data.test[0][:examples], data.test[1][:examples]
    places = [(kind, float(level)) for kind, each in wanted.items() for level in each]
    inputs = np.concatenate([corrupted(x, kind, level, seed=0) for kind, level in places])
    outputs: dict[tuple[str, int], np.ndarray] = {}
    rows: list[dict[str, Any]] = []

    def note(predictor: str, seed: int, passes: Sequence[np.ndarray], information: Any) -> None:
        mean = np.mean(passes, axis=0)
        measured = (mean, row_entropy(mean), information)
        parts = zip(*(np.split(each, len(places)) for each in measured), strict=True)
        for (kind, level), (probabilities, entropy, shared) in zip(places, parts, strict=True):
            scores = proper_scores(probabilities, y)
            rows.append(
                {
                    "predictor": predictor,
                    "corruption": kind,
                    "severity": level,
                    "seed": seed,
                    "corrupted_accuracy": 1 - scores["error"] / 100,
                    "corrupted_loss": scores["loss"],
                    "ece": calibration(probabilities, y).error,
                    "entropy": float(entropy.mean()),
                    "mutual_information": float(shared.mean()),
                }
            )

    def measure(setting: Setting, trained: TrainedMember) -> Mapping[str, Any]:
        best, seed = trained.model(), trained.member.seed
        scaled = np.asarray(best.predict(inputs, batch_size=256, verbose=0), float)
        outputs[setting.name, seed] = scaled
        unknown = np.full(len(inputs), np.nan)
        if setting.name == NO_DROPOUT:
            note(NO_DROPOUT, seed, [scaled], unknown)
        elif setting.name != _FELLOWS:
            note(f"{setting.name}, weight scaling", seed, [scaled], unknown)
            found = monte_carlo(best, inputs, samples, seed=seed)
            name = f"{setting.name}, {samples} passes"
            note(name, seed, [found.mean], found.mutual_information)
        return {}

    bench = Bench(model_with_sites(model, data, [sites]), data)
    named = named_rates(bench.model, rates, sites)
    planned = [Setting(name, {"predictor": name}, each, bench) for name, each in named.items()]
    first = as_seeds(seeds)
    fellows = _fellows(first, ensemble)
    if ensemble > 1:
        others = [seed for each in fellows.values() for seed in each]
        planned.append(
            Setting(_FELLOWS, {"predictor": _FELLOWS}, named[NO_DROPOUT], bench, seeds=others)
        )
    plan = StudyPlan(
        kind="predictive_uncertainty",
        settings=planned,
        controls={},
        seeds=first,
        training=training,
        arguments={
            "levels": {kind: list(each) for kind, each in wanted.items()},
            "sites": sites, "samples": samples, "ensemble": ensemble, "examples": len(y),
        },
    )  # fmt: skip
    execution = execution or Execution()
    announce(plan, data, execution)
    trained = train_settings(plan, execution, measure)
    whole = result_of(plan, data, trained, lambda result: [])
    for seed, others in fellows.items():
        keys = [(NO_DROPOUT, seed), *((_FELLOWS, other) for other in others)]
        if ensemble > 1 and all(key in outputs for key in keys):
            each = [outputs[key] for key in keys]
            entropies = np.mean([row_entropy(one) for one in each], axis=0)
            shared = np.maximum(row_entropy(np.mean(each, axis=0)) - entropies, 0)
            note(f"ensemble of {ensemble} without dropout", seed, each, shared)
    return _by_predictor(whole, pd.DataFrame(rows))


def _fellows(seeds: Sequence[int], ensemble: int) -> dict[int, list[int]]:
    """The other seeds of each seed's ensemble: no two ensembles share a net."""
    start, each = max(seeds) + 1, ensemble - 1
    return {
        seed: list(range(start + place * each, start + (place + 1) * each))
        for place, seed in enumerate(seeds)
    }


def _by_predictor(whole: TrainingStudyResult, measured: pd.DataFrame) -> TrainingStudyResult:
    """One row for each predictor, seed and corruption, in place of the learning curves."""
    where = measured["corruption"] + " " + measured["severity"].map("{:g}".format)
    table = measured.assign(
        setting=measured["predictor"] + ", " + where,
        training=range(len(measured)),
        status="completed",
        reason="",
        best_epoch=1,
        epoch=1,
    )
    first = ["training", "setting", "corruption", "severity", "predictor", "seed"]
    order = [*first, "status", "reason", "best_epoch", "epoch"]
    table = table[order + [name for name in measured if name not in order]]
    control = NO_DROPOUT + ", " + where
    compared = measured["predictor"] != NO_DROPOUT
    result = replace(
        whole,
        data=table,
        objective=Objective("ece", "min"),
        factors=["corruption", "severity", "predictor"],
        controls=dict(zip(table["setting"][compared], control[compared], strict=True)),
    )
    return replace(result, conclusions=tuple(_conclude(result, whole)))


def _conclude(result: TrainingStudyResult, whole: TrainingStudyResult) -> list[str]:
    """The calibration of each predictor on clean inputs, and at the worst of each corruption."""
    means = result.means().set_index("setting")["mean"]
    gains = result.gains()
    # Uncorrupted inputs are the same for all corruptions: they are spoken of once.
    gains = gains[(gains["severity"] > 0) | ~gains.duplicated(["predictor", "severity"])]
    sentences = []
    for _, group in gains.groupby(["predictor", "corruption"], sort=False):
        shown = group[group["severity"].isin([0, group["severity"].max()])]
        for _, row in shown.iterrows():
            sentences.append(
                f"{row['setting']}: expected calibration error {means[row['setting']]:.3f}, "
                f"{gain_clause(row, row['control'])}."
            )
    return [*sentences, *failure_sentences(whole), method_sentence(result)]
