"""What a race concludes, from scores that are made up."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from simulated_races import EPOCHS, LOSS, NONE, SPACE, race_of, trained

from dropout_zoo.training import Objective
from dropout_zoo.tuning.race.chance_level import Chance
from dropout_zoo.tuning.race.race import comparison_table, first_seeds, is_clear, run_race
from dropout_zoo.tuning.race.screening import choose_finalists
from dropout_zoo.tuning.records.trial_tables import TrainingRecord
from dropout_zoo.tuning.results.answer import answer
from dropout_zoo.tuning.trial_setting import TrialSetting

ACCURACY = Objective("val_accuracy", "max")
RATES = {NONE: 0.0, "as given": 0.3}


def records(objective, scores_by_setting, **curve):
    """Training runs of settings whose rates are in their names, such as `at 20`."""
    made = []
    for name, scores in scores_by_setting.items():
        rate = RATES[name] if name in RATES else float(name[3:]) / 100
        role = "control" if name == NONE else "finalist"
        made += [
            TrainingRecord(name, role, trained({"hidden": rate}, score, seed, objective, **curve))
            for seed, score in enumerate(scores)
        ]
    return made


def concluded(
    objective, scores_by_setting, *, chance=None, ratio=None, same_examples=True, **curve
):
    made = records(objective, scores_by_setting, **curve)
    race = race_of(len(next(iter(scores_by_setting.values()))), ratio)
    race = replace(race, same_examples=same_examples)
    table = comparison_table(made, race, objective)
    return answer(table, made, race, objective, SPACE, max_epochs=EPOCHS, chance=chance)


NOISE = np.array([0.01, -0.02, 0.015, -0.005, 0.0, 0.012, -0.011, 0.004, -0.01, 0.005])


def test_a_clear_gain_is_called_a_gain():
    found = concluded(LOSS, {NONE: 0.5 + NOISE, "at 40": 0.3 - NOISE})
    assert (found.kind, found.setting, found.rates) == ("gain", "at 40", {"hidden": 0.4})
    assert found.sentence.startswith(
        "Best: hidden 0.40 (val_loss 0.3, mean of 10 seeds), 0.2 better than no dropout (95% CI 0.1"
    )
    assert found.sentence.endswith("10 seeds on this split of the data).")


def test_a_gain_of_the_rates_as_given_says_that_they_are_the_models_own():
    found = concluded(LOSS, {NONE: 0.5 + NOISE, "as given": 0.3 - NOISE})
    assert found.sentence.startswith("Best: the model's own rates, hidden 0.30 (val_loss 0.3, ")


def test_no_reliable_difference_of_the_rates_as_given_is_told_in_a_readable_order():
    found = concluded(LOSS, {NONE: 500 + 100 * NOISE, "as given": 499.9 - 100 * NOISE})
    assert found.sentence.startswith(
        "No reliable difference between the model's own rates, hidden 0.30, and no dropout: "
    )
    assert "e+" not in found.sentence


def test_rates_outside_the_guidance_are_called_so():
    found = concluded(LOSS, {NONE: 0.5 + NOISE, "at 10": 0.3 - NOISE})
    assert found.sentence.endswith("Outside the guidance of 0.20 to 0.50: hidden 0.10.")
    assert "guidance" not in concluded(LOSS, {NONE: 0.5 + NOISE, "at 40": 0.3 - NOISE}).sentence


def test_settings_whose_means_differ_by_rounding_alone_do_not_beat_no_dropout():
    scores = np.float32(0.9) + NOISE
    found = concluded(ACCURACY, {NONE: scores, "at 40": scores + 1.2e-8})
    assert found.setting == NONE


def test_a_gain_over_several_splits_says_on_how_many():
    found = concluded(LOSS, {NONE: 0.5 + NOISE, "at 40": 0.3 - NOISE}, ratio=0.2)
    assert found.kind == "gain"
    assert "; 10 seeds on 10 splits of the data)" in found.sentence


def test_a_gain_of_runs_that_see_other_examples_says_so():
    scores = {NONE: 0.5 + NOISE, "at 40": 0.3 - NOISE}
    found = concluded(LOSS, scores, same_examples=False)
    assert found.sentence.endswith(
        "10 seeds on this split of the data, each run on random examples of its own)."
    )


def test_a_difference_within_noise_is_no_gain_and_larger_gains_are_ruled_out():
    found = concluded(LOSS, {NONE: 0.5 + NOISE, "at 40": 0.499 - NOISE})
    assert found.kind == "no reliable difference"
    assert found.sentence.startswith(
        "No reliable difference between hidden 0.40 and no dropout: val_loss 0.499 and 0.5, a gain "
        "of "
    )
    assert " includes 0; 10 seeds on this split of the data). A gain above 0.0" in found.sentence
    assert " is ruled out." in found.sentence


@pytest.mark.parametrize(
    ("name", "scores", "told"),
    [
        ("val_accuracy", 0.9, True),
        ("val_accuracy", 0.995, False),
        ("val_accuracy", 90.0, True),
        ("val_true_positives", 0.995, True),
        ("val_score", 0.995, True),
    ],
)
def test_only_a_gain_that_is_possible_is_ruled_out(name, scores, told):
    scores = {NONE: scores + NOISE / 2, "at 40": scores - NOISE / 2}
    found = concluded(Objective(name, "max"), scores)
    assert found.kind == "no reliable difference"
    assert ("A gain above" in found.sentence) == told


def test_no_dropout_is_best_only_where_all_others_are_reliably_worse():
    better = {NONE: 0.9 + NOISE, "at 20": 0.8 - NOISE}
    found = concluded(ACCURACY, better)
    assert (found.kind, found.setting) == ("harm", NONE)
    assert found.sentence.startswith(
        "Best: no dropout (val_accuracy 0.9, mean of 10 seeds); the best rates that were tried, "
        "hidden 0.20, are 0.1 worse (95% CI 0.0"
    )
    found = concluded(ACCURACY, {NONE: 0.9 + NOISE, "at 20": 0.899 - NOISE})
    assert found.kind == "no reliable difference"


def test_a_single_seed_is_not_conclusive():
    found = concluded(LOSS, {NONE: [0.5], "at 30": [0.3]})
    assert found.kind == "no reliable difference"
    assert "0.2 better than no dropout on a single seed, so not conclusive" in found.sentence


def test_no_gain_is_claimed_if_training_did_not_reach_its_end():
    scores = {NONE: 0.5 + NOISE, "at 40": 0.3 - NOISE}
    for best_epoch, kind in ((20, "not trained to the end"), (18, "gain")):
        found = concluded(LOSS, scores, best_epoch=best_epoch, epochs=EPOCHS)
        assert found.kind == kind
    found = concluded(LOSS, scores, best_epoch=20, epochs=EPOCHS)
    assert found.sentence == (
        "Not trained to the end: the best epoch is among the last tenth of 20 epochs in all runs "
        "of every setting. Allow more epochs before relying on this. Best so far: "
        "hidden 0.40 (val_loss 0.3, mean of 10 seeds)."
    )
    # What patience has stopped has ended, wherever its best epoch lies.
    assert concluded(LOSS, scores, best_epoch=19, epochs=19).kind == "gain"


@pytest.mark.parametrize("lead", [0.2, 0.001, -0.2])
def test_without_an_end_of_training_neither_gain_nor_harm_is_claimed_or_ruled_out(lead):
    scores = {NONE: 0.5 + NOISE, "at 40": 0.5 - lead - NOISE}
    found = concluded(LOSS, scores, best_epoch=20, epochs=EPOCHS)
    assert found.kind == "not trained to the end"
    for claim in ("ruled out", "better than", "worse", "No reliable difference", "95% CI"):
        assert claim not in found.sentence


def lucky_race(objective, curves):
    """What is concluded from runs without dropout alone, and a chance level of 0.5."""
    race = race_of(len(curves), ratio=0.2)
    choose = np.argmax if objective == ACCURACY else np.argmin
    best = [int(choose(curve)) for curve in curves]
    made = [
        TrainingRecord(
            NONE,
            "control",
            replace(
                trained({"hidden": 0.0}, float(curve[epoch]), seed, objective),
                curves=pd.DataFrame(
                    {"epoch": range(1, len(curve) + 1), objective.name: np.asarray(curve)}
                ),
                best_epoch=epoch + 1,
            ),
        )
        for seed, (curve, epoch) in enumerate(zip(curves, best, strict=True))
    ]
    table = comparison_table(made, race, objective)
    chance = Chance(objective, 0.5, "the most frequent class")
    return answer(table, made, race, objective, SPACE, max_epochs=1000, chance=chance)


def test_the_best_of_many_epochs_does_not_beat_chance_by_luck():
    random = np.random.default_rng(0)
    kinds, doubts = [], []
    for _ in range(60):
        noise = [random.normal(0.5, 0.07, size=random.integers(30, 60)) for _ in range(10)]
        assert np.mean([curve.max() for curve in noise]) > 0.6  # by luck alone
        found = lucky_race(ACCURACY, noise)
        kinds.append(found.kind == "no better than chance")
        doubts.append("not reliably better than always predicting the" in found.sentence)
    assert 0.35 < np.mean(kinds) < 0.65  # the mean is as often below the level as above it
    assert np.mean(np.logical_or(kinds, doubts)) > 0.95


def test_a_model_that_has_learned_is_not_doubted():
    random = np.random.default_rng(0)
    learned = [random.normal(0.8, 0.07, size=40) for _ in range(10)]
    assert "always predicting" not in lucky_race(ACCURACY, learned).sentence
    losses = [0.4 + 0.01 * np.abs(np.arange(40) - 20 + seed) for seed in range(10)]
    assert "always predicting" not in lucky_race(LOSS, losses).sentence


def test_a_model_that_has_learned_nothing_cannot_win():
    scores = {NONE: 0.30 + NOISE, "at 40": 0.33 - NOISE}
    chance = Chance(ACCURACY, 0.34, "the most frequent class")
    found = concluded(ACCURACY, scores, chance=chance)
    assert found.kind == "no better than chance"
    assert "always predicting the most frequent class: val_accuracy 0.33 compared with 0.34" in (
        found.sentence
    )
    assert concluded(ACCURACY, scores, chance=chance._replace(value=0.2)).kind != found.kind


def test_a_best_rate_on_the_edge_is_reported():
    found = concluded(LOSS, {NONE: 0.5 + NOISE, "at 50": 0.3 - NOISE})
    assert "at the edge of the range that was tried at hidden: a wider range" in found.sentence


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (0.3, None),
        (0.5, "at the edge of the range that was tried at hidden: a wider range"),
        (float(np.float32(0.2)), "at the edge of the range that was tried at hidden: a wider"),
        (0.7, "outside the range that was searched at hidden: a wider range"),
        (0.05, "outside the range that was searched at hidden: a wider range"),
    ],
)
def test_rates_as_given_may_lie_on_the_edge_or_outside(monkeypatch, rate, said):
    monkeypatch.setitem(RATES, "as given", rate)
    found = concluded(LOSS, {NONE: 0.5 + NOISE, "as given": 0.3 - NOISE})
    assert (found.kind, found.setting) == ("gain", "as given")
    assert "range" not in found.sentence if said is None else said in found.sentence


def test_of_two_gains_the_larger_is_recommended_and_needs_more_evidence():
    two = {NONE: 0.5 + NOISE, "at 40": 0.3 - NOISE, "at 30": 0.35 - NOISE}
    race, found = race_of(10), {}
    for chosen in (two, {name: two[name] for name in (NONE, "at 40")}):
        table = comparison_table(records(LOSS, chosen), race, LOSS).set_index("setting")
        found[len(chosen)] = table.loc["at 40"]
    assert found[3]["level"] == pytest.approx(0.975) and found[2]["level"] == pytest.approx(0.95)
    assert found[3]["low"] < found[2]["low"]
    assert concluded(LOSS, two).setting == "at 40"


def seeds_compared(seeds_by_setting, ratio=None):
    """The seeds that are compared in a race that time has ended."""
    finished = [
        trained({"hidden": 0.1}, 0.5, seed, LOSS)
        for seeds in seeds_by_setting.values()
        for seed in seeds
    ]
    labels = [name for name, seeds in seeds_by_setting.items() for _ in seeds]
    finished = [
        replace(each, member=replace(each.member, label=label))
        for each, label in zip(finished, labels, strict=True)
    ]
    made = first_seeds(list(seeds_by_setting), race_of(40, ratio), finished)
    found = {name: [] for name in seeds_by_setting}
    for record in made:
        found[record.setting].append(record.result.member.seed)
    assert len({tuple(seeds) for seeds in found.values()}) == 1
    return found[NONE]


def test_a_race_out_of_time_ends_after_whole_splits_of_all_settings():
    assert seeds_compared({NONE: [2, 0, 1], "at 40": [0, 1, 3, 2]}) == [0, 1, 2]
    assert seeds_compared({NONE: [0, 1, 3, 4], "at 40": range(5)}) == [0, 1]
    assert seeds_compared({NONE: [], "at 40": range(5)}) == []
    assert seeds_compared({NONE: range(5), "at 40": range(6)}, ratio=0.2) == list(range(5))
    assert seeds_compared({NONE: range(34), "at 40": range(36)}, ratio=0.2) == list(range(20))


@pytest.mark.parametrize(
    ("seeds", "alpha"), [(4, 0.05 * 4 / 40), (10, 0.05 * 10 / 40), (14, 0.05 * 4 / 40)]
)
def test_a_race_out_of_time_spends_the_error_of_the_seeds_since_the_last_look(seeds, alpha):
    scores = {NONE: np.resize(NOISE, seeds), "at 40": -np.resize(NOISE, seeds)}
    table = comparison_table(records(LOSS, scores), race_of(40), LOSS).set_index("setting")
    assert table.loc["at 40", "level"] == pytest.approx(1 - alpha)


@pytest.mark.parametrize("seeds", [2, 3])
def test_equal_differences_of_one_example_are_no_gain(seeds):
    better = np.array([43, 41, 42][:seeds]) / 45
    found = concluded(ACCURACY, {NONE: better - 1 / 45, "at 40": better})
    assert found.kind == "no reliable difference"
    assert " includes 0" in found.sentence


def test_equal_scores_do_not_rule_out_a_gain():
    found = concluded(ACCURACY, {NONE: np.ones(10), "at 40": np.ones(10)})
    assert (found.kind, found.sentence) == (
        "no reliable difference",
        "No difference: every run of every setting has the same val_accuracy, 1 (10 seeds on this "
        "split of the data); try the objective val_loss.",
    )


def test_a_setting_that_failed_on_a_seed_is_left_out():
    made = records(LOSS, {NONE: [0.5, 0.6], "as given": [0.5, 0.6], "at 40": [0.3, 0.4]})
    lost = trained({"hidden": 0.4}, np.nan, 1, LOSS, "failed", "memory")
    made[-1] = TrainingRecord("at 40", "finalist", lost)
    assert set(comparison_table(made, race_of(2), LOSS)["setting"]) == {NONE, "as given"}
    failed = trained({"hidden": 0.4}, np.nan, 0, LOSS, "failed", "memory")
    made = [record._replace(result=failed) for record in made]
    with pytest.raises(RuntimeError, match="completed on every seed: memory"):
        comparison_table(made, race_of(2), LOSS)


def test_nothing_is_compared_without_the_control():
    made = records(LOSS, {NONE: [0.5, 0.6], "at 40": [0.3, 0.4]})
    made[0] = made[0]._replace(result=trained({"hidden": 0.0}, np.nan, 0, LOSS, "failed", "memory"))
    table = comparison_table(made, race_of(2), LOSS)
    assert table["gain"].isna().all()
    found = answer(table, made, race_of(2), LOSS, SPACE, max_epochs=EPOCHS)
    assert (found.kind, found.setting) == ("nothing to compare", "at 40")
    assert found.sentence.startswith("The control, no dropout, failed on 1 of 2 seeds (memory), ")


def test_a_site_may_have_the_name_of_a_column():
    made = [
        TrainingRecord(name, "x", trained({"mean": rate, "setting": rate}, 0.5 + rate, 0, LOSS))
        for name, rate in ((NONE, 0.0), ("at 30", 0.3))
    ]
    table = comparison_table(made, race_of(1), LOSS)
    assert table["rate/mean"].tolist() == [0.0, 0.3]
    assert table["mean"].tolist() == [0.5, 0.8]


def test_finalists_have_the_best_means_among_settings_that_completed():
    trials = [
        trained({"hidden": rate}, score, 0, LOSS, status)
        for rate, score, status in [
            (0.3, 0.1, "completed"), (0.4, 0.2, "completed"), (0.4, 0.3, "completed"),
            (0.5, np.nan, "diverged"), (0.5, 0.0, "completed"), (0.2, 0.28, "completed"),
        ]
    ]  # fmt: skip
    trials = [replace(t, member=replace(t.member, seed=n)) for n, t in enumerate(trials)]
    # The first of two runs on the same seed counts once.
    assert choose_finalists([*trials[:1], *trials[:1], *trials[1:3]], 1, LOSS) == [
        TrialSetting({"hidden": 0.3})
    ]
    best, second, third = (TrialSetting({"hidden": rate}) for rate in (0.3, 0.4, 0.2))
    assert choose_finalists(trials, 5, LOSS, best.__eq__) == [second, third]
    assert choose_finalists(trials, 1, ACCURACY, best.__eq__) == [third]
    assert choose_finalists(trials, 5, LOSS)[0] == best


def raced(gain, noise, seeds=40):
    """Run a race whose scores are made up, and return how many seeds it took."""
    rng = np.random.default_rng(0)

    def train(members):
        scores = [1 - gain * (m.label != NONE) + noise * rng.normal() for m in members]
        return [
            replace(trained(m.rates, score, m.seed, LOSS), member=m)
            for m, score in zip(members, scores, strict=True)
        ]

    settings = {NONE: TrialSetting({"hidden": 0.0}), "finalist 1": TrialSetting({"hidden": 0.4})}
    found = run_race(settings, race_of(seeds, 0.2 if seeds >= 10 else None), LOSS, train)
    return len(found) // 2


def test_a_race_ends_as_soon_as_it_is_clear():
    assert raced(gain=1.0, noise=0.1) == 10
    assert raced(gain=-1.0, noise=0.1) == 10
    assert raced(gain=0.06, noise=0.1) > 10
    assert raced(gain=1.0, noise=0.1, seeds=3) == 3


def test_a_race_continues_while_a_relevant_gain_is_possible():
    control = [0.5, 0.6]
    assert not is_clear({"a": {"low": -0.1, "high": 0.2}}, control)
    assert is_clear({"a": {"low": -0.1, "high": 0.05}}, control)
    assert is_clear({"a": {"low": 0.01, "high": 0.2}}, control)
    assert not is_clear({"a": {"low": -0.2, "high": -0.1}, "b": {"low": -1, "high": 1}}, control)


def test_seeds_of_a_race_have_a_split_each_until_all_splits_have_two():
    race = race_of(24, ratio=0.2)
    members = race.members("a", TrialSetting({"hidden": 0.1}), range(24))
    assert [m.seed for m in members] == list(range(24))
    assert [m.split for m in members] == 2 * list(range(1, 13))
    assert race.looks == [10, 24]
    members = race_of(10).members("a", TrialSetting({"hidden": 0.1}), range(3))
    assert {m.split for m in members} == {0}
