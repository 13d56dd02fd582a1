"""Strings stay strings for models that look them up themselves."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from everyday_texts import sentences, wide_and_deep

from dropout_zoo.studies.data.subsets import with_fewer_examples
from dropout_zoo.training import (
    DataError,
    Dataset,
    Member,
    MemberTrainer,
    TrainSettings,
    as_dataset,
    train_members,
)
from dropout_zoo.tuning import tune

WORDS = [f"word {'x' * (number % 3)} {number}" for number in range(40)]
LABELS = np.arange(40) % 2


@pytest.mark.parametrize(
    "given",
    [
        WORDS,
        np.array(WORDS),
        np.array(WORDS, dtype=object),
        np.array(WORDS, dtype="S"),
        np.array(WORDS, dtype=np.dtypes.StringDType()),
        pd.Series(WORDS),
        pd.Series(WORDS, dtype=object),
    ],
)
def test_strings_of_every_kind_become_the_same_data(given):
    data = as_dataset(given, LABELS, validation_split=0.25)
    assert data.train[0].tolist() == WORDS[:30] and data.validation[0].tolist() == WORDS[30:]
    assert (data.task, data.input_shape) == ("classification", ())
    expected = as_dataset(WORDS, LABELS, validation_split=0.25)
    assert data.fingerprint() == expected.fingerprint()


def test_strings_are_read_from_batches():
    source = tf.data.Dataset.from_tensor_slices((WORDS, LABELS)).shuffle(40).batch(16)
    data = as_dataset(source, validation_data=(WORDS, LABELS))
    assert sorted(data.train[0]) == sorted(WORDS)
    changing = source.map(lambda x, y: (x + tf.as_string(tf.random.uniform([])), y))
    with pytest.warns(UserWarning, match="it yields other examples each time"):
        as_dataset(changing, validation_data=(WORDS, LABELS))


def test_strings_stay_with_their_labels_in_splits_and_subsets():
    column = np.array(WORDS)[:, None]
    whole = as_dataset({"text": column, "number": np.arange(40)}, LABELS)
    for data in (whole, whole.resplit(seed=3), with_fewer_examples(whole, 14, seed=1)):
        for x, y in data.parts().values():
            assert x["text"][:, 0].tolist() == [WORDS[number] for number in x["number"]]
            np.testing.assert_array_equal(x["number"] % 2, y)


def test_other_strings_have_another_fingerprint():
    def fingerprint(words):
        return as_dataset(words, LABELS, validation_split=0.25).fingerprint()

    changed = [WORDS[0] + "!", *WORDS[1:]]
    moved = [WORDS[0] + WORDS[1], "", *WORDS[2:]]
    joined = [WORDS[0], WORDS[1] + "", *WORDS[2:]]
    assert len({fingerprint(each) for each in (WORDS, changed, moved)}) == 3
    assert fingerprint(joined) == fingerprint(WORDS)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([*WORDS[:-1], None], "expected strings, received a missing value in example 39"),
        (pd.Series([np.nan, *WORDS[1:]]), "received a missing value in example 0"),
        ([*WORDS[:-1], 3.5], "received 3.5 in example 39"),
        ([b"\xff", *WORDS[1:]], "expected strings in UTF-8, received others in example 0"),
        (
            np.arange(40).astype(str),
            r"expected numbers, received numbers stored as strings .* x.astype\(float\)",
        ),
    ],
)
def test_what_is_not_a_string_is_named(x, message):
    x = x if isinstance(x, pd.Series | np.ndarray) else np.array(x, dtype=object)
    with pytest.raises(DataError, match=message):
        as_dataset(x, LABELS)


def test_identifiers_may_be_strings_of_digits_in_a_dict():
    data = as_dataset({"user": np.arange(40).astype(str)}, LABELS)
    assert data.train[0]["user"].dtype == object


def test_targets_are_no_strings_in_structures():
    with pytest.raises(DataError, match=r"y\['kind'\]: expected numbers, received strings"):
        as_dataset(np.zeros((40, 2)), {"kind": np.array(WORDS)})


def test_a_model_of_numbers_says_that_it_takes_no_strings():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dropout(0.5), keras.layers.Dense(2)])
    model.compile("adam", "sparse_categorical_crossentropy")
    pair = (np.array(WORDS)[:, None], LABELS)
    with pytest.raises(ValueError, match=r"strings are taken by a model with .*TextVectorization"):
        MemberTrainer(model, Dataset.from_arrays(pair, pair), TrainSettings())
    with pytest.raises(ValueError, match=r"strings are taken by"):
        train_members("mlp", [Member({}, seed=0)], Dataset.from_arrays(pair, pair))


def test_the_loops_train_on_strings(recwarn):
    model, x, y, _ = sentences()
    data = as_dataset(pd.Series(x), y)
    one, other = train_members(
        model, [Member([0.4, 0.2], seed=1), Member([0.1, 0.2], seed=1, split=2)], data, epochs=2
    )
    assert one.status == other.status == "completed"
    assert one.score != other.score
    assert not [each for each in recwarn if "Model.fit" in str(each.message)]


@pytest.mark.slow
def test_columns_of_a_data_frame_are_given_in_a_dict():
    scores = []
    for as_frame in (False, True):
        model, x, y, _ = wide_and_deep()
        if as_frame:
            x = dict(pd.DataFrame({name: values[:, 0] for name, values in x.items()}))
        data = as_dataset(x, y, validation_split=0.3)
        scores.append(train_members(model, [Member({}, seed=1)], data, epochs=2)[0].score)
    assert scores[0] == scores[1]


class Classifier(keras.Model):
    """A subclassed model, whose inputs Keras knows by their shapes alone."""

    def __init__(self, words=WORDS):
        super().__init__()
        self.vectorize = keras.layers.TextVectorization(output_sequence_length=3, name="words")
        if words is not None:
            self.vectorize.adapt(words)
        self.embed, self.pool = keras.layers.Embedding(60, 4), keras.layers.Flatten()
        self.dropout, self.last = keras.layers.Dropout(0.3), keras.layers.Dense(2, "softmax")

    def call(self, text, training=False):
        x = self.pool(self.embed(self.vectorize(text)))
        return self.last(self.dropout(x, training=training))


class WithNumbers(Classifier):
    def call(self, inputs, training=False):
        x = self.pool(self.embed(self.vectorize(inputs["text"])))
        x = keras.ops.concatenate([x, inputs["numbers"]], axis=1)
        return self.last(self.dropout(x, training=training))


def sequential():
    layers = keras.layers
    vectorize = layers.TextVectorization(output_sequence_length=3, name="words")
    embed = [layers.Embedding(60, 4), layers.Flatten(), layers.Dropout(0.2), layers.Dense(2)]
    return keras.Sequential([keras.Input((), dtype="string"), vectorize, *embed])


@pytest.mark.parametrize(
    ("kind", "later"),
    [
        (WithNumbers, True),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in ((Classifier, False), (Classifier, True), (WithNumbers, False))
        ),
    ],
)
def test_a_subclassed_model_of_strings_is_cloned_and_trained(kind, later):
    model = kind(None) if later else kind()
    if later:
        model.vectorize.adapt(WORDS)
    model.compile("adam", "sparse_categorical_crossentropy")
    numbers = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
    x = WORDS if kind is Classifier else {"text": np.array(WORDS), "numbers": numbers}
    data = as_dataset(x, LABELS, validation_split=0.25)
    first, second = train_members(
        model, [Member([rate], seed=0) for rate in (0.0, 0.5)], data, epochs=1
    )
    assert {first.status, second.status} == {"completed"}
    assert first.score != second.score
    vocabulary = model.vectorize.get_vocabulary()
    assert second.model().vectorize.get_vocabulary() == vocabulary


@pytest.mark.parametrize("build", [sequential, lambda: Classifier(None)])
def test_a_layer_without_a_vocabulary_is_named_before_any_training(build):
    model = build()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match=r"'words' \(TextVectorization\) without one; call its ad"):
        train_members(
            model, [Member([0.2], seed=0)], as_dataset(WORDS, LABELS, validation_split=0.25)
        )
    with pytest.raises(ValueError, match=r"'words' \(TextVectorization\) without one; call its ad"):
        tune(build_compiled(build), WORDS, LABELS, progress=False)


def build_compiled(build):
    def compiled():
        model = build()
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    return compiled
