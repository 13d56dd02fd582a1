"""KerasTuner's oracles, set up so that they do what their names promise."""

from __future__ import annotations

from typing import Any

import keras_tuner
from keras_tuner import oracles

from dropout_zoo.models.checks import check_choice, check_count
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.space import SearchSpace

ORACLES = ("grid", "random", "bayesian", "hyperband")
DEFAULT_TRIALS = 20  # of the oracles that do not try everything


class _UntriedBayesianOracle(oracles.BayesianOptimizationOracle):
    """Bayesian optimization that asks for no setting twice."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        suggestion = super().populate_space(trial_id)
        if suggestion["status"] != "RUNNING":
            return suggestion
        if self._compute_values_hash(suggestion["values"]) not in self._tried_so_far:
            return suggestion
        # Its model favours a setting that is known already: explore instead.
        values = self._random_values()
        return {"status": "STOPPED"} if values is None else {"status": "RUNNING", "values": values}


def make_oracle(
    name: str,
    space: SearchSpace,
    *,
    objective: Objective,
    trials: int | None,
    epochs: int,
    seed: int,
) -> keras_tuner.Oracle:
    """Make an oracle of KerasTuner for a space of dropout rates.

    Args:
        name: ``"grid"``, ``"random"``, ``"bayesian"`` or ``"hyperband"``.
        space: what is searched.
        objective: what trials are judged by.
        trials: number of trials at most; None for the whole grid, or 20 of the oracles that
            sample. Hyperband decides by itself, from the epochs.
        epochs: epochs of one training.
        seed: decides what the oracle draws; a whole number >= 0.

    Returns:
        The oracle.

    Raises:
        ValueError: there is no oracle of that name.
    """
    common: dict[str, Any] = {
        "objective": keras_tuner.Objective(*objective),
        "seed": seed + 1,  # KerasTuner takes 0 for "no seed"
        # A search that ends after three failures in a row tells nothing of the settings to come.
        "max_consecutive_failed_trials": space.size + 1,
    }
    limit = trial_limit(name, space, trials)
    if name == "grid":
        oracle = oracles.GridSearchOracle(max_trials=limit, **common)
    elif name == "random":
        oracle = oracles.RandomSearchOracle(max_trials=limit, **common)
    elif name == "bayesian":
        oracle = _UntriedBayesianOracle(max_trials=limit, **common)
    else:
        oracle = oracles.HyperbandOracle(max_epochs=epochs, **common)
    # Sampling gives up after this many settings that were tried before: in a small space that
    # comes long before all of them were tried.
    oracle._max_collisions = 20 * space.size
    oracle.verbose = 0
    return oracle


def trial_limit(name: str, space: SearchSpace, trials: int | None) -> int:
    """The largest number of trials that an oracle will ask for; of Hyperband, the grid's size.

    Raises:
        ValueError: there is no oracle of that name, or `trials` is not positive.
    """
    check_choice(name, ORACLES, "oracle")
    if trials is not None:
        check_count(trials, "trials")
    else:
        trials = space.size if name in ("grid", "hyperband") else DEFAULT_TRIALS
    return min(trials, space.size)
