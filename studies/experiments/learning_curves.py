"""Learning curves of a few settings, on several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

import numpy as np
import pandas as pd

from dropout_zoo.models.factory import ModelLike
from dropout_zoo.studies.defaults import NUM_SEEDS, SITES
from dropout_zoo.studies.plan import StudyPlan, TrainingSetup, as_seeds
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import train_and_conclude
from dropout_zoo.studies.site_groups import RateSpec, model_with_sites, with_and_without_dropout
from dropout_zoo.studies.study import study
from dropout_zoo.studies.summary_text import basis_sentences, best_sentence, not_ended_sentences
from dropout_zoo.studies.verdicts import verdict_by_setting
from dropout_zoo.training.data.adapters import Data, as_dataset
from dropout_zoo.training.settings import TrainOptions, TrainSettings


def plan_learning_curves(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    rates: RateSpec | Sequence[RateSpec] = (None,),
    sites: str = SITES,
    num_seeds: int = NUM_SEEDS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `learning_curves`.

    Args:
        model: a compiled Keras model, a registered name, ``"package.module:function"``, or a
            function that returns a compiled model.
        dataset: the data; see `as_dataset`.
        rates: what is compared with no dropout: a rate (fraction dropped, in [0, 1)) for all of
            `sites`, rates by site path, or None for the model's own rates.
        sites: where a single rate applies: ``"all"``, a placement such as ``"hidden"``, or the
            path of a site; the other sites keep their rates.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The plan.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.

    Example:
        >>> from dropout_zoo.studies import plan_learning_curves
        >>> plan_learning_curves("mlp", "digits", rates=[0.2, 0.5], num_seeds=3).num_runs
        9
    """
    data = as_dataset(dataset)
    training = TrainSettings.from_options(data.training_options | settings, learning_curves)
    setup = TrainingSetup(model_with_sites(model, data, [sites]), data)
    return StudyPlan(
        kind="learning_curves",
        dataset=data,
        settings=with_and_without_dropout(setup, rates, sites),
        seeds=as_seeds(num_seeds),
        training=training,
        procedure=train_and_conclude(_conclude),
        arguments={"sites": sites},
    )


@study(plan_learning_curves)
def learning_curves() -> None:
    """Train a few settings and keep what every epoch measured.

    The training metrics are kept twice: as Keras reports them, averaged over the epoch with
    dropout on, and measured after the epoch with dropout off.

    Returns:
        The result, with the factor ``dropout``.

    Example:
        >>> from dropout_zoo.studies import learning_curves
        >>> study = learning_curves("mlp", "digits", rates=[0.5], epochs=1, num_seeds=1)
        >>> study.scores()["setting"].tolist()
        ['no dropout', 'rate 0.50']
    """


def plan_epoch_sweep(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    rates: RateSpec | Sequence[RateSpec] = (None,),
    sites: str = SITES,
    num_seeds: int = NUM_SEEDS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `epoch_sweep`.

    Args:
        model: a compiled model, or what builds one; see `learning_curves`.
        dataset: the data; see `as_dataset`.
        rates: what is compared with no dropout; see `learning_curves`.
        sites: where a single rate applies; see `learning_curves`.
        num_seeds: number of seeds on which each setting is trained.
        **settings: how each model is trained; see `TrainSettings`. The default is 100 epochs.

    Returns:
        The plan.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.

    Example:
        >>> from dropout_zoo.studies import plan_epoch_sweep
        >>> plan_epoch_sweep("mlp", "digits", num_seeds=3).num_runs
        6
    """
    options: TrainOptions = {"epochs": 100, **settings}
    TrainSettings.from_options(options, epoch_sweep)  # which names what is wrong
    plan = plan_learning_curves(
        model, dataset, rates=rates, sites=sites, num_seeds=num_seeds, **options
    )
    return replace(plan, kind="epoch_sweep", procedure=train_and_conclude(_conclude_turns))


@study(plan_epoch_sweep)
def epoch_sweep() -> None:
    """Train for many epochs and find the epoch after which the validation loss rises.

    Returns:
        The result; its best epochs are these epochs.

    Example:
        >>> from dropout_zoo.studies import epoch_sweep
        >>> study = epoch_sweep("mlp", "digits", epochs=2, num_seeds=1)
        >>> study.means("best_epoch")["setting"].tolist()
        ['no dropout', 'as given']
    """


def _conclude(result: TrainingStudyResult) -> list[str]:
    sentences = [*not_ended_sentences(result), best_sentence(result)]
    for name, found in verdict_by_setting(result).items():
        sentences.append(f"{name}: {found.sentence}")
        sentences += [f"  Next: {step}." for step in found.next_steps]
    return [*sentences, *basis_sentences(result)]


def _conclude_turns(result: TrainingStudyResult) -> list[str]:
    last = result.settings["training"]["epochs"]
    sentences = not_ended_sentences(result)
    for row in result.means("best_epoch").itertuples():
        rise = _rise(result.curves(str(row.setting)), result.objective.name)
        text = f"{row.setting}: {result.objective.name} is best at epoch {row.mean:.1f}"
        if row.seeds > 1:
            low, high = max(row.low, 1), min(row.high, last)
            text += f" on average (95% CI {low:.1f} to {high:.1f}, {row.seeds} seeds)"
        if row.mean >= last:
            text += ", the last epoch, so longer training may improve it"
        else:
            text += f", and at epoch {last} it is {rise:.0%} worse"
        sentences.append(f"{text}.")
    return [*sentences, *basis_sentences(result)]


def _rise(curves: pd.DataFrame, objective: str) -> float:
    """How far the last epoch is off the best one, relative to the best, averaged over seeds."""
    shares = []
    for _, group in curves[curves["status"] == "completed"].groupby("seed"):
        by_epoch = group.set_index("epoch")[objective]
        best = by_epoch.loc[group["best_epoch"].iloc[0]]
        shares.append(abs(by_epoch.iloc[-1] - best) / max(abs(best), 1e-12))
    return float(np.mean(shares))
