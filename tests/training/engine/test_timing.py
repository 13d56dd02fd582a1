"""Estimates of how long a run takes, by a clock that training moves and nothing else."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from dropout_zoo.studies import StudyPlan, plan_capacity_sweep
from dropout_zoo.training import Member
from dropout_zoo.training.engine import timing as estimates
from dropout_zoo.training.engine.timing import Pace, measure_pace
from dropout_zoo.tuning.search import Search, TuningSettings


class Trainer:
    """Takes the time it is told: to begin, for a training, and for an epoch."""

    def __init__(self, clock, begin=3.0, training=0.25, epoch=0.5, together=2, stops_after=99):
        self.clock, self.begin, self.together = clock, begin, together
        self.training, self.epoch, self.stops_after = training, epoch, stops_after
        self.asked = []

    @property
    def max_parallel(self):
        self.clock.now += self.begin
        return self.together

    def train(self, members):
        self.asked.append([(member.seed, member.epochs) for member in members])
        epochs = min(self.stops_after, members[0].epochs)
        self.clock.now += self.training + epochs * self.epoch
        if len(self.asked) == 1:
            self.clock.now += 1.0  # compiling
        return [SimpleNamespace(curves=range(epochs)) for _ in members]


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    clock.perf_counter = lambda: clock.now
    monkeypatch.setattr(estimates, "time", clock)
    return clock


MEMBERS = [Member({}, seed) for seed in range(5)]


def test_all_trainings_share_one_start_and_each_has_its_epochs():
    pace = Pace(start_up=2.0, training=0.5, epoch=0.1, parallel=2)
    assert pace.seconds(1, 10) == pytest.approx(2 + 1.5)
    assert pace.seconds(4, 10) == pytest.approx(2 + 2 * 1.5)
    assert pace.seconds(5, 10) == pytest.approx(2 + 3 * 1.5)


def test_the_pace_is_that_of_the_trainer(clock):
    trainer = Trainer(clock)
    assert measure_pace(trainer, MEMBERS) == Pace(4.0, 0.25, 0.5, 2)
    assert trainer.asked == [[(0, n), (1, n)] for n in (1, 1, 3)]


def test_trainings_that_stop_early_are_counted_by_their_epochs(clock):
    assert measure_pace(Trainer(clock, stops_after=2), MEMBERS).epoch == pytest.approx(0.5)
    assert measure_pace(Trainer(clock, stops_after=1), MEMBERS).epoch == pytest.approx(0.75)


def test_long_epochs_are_trained_no_more_than_needed(clock):
    long, longer = Trainer(clock, epoch=5.0), Trainer(clock, epoch=60.0)
    assert measure_pace(long, MEMBERS).epoch == pytest.approx(5.25)
    assert measure_pace(longer, MEMBERS).epoch == pytest.approx(61.25)
    assert (len(long.asked), len(longer.asked)) == (2, 1)


def test_a_search_counts_every_training(clock, digits, monkeypatch):
    search = Search("mlp", digits, TuningSettings())
    monkeypatch.setattr(search, "trainer", lambda directory: Trainer(clock))
    assert search.num_runs == 16 + 2 + 4 + 3 * 2 + 2 * 40
    assert search.estimate_seconds() == pytest.approx(4 + 54 * (0.25 + 20 * 0.5))


def test_models_of_a_sweep_have_paces_of_their_own(clock, few_digits, monkeypatch):
    widths = [(8, 8), (16, 16), (24, 24), (32, 32), (40, 40), (48, 48), (56, 56)]
    plan = plan_capacity_sweep("mlp", few_digits, units=widths, epochs=10, seeds=2)
    timed = []

    def trainer_of(plan, setup, *others):
        units = setup.model.layers[1].units
        timed.append(units)
        return Trainer(clock, begin=0.0, training=0.0, epoch=units / 10)

    monkeypatch.setattr(StudyPlan, "trainer", trainer_of)
    assert plan.num_runs == 7 * 4
    each = [1 + 2 * 10 * units / 10 for units, _ in widths]
    assert plan.estimate_seconds() == pytest.approx(sum(each), rel=0.01)
    assert timed == [8, 24, 32, 40, 56]
    later = replace(plan, followup_runs=plan.num_runs)
    assert later.estimate_seconds() == pytest.approx(2 * sum(each), rel=0.01)
