"""Private attributes and methods of KerasTuner that this project uses, all in one place.

None of them has a public equivalent; the docstring of each function and class gives the reason.
Each is tested in `tests/tuning/test_keras_tuner_internals.py`, so that a version of KerasTuner
that changes one fails there with a clear message. Code elsewhere uses only public names of
KerasTuner.
"""

from __future__ import annotations

import itertools
import json
import math
from functools import cmp_to_key
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner import oracles
from keras_tuner.engine.trial import Trial, TrialStatus


def retry(oracle: keras_tuner.Oracle, trial_id: str) -> None:
    """Have an oracle hand out a trial again.

    A search that was killed between writing two files leaves trials that are still running but
    that KerasTuner does not repeat.
    """
    if trial_id not in oracle._retry_queue:
        oracle._retry_queue.append(trial_id)


def allow_collisions(oracle: keras_tuner.Oracle, limit: int) -> None:
    """Set how many already tried settings an oracle may draw before it gives up.

    The constructors do not take it, and the default of 20 ends the search of a small space long
    before every setting was tried.
    """
    oracle._max_collisions = limit


def continue_grid_from(oracle: oracles.GridSearchOracle, trial_id: str) -> None:
    """Have a grid oracle create the next trial without waiting for this one to end.

    It waits in case the trial brings new hyperparameters, which would leave cores idle where all
    hyperparameters are known from the start.
    """
    oracle._populate_next.append(trial_id)


def restore_grid_order(oracle: oracles.GridSearchOracle) -> None:
    """Restore the order of the trials of a grid oracle that was reloaded.

    It creates new trials from that order but does not save it.
    """

    def compare(one: str, other: str) -> int:
        values = (oracle.trials[trial_id].hyperparameters.values for trial_id in (one, other))
        order: int = oracle._compare(*values)
        return order

    ordered = sorted(oracle.trials, key=cmp_to_key(compare))
    oracle._ordered_ids = type(oracle._ordered_ids)()
    for trial_id in ordered:
        oracle._ordered_ids.insert(trial_id)
    oracle._populate_next = ordered


class ModelFitTuner(keras_tuner.Tuner):
    """KerasTuner's tuner, which also continues what Hyperband promotes.

    KerasTuner has this in `keras_tuner.Hyperband` alone, which makes its own oracle.
    """

    def build_model(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build a model, compiled with the tuner's own optimizer, loss and metrics if it has any.

        Unlike `_try_build`, it leaves the models of other trials in Keras's session.
        """
        return super()._build_hypermodel(hp)

    def train_by_model_fit(self, trial: Trial, *args: Any, **kwargs: Any) -> None:
        """Run a trial as the search of KerasTuner does, without its begin and its end."""
        self._try_run_and_update_trial(trial, *args, **kwargs)

    def _build_hypermodel(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        model = super()._build_hypermodel(hp)
        earlier = hp.values.get("tuner/trial_id")
        if earlier:
            if not model.built:
                fname = self._get_build_config_fname(earlier)
                model.build_from_config(json.loads(Path(fname).read_text()))
            model.load_weights(self._get_checkpoint_fname(earlier))
        return model


class InMemoryOracle(keras_tuner.Oracle):
    """An oracle that writes no files; to be inherited before one of KerasTuner's oracles.

    A search that is resumed asks its oracle anew, and the journal of finished runs answers,
    so that the files of KerasTuner would only be one more thing that a full disk breaks.
    `save` is public, `_save_trial` is not.
    """

    def save(self) -> None:
        """Write nothing."""

    def _save_trial(self, trial: Trial) -> None:
        """Write nothing."""


class UntriedBayesianOracle(oracles.BayesianOptimizationOracle):
    """Bayesian optimization that suggests no setting twice.

    KerasTuner's own only avoids repetition in its initial random trials.
    """

    @classmethod
    def sharing_state_of(cls, oracle: oracles.BayesianOptimizationOracle) -> UntriedBayesianOracle:
        """Return an oracle that shares the state of another and leaves its class as it is.

        Both have the same trials, whichever creates them, so that code that holds the other one
        sees the results of the search.
        """
        # The whole dictionary, because the methods of oracles also rebind attributes (such as the
        # seed, the space and the Gaussian process): one that holds the other oracle would have to
        # pass on every access and every assignment, and still be an `Oracle`, which tuners require.
        shared = cls.__new__(cls)
        shared.__dict__ = oracle.__dict__
        return shared

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Suggest the next setting."""
        suggestion: dict[str, Any] = super().populate_space(trial_id)
        if suggestion["status"] != "RUNNING" or not self._duplicate(suggestion["values"]):
            return suggestion
        # Its model favors a setting that was tried already: explore instead.
        values = self._random_values()
        return {"status": "STOPPED"} if values is None else {"status": "RUNNING", "values": values}


class SmallSpaceHyperbandOracle(oracles.HyperbandOracle):
    """Hyperband for spaces with fewer settings than a bracket asks for, and for trials that fail.

    KerasTuner's own never tries a setting that another bracket has tried, even for fewer epochs. In
    a small space it then waits for a first round that cannot be filled, and promotes nothing. It
    also leaves out as many trials of a round when some of them failed, and so promotes fewer than
    the next round has room for.

    Args:
        settings: number of settings in the space.
        **arguments: those of `keras_tuner.oracles.HyperbandOracle`.
    """

    def __init__(self, settings: int, **arguments: Any) -> None:
        self._settings = settings
        super().__init__(**arguments)

    @property
    def num_begun(self) -> int:
        """Number of trials that continue no other one, of one iteration through all brackets."""
        return sum(self._get_size(bracket, 0) for bracket in range(self._get_num_brackets()))

    @property
    def total_trials(self) -> int:
        """Number of trials of one iteration through all brackets."""
        return sum(
            self._get_size(bracket, round_number)
            for bracket in range(self._get_num_brackets())
            for round_number in range(self._get_num_rounds(bracket))
        )

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Promote a trial, or suggest a new one."""
        self._remove_completed_brackets()
        for bracket in self._brackets:
            if len(bracket["rounds"][0]) < self._get_size(bracket["bracket_num"], 0):
                break
            promoted = self._promoted(trial_id, bracket)
            if promoted is not None:
                return {"status": "RUNNING", "values": promoted}
        suggestion: dict[str, Any] = super().populate_space(trial_id)
        return suggestion

    def _promoted(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any] | None:
        """The values of a trial that continues the best one of a round, if one is sure to be."""
        number, rounds = bracket["bracket_num"], bracket["rounds"]
        expected = self._get_size(number, 0)  # trials of the earlier round that can be promoted
        for round_number, (earlier, later) in enumerate(itertools.pairwise(rounds), start=1):
            trials = [self.trials[entry["id"]] for entry in earlier]
            expected -= sum(trial.status == TrialStatus.FAILED for trial in trials)
            size = min(self._get_size(number, round_number), expected)
            gone_on = {entry["past_id"] for entry in later}
            ready = [
                trial
                for trial in trials
                if trial.status == TrialStatus.COMPLETED and trial.trial_id not in gone_on
            ]
            if len(ready) > expected - size:
                choose = max if self.objective.direction == "max" else min
                best = choose(ready, key=lambda trial: trial.score)
                later.append({"past_id": best.trial_id, "id": trial_id})
                values: dict[str, Any] = best.hyperparameters.values
                return values | {
                    "tuner/trial_id": best.trial_id,
                    "tuner/initial_epoch": self._get_epochs(number, round_number - 1),
                    "tuner/epochs": self._get_epochs(number, round_number),
                    "tuner/bracket": number,
                    "tuner/round": round_number,
                }
            expected = size
        return None

    def _get_size(self, bracket_num: int, round_num: int) -> int:
        available: int = math.ceil(self._settings / self.factor**round_num)
        size: int = super()._get_size(bracket_num, round_num)
        return min(size, available)

    def _random_trial(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        self._filling = bracket
        trial: dict[str, Any] = super()._random_trial(trial_id, bracket)
        return trial

    def _duplicate(self, values: dict[str, Any]) -> bool:
        in_bracket = [self.trials[entry["id"]] for entry in self._filling["rounds"][0]]
        return any(
            all(trial.hyperparameters.values[name] == value for name, value in values.items())
            for trial in in_bracket
        )
