"""A search before it is run: what it would train, and for how long."""

import pytest
from timed_trainers import TimedTrainer, training_clock

from dropout_zoo.tuning.search.search import Search, TuningSettings


def test_a_search_counts_every_training_run(digits, monkeypatch):
    clock = training_clock(monkeypatch)
    search = Search("mlp", digits, TuningSettings())
    monkeypatch.setattr(search, "trainer", lambda directory: TimedTrainer(clock))
    assert search.num_runs == 16 + 2 + 4 + 3 * 2 + 2 * 40
    assert search.estimate_seconds() == pytest.approx(4 + 54 * (0.25 + 20 * 0.5))
