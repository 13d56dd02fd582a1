"""`tune`: a search from start to finish in one call."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Unpack

import pandas as pd

from dropout_zoo.training.data.adapters import Arrays, Data, as_dataset
from dropout_zoo.training.settings import TrainOptions, TrainSettings
from dropout_zoo.tuning.result import TuningResult
from dropout_zoo.tuning.search import ModelArgument, Search, TuningSettings
from dropout_zoo.tuning.space import Rates


def tune(
    model: ModelArgument,
    x: Data = "digits",
    y: Arrays | None = None,
    *,
    validation_data: tuple[Arrays, Arrays] | pd.DataFrame | None = None,
    validation_split: float | None = None,
    test_data: tuple[Arrays, Arrays] | pd.DataFrame | None = None,
    sample_weight: Arrays | None = None,
    target: str | None = None,
    oracle: str | None = None,
    rates: Rates | None = None,
    placements: Iterable[str] | None = None,
    max_trials: int | None = None,
    num_seeds: int = 5,
    num_finalists: int = 5,
    seed: int = 0,
    directory: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    **settings: Unpack[TrainOptions],
) -> TuningResult:
    """Search the dropout rates of a model and measure what the best rates gain.

    The score of a trial is its objective at its best epoch. Two controls are trained as well: no
    dropout, and the rates that the model was given with. The best trials (the finalists) and both
    controls are then trained again on new seeds, the same for each, and the result is based on
    these training runs: on differences from no dropout, paired by seed, with confidence intervals.
    Only the winner is evaluated on the test set, once, if there is a test set.

    Args:
        model: a compiled Keras model; the name of a registered model;
            ``"package.module:function"``; or a function without required arguments that returns a
            compiled model.
        x: inputs, as an array, nested lists or a data frame; or a `Dataset`, or a name or path for
            `load_dataset`. If nothing is said about validation, a part is split off at random for
            it, and another for the test; see `as_dataset`, which takes the same arguments.
        y: labels or targets, one per example.
        validation_data: pair ``(x, y)`` to validate on.
        validation_split: fraction of the examples to validate on; the last rows, as in
            `Model.fit`.
        test_data: pair ``(x, y)`` on which the winner is evaluated.
        sample_weight: weights of the examples in `x`.
        target: target column of a data frame or a table.
        oracle: KerasTuner's method of choosing trials: ``"grid"``, ``"random"``, ``"bayesian"``
            or ``"hyperband"``; None for a grid of up to 50 settings, otherwise random search.
        rates: a rate (fraction dropped) or several to try, at every searched site or by site path;
            None for 0.20, 0.25, ..., 0.50 at hidden sites and 0.20, 0.25 at input sites. Where a
            rate for each site makes more than 50 settings, sites with the same placement share
            one, unless rates are given by site path.
        placements: search only sites with these placements. A registered model gets dropout
            layers at those placements where it has none.
        max_trials: maximum number of trials; None for the whole grid, or 20 with the oracles that
            sample. Hyperband ignores it.
        num_seeds: number of seeds on which each finalist and control is trained again.
        num_finalists: number of settings that are trained again.
        seed: seed of the trials and of everything random in the search, an integer >= 0. The
            finalists are trained on the seeds that follow it.
        directory: a new or empty directory for the run; None for a temporary one that is removed
            with the result.
        resume: whether to continue the run in the directory; no training is repeated.
        overwrite: whether to remove the run in the directory first.
        progress: whether to report progress on standard error.
        **settings: how each model is trained; see `TrainSettings`.

    Returns:
        The result: the best rates and the best model, tables of all training runs, and a plot.

    Raises:
        ValueError: a setting is out of range, or model, data and settings do not fit together.
        TypeError: there is no such setting, or the model cannot be cloned.
        RuntimeError: no finalist or control completed on every seed.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.tuning import tune
        >>> result = tune(
        ...     build_mlp(units=(8,), hidden_rates=0.5), "digits", rates=[0.2, 0.5],
        ...     num_finalists=1, num_seeds=2, epochs=1, progress=False,
        ... )
        >>> sorted(result.best_rates)
        ['hidden_1_dropout']
        >>> result.trainings
        10
    """
    training = TrainSettings.from_options(settings, tune)
    data = as_dataset(
        x,
        y,
        validation_data=validation_data,
        validation_split=validation_split,
        test_data=test_data,
        sample_weight=sample_weight,
        target=target,
        seed=seed,
    )
    tuning = TuningSettings(
        oracle=oracle,
        rates=rates,
        placements=None if placements is None else tuple(placements),
        max_trials=max_trials,
        num_seeds=num_seeds,
        num_finalists=num_finalists,
        seed=seed,
        training=training,
    )
    search = Search(model, data, tuning)
    return search.run(
        None if directory is None else Path(directory),
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )
