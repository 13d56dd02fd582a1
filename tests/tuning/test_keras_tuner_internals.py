"""What this project expects of the private parts of KerasTuner."""

import inspect
from collections import Counter

import keras_tuner
import pytest
from keras_tuner import oracles

from dropout_zoo.tuning.keras_tuner_internals import (
    InMemoryOracle,
    SmallSpaceHyperbandOracle,
    UntriedBayesianOracle,
    allow_collisions,
    continue_grid_from,
    restore_grid_order,
    retry,
)

RATES = [0.1, 0.2, 0.3]


def complaint(name):
    return f"this version of KerasTuner has changed {name}; see tuning/keras_tuner_internals.py"


def prepared(oracle, path, names=("first", "second")):
    """An oracle with a space of 3 x 3 settings and a directory."""
    oracle._set_project_dir(str(path), "project")
    space = keras_tuner.HyperParameters()
    for name in names:
        space.Choice(name, RATES)
    oracle.update_space(space)
    oracle.verbose = 0
    return oracle


def values_of(trial):
    return tuple(trial.hyperparameters.values[name] for name in ("first", "second"))


def end(oracle, trial, score=1.0):
    oracle.update_trial(trial.trial_id, {"val_loss": score})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)


@pytest.mark.parametrize(
    ("kind", "name", "parameters"),
    [
        (keras_tuner.Oracle, "_save_trial", ["self", "trial"]),
        (keras_tuner.Oracle, "_duplicate", ["self", "values"]),
        (keras_tuner.Oracle, "_random_values", ["self"]),
        (keras_tuner.Tuner, "_build_hypermodel", ["self", "hp"]),
        (keras_tuner.Tuner, "_get_build_config_fname", ["self", "trial_id"]),
        (keras_tuner.Tuner, "_get_checkpoint_fname", ["self", "trial_id"]),
        (
            keras_tuner.Tuner,
            "_try_run_and_update_trial",
            ["self", "trial", "fit_args", "fit_kwargs"],
        ),
        (oracles.GridSearchOracle, "_compare", ["self", "a", "b"]),
        (oracles.HyperbandOracle, "_get_size", ["self", "bracket_num", "round_num"]),
        (oracles.HyperbandOracle, "_get_num_brackets", ["self"]),
        (oracles.HyperbandOracle, "_get_num_rounds", ["self", "bracket_num"]),
        (oracles.HyperbandOracle, "_random_trial", ["self", "trial_id", "bracket"]),
        (oracles.HyperbandOracle, "_get_epochs", ["self", "bracket_num", "round_num"]),
        (oracles.HyperbandOracle, "_remove_completed_brackets", ["self"]),
    ],
)
def test_methods_have_the_parameters_that_are_passed(kind, name, parameters):
    method = getattr(kind, name, None)
    assert method is not None, complaint(f"{kind.__name__}.{name}")
    found = list(inspect.signature(method).parameters)
    assert found == parameters, complaint(f"{kind.__name__}.{name}")


@pytest.mark.parametrize(
    ("make", "name", "kind"),
    [
        (oracles.RandomSearchOracle, "_retry_queue", list),
        (oracles.RandomSearchOracle, "_max_collisions", int),
        (oracles.GridSearchOracle, "_populate_next", list),
        (oracles.GridSearchOracle, "_ordered_ids", object),
        (oracles.HyperbandOracle, "_brackets", list),
    ],
)
def test_attributes_are_there_and_of_the_expected_type(make, name, kind):
    found = getattr(make("val_loss"), name, None)
    assert found is not None, complaint(f"{make.__name__}.{name}")
    assert isinstance(found, kind), complaint(f"{make.__name__}.{name}")


def test_a_trial_that_is_retried_is_the_next_one(tmp_path):
    oracle = prepared(oracles.RandomSearchOracle("val_loss", max_trials=5, seed=1), tmp_path)
    first = oracle.create_trial("one")
    oracle.ongoing_trials.clear()
    for _ in range(2):
        retry(oracle, first.trial_id)
    again = oracle.create_trial("two")
    assert again.trial_id == first.trial_id, complaint("Oracle._retry_queue")
    assert oracle.create_trial("three").trial_id != first.trial_id


def test_a_small_space_is_exhausted_if_enough_collisions_are_allowed(tmp_path):
    oracle = prepared(oracles.RandomSearchOracle("val_loss", max_trials=9, seed=1), tmp_path)
    allow_collisions(oracle, 1000)
    trials = [oracle.create_trial(str(number)) for number in range(9)]
    assert len({values_of(trial) for trial in trials}) == 9, complaint("Oracle._max_collisions")


def test_a_grid_continues_before_its_trials_end(tmp_path):
    oracle = prepared(oracles.GridSearchOracle("val_loss"), tmp_path)
    trials = []
    for number in range(9):
        trials.append(oracle.create_trial(str(number)))
        assert trials[-1].status == "RUNNING", complaint("GridSearchOracle._populate_next")
        continue_grid_from(oracle, trials[-1].trial_id)
    assert len({values_of(trial) for trial in trials}) == 9


def test_a_reloaded_grid_continues_where_it_was(tmp_path):
    first = prepared(oracles.GridSearchOracle("val_loss"), tmp_path)
    tried = []
    for _ in range(4):
        trial = first.create_trial("one")
        tried.append(values_of(trial))
        end(first, trial)
    first.save()  # the tuner does so after each trial
    second = prepared(oracles.GridSearchOracle("val_loss"), tmp_path)
    second.reload()
    restore_grid_order(second)
    while (trial := second.create_trial("two")).status == "RUNNING":
        tried.append(values_of(trial))
        end(second, trial)
    assert len(tried) == len(set(tried)) == 9, complaint("GridSearchOracle._ordered_ids")


def test_an_oracle_in_memory_writes_no_files(tmp_path):
    class InMemory(InMemoryOracle, oracles.GridSearchOracle):
        pass

    oracle = prepared(InMemory("val_loss"), tmp_path)
    end(oracle, oracle.create_trial("one"))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [], complaint("Oracle.save or Oracle._save_trial")


def test_an_oracle_that_shares_state_leaves_the_other_as_it_is(tmp_path):
    given = oracles.BayesianOptimizationOracle("val_loss", max_trials=9, seed=1)
    oracle = UntriedBayesianOracle.sharing_state_of(given)
    assert type(given) is oracles.BayesianOptimizationOracle
    prepared(oracle, tmp_path)
    allow_collisions(oracle, 1000)
    tried = []
    while (trial := oracle.create_trial("one")).status == "RUNNING":
        tried.append(values_of(trial))
        end(oracle, trial, score=sum(tried[-1]))
    assert len(tried) == len(set(tried)) == 9, complaint("Oracle._duplicate or _random_values")
    assert given.trials is oracle.trials
    assert given.get_best_trials()[0].score == pytest.approx(0.2)


def test_hyperband_fills_its_brackets_from_a_small_space(tmp_path):
    oracle = SmallSpaceHyperbandOracle(9, objective="val_loss", max_epochs=9, seed=1)
    allow_collisions(prepared(oracle, tmp_path), 1000)
    count = 0
    while (trial := oracle.create_trial("one")).status == "RUNNING":
        end(oracle, trial, score=sum(values_of(trial)))
        count += 1
    assert count == oracle.total_trials, complaint("HyperbandOracle._get_size")
    epochs = [each.hyperparameters.values["tuner/epochs"] for each in oracle.trials.values()]
    assert max(epochs) == 9, complaint("HyperbandOracle._random_trial")


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize(
    ("failing", "rounds"),
    [
        # By bracket: 9 trials, of which 3 and then 1 go on; 5, of which 2 go on; and 3.
        ([0, 0], [9, 3, 1, 5, 2, 3]),
        ([2, 0], [9, 3, 1, 5, 2, 3]),
        ([6, 0], [9, 3, 1, 5, 2, 3]),
        ([7, 0], [9, 2, 1, 5, 2, 3]),
        ([7, 1], [9, 2, 1, 5, 2, 3]),
        ([9, 0], [9, 0, 0, 5, 2, 3]),
        ([0, 2], [9, 3, 1, 5, 2, 3]),
        ([0, 3], [9, 3, 0, 5, 2, 3]),
    ],
)
def test_hyperband_promotes_as_many_as_there_is_room_for(tmp_path, failing, rounds, parallel):
    oracle = SmallSpaceHyperbandOracle(
        9, objective="val_loss", max_epochs=9, seed=1, max_consecutive_failed_trials=99
    )
    allow_collisions(prepared(oracle, tmp_path), 1000)
    places = [(1, 0, 2), (3, 1, 2), (9, 2, 2), (3, 0, 1), (9, 1, 1), (9, 0, 0)]
    to_fail, found = Counter(dict(zip(places, failing, strict=False))), Counter()
    while True:
        trials = [oracle.create_trial(f"tuner-{number}") for number in range(parallel)]
        running = [trial for trial in trials if trial.status == "RUNNING"]
        if not running:
            break
        for trial in running:
            values = trial.hyperparameters.values
            place = tuple(values[f"tuner/{name}"] for name in ("epochs", "round", "bracket"))
            found[place] += 1
            if found[place] <= to_fail[place]:
                trial.status = "FAILED"
                oracle.end_trial(trial)
            else:
                end(oracle, trial, score=sum(values_of(trial)))
    assert [found[place] for place in places] == rounds
