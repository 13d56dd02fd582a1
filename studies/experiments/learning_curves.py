"""Learning curves of a few settings, on several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import pandas as pd

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
from dropout_zoo.studies.summary_text import best_sentence, failure_sentences, method_sentence
from dropout_zoo.studies.verdicts import verdict_by_setting
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.settings import TrainOptions, TrainSettings


def learning_curves(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    rates: Sequence[Wanted] = (None,),
    sites: str = "hidden",
    seeds: int | Sequence[int] = 5,
    execution: Execution | None = None,
    **settings: Unpack[TrainOptions],
) -> TrainingStudyResult:
    """Train a few settings and keep what every epoch measured.

    The training metrics are kept twice: as Keras reports them, averaged over the epoch with
    dropout on, and measured after the epoch with dropout off.

    Args:
        model: a compiled Keras model, a registered name, ``"package.module:function"``, or a
            function that returns a compiled model.
        dataset: a `Dataset`, or what `load_dataset` takes.
        rates: the settings beside no dropout: a rate (fraction dropped) for all of `sites`, rates
            by site path, or None for those that the model came with.
        sites: ``"all"``, a placement such as ``"hidden"``, or a path: where a single rate applies;
            other sites keep theirs.
        seeds: number of seeds, or the seeds.
        execution: where the study runs and who hears of it.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The result, with the factor ``dropout``.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.
        RuntimeError: every training failed.
    """
    training = TrainSettings.from_options(settings, learning_curves)
    data = as_dataset(dataset)
    plan = _plan("learning_curves", model, data, rates, sites, as_seeds(seeds), training)
    return run_plan(plan, data, execution or Execution(), _conclude)


def epoch_sweep(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    rates: Sequence[Wanted] = (None,),
    sites: str = "hidden",
    seeds: int | Sequence[int] = 5,
    execution: Execution | None = None,
    **settings: Unpack[TrainOptions],
) -> TrainingStudyResult:
    """Train for long and find out after how many epochs the validation loss turns.

    Args:
        model: what `learning_curves` takes.
        dataset: a `Dataset`, or what `load_dataset` takes.
        rates: the settings beside no dropout, as in `learning_curves`.
        sites: where a single rate applies.
        seeds: number of seeds, or the seeds.
        execution: where the study runs and who hears of it.
        **settings: how each model is trained; see `TrainSettings`; `epochs`
            defaults to 100.

    Returns:
        The result; its best epochs are the turns.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.
        RuntimeError: every training failed.
    """
    training = TrainSettings.from_options({"epochs": 100, **settings}, epoch_sweep)
    data = as_dataset(dataset)
    plan = _plan("epoch_sweep", model, data, rates, sites, as_seeds(seeds), training)
    return run_plan(plan, data, execution or Execution(), _conclude_turns)


def _plan(
    kind: str,
    model: Model,
    data: Dataset,
    rates: Sequence[Wanted],
    sites: str,
    seeds: list[int],
    training: TrainSettings,
) -> StudyPlan:
    bench = Bench(model_with_sites(model, data, [sites]), data)
    wanted = named_rates(bench.model, rates, sites)
    return StudyPlan(
        kind=kind,
        settings=[Setting(name, {"dropout": name}, each, bench) for name, each in wanted.items()],
        controls={name: NO_DROPOUT for name in wanted if name != NO_DROPOUT},
        seeds=seeds,
        training=training,
        arguments={"sites": sites},
    )


def _conclude(result: TrainingStudyResult) -> list[str]:
    sentences = [best_sentence(result)]
    for name, found in verdict_by_setting(result).items():
        sentences.append(f"{name}: {found.sentence}")
        sentences += [f"  Next: {step}." for step in found.next_steps]
    return [*sentences, *failure_sentences(result), method_sentence(result)]


def _conclude_turns(result: TrainingStudyResult) -> list[str]:
    last = result.settings["training"]["epochs"]
    sentences = []
    for row in result.means("best_epoch").itertuples():
        rise = _rise(result.curves(str(row.setting)), result.objective.name)
        text = f"{row.setting}: {result.objective.name} is best at epoch {row.mean:.1f}"
        if row.seeds > 1:
            low, high = max(row.low, 1), min(row.high, last)
            text += f" ({low:.1f} to {high:.1f} on {row.seeds} seeds)"
        if row.mean >= last:
            text += ", the last one: it has not turned yet"
        else:
            text += f", and ends {rise:.0%} off its best after {last}"
        sentences.append(f"{text}.")
    return [*sentences, *failure_sentences(result), method_sentence(result)]


def _rise(curves: pd.DataFrame, objective: str) -> float:
    """How far the last epoch is off the best one, as a share of it, mean over the seeds."""
    shares = []
    for _, group in curves[curves["status"] == "completed"].groupby("seed"):
        by_epoch = group.set_index("epoch")[objective]
        best = by_epoch.loc[group["best_epoch"].iloc[0]]
        shares.append(abs(by_epoch.iloc[-1] - best) / max(abs(best), 1e-12))
    return float(np.mean(shares))
