"""Learning curves of a few settings, on several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dropout_zoo.models.guidance import check_rate
from dropout_zoo.models.sites import dropout_sites
from dropout_zoo.studies.conclusions import best_sentence, failure_sentences, method_sentence
from dropout_zoo.studies.results import TrainingStudyResult
from dropout_zoo.studies.swept_sites import model_with_sites, rates_at, sites_of
from dropout_zoo.studies.trainings import (
    NO_DROPOUT,
    Bench,
    Execution,
    FitSettings,
    Model,
    Setting,
    StudyPlan,
    as_dataset,
    as_seeds,
    run_plan,
)
from dropout_zoo.studies.verdicts import verdict_by_setting
from dropout_zoo.training.dataset import Dataset

AS_GIVEN = "as given"
"""Name of the rates that the model came with."""


def learning_curves(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    rates: Sequence[float | Mapping[str, float] | None] = (None,),
    sites: str = "hidden",
    seeds: int | Sequence[int] = 5,
    epochs: int = 20,
    fit: FitSettings | None = None,
    execution: Execution | None = None,
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
        epochs: epochs of each training.
        fit: how each model is trained.
        execution: where the study runs and who hears of it.

    Returns:
        The result; its factor is ``"setting"`` itself.

    Raises:
        ValueError: an argument is out of range, or model and data do not fit.
        RuntimeError: every training failed.
    """
    data = as_dataset(dataset)
    bench = Bench(model_with_sites(model, data, [sites]), data)
    given = {site.path: site.rate for site in dropout_sites(bench.model)}
    wanted = {NO_DROPOUT: dict.fromkeys(given, 0.0)}
    for each in rates:
        if each is None:
            wanted[AS_GIVEN] = given
        elif isinstance(each, Mapping):
            name = ", ".join(f"{path} {rate:.2f}" for path, rate in each.items())
            wanted[name] = given | dict(each)
        else:
            rate = check_rate(each, "rates")
            wanted[f"rate {rate:.2f}"] = rates_at(bench.model, sites_of(bench.model, sites), rate)
    plan = StudyPlan(
        kind="learning_curves",
        settings=[Setting(name, {}, each, bench) for name, each in wanted.items()],
        controls={name: NO_DROPOUT for name in wanted if name != NO_DROPOUT},
        seeds=as_seeds(seeds),
        epochs=epochs,
        fit=fit or FitSettings(),
        arguments={"sites": sites},
    )
    return run_plan(plan, data, execution or Execution(), _conclude)


def _conclude(result: TrainingStudyResult) -> list[str]:
    sentences = [best_sentence(result)]
    for name, found in verdict_by_setting(result).items():
        sentences.append(f"{name}: {found.sentence}")
        sentences += [f"  Next: {step}." for step in found.next_steps]
    return [*sentences, *failure_sentences(result), method_sentence(result)]
