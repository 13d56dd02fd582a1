"""Training on wrong labels, with and without dropout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import keras
import numpy as np

from dropout_zoo.models.factory import ModelLike
from dropout_zoo.models.guidance import check_rate
from dropout_zoo.studies.data.corruption import with_wrong_labels
from dropout_zoo.studies.defaults import NUM_SEEDS, SITES
from dropout_zoo.studies.experiments.classification import predicted_classes, sentences_on
from dropout_zoo.studies.plan import (
    Setting,
    StudyPlan,
    TrainingSetup,
    as_classification,
    as_seeds,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import train_and_conclude
from dropout_zoo.studies.site_groups import RateSpec, model_with_sites, with_and_without_dropout
from dropout_zoo.studies.study import study
from dropout_zoo.studies.summary_text import basis_sentences, not_ended_sentences
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.data.adapters import Data
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.settings import TrainOptions, TrainSettings


def plan_label_noise_sweep(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    noise: Sequence[float] = (0.0, 0.1, 0.2, 0.4),
    rates: RateSpec | Sequence[RateSpec] = (None,),
    sites: str = SITES,
    num_seeds: int = NUM_SEEDS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `label_noise_sweep`.

    Args:
        model: a compiled classifier, or what builds one; see `learning_curves`.
        dataset: a classification; see `as_dataset`.
        noise: shares of the training labels that are made wrong, in [0, 1); the same labels for
            every setting and seed.
        rates: what is compared with no dropout; see `learning_curves`.
        sites: where a single rate applies; see `learning_curves`.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The plan.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.

    Example:
        >>> from dropout_zoo.studies import plan_label_noise_sweep
        >>> plan_label_noise_sweep("mlp", "digits", noise=[0, 0.2], num_seeds=3).num_runs
        12
    """
    data = as_classification(dataset)
    training = TrainSettings.from_options(data.training_options | settings, label_noise_sweep)
    shares = [check_rate(share, f"noise[{index}]") for index, share in enumerate(noise)]
    built = model_with_sites(model, data, [sites])
    parts = {share: with_wrong_labels(data, share, seed=0) for share in shares}

    def measure(setting: Setting, trained: TrainedMember) -> Mapping[str, Any]:
        part, wrong = parts[setting.factors["noise"]]
        last = _after_last_epoch(trained)
        x, y = part.train
        memorized = (
            predicted_classes(last, x[wrong]) == y[wrong] if len(wrong) else np.array([np.nan])
        )
        clean = predicted_classes(last, data.validation[0]) == data.validation[1]
        return {"clean_accuracy": float(clean.mean()), "memorized": float(np.mean(memorized))}

    return StudyPlan(
        kind="label_noise_sweep",
        dataset=data,
        settings=[
            setting
            for share, (part, _) in parts.items()
            for setting in with_and_without_dropout(
                TrainingSetup(built, part),
                rates,
                sites,
                level=f"{100 * share:g}% wrong labels",
                factors={"noise": share},
            )
        ],
        seeds=as_seeds(num_seeds),
        training=training,
        procedure=train_and_conclude(_conclude, measure),
        arguments={"sites": sites},
        keep_state=True,
    )


@study(plan_label_noise_sweep)
def label_noise_sweep() -> None:
    """Train on wrong labels and measure how many of them are memorized (Arpit et al. 2017).

    Returns:
        The result, with the factors ``noise`` and ``dropout``. Measured after the last epoch are
        ``clean_accuracy`` on the validation set, whose labels are right, and ``memorized``, the
        share of the wrong training labels that are predicted (NaN where none is wrong).

    Example:
        >>> from dropout_zoo.studies import label_noise_sweep
        >>> study = label_noise_sweep("mlp", "digits", noise=[0.2], epochs=1, num_seeds=1)
        >>> study.means("memorized")["setting"].tolist()
        ['20% wrong labels, no dropout', '20% wrong labels, as given']
    """


def _after_last_epoch(trained: TrainedMember) -> keras.Model:
    model = trained.model()
    if trained.checkpoint is not None:
        model.set_weights(list(Checkpoint.load(trained.checkpoint).last))
    return model


def _conclude(result: TrainingStudyResult) -> list[str]:
    memorized = result.means("memorized").dropna(subset="mean")
    return [
        *not_ended_sentences(result),
        *sentences_on("clean_accuracy", result),
        *(
            f"{row.setting}: {row.mean:.0%} of the wrong labels memorized."
            for row in memorized.itertuples()
        ),
        *basis_sentences(result),
    ]
