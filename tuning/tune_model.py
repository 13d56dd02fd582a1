"""`tune`: a search from start to finish in one call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Unpack

import pandas as pd

from dropout_zoo.models.argument_validation import as_names
from dropout_zoo.training.data.adapters import Arrays, Data, as_dataset
from dropout_zoo.training.data.tables.columns import ColumnOptions
from dropout_zoo.training.defaults import Task
from dropout_zoo.training.settings import TrainOptions
from dropout_zoo.tuning.budget import Budget, Duration
from dropout_zoo.tuning.build_functions.build_function import Tunable, takes_hyperparameters
from dropout_zoo.tuning.defaults import NUM_FINALISTS, NUM_SEEDS, SEED
from dropout_zoo.tuning.implied_task import implied_task, with_known_loss
from dropout_zoo.tuning.results.result import TuningResult
from dropout_zoo.tuning.search.search import Search, TuningSettings
from dropout_zoo.tuning.search.search_run import run_search
from dropout_zoo.tuning.space import Rates


def tune(
    model: Tunable,
    x: Data = "digits",
    y: Arrays | None = None,
    *,
    validation_data: tuple[Arrays, ...] | pd.DataFrame | None = None,
    validation_split: float | None = None,
    test_data: tuple[Arrays, ...] | pd.DataFrame | None = None,
    sample_weight: Arrays | None = None,
    steps_per_epoch: int | None = None,
    target: str | None = None,
    drop: str | Sequence[str] = (),
    text: str | Sequence[str] = (),
    task: Task | None = None,
    oracle: str | None = None,
    rates: Rates | None = None,
    placements: str | Iterable[str] | None = None,
    max_trials: int | None = None,
    num_seeds: int = NUM_SEEDS,
    num_finalists: int = NUM_FINALISTS,
    resplit: bool | None = None,
    seed: int = SEED,
    budget: Duration | None = None,
    directory: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    cluster: str | None = None,
    **settings: Unpack[TrainOptions],
) -> TuningResult:
    """Search the dropout rates of a model and measure what the best rates gain.

    The score of a training run is its objective at its best epoch. The search trains every setting
    on one seed, together with two controls: the model's own rates, and no dropout. The best three
    settings are then trained on two more seeds, each with a new split of the training and
    validation examples, and the one with the best mean is the finalist.

    The finalist then races against no dropout: both are trained on the same new seeds and splits
    of the training and validation examples, at most two seeds on each split. After 10 and 20 seeds
    the paired differences are examined, and the race ends once a gain is established, or a gain as
    large as one standard deviation of the scores is ruled out. The intervals allow for these looks
    and, by the correction of Nadeau and Bengio (2003), for splits that overlap. Without dropout
    means a rate of 0 at the searched sites; the others keep theirs.

    Each run trains until the objective has not improved for about 1,000 updates. Where the best
    epochs are still the last ones, the answer is "not trained to the end". Only the recommended
    model, trained on the data as they were split, is evaluated on the test set, once.

    Before it trains, the search reports the errors that `audit` finds in the model, and continues.

    A function of KerasTuner's hyperparameters (``build(hp)``) has them searched together with the
    rates. Each trial is then also trained without dropout, so that no dropout is tried with as many
    values of the hyperparameters. The finalist races against no dropout with the same
    hyperparameters, so that the answer is about dropout alone, and against the best setting without
    dropout that the search has found, if that has others. The rates of dropout sites are those of
    `rates`: a hyperparameter that changes nothing but dropout rates keeps its default.

    Args:
        model: a compiled Keras model; the name of a registered model;
            ``"package.module:function"``; or a function without required arguments that returns a
            compiled model. Give the function where Keras cannot clone the model: it then builds
            the copies too, and only the weights of the best model are saved. Or a function with one
            required argument, the hyperparameters of KerasTuner, or a `keras_tuner.HyperModel`.
            Initial weights are drawn anew for each seed, except those of frozen and adapted
            layers; ``initial_weights="keep"`` starts all runs from the model's own weights, such
            as pretrained ones.
        x: inputs, as an array, nested lists or a data frame, several in a dict or list; or a
            source of batches such as `tf.data.Dataset`; or a `Dataset`, or a name or path for
            `load_dataset`. If no validation data are given, validation and test sets are split off
            at random; see `as_dataset`, which takes the same arguments.
        y: labels or targets, one per example; several in a dict or list. They may be of any shape
            that the loss of the model takes. None for a model that is compiled without a loss,
            because its own code computes one.
        validation_data: pair ``(x, y)``, triple ``(x, y, sample_weight)``, source of batches or,
            without `y`, ``x`` alone to validate on.
        validation_split: fraction of the examples to validate on; the last rows, as in
            `Model.fit`.
        test_data: pair ``(x, y)`` or, without `y`, ``x`` alone, on which the winner is evaluated.
        sample_weight: weights of the examples in `x`, or of the steps of each; see `as_dataset`.
        steps_per_epoch: number of batches of an epoch, for sources of batches; see `as_dataset`.
        target: target column of a data frame or a table.
        drop: columns of a data frame or a table that are left out, one name or several.
        text: columns of a data frame or a table that hold free text.
        task: ``"classification"``, ``"regression"``, ``"reconstruction"``, or ``"custom"`` to give
            the targets to the loss as they are. None infers it from `y`, as `as_dataset` does; but
            integers other than 0 and 1 are targets of a regression where the model has one output
            unit and a loss that is not for classes, and floats are labels where its loss takes
            class numbers. The loss of registered models follows from the data instead.
        oracle: method of choosing trials: ``"grid"``, ``"random"``, ``"bayesian"``, ``"halving"``
            or ``"hyperband"``; None for a grid of up to 20 settings, otherwise halving. Halving
            trains up to 50 settings for a few epochs and goes on with the better half, three
            times, among settings of about the same mean rate. Where trials cannot be continued,
            because of callbacks or streamed examples, None is a grid of up to 50 settings,
            otherwise random search. With other hyperparameters, ``"random"`` (None) or
            ``"bayesian"``.
        rates: a rate (fraction dropped) or several to try, at every searched site or by site path;
            None for 0.20, 0.30, 0.40 and 0.50. If the best of these lies on their edge, 0.05 and
            0.10, or 0.60 and 0.70, are tried too, beyond the guidance. Where a rate for each site
            makes more than 50 settings, sites with the same placement share one, unless rates are
            given by site path. With other hyperparameters, they always share one.
        placements: search only sites with these placements, one name or several. A registered model
            gets dropout layers at those placements where it has none.
        max_trials: maximum number of trials; None for the whole grid, 20 with random search and
            Bayesian optimization, or 50 with halving. Not allowed with Hyperband, whose brackets
            fix the number. With other hyperparameters, each trial is two training runs.
        num_seeds: maximum number of seeds in the race. From 20 on, an odd number is rounded down
            where the data are split anew. With fewer than 10, all are trained on the given split.
        num_finalists: number of settings that race against no dropout. With more of them, only
            larger gains can be shown. One that fails on a seed is replaced by the next best
            setting. With other hyperparameters it must be 1.
        resplit: whether the seeds of the race are spread over several splits of the training and
            validation examples; otherwise, and where only one of them has weights or the training
            examples are streamed, the answer holds for the given split. None means True if the
            validation set was drawn at random and the weights are drawn anew. Adapted layers and
            the encoding of a table keep the statistics of the given training set on every split.
        seed: seed of the trials and of everything random in the search, an integer >= 0. Screening
            and race take the seeds that follow it.
        budget: limit on the time that the call takes, such as ``"10m"``, ``"90s"`` or ``"1h30m"``,
            or a number of seconds; None for as long as it takes. Training runs that have not
            finished then are dropped, and the answer rests on the others. A run in a directory can
            be resumed with a different budget, and eventually gives the answer of a run without a
            budget.
        directory: a new or empty directory for the run; None for a temporary one that is removed
            with the result.
        resume: whether to continue the run in the directory; no finished run is repeated.
        overwrite: whether to remove the run in the directory first.
        progress: whether to report progress on standard error.
        cluster: Ray cluster on whose nodes models are trained, with the same results:
            ``"auto"`` for the one that this machine is part of, ``"host:port"`` of its head, or
            ``"local:N"`` to start N nodes on this machine. A run can be resumed with another one,
            or without. None to train in this process.
        **settings: how each model is trained; see `TrainSettings`. By default, `patience` is about
            1,000 updates of the weights (5 to 100 epochs), and `epochs`, the maximum, about 8,000
            (20 to 2,000 epochs).

    Returns:
        The result: the best rates and the best model, tables of all training runs, and a plot.

    Raises:
        ValueError: a setting is out of range, or model, data and settings do not fit together; or
            `resume` or `overwrite` is given without a directory, or both are.
        TypeError: there is no such setting, or the model cannot be cloned.
        RuntimeError: every trial failed, no finalist or control completed on every seed, or the
            budget ended before any training run was completed.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.tuning import tune
        >>> result = tune(
        ...     build_mlp(units=(8,), hidden_rates=0.5), "digits", rates=[0.2, 0.5],
        ...     num_finalists=1, num_seeds=2, epochs=1, progress=False,
        ... )
        >>> sorted(result.best_rates)
        ['hidden_1_dropout']
        >>> result.answer
        'not trained to the end'

        With other hyperparameters:

        >>> def build(hp):
        ...     model = build_mlp(units=(hp.Choice("units", [4, 8]),), hidden_rates=0.5)
        ...     model.optimizer.learning_rate = hp.Float("learning_rate", 1e-3, 1e-2)
        ...     return model
        >>> result = tune(
        ...     build, "digits", rates=0.2, max_trials=1, num_seeds=1, epochs=1, progress=False
        ... )
        >>> sorted(result.best_hyperparameters)
        ['learning_rate', 'units']
    """
    if resume and overwrite:
        raise ValueError("expected resume=True or overwrite=True, received both")
    if directory is None and (resume or overwrite):
        given = "resume=True" if resume else "overwrite=True"
        raise ValueError(
            f"expected directory to be that of the run with {given}, received None; without a "
            "directory a run is not kept"
        )
    limit = None if budget is None else Budget.parse(budget)
    if not takes_hyperparameters(model):
        model = with_known_loss(model)
    data = as_dataset(
        x,
        y,
        validation_data=validation_data,
        validation_split=validation_split,
        test_data=test_data,
        sample_weight=sample_weight,
        steps_per_epoch=steps_per_epoch,
        target=target,
        drop=drop,
        text=text,
        task=task or implied_task(model, x, y, ColumnOptions.of(target, drop, text)),
        seed=seed,
    )
    options = {
        "oracle": oracle,
        "rates": rates,
        "placements": None if placements is None else as_names(placements),
        "max_trials": max_trials,
        "num_seeds": num_seeds,
        "num_finalists": num_finalists,
        "resplit": resplit,
        "seed": seed,
        **settings,
    }
    settings_of_search = TuningSettings.from_options(data, options, tune)
    search = Search(model, data, settings_of_search, limit, cluster)
    return run_search(
        search,
        None if directory is None else Path(directory),
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )
