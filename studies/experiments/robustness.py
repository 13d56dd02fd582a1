"""Accuracy on corrupted inputs, with and without dropout in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import pandas as pd

from dropout_zoo.models.factory import ModelLike
from dropout_zoo.models.graph.model_graph import reads_indices
from dropout_zoo.studies.data.corruption import check_levels, corrupt, corruption_name
from dropout_zoo.studies.defaults import NUM_SEEDS, SITES
from dropout_zoo.studies.experiments.classification import predicted_classes, sentences_on
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
from dropout_zoo.studies.site_groups import (
    RateSpec,
    model_with_sites,
    with_and_without_dropout,
)
from dropout_zoo.studies.study import study
from dropout_zoo.studies.summary_text import failure_sentences, method_sentence, not_ended_sentences
from dropout_zoo.training.data.adapters import Data
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.settings import TrainOptions, TrainSettings


def plan_robustness(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    levels: Mapping[str, Sequence[float]] | None = None,
    rates: RateSpec | Sequence[RateSpec] = (None,),
    sites: str = SITES,
    num_seeds: int = NUM_SEEDS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `robustness`.

    Args:
        model: a compiled classifier, or what builds one; see `learning_curves`.
        dataset: a classification; see `as_dataset`.
        levels: levels by corruption; see `corrupt`. None for 0, 0.1, 0.2, 0.3, 0.5 of
            ``"gaussian noise"`` and ``"missing pixels"``.
        rates: what is compared with no dropout; see `learning_curves`.
        sites: where a single rate applies; see `learning_curves`.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The plan.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.

    Example:
        >>> from dropout_zoo.studies import plan_robustness
        >>> plan_robustness("mlp", "digits", num_seeds=3).num_runs
        6
    """
    data = as_classification(dataset)
    training = TrainSettings.from_options(data.training_options | settings, robustness)
    wanted = levels or dict.fromkeys(
        ("gaussian noise", "missing pixels"), (0.0, 0.1, 0.2, 0.3, 0.5)
    )
    check_levels(wanted)
    x, y = data.validation
    inputs = {
        (kind, float(level)): corrupt(x, kind, level, seed=0)
        for kind, each in wanted.items()
        for level in each
    }
    setup = TrainingSetup(model_with_sites(model, data, [sites]), data)
    if reads_indices(setup.model):
        raise ValueError(
            f"expected a model of numeric inputs, received {setup.model.name!r}, which reads "
            "tokens: noise and missing values turn them into other tokens"
        )

    def procedure(
        plan: StudyPlan[TrainingStudyResult], execution: Execution
    ) -> TrainingStudyResult:
        measured: list[dict[str, Any]] = []

        def measure(setting: Setting, trained: TrainedMember) -> Mapping[str, Any]:
            best = trained.model()
            for (kind, level), changed in inputs.items():
                accuracy = float((predicted_classes(best, changed) == y).mean())
                measured.append(
                    {
                        "dropout": setting.factors["dropout"],
                        "seed": trained.member.seed,
                        "corruption": kind,
                        "severity": level,
                        "corrupted_accuracy": accuracy,
                    }
                )
            return {}

        whole = result_of(plan, train_settings(plan, execution, measure), lambda result: [])
        return _by_corruption(whole, pd.DataFrame(measured), plan.settings[0].name)

    return StudyPlan(
        kind="robustness",
        dataset=data,
        settings=with_and_without_dropout(setup, rates, sites),
        seeds=as_seeds(num_seeds),
        training=training,
        procedure=procedure,
        arguments={
            "sites": sites,
            "levels": {kind: list(each) for kind, each in wanted.items()},
        },
    )


@study(plan_robustness)
def robustness() -> None:
    """Train on clean inputs and measure the accuracy on corrupted ones.

    Returns:
        The result, with the factors ``corruption``, ``severity`` and ``dropout``; its objective is
        ``corrupted_accuracy``, measured on the corrupted validation set at the best epoch.

    Example:
        >>> from dropout_zoo.studies import robustness
        >>> study = robustness("mlp", "digits", levels={"rotation": [30]}, epochs=1, num_seeds=1)
        >>> study.means()["setting"].tolist()
        ['no dropout, rotation 30', 'as given, rotation 30']
    """


def _by_corruption(
    whole: TrainingStudyResult, measured: pd.DataFrame, control: str
) -> TrainingStudyResult:
    """One row per run and corruption, in place of the learning curves."""
    scores = whole.scores()
    about = (
        scores[scores["status"] == "completed"]
        .drop(columns=["epoch", *whole.metrics, "score", "run", "setting"])
        .astype({"best_epoch": int})
    )
    table = measured.merge(about, on=["dropout", "seed"], validate="many_to_one")
    kinds = table["corruption"].map(corruption_name)
    where = kinds + " " + table["severity"].map("{:g}".format)
    table.insert(0, "run", range(len(table)))
    table.insert(1, "setting", table["dropout"] + ", " + where)
    compared = table["dropout"] != control
    table = table.assign(epoch=table["best_epoch"])
    score = table.pop("corrupted_accuracy")
    result = replace(
        whole,
        data=table.assign(corrupted_accuracy=score),
        objective=whole.objective._replace(name="corrupted_accuracy", direction="max"),
        factors=["corruption", "severity", "dropout"],
        controls={
            name: f"{control}, {at}"
            for name, at in zip(table["setting"][compared], where[compared], strict=True)
        },
    )
    conclusions = [
        *not_ended_sentences(whole),
        *failure_sentences(whole.failures()),
        *sentences_on("corrupted_accuracy", result),
        *failure_sentences(result.failures()),
        method_sentence(result),
    ]
    return replace(result, conclusions=tuple(conclusions))
