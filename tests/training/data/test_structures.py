"""Several inputs and outputs, and targets of any shape, as data."""

import keras
import numpy as np
import pytest
from everyday_models import features_by_name, two_inputs

from dropout_zoo.studies import plan_rate_sweep
from dropout_zoo.training import DataError, Dataset, MemberTrainer, TrainSettings, as_dataset
from dropout_zoo.training.data.structures import arrays_of

RNG = np.random.default_rng(0)
ROWS = np.arange(40)
X = RNG.normal(size=(40, 3))
LABELS = ROWS % 2


def test_inputs_and_targets_of_an_example_stay_together():
    x = {"b": (X, ROWS), "a": [ROWS[:, None] / 40]}
    y = {"mask": np.repeat(ROWS, 4).reshape(40, 2, 2), "row": ROWS + 0.0}
    whole = as_dataset(x, y)
    assert {name: whole.num_examples(name) for name in ("train", "validation", "test")} == {
        "train": 28, "validation": 6, "test": 6,
    }  # fmt: skip
    seen = []
    for split in (whole, whole.resplit(seed=3)):
        for inputs, targets in split.parts().values():
            rows = inputs["b"][1]
            seen.append(set(rows.tolist()))
            np.testing.assert_array_equal(inputs["b"][0], X[rows].astype("float32"))
            np.testing.assert_allclose(inputs["a"][0][:, 0], rows / 40, rtol=1e-6)
            np.testing.assert_array_equal(targets["mask"][:, 1, 1], rows)
            np.testing.assert_array_equal(targets["row"], rows)
    assert set.union(*seen[:3]) == set.union(*seen[3:]) == set(range(40))
    assert seen[1] != seen[4] and seen[2] == seen[5]  # the test set stays
    weighted = as_dataset(x, y, sample_weight=ROWS + 1)
    np.testing.assert_array_equal(weighted.sample_weight, weighted.train[0]["b"][1] + 1)
    sample, _ = whole.training_sample(5)
    assert len(set(sample["b"][1].tolist()) & seen[0]) == 5


def test_the_type_of_each_array_is_kept_but_for_the_precision_of_floats():
    x = [X, ROWS, LABELS == 1, ROWS.astype("uint8")]
    dtypes = [array.dtype.name for array in as_dataset(x, LABELS).train[0]]
    assert dtypes == ["float32", "int64", "bool", "uint8"]


def test_labels_with_several_inputs_are_still_classes():
    data = as_dataset({"x": X, "row": ROWS}, np.array(["no", "yes"])[LABELS])
    assert (data.task, data.class_names) == ("classification", ["no", "yes"])
    assert data.class_counts()["validation"] == [3, 3]
    assert data.input_shape == {"x": (3,), "row": ()}
    assert data.describe().startswith("arrays: classification, 2 classes, inputs {'x': (3,)")


@pytest.mark.parametrize(
    ("y", "shape"),
    [
        ((X > 0).astype(int), (3,)),
        (X * 2, (3,)),
        (np.zeros((40, 5, 1), int), (5, 1)),
        ([ROWS, X], [(), (3,)]),
    ],
)
def test_targets_of_other_shapes_than_labels_are_custom(y, shape):
    data = as_dataset(X, y)
    assert (data.task, data.num_classes, data.class_counts()) == ("custom", None, None)
    assert f"targets {shape}" in data.describe()


def test_labels_can_be_given_to_the_loss_as_they_are():
    pair = (X, LABELS)
    data = Dataset.from_arrays(pair, pair, task="custom")
    np.testing.assert_array_equal(data.train[1], LABELS)


def test_a_list_of_rows_is_one_array():
    assert as_dataset(list(X), LABELS).input_shape == (3,)
    assert as_dataset(X.tolist(), list(np.eye(2)[LABELS])).num_classes == 2
    assert as_dataset([X, ROWS], LABELS).input_shape == [(3,), ()]


def test_fingerprints_tell_structures_apart():
    given = [
        as_dataset(x, y, validation_split=0.5).fingerprint()
        for x, y in (
            ({"a": X, "b": ROWS}, LABELS),
            ({"a": X, "c": ROWS}, LABELS),
            ([X, ROWS], LABELS),
            ({"a": X, "b": ROWS[::-1]}, LABELS),
        )
    ]
    assert len(set(given)) == 4


def test_arrays_of_the_caller_stay_writable():
    x, y = {"a": X.astype("float32"), "b": ROWS.copy()}, {"y": ROWS.copy()}
    data = as_dataset(x, y, validation_data=(x, y))
    x["a"][0], x["b"][0], y["y"][0] = 1, 1, 1  # raises if they were made read-only
    assert not any(array.flags.writeable for array in arrays_of(data.train))


def test_targets_that_the_loss_would_broadcast_are_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"expected outputs of shape \('examples', 3\), as the"):
        MemberTrainer(model, as_dataset(X, X.copy()), TrainSettings())


def test_weights_that_the_loss_cannot_apply_are_refused_before_any_training():
    model = keras.Sequential([keras.Input((5, 3)), keras.layers.Dropout(0.5)])
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = RNG.normal(size=(40, 5, 3)), RNG.integers(3, size=(40, 5))
    with pytest.raises(ValueError, match="fails on the first examples"):
        MemberTrainer(model, as_dataset(x, y, sample_weight=ROWS + 1), TrainSettings())


def test_identifiers_that_float32_would_merge_are_refused():
    identifiers = ROWS[:, None] + 2**25
    with pytest.raises(DataError, match="expected integers up to 16,777,216"):
        as_dataset(identifiers, LABELS)
    assert as_dataset({"ids": identifiers}, LABELS).train[0]["ids"].dtype == "int64"


def test_studies_take_several_inputs():
    model, x, y, _ = two_inputs()
    assert plan_rate_sweep(model, as_dataset(x, y), rates=[0.2], num_seeds=3).num_runs == 9


def test_the_order_of_keys_does_not_matter():
    x = {"a": X, "b": ROWS}
    one, other = (
        as_dataset(each, LABELS, validation_split=0.5).fingerprint()
        for each in (x, dict(reversed(x.items())))
    )
    assert one == other


def test_inputs_that_the_model_does_not_take_are_refused_before_any_training():
    model, x, y, _ = features_by_name()
    with pytest.raises(ValueError, match=r"takes inputs of shape .*'town': \(\).* fails on the"):
        MemberTrainer(model, as_dataset({"age": x["age"], "town": x["city"]}, y), TrainSettings())
    model, x, y, _ = two_inputs()
    with pytest.raises(ValueError, match="fails on the first example"):
        MemberTrainer(model, as_dataset(x[:1], y), TrainSettings())
