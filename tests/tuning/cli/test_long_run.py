"""Before a search that takes long, the command `tune` says so and asks."""

import numpy as np
import pytest
from click.testing import CliRunner

from dropout_zoo.models import build_mlp
from dropout_zoo.training import Dataset
from dropout_zoo.tuning.cli import long_run
from dropout_zoo.tuning.cli.main import main
from dropout_zoo.tuning.search import search_run
from dropout_zoo.tuning.search.search import Search, SearchTime, TuningSettings

TUNE = ["tune", "--rates", "0.2", "--epochs", "1", "--num-finalists", "1", "--num-seeds", "1"]


@pytest.fixture
def tune(tmp_path, monkeypatch):
    """Call the command with an estimated duration; the training itself is left out."""
    monkeypatch.chdir(tmp_path)

    def call(*options, seconds=(3600, 3600), rough=3600, asked=True, answer=None):
        def ran(search, directory, **options):
            raise RuntimeError("training began")

        measured = []
        monkeypatch.setattr(long_run, "rough_seconds", lambda search: rough)
        monkeypatch.setattr(long_run, "can_ask", lambda: asked)
        monkeypatch.setattr(
            Search, "estimate", lambda search: measured.append(search) or SearchTime(*seconds)
        )
        monkeypatch.setattr(search_run, "run_search", ran)
        answered = CliRunner().invoke(main, [*TUNE, *options], input=answer)
        return answered, len(measured), "training began" in answered.stderr

    return call


def test_a_short_search_starts_without_a_question(tune):
    answered, measured, began = tune(rough=60)
    assert began
    assert not measured
    assert "take" not in answered.stderr
    _, measured, began = tune(seconds=(60, 60))
    assert began
    assert measured
    answered, _, began = tune(seconds=(600, 6000))  # which is rarely needed
    assert began
    assert "take" not in answered.stderr.replace("This may take a while", "")


@pytest.mark.slow
def test_a_long_search_starts_when_the_answer_is_yes(tune):
    answered, _, began = tune(answer="y\n")
    assert "9 training runs take up to about 1 h 0 min" in answered.stderr
    assert began
    for answer in ("n\n", "\n", ""):
        answered, _, began = tune(answer=answer)
        assert not began
        assert answered.exit_code == 130
        assert answered.stderr.endswith("Not started; nothing was written.\n")


def test_without_a_terminal_a_warning_is_printed(tune):
    answered, _, began = tune(asked=False)
    assert (
        "Warning: 9 training runs take up to about 1 h 0 min; reduce with --max-trials"
        in answered.stderr
    )
    assert began


def test_the_typical_time_is_told_and_the_longest(tune):
    answered, _, began = tune(seconds=(1200, 9000), asked=False)
    told = "Warning: 9 training runs take about 20 min 0 s, and at most about 2 h 30 min;"
    assert told in answered.stderr
    assert began


def test_a_budget_limits_the_estimate(tune):
    answered, _, began = tune("--budget", "30m", asked=False)
    assert "Warning: 9 training runs take up to about 30 min 0 s" in answered.stderr
    assert began


@pytest.mark.parametrize("options", [["--yes"], ["--resume", "--out", "run"], ["--budget", "15m"]])
def test_no_question_is_asked_if_options_answer_it(tune, options):
    _, measured, began = tune(*options)
    assert began
    assert not measured


def test_the_rough_estimate_grows_with_the_search():
    x, y = np.zeros((64, 4), "float32"), np.arange(64) % 2
    data = Dataset.from_arrays((x, y), (x, y))
    model = build_mlp(input_shape=(4,), num_classes=2, units=(4,), hidden_rates=0.5)
    short, long = (
        long_run.rough_seconds(Search(model, data, TuningSettings(num_seeds=seeds)))
        for seeds in (1, 1000)
    )
    assert 0 < short < long
