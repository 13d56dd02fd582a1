"""Successive halving: who goes on, and that what goes on is what a full search trains."""

import pandas as pd
import pytest
from time_limits import after, time_ends

from dropout_zoo.models import build_mlp
from dropout_zoo.training import Member, Objective
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.tuning import tune
from dropout_zoo.tuning.search.halving import (
    equal_runs,
    expected_score,
    halve,
    round_sizes,
    rungs,
    sample,
)
from dropout_zoo.tuning.search.search import Search, TuningSettings

RATES = [round(0.05 * step, 2) for step in range(12)]
LOSS, SCORE = Objective("val_loss", "min"), Objective("val_score", "max")


class Curves:
    """Trains nothing: the learning curves of each rate are given.

    Args:
        objective: the objective.
        curves: for each rate, the objective after each epoch.
        failing: rates with the epoch before which they fail.
    """

    def __init__(self, objective, curves, failing=None):
        self.objective, self.curves, self.failing = objective, curves, failing or {}
        self.rounds = []

    def __call__(self, members):
        self.rounds.append([(m.rates["rate"], m.initial_epoch, m.epochs) for m in members])
        return [self.trained(member) for member in members]

    def trained(self, member):
        rate, end = member.rates["rate"], member.epochs or 20
        assert (member.weights is None) == (member.initial_epoch == 0)
        if self.failing.get(rate, 99) <= end:
            return TrainedMember.failed(member, "no luck today", self.objective)
        values = self.curves[rate][:end]
        choose = min if self.objective.direction == "min" else max
        best = choose(values)
        curves = pd.DataFrame({"epoch": range(1, len(values) + 1), self.objective.name: values})
        return TrainedMember(
            member, member.rates, "completed", "", curves, self.objective,
            values.index(best) + 1, best, 0.0, f"weights of {rate}", None,
        )  # fmt: skip


def halved(objective, curves, *, patience=None, failing=None):
    """What is trained in each round, and the results, of searches with rungs at epochs 2 and 8."""
    train = Curves(objective, curves, failing)
    members = [Member({"rate": rate}, 0, label=str(rate)) for rate in curves]
    return train.rounds, halve(members, [2, 8], patience, objective, train)


def rates_of(rounds):
    return [[rate for rate, *_ in each] for each in rounds]


@pytest.mark.parametrize("objective", [LOSS, SCORE])
def test_the_better_half_goes_on_where_it_ended(objective):
    sign = 1 if objective.direction == "min" else -1
    constant = {rate: [sign * rate] * 20 for rate in RATES[::-1]}
    rounds, results = halved(objective, constant)
    assert rates_of(rounds) == [RATES[::-1], RATES[:6][::-1], RATES[:3][::-1]]
    assert [set(spans) for spans in ({each[1:] for each in r} for r in rounds)] == [
        {(0, 2)}, {(2, 8)}, {(8, None)},
    ]  # fmt: skip
    assert [len(each) for each in rounds] == round_sizes(12, 2)
    assert [each.member.label for each in results] == [str(rate) for rate in RATES[::-1]]
    lengths = {each.rates["rate"]: (len(each.curves), each.status) for each in results}
    assert lengths[0.0] == (20, "completed")
    assert lengths[0.2] == (8, "pruned") and lengths[0.5] == (2, "pruned")
    assert "others were more promising at epoch 2" in results[0].reason


def test_a_setting_that_learns_more_slowly_but_improves_more_goes_on():
    fast, slow = [0.6, 0.5] + [0.49] * 18, [0.9, 0.6] + [0.3] * 18
    rounds, results = halved(LOSS, {0.0: fast, 0.5: slow})
    assert rates_of(rounds) == [[0.0, 0.5], [0.5], [0.5]]
    assert [each.status for each in results] == ["pruned", "completed"]


def test_what_patience_has_ended_is_judged_by_its_best_and_not_called_pruned():
    # At epoch 8 the first one has ended; the others are expected to improve, one of them to 0.2.
    ended = [0.9, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5]
    better = [0.9, 0.8, 0.7, 0.6, 0.55, 0.5, 0.45, 0.4] + [0.1] * 12
    worse = [0.9, 0.85, 0.85, 0.84, 0.84, 0.83, 0.83, 0.82] + [0.8] * 12
    curves = {0.1: ended, 0.2: better, 0.3: worse, 0.4: [2.0] * 20}
    rounds, results = halved(LOSS, curves, patience=5)
    assert rates_of(rounds) == [[0.1, 0.2, 0.3, 0.4], [0.1, 0.2], [0.2]]
    assert [each.status for each in results] == ["completed", "completed", "pruned", "pruned"]


def test_what_fails_does_not_go_on_and_leaves_its_place_to_another():
    constant = {rate: [rate] * 20 for rate in RATES[:6]}
    rounds, results = halved(LOSS, constant, failing={0.0: 1, 0.1: 5})
    assert rates_of(rounds) == [RATES[:6], [0.05, 0.1, 0.15], [0.05, 0.15]]
    assert [each.status for each in results[:3]] == ["failed", "completed", "failed"]


def test_a_search_ends_where_everything_fails():
    rounds, results = halved(LOSS, {0.1: [1.0] * 20, 0.2: [1.0] * 20}, failing={0.1: 1, 0.2: 1})
    assert rates_of(rounds) == [[0.1, 0.2]]
    assert [each.status for each in results] == ["failed", "failed"]


def test_what_the_last_doubling_of_the_epochs_gained_is_expected_once_more():
    assert expected_score([1.0], LOSS) == 1.0
    assert expected_score([1.0, 0.7], LOSS) == pytest.approx(0.4)
    assert expected_score([0.9, 0.5, 0.6, 0.4, 0.7], LOSS) == pytest.approx(0.3)
    assert expected_score([0.5, 0.7, 0.8], SCORE) == pytest.approx(1.1)


def test_rungs_are_parts_of_a_typical_training_run():
    assert rungs(200, 75) == [10, 19, 38]
    assert rungs(3, 3) == [1, 2]
    assert rungs(1, 1) == []


def test_settings_are_drawn_without_repetition_from_a_space_of_any_size():
    huge = {f"site {number}": tuple(RATES) for number in range(30)}
    drawn = sample(huge, 50, seed=0)
    assert len({tuple(each.values()) for each in drawn}) == 50
    assert drawn == sample(huge, 50, seed=0) != sample(huge, 50, seed=1)
    small = {"a": (0.1, 0.2), "b": (0.3, 0.4)}
    whole = [{"a": a, "b": b} for a in (0.1, 0.2) for b in (0.3, 0.4)]
    assert sample(small, 9, seed=3) == whole


def test_a_search_of_many_settings_is_halved_unless_trials_cannot_be_continued(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.4,), input_rate=0.2)
    settings = {"rates": RATES[1:6], "epochs": 40, "patience": 5}

    def search(**changes):
        return Search(
            model, few_digits, TuningSettings.from_options(few_digits, settings | changes)
        )

    assert search().oracle == "halving"
    assert (
        search()
        .summary()
        .startswith("25 trials, half of which go on at epochs 2, 4 and 8 each, then 1 finalist")
    )
    assert search(rates=RATES[1:5]).oracle == "grid"
    assert search(callbacks=lambda member: []).oracle == "grid"
    # What is announced is no more than that a search without pruning would train.
    assert search().num_runs == search(oracle="grid").num_runs


def test_as_many_whole_runs_as_take_the_same_time():
    assert equal_runs(25, [], 40) == 25
    assert round_sizes(25, 3) == [25, 13, 7, 4]
    assert equal_runs(25, [2, 4, 8], 40) == 6  # 25 x 2 + 13 x 2 + 7 x 4 + 4 x 32 epochs


def test_a_budget_that_ends_between_rungs_leaves_out_what_was_pruned(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.4,), input_rate=0.2)
    settings = {"rates": RATES[1:6], "epochs": 40, "patience": 5, "progress": False}
    with time_ends(after(2 + 25 + 6)):  # in the second round: 6 of 13
        result = tune(model, few_digits, **settings, budget="10m")
    trials = result.trials[result.trials["role"] == "trial"].set_index("setting")
    assert trials.index.is_unique and len(trials) == 25
    assert trials["status"].value_counts().to_dict() == {"completed": 13, "pruned": 12}
    assert "after 12 of 25 trials" in result.sentence
    assert len(result.comparison) <= 13 + 2


def test_a_single_setting_is_not_halved(few_digits):
    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    chosen = TuningSettings.from_options(few_digits, {"rates": 0.3, "oracle": "halving"})
    assert Search(model, few_digits, chosen).summary().startswith("1 trial, then 1 finalist")


@pytest.mark.slow
def test_what_is_trained_to_the_end_is_what_a_full_search_trains(few_digits, tmp_path):
    model = build_mlp(units=(16,), hidden_rates=(0.4,), input_rate=0.2)
    settings = {
        "rates": [0.1, 0.2, 0.3, 0.4, 0.5], "epochs": 40, "patience": 4, "num_seeds": 2,
        "progress": False,
    }  # fmt: skip
    halved = tune(model, few_digits, **settings, directory=tmp_path / "run")
    whole = tune(model, few_digits, **settings, oracle="grid")
    sites = ["input_dropout", "hidden_1_dropout"]
    tables = [
        result.trials[result.trials["role"] == "trial"].set_index(sites)
        for result in (halved, whole)
    ]
    one, other = tables
    ended = one[one["status"] == "completed"]
    assert sorted(one.index) == sorted(other.index) and 4 <= len(ended) < 25
    for name in ("score", "best_epoch", "epochs", "val_accuracy"):
        assert ended[name].equals(other.loc[ended.index, name]), name
    pruned = one[one["status"] == "pruned"]
    assert len(pruned) + len(ended) == 25
    assert pruned["reason"].str.contains("others were more promising at epoch").all()
    assert one["epochs"].sum() < 0.6 * other["epochs"].sum()
    # Nothing that was pruned is raced, and the files say the same as the result.
    raced = halved.finalists.set_index(sites).index
    assert set(raced) <= set(ended.index) | {(0.0, 0.0)}
    assert type(halved).load(tmp_path / "run").trials.equals(halved.trials)
