"""Estimates of how long a run takes, by a clock that only training advances."""

import pytest
from timed_trainers import TimedTrainer, training_clock

from dropout_zoo.training import Member
from dropout_zoo.training.engine.timing import TrainingSpeed, measure_speed


@pytest.fixture
def clock(monkeypatch):
    return training_clock(monkeypatch)


MEMBERS = [Member({}, seed) for seed in range(5)]


def test_all_runs_share_one_start_and_each_has_its_epochs():
    speed = TrainingSpeed(start_up=2.0, training=0.5, epoch=0.1, parallel=2)
    assert speed.seconds(1, 10) == pytest.approx(2 + 1.5)
    assert speed.seconds(4, 10) == pytest.approx(2 + 2 * 1.5)
    assert speed.seconds(5, 10) == pytest.approx(2 + 3 * 1.5)


def test_the_speed_of_a_trainer_is_measured(clock):
    trainer = TimedTrainer(clock)
    assert measure_speed(trainer, MEMBERS) == TrainingSpeed(4.0, 0.25, 0.5, 2)
    assert trainer.asked == [[(0, n), (1, n)] for n in (1, 1, 3)]


def test_runs_that_stop_early_are_counted_by_their_epochs(clock):
    assert measure_speed(TimedTrainer(clock, stops_after=2), MEMBERS).epoch == pytest.approx(0.5)
    assert measure_speed(TimedTrainer(clock, stops_after=1), MEMBERS).epoch == pytest.approx(0.75)


def test_long_epochs_are_not_trained_more_than_needed(clock):
    long, longer = TimedTrainer(clock, epoch=5.0), TimedTrainer(clock, epoch=60.0)
    assert measure_speed(long, MEMBERS).epoch == pytest.approx(5.25)
    assert measure_speed(longer, MEMBERS).epoch == pytest.approx(61.25)
    assert (len(long.asked), len(longer.asked)) == (2, 1)
