"""A claim is judged by its training runs alone: what supports it, and what withholds a verdict."""

import pandas as pd
import pytest

from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.criteria import (
    HIGHER,
    LOWER,
    BestRateWithin,
    Difference,
    Equality,
    change_of_effect,
    versus,
)
from dropout_zoo.studies.claims.experiment import Experiment

SEEDS = 6


def runs(**values):
    """Training runs of settings, given the test error of each seed or of all of them."""
    rows = [
        {"setting": name, "seed": seed, "status": "completed", "ended": True, "test_error": value}
        for name, given in values.items()
        for seed, value in enumerate(given)
    ]
    return pd.DataFrame(rows)


def around(mean, spread=0.1):
    return [mean + spread * (-1) ** seed * (1 + seed / SEEDS) for seed in range(SEEDS)]


def wandering(mean):
    return [mean + step for step in (0.3, -0.4, 0.1, -0.2, 0.4, -0.3)]


def claim(criterion, **settings):
    experiment = Experiment("made-up", "", lambda seed: None, {}, {})
    return Claim("made-up", "", "", "", experiment, criterion, **settings)


LOWERS = Difference("test_error", LOWER, [versus("with", "without")])


@pytest.mark.parametrize(
    ("treated", "verdict"),
    [
        (wandering(4.0), "supported"),
        (wandering(6.0), "contradicted"),
        (wandering(5.0), "no reliable difference"),
    ],
)
def test_the_verdict_follows_from_the_side_of_the_interval(treated, verdict):
    outcome = claim(LOWERS).judge(runs(**{"with": treated, "without": [5.0] * SEEDS}))
    assert outcome.verdict == verdict
    [effect] = outcome.effects
    assert effect.difference.mean == pytest.approx(sum(treated) / SEEDS - 5.0)
    assert effect.by_seed == pytest.approx([value - 5.0 for value in treated])


def test_seeds_are_paired_whatever_the_order_of_the_runs():
    table = runs(**{"with": [1.9, 2.9, 3.9, 4.8], "without": [2.0, 3.0, 4.0, 5.0]})
    shuffled = table.sample(frac=1, random_state=1)
    outcome = claim(LOWERS).judge(shuffled)
    assert outcome.verdict == "supported"
    assert outcome.effects == claim(LOWERS).judge(table).effects


def test_several_comparisons_must_all_hold_at_levels_by_holm():
    both = Difference("test_error", LOWER, [versus("a", "without"), versus("b", "without")])
    without = [5.0] * SEEDS
    found = claim(both).judge(runs(a=wandering(4.0), b=wandering(3.0), without=without))
    assert found.verdict == "supported"
    assert sorted(each.difference.level for each in found.effects) == [0.95, 0.975]
    mixed = claim(both).judge(runs(a=wandering(4.0), b=wandering(5.0), without=without))
    assert mixed.verdict == "partly supported"
    assert mixed.why == "the interval includes 0 for b minus without"
    opposed = claim(both).judge(runs(a=wandering(4.0), b=wandering(7.0), without=without))
    assert opposed.verdict == "contradicted"


@pytest.mark.parametrize(
    ("mean", "verdict", "why"),
    [
        (1.0, "supported", "the interval lies below -2"),
        (5.0, "no reliable difference", "a difference as large as claimed (2) is ruled out"),
        (
            4.0,
            "no reliable difference",
            "a difference is there, but any larger than 2 is ruled out",
        ),
        (2.9, "undecided", "the interval includes -2 for with minus without"),
        (6.0, "contradicted", "the interval lies on the opposite side for with minus without"),
    ],
)
def test_the_interval_must_lie_beyond_the_smallest_difference_that_matters(mean, verdict, why):
    rule = Difference("test_error", LOWER, [versus("with", "without")], at_least=2.0)
    outcome = claim(rule).judge(runs(**{"with": wandering(mean), "without": [5.0] * SEEDS}))
    assert outcome.verdict == verdict
    assert outcome.why == why


def test_a_change_of_the_effect_is_a_difference_of_differences():
    change = change_of_effect("more", ("a", "a control"), ("b", "b control"))
    table = runs(**{"a": [1.0, 1.5], "a control": [4.0, 4.0], "b": [3.0, 3.0], "b control": [4, 4]})
    assert change.values(table, "test_error") == [-2.0, -1.5]


@pytest.mark.parametrize(
    ("mean", "verdict"),
    [(0.0, "supported"), (2.0, "contradicted"), (0.45, "undecided")],
)
def test_equality_needs_the_interval_within_the_margin(mean, verdict):
    rule = Equality("test_error", 0.5, [versus("with", "without")])
    table = runs(**{"with": wandering(5.0 + mean), "without": [5.0] * SEEDS})
    outcome = claim(rule).judge(table)
    assert outcome.verdict == verdict
    assert "0.5 " in outcome.why
    assert str(rule).endswith("the interval lies within 0.5 of 0")


@pytest.mark.parametrize(
    ("treated", "verdict", "why", "shown"),
    [
        (5.0, "supported", "exactly 0", "exactly 0 on all 6 seeds"),
        (5.5, "contradicted", "not 0", "+0.5 on all 6 seeds"),
    ],
)
def test_an_effect_that_is_the_same_on_every_seed_has_no_interval(treated, verdict, why, shown):
    rule = Equality("test_error", 0.0, [versus("with", "without")])
    assert str(rule).endswith("with minus without is exactly 0")
    outcome = claim(rule).judge(runs(**{"with": [treated] * SEEDS, "without": [5.0] * SEEDS}))
    assert (outcome.verdict, outcome.why) == (verdict, why)
    assert str(outcome.effects[0]) == f"with minus without: {shown}"


RATES = {0.0: "none", 0.3: "middle", 0.5: "half", 0.9: "high"}
WITHIN = BestRateWithin("test_error", RATES, 0.2, 0.6)


def test_the_best_rate_is_chosen_on_the_first_seeds_and_tested_on_the_others():
    # On the first three seeds "half" is best, on the others "middle": the test is of "half".
    table = runs(
        none=wandering(8.0),
        middle=[6.0, 6.0, 6.0, 3.0, 3.1, 3.0],
        half=[5.0, 5.0, 5.0, 5.0, 5.1, 5.0],
        high=wandering(9.0),
    )
    outcome = claim(WITHIN).judge(table)
    assert outcome.verdict == "supported"
    assert [each.label for each in outcome.effects] == ["half minus none", "half minus high"]
    assert all(each.difference.pairs == 3 for each in outcome.effects)


def test_a_best_rate_outside_the_range_contradicts_it_only_if_it_beats_all_inside():
    clear = runs(none=around(2.0), middle=around(6.0), half=around(6.0), high=around(9.0))
    assert claim(WITHIN).judge(clear).verdict == "contradicted"
    alike = runs(none=wandering(6.0), middle=around(6.0), half=around(6.1), high=around(9.0))
    outcome = claim(WITHIN).judge(alike)
    assert outcome.verdict == "no reliable difference"
    assert outcome.why == (
        "middle, chosen on 3 seeds, is not reliably better on the others than none"
    )


def test_fewer_seeds_than_a_criterion_needs_are_refused():
    three = {name: [float(place), 1.0, 2.0] for place, name in enumerate(RATES.values())}
    with pytest.raises(ValueError, match="at least 4, received 3"):
        claim(WITHIN).judge(runs(**three))
    with pytest.raises(ValueError, match="at least 2, received 1"):
        claim(LOWERS).judge(runs(**{"with": [4.0], "without": [5.0]}))


def test_runs_that_had_not_ended_withhold_the_verdict_unless_the_claim_is_about_short_ones():
    table = runs(**{"with": wandering(4.0), "without": [5.0] * SEEDS})
    table.loc[table["setting"] == "with", "ended"] = [False, False] + [True] * (SEEDS - 2)
    outcome = claim(LOWERS).judge(table)
    assert (outcome.verdict, outcome.effects) == ("not comparable", ())
    assert outcome.why == "not trained to the end: with"
    assert claim(LOWERS, trained_to_the_end=False).judge(table).verdict == "supported"
    one = table.assign(ended=[False] + [True] * (2 * SEEDS - 1))  # a quarter is tolerated
    assert claim(LOWERS).judge(one).verdict == "supported"


def test_a_metric_that_is_missing_on_a_seed_withholds_the_verdict():
    table = runs(**{"with": around(2.0), "without": around(3.0)})
    table.loc[table.index[0], "test_error"] = float("nan")
    outcome = claim(LOWERS).judge(table)
    assert outcome.verdict == "not comparable" and outcome.why.startswith("not measured on every")


def test_failed_runs_withhold_the_verdict_of_the_claims_that_need_them():
    table = runs(**{"with": wandering(4.0), "without": [5.0] * SEEDS, "other": [1.0] * SEEDS})
    other = table["setting"] == "other"
    assert claim(LOWERS).judge(table.assign(status=table["status"].where(~other, "failed"))).effects
    failed = table.assign(status=table["status"].where(table["setting"] != "with", "diverged"))
    assert claim(LOWERS).judge(failed).why == "training runs failed: with"


def test_a_claim_without_stored_results_is_not_tested():
    assert claim(Difference("rise", HIGHER, [])).stored_outcome().verdict == "not tested"
