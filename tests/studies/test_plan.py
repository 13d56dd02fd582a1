"""Studies are planned before they are run, and a study function is its plan, run."""

import inspect
import json
import os
from dataclasses import replace

import keras
import pytest
from timed_trainers import TimedTrainer, training_clock

from dropout_zoo import studies
from dropout_zoo.models import build_mlp
from dropout_zoo.studies import (
    DifferenceDisplay,
    Execution,
    StudyPlan,
    plan_capacity_sweep,
    plan_data_size_sweep,
    plan_learning_curves,
    plan_rate_sweep,
    rate_sweep,
)
from dropout_zoo.studies.control_names import NO_DROPOUT
from dropout_zoo.studies.run_directory import RunDirectory
from dropout_zoo.training import EarlyDropout, TrainSettings

ALONE = Execution(workers=1)
PLANNED = [name.removeprefix("plan_") for name in studies.__all__ if name.startswith("plan_")]


@pytest.fixture(scope="module")
def plan(few_digits):
    model = build_mlp(units=(8,), hidden_rates=0.5)
    return plan_rate_sweep(model, few_digits, rates=(0.2, 0.5), epochs=1, num_seeds=2)


def test_a_plan_says_what_will_be_trained(plan):
    assert plan.num_runs == 6
    assert [each.name for each in plan.settings] == [NO_DROPOUT, "hidden 0.20", "hidden 0.50"]
    assert plan.controls == {"hidden 0.20": NO_DROPOUT, "hidden 0.50": NO_DROPOUT}
    assert plan.training == TrainSettings(epochs=1)
    assert str(plan) == plan.summary()
    assert plan.summary().splitlines() == [
        "rate_sweep: 3 settings, 6 training runs of up to 1 epoch",
        "  no dropout", "  hidden 0.20", "  hidden 0.50",
    ]  # fmt: skip
    described = json.loads(json.dumps(plan.describe()))
    assert described["study"] == "rate_sweep"
    assert described["seeds"] == [0, 1]
    assert described["settings"]["hidden 0.20"] == {"hidden_1_dropout": 0.2}


def test_a_long_plan_is_cut_short_in_its_summary(plan):
    many = [replace(plan.settings[0], name=f"setting {number}") for number in range(25)]
    assert replace(plan, settings=many).summary().splitlines()[-1] == "  ... and 5 more"


def test_settings_that_differ_in_their_schedule_are_other_training_runs(plan):
    constant = plan.settings[-1]
    early = replace(constant, name="early", schedule=EarlyDropout(epochs=1))
    both = replace(plan, settings=[constant, early])
    assert both.num_runs == 4
    members = both.runs_on(constant.setup).values()
    assert [member.schedule for member in members] == [None, None, *[EarlyDropout(epochs=1)] * 2]
    assert list(both.describe()["schedules"]) == ["early"]
    assert "schedules" not in plan.describe()


@pytest.mark.slow
def test_running_a_plan_is_running_the_study(plan, few_digits):
    planned = plan.run(ALONE)
    model = plan.settings[0].setup.model
    run = rate_sweep(model, few_digits, rates=(0.2, 0.5), epochs=1, num_seeds=2, execution=ALONE)
    names = ["setting", "seed", "val_loss"]
    assert run.data[names].equals(planned.data[names])
    assert run.settings == planned.settings == plan.describe()


@pytest.mark.slow
def test_a_plan_can_be_run_again(plan):
    names = ["setting", "seed", "val_loss"]
    planned = plan.run(ALONE)
    again = plan.run(ALONE)
    assert again.data[names].equals(planned.data[names])


def test_a_directory_is_used_by_one_study_at_a_time(plan, tmp_path):
    execution = replace(ALONE, directory=tmp_path / "study")
    refused = []

    def start_another(trained):
        with pytest.raises(ValueError, match="no other run is using") as raised:
            plan.run(execution)
        refused.append(str(raised.value))

    plan.run(replace(execution, on_result=start_another))
    assert len(refused) == plan.num_runs
    assert f"in use by process {os.getpid()} since" in refused[0]
    restored = []
    plan.run(replace(execution, on_restored=restored.append))
    assert len(restored) == plan.num_runs
    with pytest.raises(ValueError, match=r"seeds: \[0, 1\] in that run, now \[0\]"):
        replace(plan, seeds=[0]).run(execution)
    assert sorted(path.name for path in execution.directory.iterdir()) == ["search.json", "state"]


def test_a_study_is_refused_in_the_directory_of_a_search_under_way(plan, tmp_path):
    search = RunDirectory(tmp_path / "run", {}, files=())
    with search, pytest.raises(ValueError, match="expected the settings of the run in"):
        plan.run(replace(ALONE, directory=search.path))


@pytest.mark.parametrize("name", PLANNED)
def test_a_study_takes_the_arguments_of_its_plan_and_an_execution(name):
    study, plan = getattr(studies, name), getattr(studies, f"plan_{name}")
    planned = inspect.signature(plan).parameters
    assert [each for each in inspect.signature(study).parameters if each != "execution"] == [
        *planned
    ]
    assert inspect.signature(study).parameters["execution"].default is None
    for parameter in planned:
        assert f"{parameter}: " in study.__doc__, parameter
    assert "RuntimeError: every training run failed." in study.__doc__
    assert "execution: " in study.__doc__


@pytest.mark.parametrize("planning", [plan_learning_curves, plan_rate_sweep])
def test_a_plan_takes_no_execution(few_digits, planning):
    with pytest.raises(TypeError) as raised:
        planning("mlp", few_digits, execution=ALONE)
    assert str(raised.value) == (
        f"expected an argument of {planning.__name__}() or a training setting, received "
        "'execution'; pass it to the plan's run()"
    )


def test_each_model_of_a_sweep_has_its_own_speed(few_digits, monkeypatch):
    clock = training_clock(monkeypatch)
    widths = [(8, 8), (16, 16), (24, 24), (32, 32), (40, 40), (48, 48), (56, 56)]
    plan = plan_capacity_sweep("mlp", few_digits, units=widths, epochs=10, num_seeds=2)
    timed = []

    def trainer_of(plan, setup, *others):
        units = setup.model.layers[1].units
        timed.append(units)
        return TimedTrainer(clock, begin=0.0, training=0.0, epoch=units / 10)

    monkeypatch.setattr(StudyPlan, "trainer", trainer_of)
    assert plan.num_runs == 7 * 4
    each = [1 + 2 * 10 * units / 10 for units, _ in widths]
    assert plan.estimate_seconds() == pytest.approx(sum(each), rel=0.01)
    assert timed == [8, 24, 32, 40, 56]
    later = replace(plan, followup_runs=plan.num_runs)
    assert later.estimate_seconds() == pytest.approx(2 * sum(each), rel=0.01)


class Noise(keras.layers.Layer):
    """Noise of the user's own, whose rate cannot be set."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x, training=None):
        return keras.random.dropout(x, 0.25, seed=self.seeds) if training else x


def noisy_net():
    x = keras.layers.Dense(8, "relu")(keras.layers.Flatten()(inputs := keras.Input((28, 28))))
    x = keras.layers.Dropout(0.3, name="drop")(Noise(name="noise")(x))
    model = keras.Model(inputs, keras.layers.Dense(10, "softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_a_control_with_noise_that_cannot_be_set_says_so(few_digits):
    control = "no dropout at the sites that can be set"
    short = {"num_seeds": 2, "epochs": 1}
    swept = rate_sweep(noisy_net(), few_digits, rates=0.5, **short)
    assert swept.means()["setting"].tolist() == [control, "hidden 0.50"]
    assert set(swept.gains()["control"]) == {control}
    assert f"Best so far: {control} (" in swept.summary()
    label = DifferenceDisplay.from_result(swept).plot().ax_.get_xlabel()
    assert f"over {control}" in label
    sized = plan_data_size_sweep(noisy_net(), few_digits, sizes=[50, 100], num_seeds=1)
    assert [each.name for each in sized.settings] == [
        f"50 examples, {control}", "50 examples, as given",
        f"100 examples, {control}", "100 examples, as given",
    ]  # fmt: skip


def test_the_directory_of_an_execution_may_be_a_string(tmp_path):
    assert Execution(directory=str(tmp_path)) == Execution(directory=tmp_path)


def test_a_directory_of_other_files_is_refused(plan, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"expected a new or empty directory.*notes\.txt"):
        plan.run(Execution(directory=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def callbacks_that_fail(member):
    raise KeyError("callbacks of the user")


@pytest.mark.parametrize("there", [False, True])
def test_a_study_that_fails_before_its_first_result_leaves_nothing_behind(plan, tmp_path, there):
    folder = tmp_path / "study"
    if there:
        folder.mkdir()
    failing = replace(plan, training=replace(plan.training, callbacks=callbacks_that_fail))
    with pytest.raises(KeyError, match="callbacks of the user"):
        failing.run(replace(ALONE, directory=folder))
    assert folder.exists() == there
    assert [*tmp_path.rglob("*")] == ([folder] if there else [])


def test_a_study_that_does_not_fit_writes_nothing(plan, tmp_path):
    unknown = replace(plan, training=replace(plan.training, objective="val_recall:max"))
    with pytest.raises(ValueError, match="val_recall"):
        unknown.run(replace(ALONE, directory=tmp_path / "study"))
    assert not [*tmp_path.iterdir()]


def test_a_study_that_fails_after_a_result_continues(plan, tmp_path):
    def fail(trained):
        raise KeyError("display of the user")

    execution, restored = replace(ALONE, directory=tmp_path / "study"), []
    with pytest.raises(KeyError, match="display of the user"):
        plan.run(replace(execution, on_result=fail))
    plan.run(replace(execution, on_restored=restored.append))
    assert restored


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_the_number_of_workers_is_checked_before_anything_is_run(workers):
    with pytest.raises(ValueError, match="expected workers to be a whole number"):
        Execution(workers=workers)


def test_anything_but_an_execution_is_refused(plan):
    with pytest.raises(TypeError, match=r"an object of type str; pass Execution\(directory"):
        plan.run("runs")
