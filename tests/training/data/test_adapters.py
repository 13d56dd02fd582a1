"""`as_dataset`: what users of Keras, scikit-learn and pandas have at hand becomes a dataset."""

import re

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from dropout_zoo.training import (
    DataError,
    Dataset,
    Member,
    as_dataset,
    load_dataset,
    train_members,
)

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = np.arange(40) % 2
SORTED = np.arange(40) // 10
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])


def same(one, other):
    return one.fingerprint() == other.fingerprint()


def sizes(dataset):
    return {name: len(y) for name, (_, y) in dataset.parts().items()}


def test_datasets_names_and_tables_are_loaded_as_by_load_dataset(tmp_path):
    dataset = Dataset.from_arrays((X, Y), (X, Y))
    assert as_dataset(dataset) is dataset
    assert same(as_dataset("digits", seed=1), load_dataset("digits", seed=1))
    FRAME.assign(label=Y).to_csv(tmp_path / "table.csv", index=False)
    table = load_dataset(tmp_path / "table.csv", target="label")
    assert same(as_dataset(tmp_path / "table.csv", target="label"), table)


def test_the_default_split_is_that_of_load_dataset(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    expected = load_dataset(tmp_path / "a.npz", seed=3)
    assert sizes(expected) == {"train": 28, "validation": 6, "test": 6}
    assert same(as_dataset(X, Y, seed=3), expected)
    assert not same(as_dataset(X, Y, seed=4), expected)


@pytest.mark.parametrize(
    "arguments",
    [
        ((X, Y),),
        ([X, Y],),
        (X.tolist(), Y.tolist()),
        (FRAME, pd.Series(Y)),
        (FRAME, pd.Series(Y, index=Y + 7)),
        (FRAME.astype("Float32"), pd.Series(Y, dtype="Int64")),
        (X, Y[:, None]),
        (X, np.eye(2)[Y]),
        (FRAME, pd.get_dummies(pd.Series(Y))),
        (FRAME.assign(label=Y), None, "label"),
    ],
    ids=["pair", "list", "lists", "frame", "index", "nullable", "column", "one-hot", "dummies",
         "target"],
)  # fmt: skip
def test_arrays_lists_and_frames_are_the_same_data(arguments):
    given, target = arguments[:2], None if len(arguments) < 3 else arguments[2]
    assert same(as_dataset(*given, target=target), as_dataset(X, Y))


def test_names_of_classes_come_from_strings_and_categories():
    names = pd.Series(["no", "yes"] * 20)
    for y in (names, names.tolist(), names.astype("category"), names.to_numpy()):
        dataset = as_dataset(FRAME, y)
        assert dataset.class_names == ["no", "yes"]
    numbers = as_dataset(X, pd.Series(Y + 0.0).astype("category"))
    assert numbers.task == "classification"
    assert as_dataset(X, pd.Series(Y + 0.0)).task == "regression"


def test_the_integers_of_a_target_column_are_class_names():
    dataset = as_dataset(FRAME.assign(label=3 * Y + 1), target="label")
    assert dataset.class_names == ["1", "4"]


def test_validation_split_takes_the_last_rows_as_keras_does():
    dataset = as_dataset(X, Y, validation_split=0.3, sample_weight=np.arange(40))
    np.testing.assert_array_equal(dataset.train[0], X[:28])
    np.testing.assert_array_equal(dataset.validation[0], X[28:])
    np.testing.assert_array_equal(dataset.sample_weight, np.arange(28))
    assert dataset.test is None


def test_validation_and_test_data_are_used_as_they_are():
    pair = (X[:10], Y[:10])
    dataset = as_dataset(X, Y, validation_data=pair, test_data=(X[:5], Y[:5]))
    assert sizes(dataset) == {"train": 40, "validation": 10, "test": 5}
    np.testing.assert_array_equal(dataset.validation[0], X[:10])
    assert as_dataset(X, Y, validation_data=pair).test is None
    frame = FRAME.assign(label=Y)
    of_frames = as_dataset(frame, target="label", validation_data=frame[:10])
    assert sizes(of_frames) == {"train": 40, "validation": 10}
    cut = as_dataset(X, Y, test_data=pair)
    assert sizes(cut) == {"train": 33, "validation": 7, "test": 10}


def test_data_from_keras_datasets_keep_their_test_set():
    dataset = as_dataset(((X, Y), (X[:10], Y[:10])))
    assert sizes(dataset) == {"train": 33, "validation": 7, "test": 10}


def test_weights_stay_with_their_examples_in_every_split():
    weight = np.abs(X[:, 0])
    dataset = as_dataset(X, Y, sample_weight=pd.Series(weight))
    last_rows = as_dataset(X, Y, sample_weight=weight, validation_split=0.25)
    given = as_dataset(X, Y, sample_weight=weight, validation_data=(X[:9], Y[:9], weight[:9]))
    for each in (dataset, dataset.resplit(1), last_rows, given, given.resplit(2)):
        assert each.can_be_resplit
        np.testing.assert_array_equal(each.sample_weight, np.abs(each.train[0][:, 0]))
        np.testing.assert_array_equal(each.validation_weight, np.abs(each.validation[0][:, 0]))
    assert not as_dataset(X, Y, validation_data=(X[:9], Y[:9], weight[:9])).can_be_resplit


def test_the_inputs_of_an_autoencoder_are_its_targets():
    for dataset in (as_dataset(X, X), as_dataset(X, X, validation_data=(X, X))):
        assert dataset.task == "reconstruction"
        np.testing.assert_array_equal(*dataset.validation)


def test_the_task_can_be_given():
    ages = np.arange(40) + 20
    assert as_dataset(X, ages, task="regression").train[1].dtype == np.float32
    assert as_dataset(X, Y.astype(float), task="classification").num_classes == 2
    assert as_dataset(X, ages, task="custom").task == "custom"
    assert as_dataset(X, Y, task="reconstruction").task == "reconstruction"
    assert as_dataset("digits", task="reconstruction").num_classes is None
    with pytest.raises(DataError, match=r"pass floats, as in y\.astype"):
        as_dataset(X, ages)


def test_the_arrays_of_the_caller_stay_writable():
    x, y = X.copy(), Y.astype("int32")
    as_dataset(x, y, validation_data=(x, y), test_data=(x, y))
    x[0], y[0] = 1, 1  # raises ValueError if they were made read-only
    assert x.flags.writeable and y.flags.writeable


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        (((X, Y, Y),), {}, ValueError, "received a tuple of 3; give several inputs in a dict"),
        ((FRAME,), {"target": "labl"}, DataError, "one of the columns a, b, c, received 'labl'"),
        ((X,), {"target": "label"}, ValueError, "expected target with a data frame"),
        ((FRAME, Y), {"target": "a"}, ValueError, "received y with it"),
        (("digits",), {"validation_split": 0.2}, ValueError, "expected no validation_split"),
        ((iter([]),), {}, TypeError, "received list_iterator; collect batches"),
        (({"a": X, "b": X[:9]}, Y), {}, DataError, "x['b']: expected 40 examples as in"),
        (([X, X[:9]], Y), {}, DataError, "x[1]: expected 40 examples as in arrays: train x[0]"),
        (({"a": X + 1j}, Y), {}, DataError, "x['a']: expected numbers, received complex"),
        (({}, Y), {}, DataError, "x: expected at least one array, received none"),
        ((X, {"a": Y, "b": Y[1:]}), {}, DataError, "y['b']: expected 40 examples, received 39"),
        ((X, Y), {"validation_data": (X, {"a": Y})}, DataError, "examples of shape () as in"),
        ((X, Y), {"validation_data": (X, Y), "validation_split": 0.2}, ValueError, "received both"),
        ((as_dataset(X, Y),), {"task": "regression"}, ValueError, "expected no task together"),
        ((X, Y), {"task": "ranking"}, ValueError, "expected task to be one of ('classification'"),
        ((X, Y), {"validation_split": 0.999}, ValueError, "leave examples for both parts"),
        ((X, Y), {"validation_split": 20}, ValueError, "in (0, 1), received 20; for 20% write 0.2"),
        ((X, Y), {"validation_data": X}, DataError, "validation_data y: expected targets, as"),
        ((X, Y), {"validation_data": 0.2}, DataError, "validation_data: expected a pair (x, y)"),
        ((X, Y), {"test_data": (X, Y, X)}, DataError, "expected a pair (x, y), received weights"),
        ((X, Y), {"validation_data": (X, Y, X)}, DataError, "validation_weight: expected numbers"),
        ((X, SORTED), {"validation_split": 0.25}, DataError, "the last 10 rows, from validation_"),
        (([[1], [2, 3]], [0, 1]), {}, DataError, "received nested lists"),
        ((FRAME.assign(a=[X] * 40), Y), {}, DataError, "column 'a': expected numbers or strings"),
        ((FRAME, pd.Series([None] * 40)), {}, DataError, "expected a target in every row"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit_raise_a_one_line_error(arguments, options, error, words):
    with pytest.raises(error, match=re.escape(words)) as caught:
        as_dataset(*arguments, **options)
    assert "\n" not in str(caught.value)


def test_sparse_arrays_are_refused_with_how_to_convert_them():
    x = scipy.sparse.csr_matrix(np.eye(20))
    with pytest.raises(TypeError, match=r"train x: .* received csr_matrix; pass x.toarray\(\)"):
        as_dataset(x, np.arange(20) % 2)


@pytest.mark.parametrize("kind", [np.asarray, pd.Series, list])
def test_one_number_per_example_needs_no_axis_of_features(kind):
    x = kind(np.linspace(0, 1, 40))
    data = as_dataset(x, np.linspace(1, 2, 40), validation_split=0.25)
    assert data.input_shape == ()
    np.testing.assert_array_equal(data.train[0], np.linspace(0, 1, 40, dtype="float32")[:30])


class Scaled(keras.Model):
    """It takes one number per example, of shape ``(batch,)``."""

    def __init__(self):
        super().__init__()
        self.dropout, self.dense = keras.layers.Dropout(0.2, name="drop"), keras.layers.Dense(1)

    def call(self, x, training=None):
        return self.dense(self.dropout(x[:, None], training=training))


def functional():
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dropout(0.2)(inputs)))


@pytest.mark.slow
def test_models_are_trained_on_one_number_per_example_as_on_columns():
    x = np.linspace(0, 1, 40).astype("float32")
    given = {"y": 2 * x, "validation_split": 0.25}
    losses = {}
    for name, model, inputs in (
        ("numbers", functional(), x), ("columns", functional(), x[:, None]), ("own", Scaled(), x),
    ):  # fmt: skip
        model.compile("sgd", "mse")
        [run] = train_members(model, [Member([0.0], seed=0)], as_dataset(inputs, **given), epochs=2)
        losses[name] = run.curves["val_loss"]
    np.testing.assert_array_equal(losses["numbers"], losses["columns"])
    assert np.isfinite(losses["own"]).all()


def test_a_registered_model_needs_an_axis_of_features():
    x = np.linspace(0, 1, 40)
    with pytest.raises(ValueError, match=r"received \(examples,\); one feature has shape"):
        train_members("mlp", [Member([0.0, 0.0], 0)], as_dataset(x, x), epochs=1)


@pytest.mark.parametrize("arguments", [{}, {"validation_data": (X, Y), "steps_per_epoch": 1}])
def test_a_third_input_is_not_taken_for_weights_in_silence(arguments):
    three = [np.random.default_rng(seed).normal(size=(40, 4)) for seed in range(3)]

    def source():
        yield tuple(three)

    with pytest.raises(
        DataError, match=r"yield several inputs alone as a dict, or as \(\(a, b, c\),\)"
    ):
        as_dataset(source if arguments else source(), **arguments)
