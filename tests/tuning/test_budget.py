"""A budget ends a search in time with the best answer so far, and the search can go on later."""

import json
import re
from collections import Counter
from math import inf

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from time_limits import after, time_ends

from dropout_zoo.models import build_mlp
from dropout_zoo.tuning import TuningResult, tune
from dropout_zoo.tuning.budget import Budget

NONE = "no dropout"
QUICK = {"rates": [0.2, 0.5], "epochs": 1, "num_seeds": 12, "progress": False}
SEARCHED = 2 + 2 + 3 * 2  # controls, trials, and the screening
RACE_SEEDS = range(3, 15)


def model():
    return build_mlp(units=(8,), hidden_rates=(0.4,))


@pytest.fixture(scope="module")
def whole(few_digits, tmp_path_factory):
    """The result of a run without a budget."""
    return tune(model(), few_digits, **QUICK, directory=tmp_path_factory.mktemp("whole"))


def after_seeds_of_the_race(count):
    def condition(finished):
        runs = Counter(member.seed for member in finished)
        return all(runs[seed] == 2 for seed in RACE_SEEDS[:count])

    return condition


def check_the_same(result, expected):
    assert result.sentence == expected.sentence
    assert result.best_rates == expected.best_rates
    assert result.test == expected.test
    for name in ("trials", "finalists", "comparison", "curves"):
        one, other = (
            getattr(each, name).drop(columns="seconds", errors="ignore")
            for each in (result, expected)
        )
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_the_time_before_the_search_counts_and_half_of_a_small_rest_is_for_training():
    assert Budget(600).training_seconds == 570
    assert Budget(600, spent=100).training_seconds == 470
    assert Budget(3).training_seconds == 1.5
    assert Budget(30, spent=40).training_seconds == 0


def test_the_end_is_reserved_for_what_follows_the_training_and_no_more():
    assert Budget(20, spent=6).training_seconds == 12  # 2 s on a machine that does nothing else
    assert Budget(60, spent=20).training_seconds == 35  # longer where the start was slow


@pytest.mark.parametrize(
    ("given", "seconds", "text"),
    [
        ("10m", 600, "10 min"),
        ("90s", 90, "1 min 30 s"),
        ("1h30m", 5400, "1 h 30 min"),
        ("2h0m5s", 7205, "2 h 5 s"),
        ("45", 45, "45 s"),
        (0.5, 0.5, "0.5 s"),
        (np.int64(60), 60, "1 min"),
    ],
)
def test_a_budget_is_parsed_and_printed(given, seconds, text):
    budget = Budget.parse(given)
    assert budget.seconds == seconds
    assert str(budget) == text


@pytest.mark.parametrize(
    "given",
    ["", "10 m", "m", "1h30", "30m1h", "-5", "1.5h", "0s", "10M", "inf", 0, -1, inf, np.nan, True,
     ["10m"]],
)  # fmt: skip
def test_anything_but_a_budget_is_refused(given):
    with pytest.raises(ValueError, match=r"expected a budget such as '10m'.*received ") as refused:
        tune("mlp", budget=given)
    assert str(refused.value).endswith(repr(given))


@pytest.mark.parametrize(
    "finished", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, SEARCHED - 1))]
)
def test_a_search_out_of_time_gives_the_best_so_far_and_claims_nothing(
    few_digits, tmp_path, finished
):
    with time_ends(after(finished)):
        result = tune(model(), few_digits, **QUICK, budget="10m", directory=tmp_path / "run")
    assert result.answer == "out of time"
    assert finished <= len(result.trials) <= SEARCHED
    tried = min(2, (result.trials["role"] == "trial").sum())
    assert result.sentence.startswith(
        f"Out of time: the budget of 10 min ended after {tried} of 2 trials, before there were "
        "enough new seeds to compare them with no dropout, so no conclusion can be drawn yet. "
        "Best so far: "
    )
    trials = result.trials[result.trials["role"] != "screening"]  # which has not finished
    of_rates = trials.groupby("hidden_1_dropout")["score"].agg(["mean", "count"])
    of_rates = of_rates.sort_values("mean")
    best = of_rates.index[0]
    assert result.best_rates == {"hidden_1_dropout": best}
    on = of_rates["count"][best]
    assert result.sentence.endswith("on a single seed)." if on == 1 else f"mean of {on} seeds).")
    assert list(result.comparison["mean"]) == pytest.approx(list(of_rates["mean"]))
    assert result.comparison["gain"].isna().all()
    assert result.race is None and result.finalists.empty
    shown = "no dropout" if best == 0 else f"hidden_1_dropout {best:.2f}"
    assert re.search(rf"\n(as given: )?{shown} +\d", result.summary())
    assert result.test["loss"] > 0
    check_saved(result, panels=1)


def check_saved(result, panels):
    path = result.directory
    assert json.loads((path / "outcome.json").read_text())["ended_by_budget"] is True
    loaded = TuningResult.load(path)
    assert loaded.ended_by_budget
    assert loaded.outcome() == result.outcome()
    assert loaded.summary() == result.summary()
    assert loaded.best_model().count_params() == result.best_model().count_params()
    display = loaded.plot()
    assert len(display.axes_) == panels
    plt.close(display.figure_)


@pytest.mark.slow
def test_a_race_out_of_time_is_judged_on_the_seeds_that_all_have_finished(few_digits, tmp_path):
    with time_ends(after_seeds_of_the_race(5)):
        result = tune(model(), few_digits, **QUICK, budget="10m", directory=tmp_path / "run")
    stopped = r"The race was stopped by the budget of 10 min after (\d+) of 12 seeds\.$"
    seeds = int(re.search(stopped, result.sentence).group(1))
    assert 5 <= seeds < 12
    assert f"mean of {seeds} seeds" in result.sentence
    assert set(result.comparison["seeds"]) == {seeds}
    for _, of_setting in result.finalists.groupby("setting")["seed"]:
        assert list(of_setting) == list(RACE_SEEDS[:seeds])
    compared = result.comparison.set_index("setting").drop(index=NONE)
    assert compared["level"].item() == pytest.approx(1 - 0.05 * seeds / 12)
    check_saved(result, panels=2)


@pytest.mark.slow
def test_a_race_of_one_seed_compares_nothing(few_digits):
    with time_ends(after(SEARCHED + 1)):
        result = tune(model(), few_digits, **QUICK, budget="10m")
    assert result.answer == "out of time"
    assert "after 2 of 2 trials, before" in result.sentence
    assert result.finalists.empty


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param(condition, marks=pytest.mark.slow)
        for condition in (after_seeds_of_the_race(5), *map(after, (1, 3, SEARCHED - 1)))
    ],
)
def test_a_resumed_run_has_the_answer_of_a_run_without_a_budget(
    few_digits, tmp_path, condition, whole
):
    settings = QUICK | {"directory": tmp_path / "run", "resume": True}
    with time_ends(condition) as before:
        first = tune(model(), few_digits, **settings, budget="10m")
    assert first.ended_by_budget
    with time_ends() as later:
        result = tune(model(), few_digits, **settings, budget="2h")
    check_the_same(result, whole)
    assert not result.ended_by_budget
    assert len(before) + len(later) == whole.num_runs  # nothing was trained twice
    assert not (tmp_path / "run" / "state").exists()
    outcome = json.loads((tmp_path / "run" / "outcome.json").read_text())
    assert outcome["ended_by_budget"] is False


@pytest.mark.slow
def test_a_resumed_run_may_run_out_of_time_again(few_digits, tmp_path):
    settings = QUICK | {"directory": tmp_path / "run", "resume": True}
    with time_ends(after(3)):
        first = tune(model(), few_digits, **settings, budget="10m")
    again = tune(model(), few_digits, **settings, budget="1s")  # no time to train anything
    assert "the budget of 1 s ended after" in again.sentence
    assert len(again.trials) == len(first.trials)
    assert again.best_rates == first.best_rates


@pytest.mark.slow
def test_an_interrupted_resume_leaves_no_outcome_of_an_earlier_attempt(few_digits, tmp_path, whole):
    settings = QUICK | {"directory": tmp_path / "run", "resume": True}
    with time_ends(after(3)):
        tune(model(), few_digits, **settings, budget="10m")

    def interrupt(finished):
        raise KeyboardInterrupt

    with time_ends(interrupt), pytest.raises(KeyboardInterrupt):
        tune(model(), few_digits, **settings, budget="10m")
    with pytest.raises(ValueError, match="expected the directory of a complete run"):
        TuningResult.load(tmp_path / "run")
    check_the_same(tune(model(), few_digits, **settings), whole)


def test_a_training_run_longer_than_the_budget_ends_with_an_error(few_digits, tmp_path):
    settings = QUICK | {"epochs": 10**6, "patience": None, "directory": tmp_path / "run"}
    with pytest.raises(
        RuntimeError, match=r"budget of 6 s, received none; resume it with a larger budget"
    ):
        tune(model(), few_digits, **settings, budget="6s")
    assert not (tmp_path / "run" / "outcome.json").exists()
    with pytest.raises(RuntimeError, match="received none; run it with a larger budget"):
        tune(model(), few_digits, **settings | {"directory": None}, budget="1s")


@pytest.mark.parametrize(
    "oracle",
    [
        pytest.param("random", marks=pytest.mark.nightly),
        pytest.param("bayesian", marks=pytest.mark.nightly),
        pytest.param("halving", marks=pytest.mark.slow),
        pytest.param("hyperband", marks=pytest.mark.slow),
    ],
)
def test_searches_with_other_oracles_are_resumed(few_digits, tmp_path, oracle):
    trials = None if oracle == "hyperband" else 3
    settings = QUICK | {"rates": None, "oracle": oracle, "max_trials": trials, "epochs": 4}
    whole = tune(model(), few_digits, **settings)
    settings |= {"directory": tmp_path / "run", "resume": True}
    with time_ends(after(4)):
        first = tune(model(), few_digits, **settings, budget="10m")
    assert first.answer == "out of time"
    check_the_same(tune(model(), few_digits, **settings), whole)
