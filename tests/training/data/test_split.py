"""How examples are split: stratified, repeatable, and no class is left out."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropout_zoo.training.data.dataset import DataError, split_arrays

X = np.linspace(0, 1, 60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20) % 2


CLASS_COUNTS = st.lists(st.integers(12, 40), min_size=2, max_size=6)


def check_cut(counts, part, whole):
    """Each class of `part` is within one example of its share of `whole`."""
    share = np.bincount(whole, minlength=counts) * len(part) / len(whole)
    assert np.abs(np.bincount(part, minlength=counts) - share).max() < 1


@settings(deadline=None, max_examples=100)
@given(counts=CLASS_COUNTS, seed=st.integers(0, 2**32 - 1))
def test_split_is_disjoint_exhaustive_stratified_and_repeatable(counts, seed):
    y = np.repeat(np.arange(len(counts)), counts)
    x = np.arange(len(y))[:, None]
    parts = split_arrays(x, y, seed=seed)
    indices = [part[0].ravel() for part in parts]
    assert sorted(np.concatenate(indices)) == list(range(len(y)))
    for index, (_, labels) in zip(indices, parts, strict=True):
        np.testing.assert_array_equal(y[index], labels)
        assert set(labels) == set(y)
    train, validation, test = (part[1] for part in parts)
    check_cut(len(counts), test, y)
    check_cut(len(counts), validation, np.concatenate([train, validation]))
    again = split_arrays(x, y, seed=seed)
    for index, part in zip(indices, again, strict=True):
        np.testing.assert_array_equal(index, part[0].ravel())


@settings(deadline=None)
@given(counts=st.lists(st.integers(1, 12), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_split_leaves_no_class_out_of_a_part_or_says_so(counts, seed):
    y = np.repeat(np.arange(len(counts)), counts)
    try:
        parts = split_arrays(np.arange(len(y))[:, None], y, seed=seed)
    except DataError as error:
        needed = int(re.search(r"expected (\d+) or more", str(error))[1])
        assert min(counts) < needed
    else:
        assert all(set(labels) == set(y) for _, labels in parts)


def test_regressions_and_two_parts_can_be_split():
    y = np.linspace(0, 1, 100, dtype=np.float32)
    parts = split_arrays(y[:, None], y, fractions=(0.8, 0.2), task="regression")
    assert [len(labels) for _, labels in parts] == [80, 20]
    assert sorted(np.concatenate([labels for _, labels in parts])) == sorted(y)


def test_another_seed_gives_another_split():
    first, second = (split_arrays(X, Y, seed=seed)[2][0] for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_too_few_examples_are_refused_by_class():
    y = np.array([0] * 30 + [1] * 2)
    words = r"expected \d+ or more examples of class b for each part to get one .*received 2"
    with pytest.raises(DataError, match=words) as refused:
        split_arrays(np.zeros((32, 1)), y, class_names=["a", "b"])
    assert "quantities" not in str(refused.value)
    with pytest.raises(DataError, match=r"class 1 .*proportions 0.7, 0.15, 0.15.*pass floats"):
        split_arrays(np.zeros((32, 1)), y)
    with pytest.raises(DataError, match=r"expected 3 or more examples for each .*received 2"):
        split_arrays(np.zeros((2, 1)), np.zeros(2, dtype=np.float32), task="regression")


def test_a_part_whose_share_is_no_example_is_refused():
    y = np.arange(40) % 2
    for fractions in ((0.98, 0.01, 0.01), (0.01, 0.99)):
        with pytest.raises(DataError, match=r"y: expected .*received .*; .*add examples"):
            split_arrays(np.zeros((40, 1)), y, fractions=fractions)
    with pytest.raises(DataError, match=r"fractions that give each part an example.*--split"):
        split_arrays(np.zeros((40, 1)), y, fractions=(0.99, 0.01))


@pytest.mark.parametrize(
    "options",
    [
        {"fractions": (0.5, 0.5, 0.5)},
        {"fractions": (1.0, 0.0, 0.0)},
        {"fractions": (1.2, -0.1, -0.1)},
        {"fractions": (float("nan"), 0.5, 0.5)},
        {"fractions": (1.0,)},
        {"seed": -1},
        {"seed": 2**32},
        {"seed": 0.5},
    ],
)
def test_split_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r"expected .*received"):
        split_arrays(X, Y, **options)
