"""Wrong labels and corrupted inputs: as many and as large as they say."""

import numpy as np
import pytest

from dropout_zoo.studies.data.corruption import corrupt, with_wrong_labels


def test_as_many_labels_are_wrong_as_asked(few_digits):
    data, wrong = with_wrong_labels(few_digits, 0.2, seed=0)
    differs = np.flatnonzero(data.train[1] != few_digits.train[1])
    np.testing.assert_array_equal(differs, wrong)
    assert len(wrong) == 30
    assert set(wrong) <= set(with_wrong_labels(few_digits, 0.4, seed=0)[1])
    assert data.validation is few_digits.validation


def test_corruptions_have_the_size_asked_for(few_digits):
    x = few_digits.validation[0]
    noise = corrupt(x, "gaussian noise", 0.3, seed=0) - x
    assert noise.std() == pytest.approx(0.3 * x.max(), rel=0.02)
    missing = corrupt(x, "missing pixels", 0.4, seed=0)
    lost = (missing == 0)[x > 0]
    assert lost.mean() == pytest.approx(0.4, abs=0.02)
    np.testing.assert_array_equal(missing[missing > 0], x[missing > 0])


@pytest.mark.parametrize(
    ("kind", "level", "words"),
    [
        ("fog", 0.1, "expected kind to be one of"),
        ("gaussian noise", -0.1, "expected level to be a number of at least 0"),
        ("missing pixels", 1.5, "expected level to be"),
    ],
)
def test_corruptions_that_do_not_exist_are_refused(kind, level, words):
    with pytest.raises(ValueError, match=words):
        corrupt(np.ones((1, 4, 4), "float32"), kind, level, seed=0)


def test_rotation_turns_images_counterclockwise():
    x = np.zeros((1, 5, 5), "float32")
    x[0, 0, 2] = 1  # on top
    turned = corrupt(x, "rotation", 90, seed=0)
    assert np.unravel_index(turned[0].argmax(), (5, 5)) == (2, 0), "on the left"
    np.testing.assert_array_equal(corrupt(x, "rotation", 0, seed=0), x)
    with pytest.raises(ValueError, match="expected images"):
        corrupt(np.ones((3, 4), "float32"), "rotation", 90, seed=0)
