"""Paired differences against SciPy, and Holm's correction against its definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dropout_zoo.studies import holm_differences, may_be_best, paired_difference

VALUES = [0.31, 0.28, 0.35, 0.30, 0.33]
BASELINE = [0.36, 0.30, 0.36, 0.37, 0.35]


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_agrees_with_the_paired_t_test_of_scipy(level):
    found = paired_difference(VALUES, BASELINE, level)
    expected = stats.ttest_rel(VALUES, BASELINE)
    interval = expected.confidence_interval(level)
    assert found.mean == pytest.approx(np.mean(VALUES) - np.mean(BASELINE))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.pairs == 5


PAIRS = st.lists(
    st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1, max_size=12
)  # fmt: skip


def by_hand(values, baseline, level):
    """Mean, interval and p-value by the formulas of Student's t."""
    difference = np.subtract(values, baseline)
    mean, count = difference.mean(), len(difference)
    if count == 1:
        return mean, math.nan, math.nan, math.nan
    error = difference.std(ddof=1) / math.sqrt(count)
    half = stats.t.ppf((1 + level) / 2, count - 1) * error
    p_value = 2 * stats.t.sf(abs(mean) / error, count - 1) if error > 0 else float(mean == 0)
    return mean, mean - half, mean + half, p_value


@pytest.mark.filterwarnings("error")
@given(PAIRS, st.floats(0.5, 0.999))
def test_agrees_with_the_formulas(pairs, level):
    values, baseline = zip(*pairs, strict=True)
    found = paired_difference(values, baseline, level)
    expected = by_hand(values, baseline, level)
    scale = max(1e-12, *(abs(a) + abs(b) for a, b in pairs))
    # Rounding in SciPy's variance is relative to the values, not to their differences.
    assert found[:3] == pytest.approx(expected[:3], rel=1e-9, abs=1e-12 * scale, nan_ok=True)
    assert found.p_value == pytest.approx(expected[3], rel=1e-6, abs=1e-9, nan_ok=True)


@pytest.mark.filterwarnings("error")
def test_differences_that_are_equal_but_for_rounding_raise_no_warning():
    baseline = [0.1, 0.2, 0.3]
    found = paired_difference([each + 0.1 for each in baseline], baseline)
    assert found.mean == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))
    assert found.excludes_zero


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_measurements_that_are_not_finite_have_no_interval_and_no_p_value(broken):
    for baseline in ([0.0, 0.0, 0.0], [broken, 0.0, 0.0], [0.0, -broken, 0.0]):
        found = paired_difference([broken, 1.0, 2.0], baseline)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert math.isnan(found.p_value)
        assert not found.excludes_zero


def test_holm_tests_measurements_that_are_not_finite_last():
    clear = [b - 0.1 - 0.001 * i for i, b in enumerate(BASELINE)]
    found = holm_differences({"broken": [math.nan, *VALUES[1:]], "clear": clear}, BASELINE)
    assert math.isnan(found["broken"].p_value)
    assert found["clear"].excludes_zero
    assert found["clear"].p_value == pytest.approx(2 * paired_difference(clear, BASELINE).p_value)


def test_a_single_pair_has_no_interval():
    found = paired_difference([1.0], [0.5])
    assert found.mean == 0.5
    assert math.isnan(found.low)
    assert math.isnan(found.p_value)
    assert not found.excludes_zero


def test_equal_measurements_differ_by_nothing():
    found = paired_difference(VALUES, VALUES)
    assert (found.mean, found.low, found.high, found.p_value) == (0, 0, 0, 1)
    assert not found.excludes_zero


def test_a_constant_gain_is_certain():
    # Powers of two, so that the differences are exactly equal.
    found = paired_difference([0.5, 1.5, 2.5], [0.25, 1.25, 2.25])
    assert (found.mean, found.low, found.high, found.p_value) == (0.25, 0.25, 0.25, 0)
    assert found.excludes_zero


def test_refuses_measurements_that_are_not_paired():
    with pytest.raises(ValueError, match=r"received 5 and 4"):
        paired_difference(VALUES, BASELINE[:4])
    with pytest.raises(ValueError, match="at least one"):
        paired_difference([], [])


def test_holm_tests_the_most_significant_first():
    families = {
        "unsure": [0.36, 0.31, 0.34, 0.38, 0.35],
        "clear": [b - 0.1 - 0.001 * i for i, b in enumerate(BASELINE)],
        "likely": VALUES,
    }
    found = holm_differences(families, BASELINE)
    plain = {name: paired_difference(values, BASELINE) for name, values in families.items()}
    assert list(found) == list(families)
    # Ranks by p-value: clear, likely, unsure.
    assert found["clear"].p_value == pytest.approx(3 * plain["clear"].p_value)
    assert found["likely"].p_value == pytest.approx(2 * plain["likely"].p_value)
    assert found["unsure"].p_value == pytest.approx(plain["unsure"].p_value)
    levels = [found[name].level for name in ("clear", "likely", "unsure")]
    # The second includes 0: the third is given at its level.
    assert levels == pytest.approx([1 - 0.05 / 3, 1 - 0.05 / 2, 1 - 0.05 / 2])


def test_holm_stops_at_the_first_difference_that_is_not_significant():
    wide = [0.1, 0.2, 0.25, 0.35]
    found = holm_differences({"one": wide, "two": wide, "three": wide}, [0.0] * 4)
    assert paired_difference(wide, [0.0] * 4).excludes_zero
    assert not any(each.excludes_zero for each in found.values())
    assert {each.level for each in found.values()} == {1 - 0.05 / 3}


@given(st.lists(st.lists(st.floats(-1, 1), min_size=4, max_size=4), min_size=1, max_size=6))
def test_holm_is_never_less_conservative_than_a_single_test(differences):
    baseline = [0.0] * 4
    families = {str(index): values for index, values in enumerate(differences)}
    found = holm_differences(families, baseline)
    for name, values in families.items():
        plain = paired_difference(values, baseline)
        assert found[name].p_value >= plain.p_value
        assert found[name].p_value <= 1
        if not math.isclose(found[name].p_value, 0.05, rel_tol=1e-6):
            assert found[name].excludes_zero == (found[name].p_value < 0.05)
        assert found[name].low <= plain.low
        assert found[name].high >= plain.high


def test_the_truly_best_setting_is_nearly_always_among_those_that_may_be_the_best():
    random = np.random.default_rng(0)
    means = {"a": 0.0, "b": 0.0, "c": 0.5, "d": 3.0}
    kept, sizes = 0, []
    for _ in range(400):
        shared = random.normal(size=6)  # of the seed, the same for all settings
        values = {name: mean + shared + random.normal(size=6) for name, mean in means.items()}
        found = may_be_best(values, "min")
        kept += "a" in found
        sizes.append(len(found))
    assert kept / 400 >= 0.95
    assert 2 <= np.mean(sizes) < 3.5, "what is far worse is left out"


def test_what_may_be_the_best_depends_on_the_direction_and_on_common_seeds():
    values = {"low": [1.0, 1.1, 0.9, 1.0], "high": [2.0, 2.2, 1.9, math.nan]}
    assert may_be_best(values, "min") == ["low"]
    assert may_be_best(values, "max") == ["high"]
    assert may_be_best({"low": [1.0], "high": [2.0]}, "min") == ["low", "high"]


def test_equal_differences_on_few_pairs_leave_no_setting_out():
    accuracies = {"a": [0.90, 0.91], "b": [0.91, 0.92], "c": [0.90, 0.95]}
    assert may_be_best(accuracies, "max") == ["a", "b", "c"]
    single = {name: np.float32(values).tolist() for name, values in accuracies.items()}
    assert may_be_best(single, "max") == ["a", "b", "c"], "equal but for 32-bit rounding"
    three = {"a": [0.90, 0.91, 0.95], "b": [0.91, 0.92, 0.96]}
    assert may_be_best(three, "max") == ["a", "b"]
    four = {"a": [0.90, 0.91, 0.95, 0.93], "b": [0.91, 0.92, 0.96, 0.94]}
    assert may_be_best(four, "max") == ["b"]


@pytest.mark.parametrize("level", [95, 0.5, 0.3, 1])
def test_the_level_of_what_may_be_the_best_is_that_of_a_one_sided_test(level):
    for count in (2, 3):
        values = dict(zip("abc"[:count], (VALUES, BASELINE, VALUES), strict=False))
        with pytest.raises(
            ValueError, match=rf"expected level to be a number in \(0\.5, 1\), received {level}"
        ):
            may_be_best(values, "min", level=level)


@pytest.mark.parametrize("level", [95, 0, 1])
def test_a_confidence_level_out_of_range_is_refused(level):
    for compared in (
        paired_difference,
        lambda *values: holm_differences({"a": values[0]}, *values[1:]),
    ):
        with pytest.raises(
            ValueError, match=r"expected level to be a number in \(0, 1\), received"
        ):
            compared(VALUES, BASELINE, level)
