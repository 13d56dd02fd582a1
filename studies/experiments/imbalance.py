"""Training with one class made rare, with and without dropout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.factory import ModelLike
from dropout_zoo.studies.data.corruption import with_rare_class
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
from dropout_zoo.training.data.adapters import Data
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.settings import TrainOptions, TrainSettings


def plan_imbalance_sweep(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    rare_class: int = 0,
    ratios: Sequence[int] = (1, 10, 100),
    rates: RateSpec | Sequence[RateSpec] = (None,),
    sites: str = SITES,
    num_seeds: int = NUM_SEEDS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `imbalance_sweep`.

    Args:
        model: a compiled classifier, or what builds one; see `learning_curves`.
        dataset: a classification; see `as_dataset`.
        rare_class: number of the class that is made rare.
        ratios: one training example of the class in this many is kept; 1 keeps all.
        rates: what is compared with no dropout; see `learning_curves`.
        sites: where a single rate applies; see `learning_curves`.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The plan.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.

    Example:
        >>> from dropout_zoo.studies import plan_imbalance_sweep
        >>> plan_imbalance_sweep("mlp", "digits", ratios=[1, 10], num_seeds=3).num_runs
        12
    """
    data = as_classification(dataset)
    training = TrainSettings.from_options(data.training_options | settings, imbalance_sweep)
    classes = data.num_classes or 0
    if rare_class not in range(classes):
        raise ValueError(
            f"expected rare_class to be a class from 0 to {classes - 1}, received {rare_class}"
        )
    ratios = list(dict.fromkeys(ratios))
    for ratio in ratios:
        check_count(ratio, "each of ratios")
    built = model_with_sites(model, data, [sites])
    x, y = data.validation
    inside = y == rare_class

    def measure(setting: Setting, trained: TrainedMember) -> Mapping[str, Any]:
        found = predicted_classes(trained.model(), x[inside]) == rare_class
        return {"rare_recall": float(found.mean())}

    return StudyPlan(
        kind="imbalance_sweep",
        dataset=data,
        settings=[
            setting
            for ratio in ratios
            for setting in with_and_without_dropout(
                TrainingSetup(built, with_rare_class(data, rare_class, ratio, seed=0)),
                rates,
                sites,
                level=f"{ratio}:1",
                factors={"imbalance": ratio},
            )
        ],
        seeds=as_seeds(num_seeds),
        training=training,
        procedure=train_and_conclude(_conclude, measure),
        arguments={"sites": sites, "rare_class": rare_class},
    )


@study(plan_imbalance_sweep)
def imbalance_sweep() -> None:
    """Train with one class made rare and measure how often it is still recognized.

    Returns:
        The result, with the factors ``imbalance`` and ``dropout``, and ``rare_recall``, the
        recall of the rare class on the validation set at the best epoch.

    Example:
        >>> from dropout_zoo.studies import imbalance_sweep
        >>> study = imbalance_sweep("mlp", "digits", ratios=[10], epochs=1, num_seeds=1)
        >>> study.means("rare_recall")["setting"].tolist()
        ['10:1, no dropout', '10:1, as given']
    """


def _conclude(result: TrainingStudyResult) -> list[str]:
    return [
        *not_ended_sentences(result),
        *sentences_on("rare_recall", result),
        *basis_sentences(result),
    ]
