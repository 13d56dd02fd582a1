"""Training data that mislead, with and without dropout: wrong labels, and a rare class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import keras
import numpy as np

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.guidance import check_rate
from dropout_zoo.studies.data.corruption import (
    with_rare_class,
    with_wrong_labels,
)
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
from dropout_zoo.studies.site_groups import Wanted, model_with_sites, named_rates
from dropout_zoo.studies.summary_text import failure_sentences, gain_clause, method_sentence
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.settings import TrainOptions, TrainSettings


def label_noise_sweep(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    noise: Sequence[float] = (0.0, 0.1, 0.2, 0.4),
    rates: Sequence[Wanted] = (None,),
    sites: str = "hidden",
    seeds: int | Sequence[int] = 5,
    execution: Execution | None = None,
    **settings: Unpack[TrainOptions],
) -> TrainingStudyResult:
    """Train on wrong labels: what is still right, and what is learnt by heart (Arpit et al. 2017).

    Args:
        model: a compiled classifier, a registered name, ``"package.module:function"``, or a
            function that returns a compiled classifier.
        dataset: a classification, or what `load_dataset` takes.
        noise: shares of training labels that are made wrong, in [0, 1); the same labels for
            every setting and seed.
        rates: the settings beside no dropout, as in `learning_curves`.
        sites: where a single rate applies.
        seeds: number of seeds, or the seeds.
        execution: where the study runs and who hears of it.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The result, with the factors ``noise`` and ``dropout``; measured after the last epoch are
        ``clean_accuracy`` on the validation part, whose labels are right, and ``memorised``, the
        share of the wrong training labels that are predicted (NaN where none is wrong).

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.
        RuntimeError: every training failed.
    """
    training = TrainSettings.from_options(settings, label_noise_sweep)
    data = as_classification(dataset)
    shares = [check_rate(share, f"noise[{index}]") for index, share in enumerate(noise)]
    built = model_with_sites(model, data, [sites])
    parts = {share: with_wrong_labels(data, share, seed=0) for share in shares}

    def measure(setting: Setting, trained: TrainedMember) -> Mapping[str, Any]:
        part, wrong = parts[setting.factors["noise"]]
        last = _after_last_epoch(trained)
        x, y = part.train
        learnt = predicted_classes(last, x[wrong]) == y[wrong] if len(wrong) else np.array([np.nan])
        clean = predicted_classes(last, data.validation[0]) == data.validation[1]
        return {"clean_accuracy": float(clean.mean()), "memorised": float(np.mean(learnt))}

    levels = {share: (f"{100 * share:g}% wrong labels", part) for share, (part, _) in parts.items()}
    plan = plan_levels("label_noise_sweep", "noise", levels, built, rates, sites, seeds, training)
    conclude = partial(conclude_gains, ("clean_accuracy",))
    return run_plan(
        replace(plan, keep_state=True), data, execution or Execution(), conclude, measure
    )


def imbalance_sweep(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    rare: int = 0,
    ratios: Sequence[int] = (1, 10, 100),
    rates: Sequence[Wanted] = (None,),
    sites: str = "hidden",
    seeds: int | Sequence[int] = 5,
    execution: Execution | None = None,
    **settings: Unpack[TrainOptions],
) -> TrainingStudyResult:
    """Train with one class made rare: is it still found?

    Args:
        model: what `label_noise_sweep` takes.
        dataset: a classification, or what `load_dataset` takes.
        rare: number of the class that is made rare.
        ratios: for each example of it that is kept, so many are there now; 1 keeps all.
        rates: the settings beside no dropout, as in `learning_curves`.
        sites: where a single rate applies.
        seeds: number of seeds, or the seeds.
        execution: where the study runs and who hears of it.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The result, with the factors ``imbalance`` and ``dropout``, and ``rare_recall``, the
        recall of the rare class on the validation part at the best epoch.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.
        RuntimeError: every training failed.
    """
    training = TrainSettings.from_options(settings, imbalance_sweep)
    data = as_classification(dataset)
    if rare not in range(data.num_classes or 0):
        raise ValueError(
            f"expected rare to be a class from 0 to {(data.num_classes or 1) - 1}, received {rare}"
        )
    for ratio in ratios:
        check_count(ratio, "each of ratios")
    built = model_with_sites(model, data, [sites])
    x, y = data.validation
    inside = y == rare

    def measure(setting: Setting, trained: TrainedMember) -> Mapping[str, Any]:
        found = predicted_classes(trained.model(), x[inside]) == rare
        return {"rare_recall": float(found.mean())}

    levels = {ratio: (f"{ratio}:1", with_rare_class(data, rare, ratio, seed=0)) for ratio in ratios}
    plan = plan_levels("imbalance_sweep", "imbalance", levels, built, rates, sites, seeds, training)
    plan = replace(plan, arguments={**plan.arguments, "rare": rare})
    conclude = partial(conclude_gains, ("rare_recall",))
    return run_plan(plan, data, execution or Execution(), conclude, measure)


def plan_levels(
    kind: str,
    factor: str,
    levels: Mapping[Any, tuple[str, Dataset]],
    built: keras.Model,
    rates: Sequence[Wanted],
    sites: str,
    seeds: int | Sequence[int],
    training: TrainSettings,
) -> StudyPlan:
    """Plan every level of a factor with and without dropout.

    Args:
        kind: name of the study.
        factor: the column of the levels; empty where there is one level without a name.
        levels: by level its name and its data.
        built: the model.
        rates: the settings beside no dropout.
        sites: where a single rate applies.
        seeds: number of seeds, or the seeds.
        training: how each model is trained.

    Returns:
        The plan, in which each level is compared with itself without dropout.
    """
    settings: list[Setting] = []
    controls: dict[str, str] = {}
    for level, (name, part) in levels.items():
        bench = Bench(built, part)
        prefix = f"{name}, " if name else ""
        for dropout, each in named_rates(built, rates, sites).items():
            factors = ({factor: level} if factor else {}) | {"dropout": dropout}
            settings.append(Setting(f"{prefix}{dropout}", factors, each, bench))
            if dropout != NO_DROPOUT:
                controls[f"{prefix}{dropout}"] = f"{prefix}{NO_DROPOUT}"
    return StudyPlan(
        kind=kind,
        settings=settings,
        controls=controls,
        seeds=as_seeds(seeds),
        training=training,
        arguments={"sites": sites},
    )


def as_classification(dataset: Dataset | str | Path) -> Dataset:
    """The data that are meant, if they are a classification.

    Raises:
        ValueError: they are a regression.
    """
    data = as_dataset(dataset)
    if data.num_classes is None:
        raise ValueError(f"expected a classification, received the regression {data.source!r}")
    return data


def predicted_classes(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The class that a classifier predicts for each example."""
    outputs = np.asarray(model.predict(x, batch_size=256, verbose=0))
    return outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0.5).astype(int)


def _after_last_epoch(trained: TrainedMember) -> keras.Model:
    model = trained.model()
    if trained.checkpoint is not None:
        model.set_weights(list(Checkpoint.load(trained.checkpoint).last))
    return model


def conclude_gains(metrics: Sequence[str], result: TrainingStudyResult) -> list[str]:
    """Say what each setting gains over its control in some metrics, and what was memorised."""
    sentences = []
    for metric in metrics:
        means = result.means(metric).set_index("setting")
        for _, gain in result.gains(metric).iterrows():
            sentences.append(
                f"{gain['setting']}: {metric.replace('_', ' ')} "
                f"{means.loc[gain['setting'], 'mean']:.3f}, {gain_clause(gain, gain['control'])}."
            )
    if "memorised" in result.data:
        known = result.means("memorised").dropna(subset="mean")
        sentences += [
            f"{row.setting}: {row.mean:.0%} of the wrong labels memorized."
            for row in known.itertuples()
        ]
    return [*sentences, *failure_sentences(result), method_sentence(result)]
