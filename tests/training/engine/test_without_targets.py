"""Models that need no targets: members are what `Model.fit(x)` makes of them."""

from pathlib import Path

import backends
import keras
import numpy as np
import pytest
from batch_sources import SOURCES, X, Y
from inputs_alone import autoencoder
from keras import layers, ops
from stock_fit import assert_equal_weights

from dropout_zoo.models import with_rates
from dropout_zoo.training import Member, MemberTrainer, TrainSettings, as_dataset, train_members
from dropout_zoo.training.data.structures import take
from dropout_zoo.training.seeding import seed_masks
from dropout_zoo.tuning import tune

EPOCHS = 3


class OwnLoss(keras.Model):
    """Its loss compares outputs with inputs, which may be given in a dict or a tuple."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        x = keras.tree.flatten(x)[0]
        return ops.mean((x - y_pred) ** 2)


class Uncallable(keras.Model):
    """As in many tutorials: inner models, and a step of training."""

    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential(
            [keras.Input((4,)), layers.Dropout(0.2, name="drop"), layers.Dense(4)]
        )

    def train_step(self, data):
        loss = ops.mean(self.inner(data, training=True) ** 2)
        return {"loss": loss}


class Unmeasured(Uncallable):
    """Its step of training alone computes the loss."""

    def call(self, inputs):
        return self.inner(inputs)


class OwnStep(OwnLoss):
    """Its step is given what `Model.fit` gives it."""

    def train_step(self, data):
        (x,) = data if isinstance(data, tuple) else (data,)
        return super().train_step((x,))

    def test_step(self, data):
        (x,) = data if isinstance(data, tuple) else (data,)
        return super().test_step((x,))


def own(kind, inputs):
    first = keras.tree.flatten(inputs)[0]
    h = layers.Dropout(0.2, name="drop")(layers.Dense(3, activation="tanh")(first))
    model = kind(inputs, layers.Dense(4)(h))
    model.compile("adam")
    return model


def fitted(trainer, member, x, x_validation):
    """What stock `Model.fit` makes of a member, epoch by epoch in the order of its batches."""
    plan = trainer.plan
    model = with_rates(plan.model, {"drop": member.rates[0]})
    model.set_weights(plan.start_weights(member.seed))
    seed_masks(model, member.seed)
    curves = {"loss": [], "val_loss": []}
    for epoch in range(EPOCHS):
        order = plan.batch_order(member, {"drop": member.rates[0]}, epoch)
        history = model.fit(
            take(x, order),
            batch_size=plan.settings.batch_size,
            shuffle=False,
            validation_data=(x_validation,),
            validation_batch_size=plan.evaluation_batch_size,
            verbose=0,
        )
        for name, values in history.history.items():
            curves[name] += values
    return model, curves


CASES = {
    "add_loss": (autoencoder, lambda x: x),
    "compute_loss": (lambda: own(OwnLoss, keras.Input((4,))), lambda x: x),
    "train_step, a dict": (
        lambda: own(OwnStep, {"a": keras.Input((4,), name="a")}), lambda x: {"a": x},
    ),
    "train_step, a tuple": (lambda: own(OwnStep, (keras.Input((4,)),)), lambda x: (x,)),
}  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=() if c == "add_loss" else pytest.mark.slow) for c in CASES],
)
def test_members_without_targets_are_those_of_fit(case):
    make, given = CASES[case]
    data = as_dataset((given(X), None), validation_data=(given(X[:20]), None))
    settings = TrainSettings(epochs=EPOCHS, batch_size=8)
    trainer = MemberTrainer(make(), data, settings, update="keras", keep_state=True)
    member = Member([0.4], seed=3)
    _, trained = trainer.train([Member([0.1], seed=1), member])
    model, curves = fitted(trainer, member, given(X), given(X[:20]))
    for name, values in curves.items():
        assert list(trained.curves[name]) == values, name
    assert_equal_weights(trained.final_model().get_weights(), model.get_weights())


@pytest.mark.parametrize("kind", SOURCES)
def test_sources_of_inputs_alone_are_those_of_arrays(kind):
    make = SOURCES[kind]
    data = as_dataset(make(X), validation_data=make(X[:20]), test_data=make(X[:10]))
    arrays = as_dataset(X, validation_data=X[:20], test_data=X[:10])
    assert data.fingerprint() == arrays.fingerprint() != as_dataset(X).fingerprint()
    assert data.train[1] is data.validation[1] is data.test[1] is None
    assert (data.batch_size, data.num_examples()) == (8, 50)


def test_inputs_alone_are_streamed_as_by_fit():
    source = SOURCES["tf.data"](X)
    data = as_dataset(source, max_bytes=0, validation_data=X[:20])
    with pytest.warns(UserWarning, match="streamed from a tf.data.Dataset"):
        (trained,) = train_members(autoencoder(), [Member([0.4], seed=3)], data, epochs=2)
    assert trained.status == "completed"
    assert "streamed" in data.describe()


def test_data_without_targets_say_so_and_keep_it():
    data = as_dataset(X)
    assert data.describe().splitlines()[0] == "arrays: custom, input (4,), no targets"
    assert (data.num_classes, data.class_counts()) == (None, None)
    assert data.fingerprint() != as_dataset(X, Y).fingerprint()
    other = data.resplit(1)
    assert other.num_examples("validation") == data.num_examples("validation")
    assert other.train[1] is None and not np.array_equal(other.train[0], data.train[0])
    x, y = data.training_sample(5)
    assert len(x) == 5 and y is None
    split = as_dataset(X, validation_split=0.2)
    assert np.array_equal(split.validation[0], X[40:]) and split.test is None


REFUSED = {
    "a loss": (
        lambda: tune_free_model("mse"),
        lambda: as_dataset(X),
        r"expected y, which the loss of 'net' \(mse\) needs, received x alone; pass y .* "
        "or compile the model without a loss",
    ),
    "no loss at all": (
        lambda: tune_free_model(None),
        lambda: as_dataset(X),
        "received 'net', which fails .*No loss to compute.*; no y was given",
    ),
    "a metric": (
        lambda: tune_free_model(None, metrics=["mae"]),
        lambda: as_dataset(X),
        "received 'net', which fails .*; no y was given, which a loss or metric may need",
    ),
}


def tune_free_model(loss, metrics=None):
    model = keras.Sequential([keras.Input((4,)), layers.Dropout(0.2), layers.Dense(4)], name="net")
    model.compile("adam", loss, metrics=metrics)
    return model


@pytest.mark.parametrize("case", REFUSED)
def test_what_needs_targets_is_named_before_any_training(case):
    make, data, words = REFUSED[case]
    with pytest.raises(ValueError, match=words) as caught:
        MemberTrainer(make(), data(), TrainSettings())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"validation_data": (X, Y)}, "validation_data y: expected none, as train has none"),
        ({"y": Y, "validation_data": X}, "validation_data y: expected targets, as train has"),
        ({"sample_weight": np.ones(50)}, "sample_weight: expected no weights .* without y"),
        (
            {"validation_data": (X, None, np.ones(50))},
            "validation_weight: expected no weights .* without y",
        ),
        ({"task": "classification"}, "expected y for the task 'classification', received x alone"),
    ],
)
def test_parts_must_all_have_targets_or_none(arguments, words):
    with pytest.raises(ValueError, match=words):
        as_dataset(X, **arguments)


def test_a_model_without_a_loss_takes_targets_as_they_are():
    data = as_dataset(X, Y, validation_split=0.2)
    (trained,) = train_members(autoencoder(), [Member([0.4], seed=3)], data, epochs=1)
    assert trained.status == "completed"


FOLDERS = Path(__file__).parent, Path(backends.__file__).parent
ON_JAX = """
import sys

sys.path += sys.argv[1:]
import numpy as np
from test_without_targets import X, autoencoder
from dropout_zoo.training import Member, MemberTrainer, TrainSettings, as_dataset
from dropout_zoo.training.engine.keras_fit import fit_member

data = as_dataset(X, validation_split=0.2)
trainer = MemberTrainer(autoencoder(), data, TrainSettings(epochs=2, batch_size=8))
(trained,) = trainer.train([Member([0.4], seed=3)])
fitted = fit_member(trainer.plan, Member([0.4], seed=3), {"drop": 0.4}, 99)
np.testing.assert_allclose(trained.curves, fitted.curves, rtol=1e-5)
print("all is well")
"""


@pytest.mark.slow
def test_the_engine_on_jax_trains_without_targets():
    assert backends.last_words("jax", "-c", ON_JAX, *FOLDERS) == backends.WELL


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            Uncallable,
            r"class Uncallable has no call method; add call\(self, inputs\), and test_step",
        ),
        (
            Unmeasured,
            r"class Unmeasured does so in train_step only: .*; add test_step\(self, data\)",
        ),
    ],
)
@pytest.mark.parametrize("given", ["model", "function"])
@pytest.mark.parametrize("x", [X, {"x": X}])
def test_a_model_without_the_methods_that_are_needed_is_refused_with_what_to_add(
    kind, words, given, x
):
    def build():
        model = kind()
        model.compile("adam")
        return model

    if isinstance(x, dict) and kind is Unmeasured:
        x = X
    with pytest.raises(ValueError, match=words) as caught:
        tune(build if given == "function" else build(), x, rates=[0.2], epochs=1, num_seeds=1)
    assert "\n" not in str(caught.value)
