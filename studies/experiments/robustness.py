"""Inputs corrupted at test, with and without dropout in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import pandas as pd

from dropout_zoo.studies.data.corruption import corrupted
from dropout_zoo.studies.experiments.label_noise import (
    as_classification,
    conclude_gains,
    plan_levels,
    predicted_classes,
)
from dropout_zoo.studies.plan import NO_DROPOUT, Execution, Model, Setting
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import announce, result_of, train_settings
from dropout_zoo.studies.site_groups import Wanted, model_with_sites, reads_tokens
from dropout_zoo.studies.summary_text import failure_sentences
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.settings import TrainOptions, TrainSettings


def robustness(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    levels: Mapping[str, Sequence[float]] | None = None,
    rates: Sequence[Wanted] = (None,),
    sites: str = "hidden",
    seeds: int | Sequence[int] = 5,
    execution: Execution | None = None,
    **settings: Unpack[TrainOptions],
) -> TrainingStudyResult:
    """Train on clean inputs and measure on corrupted ones.

    Args:
        model: what `label_noise_sweep` takes.
        dataset: a classification, or what `load_dataset` takes.
        levels: by corruption the levels: ``"gaussian noise"`` as a share of the largest input
            value (standard deviation), ``"missing pixels"`` as the share set to 0,
            ``"rotation"`` of images in degrees; None for 0, 0.1, 0.2, 0.3, 0.5 of the first two.
        rates: the settings beside no dropout, as in `learning_curves`.
        sites: where a single rate applies.
        seeds: number of seeds, or the seeds.
        execution: where the study runs and who hears of it.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The result, with the factors ``corruption``, ``severity`` and ``dropout``; its objective is
        ``corrupted_accuracy``, measured on the corrupted validation part at the best epoch.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.
        RuntimeError: every training failed.
    """
    training = TrainSettings.from_options(settings, robustness)
    data = as_classification(dataset)
    wanted = levels or dict.fromkeys(
        ("gaussian noise", "missing pixels"), (0.0, 0.1, 0.2, 0.3, 0.5)
    )
    x, y = data.validation
    inputs = {
        (kind, float(level)): corrupted(x, kind, level, seed=0)
        for kind, each in wanted.items()
        for level in each
    }
    built = model_with_sites(model, data, [sites])
    if reads_tokens(built):
        raise ValueError(
            f"expected a model of quantities, received {built.name!r}, which reads tokens: noise "
            "and missing values make other tokens of them"
        )
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

    plan = plan_levels("robustness", "", {0: ("", data)}, built, rates, sites, seeds, training)
    arguments = {"levels": {kind: list(each) for kind, each in wanted.items()}}
    plan = replace(plan, arguments={**plan.arguments, **arguments})
    execution = execution or Execution()
    announce(plan, data, execution)
    trained = train_settings(plan, execution, measure)
    whole = result_of(plan, data, trained, lambda result: [])
    return _by_corruption(whole, pd.DataFrame(measured))


def _by_corruption(whole: TrainingStudyResult, measured: pd.DataFrame) -> TrainingStudyResult:
    """One row for each training and corruption, in place of the learning curves."""
    scores = whole.scores()
    about = (
        scores[scores["status"] == "completed"]
        .drop(columns=["epoch", *whole.metrics, "score", "training", "setting"])
        .astype({"best_epoch": int})
    )
    table = measured.merge(about, on=["dropout", "seed"], validate="many_to_one")
    where = table["corruption"] + " " + table["severity"].map("{:g}".format)
    table.insert(0, "training", range(len(table)))
    table.insert(1, "setting", table["dropout"] + ", " + where)
    control = NO_DROPOUT + ", " + where
    compared = table["dropout"] != NO_DROPOUT
    table = table.assign(epoch=table["best_epoch"])
    score = table.pop("corrupted_accuracy")
    result = replace(
        whole,
        data=table.assign(corrupted_accuracy=score),
        objective=whole.objective._replace(name="corrupted_accuracy", direction="max"),
        factors=["corruption", "severity", "dropout"],
        controls=dict(zip(table["setting"][compared], control[compared], strict=True)),
    )
    gains = conclude_gains(("corrupted_accuracy",), result)
    return replace(result, conclusions=(*failure_sentences(whole), *gains))
