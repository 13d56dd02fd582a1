"""Sources of batches that are not read into memory: which ones, and what their datasets say."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from batch_sources import SOURCES, WEIGHT, Batched, X, Y, generator, tf_data

from dropout_zoo.studies import (
    plan_data_size_sweep,
    plan_label_noise_sweep,
    plan_predictive_uncertainty,
    plan_robustness,
    with_fewer_examples,
)
from dropout_zoo.training import DataError, as_dataset
from dropout_zoo.tuning import tune

VALIDATION = (X[:20], Y[:20])


def streamed(source=None, **arguments):
    arguments = {"validation_data": VALIDATION, "max_bytes": 0} | arguments
    return as_dataset(Batched(X, Y) if source is None else source, **arguments)


@pytest.mark.parametrize("kind", ["tf.data", "PyDataset", "DataLoader"])
def test_sources_above_the_limit_are_streamed_and_others_read(kind):
    size = X.nbytes + Y.nbytes
    make = SOURCES[kind]
    assert as_dataset(make(X, Y), validation_data=VALIDATION, max_bytes=size).stream is None
    data = as_dataset(make(X, Y), validation_data=VALIDATION, max_bytes=size - 1)
    assert (data.stream.num_batches, data.batch_size, data.num_examples()) == (7, 8, 56)
    np.testing.assert_array_equal(data.train[0], X[:20])
    assert data.stream.repeats and not data.can_be_resplit
    assert "7 batches per epoch, streamed from a" in data.describe()
    assert data.training_options == {"batch_size": 8}


def test_pixels_that_are_not_scaled_are_told():
    pixels = np.random.default_rng(0).integers(0, 255, (50, 4, 4)).astype("uint8")
    given = {"validation_data": (pixels[:20], Y[:20])}
    unscaled = as_dataset(Batched(pixels, Y), **given, max_bytes=0)
    told = "uint8 values not scaled to [0, 1]"
    assert told in unscaled.describe()
    assert told not in streamed().describe()
    in_memory = as_dataset(Batched(pixels, Y), **given)
    assert told in in_memory.describe()
    np.testing.assert_array_equal(in_memory.train[0], pixels)


def test_a_function_is_called_for_each_reading():
    data = as_dataset(lambda: generator(X, Y), validation_data=VALIDATION)
    assert data.stream is None and data.num_examples() == 50
    endless = as_dataset(
        lambda: tf_data(X, Y).shuffle(50, seed=1).repeat().batch(8),
        validation_data=VALIDATION,
        steps_per_epoch=3,
    )
    assert endless.stream.repeats and endless.num_examples() == 24


def test_a_function_whose_source_changes_from_epoch_to_epoch_is_streamed():
    data = as_dataset(lambda: Batched(X, Y, flips=True), validation_data=VALIDATION)
    assert data.stream is not None and data.stream.repeats  # each member sees the same changes


@pytest.mark.parametrize(
    "source",
    [
        Batched(X, Y, flips=True),
        Batched(X, Y, shuffles=True),
        Batched(X, Y, shuffles="at the beginning"),
        tf_data(X, Y).shuffle(50).batch(8),
        tf_data(X, Y).repeat().shuffle(100).batch(8),
    ],
)
def test_a_warning_says_that_members_see_other_examples_where_a_source_changes(source):
    with pytest.warns(UserWarning, match="it yields other examples each time it is read"):
        data = streamed(source, steps_per_epoch=7)
    assert "members do not train on the same ones" in data.describe()
    with pytest.warns(UserWarning, match="it yields other examples"):
        again = streamed(source, steps_per_epoch=7)
    assert again.fingerprint() == data.fingerprint()  # so that a run can be resumed


def test_a_small_source_with_random_augmentation_is_streamed_too():
    with pytest.warns(UserWarning, match="it yields other examples"):
        data = as_dataset(Batched(X, Y, flips=True), validation_data=VALIDATION)
    assert data.stream is not None


def test_the_fingerprint_tells_streams_apart():
    plain, other = streamed(), streamed(Batched(X + 1, Y), validation_data=VALIDATION)
    assert len({plain.fingerprint(), other.fingerprint()}) == 2
    assert plain.fingerprint() == streamed().fingerprint()
    assert plain.fingerprint() != streamed(steps_per_epoch=1).fingerprint()


def test_streamed_batches_and_their_validation_data_are_neither_scaled_nor_encoded():
    pixels = np.arange(200, dtype="uint8").reshape(50, 4)
    data = streamed(Batched(pixels, Y), validation_data=(pixels, Y), test_data=(pixels, Y))
    assert [pair[0].dtype for pair in data.parts().values()] == ["uint8"] * 3
    np.testing.assert_array_equal(data.validation[0], pixels)
    assert (data.task, data.num_classes) == ("custom", None)


def test_weights_in_a_stream_are_those_of_its_sample():
    data = streamed(Batched(X, Y, WEIGHT), validation_data=(*VALIDATION, WEIGHT[:20]))
    np.testing.assert_array_equal(data.sample_weight, WEIGHT[:20])
    np.testing.assert_array_equal(data.validation_weight, WEIGHT[:20])


def unbounded():
    return tf.data.Dataset.from_generator(
        lambda: generator(X, Y),
        output_signature=(tf.TensorSpec([None, 4]), tf.TensorSpec([None], tf.int64)),
    )


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (
            lambda: Batched(X, Y, endless=True),
            {},
            "received an infinite one; pass steps_per_epoch",
        ),
        (lambda: generator(X, Y), {}, "pass a function that returns a new one"),
        (lambda: generator(X, Y), {"steps_per_epoch": 3}, "pass a function that returns a new one"),
        (lambda: lambda: generator(X, Y), {}, "of known length, or steps_per_epoch"),
        (unbounded, {}, "expected a tf.data.Dataset of known length, or steps_per_epoch"),
        (lambda: Batched(X, Y), {"steps_per_epoch": 0}, "expected steps_per_epoch to be a whole"),
        (lambda: Batched(X, Y), {"steps_per_epoch": 4}, "steps_per_epoch to divide the 7 batches"),
        (lambda: tf_data(X, Y).take(0).batch(8), {}, "received an empty tf.data.Dataset"),
        (lambda: Batched(X, Y), {"validation_data": None}, "or pass validation_data"),
        (
            lambda: Batched(X, Y),
            {"validation_data": None, "steps_per_epoch": 7},
            "expected validation_data, and no validation_split",
        ),
        (
            lambda: Batched(X, Y),
            {"validation_data": (X[:, :3], Y)},
            r"expected examples of shape \(4,\) .* received \(3,\)",
        ),
        (
            lambda: lambda: (each for each in [(X[:8], Y[:8]), (X[:8, :3], Y[:8])]),
            {"steps_per_epoch": 3},
            "expected batches of one shape",
        ),
    ],
)
def test_what_cannot_be_streamed_is_refused(make, arguments, words):
    with pytest.raises(ValueError, match=words):
        streamed(make(), **arguments)


def test_steps_per_epoch_is_for_sources_of_batches():
    with pytest.raises(ValueError, match="expected no steps_per_epoch with arrays"):
        as_dataset(X, Y, steps_per_epoch=3)
    with pytest.raises(ValueError, match="expected no steps_per_epoch together with 'digits'"):
        as_dataset("digits", steps_per_epoch=3)


def model():
    net = keras.Sequential(
        [
            keras.Input([4]),
            keras.layers.Dropout(0.5, name="drop"),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return net


@pytest.mark.parametrize(
    "use",
    [
        lambda data: data.resplit(1),
        lambda data: data.as_reconstruction(),
        lambda data: with_fewer_examples(data, 10, seed=0),
        lambda data: plan_label_noise_sweep(model(), data),
        lambda data: plan_data_size_sweep(model(), data),
        lambda data: plan_robustness(model(), data),
        lambda data: plan_predictive_uncertainty(model(), data),
    ],
)
def test_what_needs_all_examples_is_refused(use):
    with pytest.raises(DataError, match="expected all training examples in memory, received a"):
        use(streamed())


def test_hyperband_is_refused_with_streams():
    with pytest.raises(ValueError, match="'hyperband' with streamed training examples"):
        tune(model(), streamed(), oracle="hyperband", progress=False)
