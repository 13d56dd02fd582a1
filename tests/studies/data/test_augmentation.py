"""Examples that are added to the training set: copies that are moved, and mixtures of two."""

from dataclasses import replace

import numpy as np

from dropout_zoo.studies.data.augmentation import with_augmented_copies, with_synthetic_examples


def test_augmented_copies_are_the_same_digits_moved(few_digits):
    data = with_augmented_copies(few_digits, "shift and rotate", 2, seed=0)
    count = len(few_digits.train[1])
    x, y = data.train
    assert len(x) == 3 * count
    np.testing.assert_array_equal(x[:count], few_digits.train[0])
    np.testing.assert_array_equal(y, np.tile(few_digits.train[1], 3))
    assert data.validation is few_digits.validation
    ink = x.sum(axis=(1, 2)).reshape(3, count)
    assert not np.array_equal(x[count : 2 * count], x[:count])
    np.testing.assert_allclose(ink[1], ink[0], rtol=0.2)
    flipped = with_augmented_copies(few_digits, "flip", 1, seed=0).train[0][count:]
    np.testing.assert_array_equal(flipped, few_digits.train[0][:, :, ::-1])


def test_synthetic_examples_lie_between_two_of_their_class(few_digits):
    data = with_synthetic_examples(few_digits, 0.5, seed=0)
    x, y = few_digits.train
    made, labels = data.train[0][len(x) :], data.train[1][len(y) :]
    assert abs(len(made) - len(x) / 2) <= 10
    for image, label in zip(made[::15], labels[::15], strict=True):
        own = x[y == label].reshape(-1, 784)
        low, high = own.min(axis=0) - 1e-6, own.max(axis=0) + 1e-6
        assert ((image.ravel() >= low) & (image.ravel() <= high)).all()


def test_copies_have_the_targets_and_the_weights_of_what_they_copy(few_digits):
    weight = np.linspace(0.5, 1.5, len(few_digits.train[1]), dtype="float32")
    weighted = replace(few_digits, sample_weight=weight)
    copied = with_augmented_copies(weighted.as_reconstruction(), "shift and rotate", 2, seed=0)
    x, y = copied.train
    np.testing.assert_array_equal(y, x.reshape(len(x), -1))
    np.testing.assert_array_equal(copied.sample_weight, np.tile(weight, 3))
    made = with_synthetic_examples(weighted, 0.5, seed=0)
    assert made.sample_weight.shape == made.train[1].shape
    np.testing.assert_array_equal(made.sample_weight[: len(weight)], weight)
    assert set(made.sample_weight) == set(weight)
