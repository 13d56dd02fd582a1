"""Progress: how many are done, the best so far, and a time left that is right after a resume."""

import math
import time

import pytest

from dropout_zoo.training import Member, Objective
from dropout_zoo.tuning.records.progress import SECONDS_BETWEEN_LINES, Progress, duration


class Finished:
    """Stands for a trained member where only its score counts, and whether it continues another."""

    def __init__(self, score, initial_epoch=0):
        self.score = score
        self.member = Member({}, 0, initial_epoch=initial_epoch)


LOSS = Objective("val_loss", "min")


def test_lines_show_progress_and_the_best_score(capsys):
    with Progress(3, LOSS) as progress:
        progress.phase("search", one_seed=True)
        for score in (0.5, 0.3, 0.4):
            progress.result(Finished(score))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("search: 1 of 3 training runs, best val_loss 0.5, ")
    assert lines[-1].startswith("search: 3 of 3 training runs, best val_loss 0.3, 0 s left")


def test_a_phase_of_several_seeds_shows_counts_alone(capsys):
    with Progress(2, LOSS) as progress:
        progress.phase("search", one_seed=True)
        progress.result(Finished(0.5))
        progress.phase("race")
        progress.result(Finished(0.3))
    assert capsys.readouterr().err.splitlines()[-1] == "race: 2 of 2 training runs, 0 s left"


def test_many_results_print_few_lines(capsys):
    started = time.monotonic()
    with Progress(5000, LOSS) as progress:
        progress.phase("search", one_seed=True)
        for _ in range(5000):
            progress.result(Finished(0.5))
    elapsed = time.monotonic() - started
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 3 + elapsed / SECONDS_BETWEEN_LINES


def test_failed_runs_are_never_the_best(capsys):
    with Progress(2, LOSS) as progress:
        progress.phase("search", one_seed=True)
        progress.result(Finished(math.nan))
        progress.result(Finished(math.nan))
    assert "best" not in capsys.readouterr().err


def test_the_time_left_does_not_count_what_was_restored(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("dropout_zoo.tuning.records.progress.time.monotonic", lambda: now[0])
    with Progress(100, LOSS) as progress:
        progress.phase("search", one_seed=True)
        for _ in range(80):
            progress.restored(Finished(0.5))
        now[0] = 30.0  # one training run of 30 s: the 19 that are left take as long each
        progress.result(Finished(0.5))
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith("81 of 100 training runs, best val_loss 0.5, 9 min 30 s left")
    )


def test_nothing_is_printed_if_progress_is_off(capsys):
    with Progress(1, LOSS, show=False) as progress:
        progress.phase("search", one_seed=True)
        progress.say("hello")
        progress.result(Finished(0.5))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7300, "2 h 1 min")]
)
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text


def test_what_continues_a_training_run_is_not_counted_again(capsys):
    with Progress(2, LOSS) as progress:
        progress.phase("search", one_seed=True)
        for initial_epoch in (0, 10, 20, 0):
            progress.result(Finished(0.5, initial_epoch))
    assert progress.done == 2
    assert "search: 2 of 2 training runs" in capsys.readouterr().err
