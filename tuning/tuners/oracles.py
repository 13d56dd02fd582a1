"""The oracles of `tune`: KerasTuner's, set up for spaces of dropout rates."""

from __future__ import annotations

from typing import Any

import keras_tuner
from keras_tuner import oracles

from dropout_zoo.models.argument_validation import check_choice, check_count
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.defaults import (
    DEFAULT_MAX_TRIALS,
    LARGEST_FULL_GRID,
    LARGEST_GRID,
    ORACLES,
)
from dropout_zoo.tuning.keras_tuner_internals import (
    InMemoryOracle,
    SmallSpaceHyperbandOracle,
    UntriedBayesianOracle,
    allow_collisions,
)
from dropout_zoo.tuning.space import SearchSpace

MIXED_ORACLE = "random"
"""The oracle that chooses rates and other hyperparameters where none is named."""


class _Grid(InMemoryOracle, oracles.GridSearchOracle):
    pass


class _Random(InMemoryOracle, oracles.RandomSearchOracle):
    pass


class _Bayesian(InMemoryOracle, UntriedBayesianOracle):
    pass


class _Hyperband(InMemoryOracle, SmallSpaceHyperbandOracle):
    pass


_MIXED = {MIXED_ORACLE: _Random, "bayesian": _Bayesian}


def default_oracle(space: SearchSpace, *, in_one_run: bool = False) -> str:
    """Return the oracle that is used where none is named.

    Args:
        space: what is searched.
        in_one_run: whether a trial cannot continue an earlier one.

    Returns:
        ``"grid"`` for up to 20 settings, otherwise ``"halving"``; where trials cannot be continued,
        ``"grid"`` for up to 50 settings, otherwise ``"random"``.
    """
    if in_one_run:
        return "grid" if space.size <= LARGEST_GRID else "random"
    return "grid" if space.size <= LARGEST_FULL_GRID else "halving"


def make_oracle(
    name: str,
    space: SearchSpace,
    *,
    objective: Objective,
    max_trials: int | None,
    epochs: int,
    seed: int,
) -> keras_tuner.Oracle:
    """Make an oracle of KerasTuner for a space of dropout rates; it writes no files.

    Args:
        name: ``"grid"``, ``"random"``, ``"bayesian"`` or ``"hyperband"``.
        space: what is searched.
        objective: what trials are judged by.
        max_trials: maximum number of trials; None for the whole grid, or 20 with random search and
            Bayesian optimization. Not allowed with Hyperband, whose number of trials follows from
            the epochs.
        epochs: epochs of one training run.
        seed: determines what the oracle samples; an integer >= 0.

    Returns:
        The oracle.

    Raises:
        ValueError: as in `trial_limit`.
    """
    limit = trial_limit(name, space, max_trials, epochs)
    common = _common(objective, seed, limit)
    oracle: keras_tuner.Oracle
    if name == "grid":
        oracle = _Grid(max_trials=limit, **common)
    elif name == "random":
        oracle = _Random(max_trials=limit, **common)
    elif name == "bayesian":
        oracle = _Bayesian(max_trials=limit, **common)
    else:
        oracle = _Hyperband(space.size, max_epochs=epochs, **common)
    allow_collisions(oracle, 20 * space.size)
    oracle.verbose = 0
    return oracle


def make_mixed_oracle(
    name: str,
    hyperparameters: keras_tuner.HyperParameters,
    *,
    objective: Objective,
    max_trials: int,
    seed: int,
) -> keras_tuner.Oracle:
    """Make an oracle of KerasTuner for dropout rates and other hyperparameters.

    Args:
        name: ``"random"`` or ``"bayesian"``.
        hyperparameters: what it chooses.
        objective: as in `make_oracle`, like the next two arguments.
        max_trials: maximum number of trials.
        seed: determines what the oracle samples.

    Returns:
        The oracle.
    """
    oracle: keras_tuner.Oracle = _MIXED[name](
        max_trials=max_trials,
        hyperparameters=hyperparameters.copy(),
        **_common(objective, seed, max_trials),
    )
    oracle.verbose = 0
    return oracle


def _common(objective: Objective, seed: int, limit: int) -> dict[str, Any]:
    return {
        "objective": keras_tuner.Objective(*objective),
        "seed": seed + 1,  # KerasTuner takes 0 for "no seed"
        # Three failures in a row, the default, say nothing about the settings to come.
        "max_consecutive_failed_trials": limit + 1,
    }


def trial_limit(name: str, space: SearchSpace, max_trials: int | None, epochs: int) -> int:
    """Return the largest number of trials of a search that continue no other trial.

    Args:
        name: ``"grid"``, ``"random"``, ``"bayesian"``, ``"halving"`` or ``"hyperband"``.
        space: what is searched.
        max_trials: maximum number of trials; None for the whole grid, 20 with random search and
            Bayesian optimization, and 50 with halving.
        epochs: epochs of one training run, which determine the number of trials of Hyperband.

    Returns:
        The number of trials.

    Raises:
        ValueError: there is no oracle of that name, or `max_trials` is not positive or is given to
            Hyperband.
    """
    check_choice(name, ORACLES, "oracle")
    if max_trials is not None:
        check_count(max_trials, "max_trials")
        if name == "hyperband":
            raise ValueError(
                "expected max_trials with another oracle, received oracle='hyperband', "
                "whose number of trials follows from the epochs"
            )
    if name == "hyperband":
        check_count(epochs, "epochs")
        return SmallSpaceHyperbandOracle(
            space.size, max_epochs=epochs, objective="val_loss"
        ).num_begun
    if max_trials is None:
        defaults = {"grid": space.size, "halving": LARGEST_GRID}
        max_trials = defaults.get(name, DEFAULT_MAX_TRIALS)
    return min(max_trials, space.size)


def mixed_trial_limit(name: str, max_trials: int | None) -> int:
    """Return the largest number of trials of rates and other hyperparameters.

    Args:
        name: ``"random"`` or ``"bayesian"``.
        max_trials: maximum number of trials; None for 20.

    Returns:
        The number of trials.

    Raises:
        ValueError: another oracle is named, or `max_trials` is not positive.
    """
    check_choice(name, ORACLES, "oracle")
    if name not in _MIXED:
        raise ValueError(
            f"expected oracle='random' or 'bayesian' with a build function, received {name!r}; its "
            "hyperparameters may have any number of values, and each trial is also trained "
            "without dropout"
        )
    if max_trials is not None:
        check_count(max_trials, "max_trials")
    return DEFAULT_MAX_TRIALS if max_trials is None else max_trials
