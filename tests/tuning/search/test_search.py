"""A search before it is run: what it would train, and for how long."""

import pytest
from timed_trainers import TimedTrainer, training_clock

from dropout_zoo.training import TrainSettings
from dropout_zoo.tuning.search.search import Search, TuningSettings


def test_a_search_counts_every_training_run(digits, monkeypatch):
    clock = training_clock(monkeypatch)
    search = Search("mlp", digits, TuningSettings())
    monkeypatch.setattr(search, "trainer", lambda directory: TimedTrainer(clock))
    assert search.num_runs == 16 + 2 + 4 + 3 * 2 + 2 * 40
    seconds = 4 + 54 * (0.25 + 20 * 0.5)
    assert search.estimate() == pytest.approx((seconds, seconds))
    assert str(search.estimate()) == "up to about 9 min 18 s"


def test_a_search_that_patience_ends_is_estimated_by_its_typical_length(digits, monkeypatch):
    clock = training_clock(monkeypatch)
    training = TrainSettings(epochs=2000, patience=100)
    search = Search("mlp", digits, TuningSettings(training=training))
    monkeypatch.setattr(search, "trainer", lambda directory: TimedTrainer(clock))
    typical, longest = (4 + 54 * (0.25 + epochs * 0.5) for epochs in (300, 2000))
    estimated = search.estimate()
    assert estimated == pytest.approx((typical, longest))
    assert str(estimated) == "about 2 h 15 min, and at most about 15 h 0 min"
    assert str(estimated.within(60)) == "up to about 1 min 0 s"
