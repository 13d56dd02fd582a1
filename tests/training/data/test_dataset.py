"""A dataset in three parts: what it accepts, and what it says about itself."""

import re

import numpy as np
import pytest

from dropout_zoo.training import as_dataset
from dropout_zoo.training.data.dataset import DataError, Dataset
from dropout_zoo.training.data.loaders import load_dataset

X = np.linspace(0, 1, 60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20) % 2


def make(x=X, y=Y, validation=(X[:6], Y[:6]), test=(X[:4], Y[:4]), **options):
    return Dataset.from_arrays((x, y), validation, test, **options)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def test_a_dataset_describes_itself(digits):
    assert digits.task == "classification"
    assert digits.input_shape == (28, 28)
    assert digits.num_classes == 10
    counts = digits.class_counts()
    assert [sum(counts[part]) for part in ("train", "validation", "test")] == [1257, 270, 270]
    lines = digits.describe().splitlines()
    assert lines[0] == "digits: classification, 10 classes, input (28, 28)"
    assert "1,257 examples" in lines[1]
    assert digits.describe() in repr(digits)


@pytest.mark.parametrize(
    ("y", "arguments", "sentences"),
    [
        ([0, 1, 2] * 20, {}, []),
        ([1, 2] * 30, {}, ["Class 0 has no examples; are the labels numbered from 1?"]),
        (
            [0, 4, 9] * 20,
            {},
            ["Classes 1, 2, 3, 5, 6 and 2 more have no examples; 3 of 10 classes occur."],
        ),
        (np.eye(3)[[0, 2] * 30], {}, ["Class 1 has no examples; 2 of 3 classes occur."]),
        (
            np.repeat([0, 1, 2], 20),
            {"validation_split": 0.2},
            [
                "Classes 0, 1 have no examples in the validation set. If it is the last rows, by "
                "validation_split, shuffle the examples first."
            ],
        ),
        (
            ["a", "b", "c"] * 20,
            {"test_data": (np.ones((4, 2)), ["a", "b"] * 2)},
            ["Class c has no examples in the test set."],
        ),
    ],
)
def test_classes_without_examples_are_pointed_out(y, arguments, sentences):
    described = as_dataset(np.ones((60, 2)), y, **arguments).describe()
    lines = described.splitlines()
    assert [line for line in lines[1:] if not line.startswith("  ")] == sentences


def test_labels_are_integers_and_targets_floats():
    assert make().train[1].dtype == np.int32
    targets = X[:, 0].astype(np.float64)
    regression = make(y=targets, validation=(X, targets), test=(X, targets))
    assert regression.task == "regression"
    assert regression.train[1].dtype == np.float32
    assert regression.num_classes is None
    assert regression.class_counts() is None


def test_arrays_are_read_only_copies():
    x, y = X.copy(), Y.astype(np.int32)
    dataset = make(x, y)
    x[0] = 7
    y[0] = 1
    np.testing.assert_array_equal(dataset.train[0], X)
    np.testing.assert_array_equal(dataset.train[1], Y)
    for array in (*dataset.train, *dataset.validation, *dataset.test):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64])
def test_numbers_are_left_alone(dtype):
    pixels = (np.arange(60).reshape(20, 3) * 4).astype(dtype)
    dataset = make(pixels, validation=(pixels, Y), test=(pixels, Y))
    np.testing.assert_array_equal(dataset.train[0], pixels.astype(np.float32))
    told = "uint8 values not scaled to [0, 1]" in dataset.describe()
    assert told == (dtype == np.uint8)


def test_only_bytes_of_a_file_are_scaled(tmp_path):
    pixels = (np.arange(60).reshape(20, 3) * 4).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=pixels, y=Y)
    read = load_dataset(tmp_path / "a.npz")
    assert read.train[0].max() <= 1
    assert read.describe().splitlines()[0].endswith("input (3,), pixels scaled to [0, 1]")
    given = as_dataset(pixels, Y)
    assert given.train[0].max() > 200
    several = as_dataset({"x": pixels}, Y)
    assert several.train[0]["x"].max() > 200
    assert "uint8 values not scaled" in several.describe()
    assert "scaled" not in as_dataset({"x": pixels % 2}, Y).describe()


def test_bytes_of_a_model_that_scales_them_are_not_told():
    keras = pytest.importorskip("keras")
    pixels = (np.arange(60).reshape(20, 3) * 4).astype(np.uint8)
    data = as_dataset(pixels, Y)
    layers = [keras.layers.Dense(4), keras.layers.Dense(2)]
    plain = keras.Sequential([keras.Input((3,)), *layers])
    assert "uint8 values not scaled" in data.describe(plain)
    for first in (
        keras.layers.Rescaling(1 / 255),
        keras.layers.Normalization(),
        keras.layers.Embedding(256, 2),
        keras.Sequential([keras.layers.Rescaling(1 / 255)]),
    ):
        inner = [keras.layers.Flatten(), keras.layers.Dense(2)]
        assert "scaled" not in data.describe(keras.Sequential([keras.Input((3,)), first, *inner]))


def test_one_hot_rows_and_single_columns_become_labels():
    one_hot = make(y=np.eye(3)[Y], validation=(X, np.eye(3)[Y]), test=(X, np.eye(3)[Y]))
    np.testing.assert_array_equal(one_hot.train[1], Y)
    assert one_hot.num_classes == 3
    np.testing.assert_array_equal(make(y=Y[:, None]).train[1], Y)


def test_strings_and_booleans_are_numbered_in_sorted_order():
    names = np.array(["züge", "äpfel"])[Y]
    dataset = make(y=names, validation=(X, names), test=(X, names))
    assert dataset.class_names == sorted(["züge", "äpfel"])
    np.testing.assert_array_equal(np.array(dataset.class_names)[dataset.train[1]], names)
    flags = Y.astype(bool)
    boolean = make(y=flags, validation=(X, flags), test=(X, flags))
    assert boolean.class_names == ["False", "True"]
    np.testing.assert_array_equal(boolean.train[1], Y)


def test_class_names_give_the_order_and_the_number():
    names = np.array(["no", "yes"])[Y]
    dataset = make(
        y=names, validation=(X, names), test=(X, names), class_names=["yes", "no", "maybe"]
    )
    assert dataset.num_classes == 3
    np.testing.assert_array_equal(dataset.train[1], 1 - Y)


def test_the_task_overrides_the_type_of_the_labels():
    assert make(task="regression").task == "regression"
    whole = Y.astype(float)
    dataset = make(y=whole, validation=(X, whole), test=(X, whole), task="classification")
    assert dataset.train[1].dtype == np.int32


NAN = np.where(np.arange(60).reshape(20, 3) == 13, np.nan, X)
SIGNALING = np.frombuffer(np.uint64(0x7FF0000000000001).tobytes())[
    0
]  # casts of this NaN give a warning


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": NAN}, "arrays: train x: .*NaN or infinite.* 1 of 20 .* example 4"),
        ({"x": np.full((20, 3), SIGNALING)}, "train x: .*NaN or infinite.* 20 of 20"),
        ({"x": X.astype(np.float64) * 1e300}, "train x: .*infinite"),
        ({"x": X.astype(str)}, "train x: expected numbers, received numbers stored as strings"),
        ({"x": X.astype(object)}, "train x: expected numbers, received Python objects"),
        ({"x": X + 1j}, "train x: expected numbers, received complex"),
        ({"x": X[:, :0]}, "train x: .*empty array"),
        ({"x": X[:0], "y": Y[:0]}, "train x: .*empty array"),
        ({"x": [[1], [2, 3]]}, "train: expected arrays, received nested lists"),
        ({"y": Y[:-1]}, "train y: expected one label for each of the 20 examples"),
        ({"y": np.array(1)}, "train y: expected one label for each"),
        ({"y": Y - 1}, "train y: .*negative labels"),
        ({"y": Y + 0.5, "task": "classification"}, "train y: expected integer labels, .*0.5"),
        ({"y": Y * np.nan, "task": "regression"}, "train y: .*NaN"),
        ({"y": Y * 0}, "train y: .*single class"),
        ({"y": np.full(20, SIGNALING), "task": "regression"}, "train y: .*NaN"),
        ({"y": np.eye(2)[Y], "task": "regression"}, "train y: expected one label or target"),
        ({"y": X, "task": "classification"}, "train y: expected one label for each"),
        ({"y": X[:-1], "task": "custom"}, "train y: expected 20 examples, received 19"),
        ({"y": Y.astype(str)}, "train y: expected one type in every part"),
        ({"y": Y.astype("datetime64[D]")}, "train y: .*datetime64"),
        ({"y": np.array([None, 1] * 10)}, "train y: .*Python objects"),
        ({"y": np.array(["a", "b"])[Y], "task": "regression"}, "train y: .*received strings"),
        ({"validation": (X[:, :2], Y)}, "validation x: expected examples of shape"),
        ({"validation": (X, Y + 1)}, "validation y: expected only labels that occur .* 2;"),
        ({"test": (X, Y.astype(float))}, "train y: expected one type in every part"),
        ({"test": (X, np.array(["a", "b"])[Y]), "task": "classification"}, "test y: .*type int64"),
        ({"test": X}, r"test: expected a pair \(x, y\)"),
        ({"class_names": ["a"]}, "train y: expected 1 classes"),
        ({"class_names": ["a", "a"]}, "expected different class_names"),
        ({"sample_weight": np.ones(3)}, r"sample_weight: expected numbers of shape \(20,\)"),
        ({"sample_weight": -np.ones(20)}, "sample_weight: expected weights of 0 or larger"),
        ({"sample_weight": np.full(20, np.inf)}, "sample_weight: expected finite"),
    ],
)
def test_bad_arrays_are_refused_in_one_line_that_names_them(options, message):
    with pytest.raises(DataError, match=message) as caught:
        make(**options)
    assert "\n" not in str(caught.value)


def test_unknown_task_is_refused():
    with pytest.raises(
        ValueError, match=r"expected task to be one of .*'reconstruction', 'custom'"
    ):
        make(task="ranking")


def test_sample_weight_is_kept():
    dataset = make(sample_weight=np.arange(20))
    assert dataset.sample_weight.dtype == np.float32
    np.testing.assert_array_equal(dataset.sample_weight, np.arange(20))


def test_the_test_part_is_optional():
    dataset = make(test=None)
    assert dataset.test is None
    assert list(dataset.parts()) == list(dataset.class_counts()) == ["train", "validation"]
    assert "test" not in dataset.describe()
    assert dataset.as_reconstruction().test is None
    assert dataset.fingerprint() != make().fingerprint()


def test_different_data_have_different_fingerprints():
    reference = make().fingerprint()
    assert re.fullmatch("[0-9a-f]{16}", reference)
    assert make().fingerprint() == reference
    changed = X.copy()
    changed[0, 0] += 1
    others = [
        make(changed),
        make(y=1 - Y),
        make(test=(changed[:4], Y[:4])),
        make(sample_weight=np.ones(20)),
    ]
    prints = [dataset.fingerprint() for dataset in others]
    assert len({reference, *prints}) == 5


def test_training_sample_is_as_large_as_validation_and_stratified(digits):
    x, y = digits.training_sample()
    assert x.shape == digits.validation[0].shape
    share = np.array(digits.class_counts()["train"]) * len(y) / len(digits.train[1])
    assert np.abs(np.bincount(y) - share).max() < 1
    rows = {image.tobytes(): label for image, label in zip(*digits.train, strict=True)}
    assert all(rows[image.tobytes()] == label for image, label in zip(x, y, strict=True))
    np.testing.assert_array_equal(x, digits.training_sample()[0])
    assert not np.array_equal(x, digits.training_sample(seed=1)[0])


def test_the_size_of_the_training_sample_can_be_set(digits):
    assert len(digits.training_sample(3)[0]) == 3
    assert len(digits.training_sample("all")[0]) == 1257
    assert len(digits.training_sample(10**6)[0]) == 1257
    assert len(make(validation=(X, Y), test=(X, Y)).training_sample()[0]) == 20
    x, y = make(task="regression").training_sample()
    assert len(x) == len(y) == 6
    for size in (0, -1, 2.5, "some", True):
        with pytest.raises(ValueError, match="expected size to be"):
            digits.training_sample(size)
