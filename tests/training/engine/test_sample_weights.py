"""Weights of examples, steps and outputs: members are what `Model.fit` makes of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from everyday_models import multi_task
from keras import layers
from stock_fit import assert_equal_weights

from dropout_zoo.models import with_rates
from dropout_zoo.training import (
    DataError,
    Dataset,
    Member,
    MemberTrainer,
    TrainSettings,
    as_dataset,
)
from dropout_zoo.training.data.structures import take
from dropout_zoo.training.seeding import seed_masks

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(30, 5, 3)).astype("float32")
LABELS = X.argmax(axis=-1)  # one for each step
WEIGHT = RANDOM.uniform(size=(30, 5)).astype("float32")
EPOCHS = 2

TASKS = multi_task()  # two outputs, by name
OF_TASKS = {
    "kind": RANDOM.uniform(size=len(TASKS.x)).astype("float32"),
    "size": RANDOM.uniform(size=len(TASKS.x)).astype("float32"),
}


def tagger(loss="sparse_categorical_crossentropy", units=3):
    inputs = keras.Input((5, 3))
    h = layers.Dropout(0.2, name="drop")(layers.Dense(4, activation="tanh")(inputs))
    model = keras.Model(inputs, layers.Dense(units, activation="softmax")(h), name="tagger")
    model.compile("adam", loss, weighted_metrics=["accuracy"])
    return model


@pytest.mark.parametrize("validated", ["validation_split", "validation_data"])
@pytest.mark.parametrize(
    ("model", "x", "y", "weight"),
    [(tagger(), X, LABELS, WEIGHT), (TASKS.model, TASKS.x.astype("float32"), TASKS.y, OF_TASKS)],
    ids=["of steps", "of outputs"],
)
def test_members_are_those_of_fit(model, x, y, weight, validated):
    with_weights = {"validation_data": take((x, y, weight), slice(7))}
    given = {"validation_split": 0.25} if validated == "validation_split" else with_weights
    data = as_dataset(x, y, sample_weight=weight, **given)
    settings = TrainSettings(epochs=EPOCHS, batch_size=8)  # the last batch is smaller
    trainer = MemberTrainer(model, data, settings, update="keras", keep_state=True)
    plan = trainer.plan
    rates = {site.path: 0.4 for site in plan.sites}
    member = Member(rates, seed=3)
    (trained,) = trainer.train([member])

    model = with_rates(plan.model, rates)
    model.set_weights(plan.start_weights(3))
    seed_masks(model, 3)
    count = data.num_examples()
    assert count % 8
    for epoch in range(EPOCHS):
        order = plan.batch_order(member, rates, epoch)
        history = model.fit(
            x[order],
            take(y, order),
            sample_weight=take(weight, order),
            batch_size=8,
            shuffle=False,
            validation_data=with_weights["validation_data"]
            if validated == "validation_data"
            else take((x, y, weight), slice(count, None)),
            validation_batch_size=plan.evaluation_batch_size,
            verbose=0,
        )
        for name, values in history.history.items():
            assert trained.curves[name][epoch] == values[0], name
    assert_equal_weights(trained.final_model().get_weights(), model.get_weights())


def test_weights_stay_with_their_examples_on_another_split():
    data = as_dataset(X, LABELS, sample_weight=WEIGHT).resplit(1)
    for (x, _), weight in [
        (data.train, data.sample_weight),
        (data.validation, data.validation_weight),
    ]:
        for example, of_example in zip(x, weight, strict=True):
            (place,) = np.flatnonzero((example == X).all(axis=(1, 2)))
            assert np.array_equal(of_example, WEIGHT[place])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sample_weight": WEIGHT[:, :3]}, r"of shape \(30,\) or \(30, 5\), .* received .*30, 3"),
        (
            {"sample_weight": WEIGHT, "validation_data": (X, LABELS, WEIGHT[:, 0])},
            r"weights of one form .* received \(5,\) .* and \(\) ",
        ),
        ({"sample_weight": {"tags": WEIGHT}}, r"expected one array, as in y, received \['tags'\]"),
    ],
)
def test_weights_fit_the_targets(arguments, words):
    with pytest.raises(ValueError, match=words):
        as_dataset(X, LABELS, **arguments)


def test_weights_that_the_loss_does_not_take_are_refused_before_any_training():
    # The loss of each example is the mean over its steps.
    model = keras.Sequential(
        [keras.Input((5, 3)), layers.Dropout(0.2), layers.Dense(1), layers.Reshape((5,))],
        name="sums",
    )
    model.compile("adam", "mse")
    data = as_dataset(X, X.sum(axis=-1), sample_weight=WEIGHT, validation_split=0.2)
    words = r"expected weights of shape \(examples\), .* loss of 'sums', received \(24, 5\)"
    with pytest.raises(ValueError, match=words):
        MemberTrainer(model, data, TrainSettings())


def test_from_arrays_takes_them():
    data = Dataset.from_arrays((X, LABELS), (X, LABELS), sample_weight=WEIGHT)
    assert data.sample_weight.shape == (30, 5)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ({"kind": OF_TASKS["kind"]}, r"each of \['kind', 'size'\], as in y, .* \['kind'\]"),
        (list(OF_TASKS.values()), r"each of \['kind', 'size'\], as in y, received \[0, 1\]"),
        (OF_TASKS | {"size": OF_TASKS["size"][:3]}, r"sample_weight\['size'\]: .* received .*\(3,"),
        (OF_TASKS | {"size": -OF_TASKS["size"]}, r"sample_weight\['size'\]: .* 0 or larger"),
    ],
)
def test_weights_of_outputs_have_the_form_of_the_targets(weight, words):
    with pytest.raises(DataError, match=words):
        as_dataset(TASKS.x, TASKS.y, sample_weight=weight)


def test_weights_of_outputs_stay_with_their_examples():
    x = np.arange(20.0)
    y, weight = [x, x + 1], [x + 2, x + 3]
    data = as_dataset(x[:, None], y, sample_weight=weight).resplit(1)
    for (of_x, _), (one, other) in [
        (data.train, data.sample_weight),
        (data.validation, data.validation_weight),
    ]:
        assert np.array_equal(one, of_x[:, 0] + 2)
        assert np.array_equal(other, of_x[:, 0] + 3)


def test_validation_weights_of_outputs_weigh_the_training_metrics_alike():
    data = as_dataset(TASKS.x, TASKS.y, validation_data=(TASKS.x, TASKS.y, OF_TASKS))
    trainer = MemberTrainer(TASKS.model, data, TrainSettings(epochs=1), keep_state=True)
    (trained,) = trainer.train([Member([0.0, 0.0], seed=0)])
    ones = {name: np.ones_like(weight) for name, weight in OF_TASKS.items()}
    measured = trained.final_model().evaluate(
        data.train[0], data.train[1], sample_weight=ones, verbose=0, return_dict=True
    )
    assert trained.curves["train_loss"][0] == pytest.approx(measured["loss"], rel=1e-5)


def test_batches_have_weights_of_outputs():
    examples = (TASKS.x, TASKS.y, OF_TASKS)
    arrays = as_dataset(TASKS.x, TASKS.y, sample_weight=OF_TASKS, seed=1)
    batches = as_dataset(tf.data.Dataset.from_tensor_slices(examples).batch(16), seed=1)
    for name, weight in arrays.sample_weight.items():
        assert np.array_equal(batches.sample_weight[name], weight)
    streamed = as_dataset(
        tf.data.Dataset.from_tensor_slices(examples).batch(16),
        max_bytes=0,
        validation_data=examples,
    )
    assert streamed.stream is not None
    trainer = MemberTrainer(TASKS.model, streamed, TrainSettings(epochs=1, batch_size=16))
    with pytest.warns(UserWarning, match="streamed from a tf.data.Dataset"):
        (trained,) = trainer.train([Member([0.5, 0.0], seed=0)])
    assert trained.status == "completed"
