"""KerasTuner's oracles, set up so that they do what their names promise."""

from __future__ import annotations

import math
from typing import Any

import keras_tuner
from keras_tuner import oracles

from dropout_zoo.models.argument_validation import check_choice, check_count
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.space import SearchSpace

ORACLES = ("grid", "random", "bayesian", "hyperband")
DEFAULT_TRIALS = 20  # of the oracles that do not try everything


class UntriedBayesianOracle(oracles.BayesianOptimizationOracle):
    """Bayesian optimization that asks for no setting twice."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Say what is to be tried next, as oracles of KerasTuner do."""
        suggestion = super().populate_space(trial_id)
        if suggestion["status"] != "RUNNING":
            return suggestion
        if self._compute_values_hash(suggestion["values"]) not in self._tried_so_far:
            return suggestion
        # Its model favours a setting that is known already: explore instead.
        values = self._random_values()
        return {"status": "STOPPED"} if values is None else {"status": "RUNNING", "values": values}


class _SmallSpaceHyperbandOracle(oracles.HyperbandOracle):
    """Hyperband where a bracket wants more settings than there are.

    KerasTuner's own waits in vain for a first round that cannot fill, and then promotes nothing:
    it never tries in one bracket what another has tried, although for fewer epochs.
    """

    def __init__(self, settings: int, **arguments: Any) -> None:
        self._settings = settings
        super().__init__(**arguments)

    @property
    def trials_in_all(self) -> int:
        """Number of trials of one sweep through all brackets."""
        return sum(
            self._get_size(bracket, round_number)
            for bracket in range(self._get_num_brackets())
            for round_number in range(self._get_num_rounds(bracket))
        )

    def _get_size(self, bracket_num: int, round_num: int) -> int:
        there_are = math.ceil(self._settings / self.factor**round_num)
        return min(super()._get_size(bracket_num, round_num), there_are)

    def _random_trial(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        self._filling = bracket
        return super()._random_trial(trial_id, bracket)

    def _duplicate(self, values: dict[str, Any]) -> bool:
        in_bracket = [self.trials[entry["id"]] for entry in self._filling["rounds"][0]]
        return any(
            all(trial.hyperparameters.values[name] == value for name, value in values.items())
            for trial in in_bracket
        )


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
    limit = trial_limit(name, space, trials, epochs)
    if name == "grid":
        oracle = oracles.GridSearchOracle(max_trials=limit, **common)
    elif name == "random":
        oracle = oracles.RandomSearchOracle(max_trials=limit, **common)
    elif name == "bayesian":
        oracle = UntriedBayesianOracle(max_trials=limit, **common)
    else:
        oracle = _SmallSpaceHyperbandOracle(space.size, max_epochs=epochs, **common)
    # Sampling gives up after this many settings that were tried before: in a small space that
    # comes long before all of them were tried.
    oracle._max_collisions = 20 * space.size
    oracle.verbose = 0
    return oracle


def trial_limit(name: str, space: SearchSpace, trials: int | None, epochs: int) -> int:
    """The largest number of trials that an oracle will ask for.

    Args:
        name: ``"grid"``, ``"random"``, ``"bayesian"`` or ``"hyperband"``.
        space: what is searched.
        trials: number of trials wanted at most, or None.
        epochs: epochs of one training, which decide the trials of Hyperband.

    Returns:
        The number of trials.

    Raises:
        ValueError: there is no oracle of that name, or `trials` is not positive.
    """
    check_choice(name, ORACLES, "oracle")
    if trials is not None:
        check_count(trials, "trials")
    if name == "hyperband":
        check_count(epochs, "epochs")
        return _SmallSpaceHyperbandOracle(
            space.size, max_epochs=epochs, objective="val_loss"
        ).trials_in_all
    if trials is None:
        trials = space.size if name == "grid" else DEFAULT_TRIALS
    return min(trials, space.size)
