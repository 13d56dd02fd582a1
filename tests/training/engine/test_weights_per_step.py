"""Weights for each step of each example: members are what `Model.fit` makes of them."""

import keras
import numpy as np
import pytest
from keras import layers
from stock_fit import assert_equal_weights

from dropout_zoo.models import with_rates
from dropout_zoo.training import (
    Dataset,
    Member,
    MemberTrainer,
    TrainSettings,
    as_dataset,
)
from dropout_zoo.training.seeding import seed_masks

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(30, 5, 3)).astype("float32")
LABELS = X.argmax(axis=-1)  # one for each step
WEIGHT = RANDOM.uniform(size=(30, 5)).astype("float32")
EPOCHS = 2


def tagger(loss="sparse_categorical_crossentropy", units=3):
    inputs = keras.Input((5, 3))
    h = layers.Dropout(0.2, name="drop")(layers.Dense(4, activation="tanh")(inputs))
    model = keras.Model(inputs, layers.Dense(units, activation="softmax")(h), name="tagger")
    model.compile("adam", loss, weighted_metrics=["accuracy"])
    return model


@pytest.mark.parametrize("validated", ["validation_split", "validation_data"])
def test_members_are_those_of_fit(validated):
    with_weights = {"validation_data": (X[:7], LABELS[:7], WEIGHT[:7])}
    given = {"validation_split": 0.25} if validated == "validation_split" else with_weights
    data = as_dataset(X, LABELS, sample_weight=WEIGHT, **given)
    settings = TrainSettings(epochs=EPOCHS, batch_size=8)  # the last batch is smaller
    trainer = MemberTrainer(tagger(), data, settings, update="keras", keep_state=True)
    member, plan = Member([0.4], seed=3), trainer.plan
    (trained,) = trainer.train([member])

    model = with_rates(plan.model, {"drop": 0.4})
    model.set_weights(plan.start_weights(3))
    seed_masks(model, 3)
    count = data.num_examples()
    assert count % 8
    for epoch in range(EPOCHS):
        order = plan.batch_order(member, {"drop": 0.4}, epoch)
        history = model.fit(
            X[:count][order],
            LABELS[:count][order],
            sample_weight=WEIGHT[:count][order],
            batch_size=8,
            shuffle=False,
            validation_data=with_weights["validation_data"]
            if validated == "validation_data"
            else (X[count:], LABELS[count:], WEIGHT[count:]),
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
