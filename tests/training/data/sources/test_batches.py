"""Sources of batches, as `Model.fit` takes them, read into a dataset."""

import numpy as np
import pytest
from batch_sources import SOURCES, WEIGHT, Batched, X, Y, generator, tf_data

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import plan_rate_sweep
from dropout_zoo.training import DataError, Member, as_dataset, train_members
from dropout_zoo.tuning import tune


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_gives_the_examples_that_its_arrays_give(kind):
    make = SOURCES[kind]
    data = as_dataset(make(X, Y, WEIGHT), validation_data=make(X[:20], Y[:20]))
    arrays = as_dataset(X, Y, sample_weight=WEIGHT, validation_data=(X[:20], Y[:20]))
    assert data.fingerprint() == arrays.fingerprint()
    assert (data.task, data.batch_size, arrays.batch_size) == ("classification", 8, None)


def test_several_inputs_and_outputs_come_from_a_source_too():
    source = tf_data({"a": X, "b": Y}, {"mask": X > 0, "label": Y}).batch(8)
    data = as_dataset(source, test_data=source)
    assert data.input_shape == {"a": (4,), "b": ()}
    np.testing.assert_array_equal(data.test[1]["mask"], X > 0)


def test_weights_of_a_generator_may_be_left_out():
    data = as_dataset(((*batch, None) for batch in generator(X, Y)), validation_data=(X, Y))
    assert data.sample_weight is None and data.num_examples() == 50


def test_shuffled_sources_are_taken():
    data = as_dataset(tf_data(X, Y).shuffle(50).batch(8), validation_data=(X, Y))
    assert sorted(data.train[0][:, 0]) == sorted(X[:, 0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tf_data(X, Y).batch(8).repeat(), "expected a finite tf.data.Dataset"),
        (lambda: tf_data(X, Y), "a tf.data.Dataset of single examples has to be batched"),
        (
            lambda: ((X[:8], Y[:8], WEIGHT[:8], Y[:8]) for _ in range(1)),
            r"expected batches x, \(x, y\) .*received a tuple of 4",
        ),
        (
            lambda: ((np.array([[1], [2, 3]], dtype=object), Y[:2]) for _ in range(1)),
            "expected batches of numbers or strings .* received other Python objects",
        ),
        (lambda: tf_data(X, Y).take(0).batch(8), "received an empty tf.data.Dataset"),
        (
            lambda: (z for z in [(X[:8], Y[:8]), (X[:8, :3], Y[:8])]),
            r"expected batches of one shape.*\(\(3,\), \(\)\) after",
        ),
    ],
)
def test_sources_that_cannot_be_used_are_refused(make, words):
    with pytest.raises(DataError, match=words) as caught:
        as_dataset(make(), validation_data=(X, Y))
    assert str(caught.value).startswith("arrays: train: expected")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Batched(X, Y, flips=True),
        # A split after shuffling, which lets training examples into the validation set.
        lambda: tf_data(X, Y).shuffle(50).take(30).batch(8),
    ],
)
def test_sources_that_change_are_neither_split_nor_validated_on(make):
    words = "same examples each time .* received different ones"
    with pytest.raises(DataError, match=f"train: .*{words}.*or pass validation_data"):
        as_dataset(make())
    with pytest.raises(DataError, match=f"validation_data: .*{words}"):
        as_dataset(X, Y, validation_data=make())


def test_what_a_source_contains_already_is_not_taken_besides():
    source = SOURCES["tf.data"](X, Y)
    with pytest.raises(ValueError, match=r"expected no y together with a tf\.data\.Dataset"):
        as_dataset(source, Y)
    weighted = SOURCES["tf.data"](X, Y, WEIGHT)
    with pytest.raises(DataError, match=r"test_data: expected a pair \(x, y\), received weights"):
        as_dataset(source, test_data=weighted)


def model():
    return build_mlp(input_shape=(4,), num_classes=2, units=(4,), hidden_rates=0.5)


@pytest.mark.slow
def test_the_batch_size_of_a_source_is_that_of_the_training_unless_another_is_given():
    source = SOURCES["tf.data"](X, Y)
    arguments = {"validation_data": (X, Y)}
    members = [Member([0.5], seed=0)]
    own, same, other = (
        train_members(model(), members, data, epochs=1, **options)[0].curves
        for data, options in (
            (as_dataset(source, **arguments), {}),
            (as_dataset(X, Y, **arguments), {"batch_size": 8}),
            (as_dataset(source, **arguments), {"batch_size": 50}),
        )
    )
    assert own.equals(same) and not own.equals(other)
    assert plan_rate_sweep(model(), source).training.batch_size == 8


@pytest.mark.slow
def test_tune_takes_sources():
    of_source, of_arrays = (
        tune(
            model(), x, y, validation_data=validation_data, rates=[0.2, 0.5], num_seeds=2, epochs=1,
            progress=False, **options,
        ).trials["val_loss"]
        for x, y, validation_data, options in (
            (SOURCES["tf.data"](X, Y), None, SOURCES["PyDataset"](X, Y), {}),
            (X, Y, (X, Y), {"batch_size": 8}),
        )
    )  # fmt: skip
    assert of_source.equals(of_arrays)


@pytest.mark.parametrize("kind", ["tf.data", "torch"])
def test_a_dropped_remainder_is_named_where_it_makes_a_shuffled_source_change(kind):
    if kind == "tf.data":
        source, option = tf_data(X, Y).shuffle(50).batch(8, drop_remainder=True), "drop_remainder"
    else:
        torch = pytest.importorskip("torch")
        tensors = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
        source = torch.utils.data.DataLoader(tensors, batch_size=8, shuffle=True, drop_last=True)
        option = "drop_last"
    with pytest.raises(DataError, match=f"different ones; leave out {option}=True"):
        as_dataset(source)
    with pytest.warns(UserWarning, match=f"leave out {option}=True"):
        as_dataset(source, validation_data=(X, Y))


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda source: source, lambda source: lambda: source])
def test_a_generator_without_end_is_not_read_for_ever(make):
    def endless():
        while True:
            yield X[:1], Y[:1]

    with pytest.raises(DataError, match="ends after at most 250,000 batches, received more"):
        as_dataset(make(endless()))
