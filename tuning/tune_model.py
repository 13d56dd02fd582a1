"""`tune`: a whole search in one call."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Unpack

from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.loaders import load_dataset
from dropout_zoo.training.settings import TrainOptions, TrainSettings
from dropout_zoo.tuning.result import TuningResult
from dropout_zoo.tuning.search import ModelArgument, Search, TuningSettings
from dropout_zoo.tuning.space import Rates


def tune(
    model: ModelArgument,
    dataset: Dataset | str | Path = "digits",
    *,
    oracle: str = "grid",
    rates: Rates | None = None,
    placements: Iterable[str] | None = None,
    trials: int | None = None,
    seed: int = 0,
    finalists: int = 5,
    seeds: int = 5,
    directory: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    **settings: Unpack[TrainOptions],
) -> TuningResult:
    """Search the dropout rates of a model, and show what the best of them are worth.

    Every trial is scored by its objective at its best epoch. Two controls run beside the search:
    no dropout, and the rates that the model came with. The best trials and both controls are then
    trained again on fresh seeds, the same for each, and the answer rests on those: paired
    differences from no dropout, with intervals. The winner alone is scored on the test part, once.

    Args:
        model: a compiled Keras model, a registered name, ``"package.module:function"``, or a
            function without required arguments that returns a compiled model.
        dataset: a `Dataset`, or what `load_dataset` takes.
        oracle: what chooses the trials: ``"grid"``, ``"random"``, ``"bayesian"`` or
            ``"hyperband"``.
        rates: rates (fractions dropped) to try, for every searched site or by site path; None for
            0.20, 0.25, ..., 0.50 at hidden sites and 0.20, 0.25 at input sites.
        placements: search only sites of these placements; registered models gain dropout layers
            at placements that they lack.
        trials: number of trials at most; None for the whole grid, or 20 of a sampling oracle.
        seed: decides everything that is drawn, a whole number >= 0.
        finalists: number of settings that are trained again.
        seeds: number of fresh seeds on which they are.
        directory: a new or empty folder for the run; None for a temporary one that goes with the
            result.
        resume: whether to go on with the run that the folder holds; nothing is trained twice.
        overwrite: whether to remove the run that the folder holds.
        progress: whether to report progress on standard error.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The result, with tables, the chosen rates, the best model and a plot.

    Raises:
        ValueError: a setting is out of range, or model, data and settings do not fit.
        TypeError: the model cannot be cloned.
        RuntimeError: every training failed.
    """
    training = TrainSettings.from_options(settings, tune)
    data = dataset if isinstance(dataset, Dataset) else load_dataset(str(dataset), seed=seed)
    tuning = TuningSettings(
        oracle=oracle,
        rates=rates,
        placements=None if placements is None else tuple(placements),
        trials=trials,
        seed=seed,
        finalists=finalists,
        seeds=seeds,
        training=training,
    )
    search = Search(model, data, tuning)
    return search.run(
        None if directory is None else Path(directory),
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )
