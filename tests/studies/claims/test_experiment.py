"""An experiment trains its settings on the same seeds, and its record holds what was measured."""

import numpy as np
import pytest

from dropout_zoo.studies import Execution, with_fewer_examples
from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.criteria import LOWER, Difference
from dropout_zoo.studies.claims.data import wrong_labels
from dropout_zoo.studies.claims.experiment import Experiment, ExperimentSetting, hidden
from dropout_zoo.studies.claims.planning import plan_experiment
from dropout_zoo.studies.claims.record import ExperimentRecord
from dropout_zoo.studies.claims.run_table import one_row_per_run
from dropout_zoo.studies.claims.running import run_experiment
from dropout_zoo.training import EarlyDropout


@pytest.fixture(scope="module")
def experiment(few_digits):
    return Experiment(
        name="made-up",
        description="",
        data=lambda seed: with_fewer_examples(few_digits, 60, seed),
        arguments={"units": (8,)},
        settings={
            "none": ExperimentSetting(),
            "half": ExperimentSetting(hidden(0.5)),
            "wrong": ExperimentSetting(change=wrong_labels(0.5)),
            "early": ExperimentSetting(hidden(0.5), schedule=lambda: EarlyDropout(epochs=1)),
        },
        training={"epochs": 3},
        num_seeds=2,
    )


@pytest.fixture(scope="module")
def record(experiment):
    return run_experiment(experiment)


def test_a_claim_plans_its_experiment(experiment):
    claim = Claim("made-up", "", "", "", experiment, Difference("rise", LOWER, []))
    assert claim.plan().num_runs == 8
    plan = claim.plan(num_seeds=3)
    assert (list(plan.seeds), plan.num_runs) == ([0, 1, 2], 12)
    with pytest.raises(ValueError, match="at least 2, received 1"):
        claim.plan(num_seeds=1)
    with pytest.raises(ValueError, match="at least 2, received 1"):
        claim.run(num_seeds=1)


def test_settings_share_the_data_of_a_seed_and_seeds_do_not(experiment):
    plan = plan_experiment(experiment)
    datasets = {(each.name, *each.seeds): each.setup.dataset for each in plan.settings}
    assert datasets["none", 0] is datasets["half", 0]
    assert (datasets["none", 0].train[0] != datasets["none", 1].train[0]).any()
    assert (datasets["none", 0].train[0] == datasets["wrong", 0].train[0]).all()
    wrong = datasets["none", 0].train[1] != datasets["wrong", 0].train[1]
    assert wrong.sum() == 30
    assert plan.num_runs == 8


def test_every_setting_is_trained_on_every_seed_and_scored_on_the_test_set(record):
    assert sorted(zip(record.runs["setting"], record.runs["seed"], strict=True)) == sorted(
        (name, seed) for name in ("none", "half", "wrong", "early") for seed in (0, 1)
    )
    assert (record.runs["status"] == "completed").all()
    assert record.runs["test_error"].between(0, 100).all()
    assert (record.runs["epochs"] == 3).all()


def test_a_schedule_makes_another_training_run(record):
    losses = record.runs.set_index(["setting", "seed"])["last_train_loss"]
    assert losses["half", 0] != losses["early", 0]
    assert record.definition["schedules"]["early"]["config"] == {"epochs": 1}


def test_metrics_are_those_of_the_learning_curves(experiment):
    result = plan_experiment(experiment, 1).run()
    [row] = one_row_per_run(result).query("setting == 'none'").to_dict("records")
    curves = result.curves("none")
    assert row["rise"] == curves["val_loss"].iloc[-1] - curves["val_loss"].min()
    assert row["gap"] == curves["val_loss"].iloc[-1] - curves["train_loss"].iloc[-1]
    assert row["best_epoch"] == curves["val_loss"].idxmin() + 1
    assert row["log2_best_epoch"] == np.log2(row["best_epoch"])
    assert row["last_val_error"] == 100 * (1 - curves["val_accuracy"].iloc[-1])


def test_a_record_is_read_as_it_was_written(record, tmp_path):
    record.write(tmp_path / "made-up.json")
    again = ExperimentRecord.read((tmp_path / "made-up.json").read_text())
    assert again.definition == record.definition
    assert again.versions == dict(record.versions)
    assert list(again.runs.columns) == list(record.runs.columns)
    assert again.runs["test_loss"].to_numpy() == pytest.approx(record.runs["test_loss"], rel=1e-5)
    assert again.runs["ended"].tolist() == record.runs["ended"].tolist()


def test_an_interrupted_experiment_goes_on(experiment, record, tmp_path):
    seen = []

    def stop(trained):
        seen.append(trained)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_experiment(
            experiment, execution=Execution(directory=tmp_path, on_result=stop, workers=1)
        )
    restored = []
    execution = Execution(directory=tmp_path, on_restored=restored.append, workers=1)
    again = run_experiment(experiment, execution=execution)
    assert restored
    assert again.runs.equals(record.runs)
