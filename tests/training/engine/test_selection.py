"""The seam between a trainer and its engine: any class with two members can take the place."""

from types import SimpleNamespace

import keras
import pytest
from keras.optimizers import Adam

from dropout_zoo.models import build_mlp
from dropout_zoo.training import Member, MemberTrainer, TrainSettings, train_members
from dropout_zoo.training.engine import trainer as trainer_module
from dropout_zoo.training.engine.base import EngineOptions
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.engine.selection import start_engine
from dropout_zoo.training.engine.tensorflow.loops import LoopEngine


class LastFirst:
    """Takes all jobs that it can get and finishes them in the opposite order."""

    max_parallel = 7

    def why_not(self, job):
        return None

    def run(self, jobs, *, on_result):
        self.jobs, finished = jobs, {}
        while not jobs.exhausted:
            for job in reversed(list(jobs.take(0, self.max_parallel))):
                finished[job.number] = SimpleNamespace(seed=job.member.seed, rates=job.rates)
                if on_result is not None:
                    on_result(finished[job.number])
        return finished


@pytest.fixture
def engine(monkeypatch):
    engine, options = LastFirst(), []

    def start(plan, given):
        options.append(given)
        return engine

    monkeypatch.setattr(trainer_module, "start_engine", start)
    engine.options = options
    return engine


def test_a_trainer_needs_only_the_protocol_of_an_engine(engine, few_digits):
    model = build_mlp(units=(4,), hidden_rates=(0.5,))
    trainer = MemberTrainer(model, few_digits, TrainSettings(), workers=3, memory_budget=10**6)
    results = []
    trained = trainer.train([Member([0.1 * seed], seed) for seed in range(3)], results.append)
    assert [each.seed for each in trained] == [0, 1, 2]
    assert [each.seed for each in results] == [2, 1, 0]
    assert trained[2].rates == {"hidden_1_dropout": 0.2}
    assert trainer.max_parallel == 7
    assert engine.options == [EngineOptions("auto", workers=3, memory_budget=10**6)]


@pytest.mark.parametrize(
    ("given", "without_effect"),
    [
        ({}, []),
        ({"update": "keras", "workers": 1}, []),
        ({"workers": 3}, ["workers=3"]),
        ({"workers": 3, "memory_budget": 10**6}, ["workers=3, memory_budget=1000000"]),
    ],
)
def test_options_that_model_fit_does_not_read_are_reported_once(given, without_effect, few_digits):
    model = build_mlp(units=(4,), hidden_rates=(0.5,))
    model.run_eagerly = True
    trainer = MemberTrainer(model, few_digits, TrainSettings(epochs=1), **given)
    with pytest.warns(UserWarning) as issued:
        assert trainer.max_parallel == 1
        assert trainer.max_parallel == 1
    said = [str(each.message) for each in issued]
    assert [text for text in said if "no effect" in text] == [
        f"{options} has no effect, because Model.fit trains the members one after another"
        for options in without_effect
    ]


class WithoutConfig(keras.optimizers.schedules.LearningRateSchedule):
    """As in many tutorials: Keras cannot copy it."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, step):
        return self.scale * keras.ops.rsqrt(keras.ops.cast(step, "float32") + 1)


def with_own_schedule():
    return build_mlp(units=(4,), hidden_rates=0.5, optimizer=Adam(WithoutConfig(0.01)))


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_model_that_cannot_be_copied_is_refused_without_a_word_on_model_fit(
    eagerly, few_digits, recwarn
):
    model = with_own_schedule()
    model.run_eagerly = eagerly
    with pytest.raises(TypeError, match=r"expected a model that Keras can clone.*WithoutConfig"):
        train_members(model, [Member({}, 0)], few_digits, epochs=1)
    assert not [w for w in recwarn if "Model.fit" in str(w.message)]


@pytest.mark.slow
def test_the_copies_that_a_function_builds_need_no_configuration(few_digits):
    trainer = MemberTrainer(with_own_schedule, few_digits, TrainSettings(epochs=1))
    assert isinstance(start_engine(trainer.plan, EngineOptions()), LoopEngine)
    (trained,) = trainer.train([Member({}, 0)])
    assert trained.status == "completed"


def test_an_engine_knows_whether_jobs_depend_on_results(engine, few_digits):
    model = build_mlp(units=(4,), hidden_rates=(0.5,))
    trainer = MemberTrainer(model, few_digits, TrainSettings())
    trainer.train([Member({}, 0)])
    assert engine.jobs.known
    trainer.train(iter([Member({}, 0)]))
    assert not engine.jobs.known
    with pytest.raises(ValueError, match="expected 1 rates"):
        trainer.train([Member({}, 0), Member([0.1, 0.2], 0)])


def test_jobs_are_taken_up_to_the_limit_and_only_where_there_are_any():
    jobs = JobSource(iter(["a", "b", None, "c", None, None]))
    assert list(jobs.take(0, 1)) == ["a"]
    assert list(jobs.take(1, 3)) == ["b"]
    assert list(jobs.take(2, 2)) == []
    assert list(jobs.take(2, 9)) == ["c"]
    with pytest.raises(RuntimeError, match="None while none is being trained"):
        list(jobs.take(0, 9))
    assert list(jobs.take(0, 9)) == [] and jobs.exhausted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"update": "fast"}, r"update to be one of \('auto', 'keras'"),
        ({"workers": 0}, "workers to be a whole number of at least 1"),
        ({"memory_budget": 1.5}, "memory_budget to be a whole number of at least 1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        EngineOptions(**options)
