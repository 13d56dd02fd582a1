"""The recommended rates, and what counts as a rate."""

import inspect
import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropout_zoo.models import (
    GUIDANCE,
    SEARCHED_RATES,
    build_cnn,
    build_mlp,
    build_torch_mlp,
    check_rate,
    create_model,
)


def test_the_table_is_the_documented_one():
    ranges = {placement: (row.low, row.high) for placement, row in GUIDANCE.items()}
    assert ranges == {
        "input": (0.20, 0.25),
        "hidden": (0.40, 0.50),
        "output": (None, None),
        "searched": (0.20, 0.50),
    }
    assert [str(GUIDANCE[key]) for key in ("input", "output")] == ["0.20-0.25", "none"]
    assert all("Srivastava" in row.source for row in GUIDANCE.values())
    with pytest.raises(TypeError):
        GUIDANCE["hidden"] = None


def test_searched_rates_reach_both_ends():
    assert SEARCHED_RATES[0] == GUIDANCE["searched"].low
    assert SEARCHED_RATES[-1] == GUIDANCE["searched"].high == 0.5
    np.testing.assert_allclose(np.diff(SEARCHED_RATES), 0.1)


@given(st.floats(0, 1, exclude_max=True))
def test_a_rate_is_returned_as_it_is(rate):
    assert check_rate(rate, "rate") == rate


@given(st.one_of(st.floats(max_value=0, exclude_max=True), st.floats(min_value=1), st.integers(1)))
def test_a_rate_out_of_range_is_named(rate):
    if rate == 0:  # minus zero
        return
    with pytest.raises(ValueError, match=r"expected my_rate to be in \[0, 1\).*received"):
        check_rate(rate, "my_rate")


@pytest.mark.parametrize(
    "rate",
    [0, -0.0, np.float64(0.25), np.float32(0.5), np.float16(0.75), np.int64(0), Fraction(1, 4)],
)
def test_any_kind_of_number_is_accepted(rate):
    checked = check_rate(rate, "rate")
    assert type(checked) is float
    assert checked == float(rate)
    assert math.copysign(1, checked) == 1


@pytest.mark.parametrize(
    "rate", [True, False, np.True_, "0.5", None, math.nan, np.float32("nan"), 0.5j, [0.5], {}]
)
def test_anything_but_a_number_is_refused(rate):
    with pytest.raises(ValueError, match=r"expected rate to be a number in \[0, 1\).*received"):
        check_rate(rate, "rate")


@pytest.mark.parametrize(
    ("rate", "advice"),
    [
        (50, "for 50% write 0.5"),
        (20.0, "write 0.2"),
        (1, "a rate of 1 drops every unit"),
        (np.float32(1), "a rate of 1 drops every unit"),
        (math.inf, "received inf"),
        (-math.inf, "received -inf"),
        (-0.1, "received -0.1"),
        (10**400, "received 10000"),
        (Fraction(10**30 - 1, 10**30), "expected"),  # 1 as a float
    ],
)
def test_the_message_says_what_to_do(rate, advice):
    with pytest.raises(ValueError, match=advice):
        check_rate(rate, "rate")


def warned(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [warning for warning in caught if "fraction dropped" in str(warning.message)]


@pytest.mark.parametrize(
    "call",
    [
        lambda: build_mlp(hidden_rates=0.8, units=(4,)),
        lambda: build_mlp(hidden_rates=(0.1, 0.8)),
        lambda: build_mlp(input_rate=0.8),
        lambda: build_cnn(input_shape=(4, 4), filters=(2,), conv_rates=(0.8,)),
        lambda: create_model("mlp", input_rate=0.8),
        lambda: build_torch_mlp(hidden_rates=(0.8, 0.2)),
    ],
)
def test_a_keep_probability_warns_at_the_line_of_the_caller(call):
    if call.__code__.co_names[0] == "build_torch_mlp":
        pytest.importorskip("torch")
    (warning,) = warned(call)
    assert "to keep 80%, write 0.2" in str(warning.message)
    assert warning.filename == __file__
    assert warning.lineno == inspect.getsourcelines(call)[1]


@pytest.mark.parametrize("rate", [0, 0.2, 0.5])
def test_recommended_rates_do_not_warn(rate):
    assert not warned(lambda: build_mlp(hidden_rates=rate, input_rate=rate))
