"""Schedules of the rate, and the callback that follows them on each of Keras's backends."""

import dataclasses
import json
import math

import backends
import keras
import numpy as np
import pytest
from keras import layers

from dropout_zoo.models import build_mlp
from dropout_zoo.training import (
    CosineRamp,
    CurriculumDropout,
    EarlyDropout,
    LateDropout,
    LinearRamp,
    Member,
    MemberTrainer,
    RateSchedule,
    RateScheduler,
    TrainSettings,
    train_members,
)
from dropout_zoo.training.engine.journal import JournaledTrainer

MLP = {"units": (8,), "hidden_rates": (0.4,)}

FACTORS = {
    EarlyDropout(2): [1, 1, 0, 0, 0],
    LateDropout(2): [0, 0, 1, 1, 1],
    LinearRamp(4): [0, 0.25, 0.5, 0.75, 1],
    LinearRamp(2, start=1.0, end=0.5): [1, 0.75, 0.5, 0.5, 0.5],
    CosineRamp(4): [0, (1 - math.sqrt(0.5)) / 2, 0.5, (1 + math.sqrt(0.5)) / 2, 1],
    CosineRamp(1, start=0.8, end=0.2): [0.8, 0.2, 0.2, 0.2, 0.2],
    CurriculumDropout(math.log(2)): [0, 1 / 2, 3 / 4, 7 / 8, 15 / 16],
}

CALLBACK = """
import sys

import keras
import numpy as np
from keras import layers, ops

from dropout_zoo.models import dropout_sites, with_rates, with_runtime_rates
from dropout_zoo.training import CosineRamp, RateScheduler


@keras.saving.register_keras_serializable("tests")
def dropped(y, outputs):
    return ops.mean(ops.cast(ops.equal(outputs, 0), "float32"))


plain = keras.Sequential(
    [keras.Input((4,)), layers.Dense(500), layers.Dropout(0.6, seed=1, name="drop")]
)
plain.compile(keras.optimizers.SGD(0.01), "mse", metrics=[dropped])
x, y = np.ones((256, 4), "float32"), np.ones((256, 500), "float32")
model = with_runtime_rates(plain)
callback = RateScheduler(CosineRamp(2))


def check(history, rates):
    np.testing.assert_allclose(history["rate/drop"], rates)
    np.testing.assert_allclose(history["rate_factor"], np.array(rates) / 0.6)
    for found, rate in zip(history["dropped"], rates, strict=True):
        error = (rate * (1 - rate) / y.size) ** 0.5
        assert abs(found - rate) <= 5 * error, (found, rate)


settings = {"batch_size": 64, "verbose": 0}
begun = model.fit(x, y, epochs=2, callbacks=[callback], **settings)
check(begun.history, [0.0, 0.3])
ended = model.fit(x, y, epochs=4, initial_epoch=2, callbacks=[callback], **settings)
check(ended.history, [0.6, 0.6])
shorter = model.fit(x, y, epochs=1, callbacks=[callback], **settings)
check(shorter.history, [0.0])
after = model.fit(x, y, epochs=1, **settings).history["dropped"][0]
assert abs(after - 0.6) < 0.01, after  # the layers have their own rates again

assert [site.rate for site in dropout_sites(model)] == [0.6]
backend, folder = sys.argv[1:]
assert keras.backend.backend() == backend
path = folder + "/model.keras"
model.save(path)
expected = ops.convert_to_numpy(model(x))
for other in (keras.models.load_model(path), with_rates(model, {})):
    np.testing.assert_allclose(ops.convert_to_numpy(other(x)), expected, rtol=1e-6)
assert type(other.get_layer("drop")) is layers.Dropout
again = keras.models.load_model(path)
check(again.fit(x, y, epochs=2, callbacks=[callback], **settings).history, [0.0, 0.3])
try:
    plain.fit(x, y, callbacks=[callback], **settings)
except ValueError as error:
    assert "'drop' is a plain Dropout" in str(error) and "with_runtime_rates" in str(error)
else:
    raise AssertionError("expected a model with fixed rates to be refused")
print("all is well")
"""


@pytest.mark.parametrize("schedule", FACTORS, ids=str)
def test_schedules_have_their_factors_by_epoch(schedule):
    expected = FACTORS[schedule]
    assert [schedule.factor(epoch) for epoch in range(5)] == pytest.approx(expected, abs=1e-12)
    assert all(0 <= schedule.factor(epoch) <= 1 for epoch in (*range(100), 10**6))


@pytest.mark.parametrize("schedule", FACTORS, ids=str)
def test_schedules_can_be_serialized(schedule):
    written = json.dumps(keras.saving.serialize_keras_object(schedule))
    read = keras.saving.deserialize_keras_object(json.loads(written))
    assert read == schedule and type(read) is type(schedule)
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.epochs = 7


def test_ramps_of_another_shape_are_different_schedules():
    assert LinearRamp(3) != CosineRamp(3)
    assert LinearRamp(3) == LinearRamp(3, 0.0, 1.0) != LinearRamp(4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyDropout(0), "epochs to be a whole number of at least 1, received 0"),
        (lambda: LateDropout(1.5), "epochs to be a whole number of at least 1, received 1.5"),
        (lambda: LinearRamp(3, start=-0.1), r"start to be a number in \[0, 1\], received -0.1"),
        (lambda: CosineRamp(3, end=50), r"end to be a number in \[0, 1\], received 50"),
        (lambda: CurriculumDropout(0), "gamma to be a number larger than 0, received 0"),
        (lambda: CurriculumDropout("fast"), "gamma to be a number larger than 0"),
    ],
)
def test_arguments_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "use", [lambda given: RateScheduler(given), lambda given: Member({}, 0, schedule=given)]
)
@pytest.mark.parametrize("given", ["early", 0.5, EarlyDropout, lambda epoch: 0.5])
def test_anything_but_a_schedule_is_refused(use, given):
    with pytest.raises(TypeError, match="expected a schedule of the rate, such as EarlyDropout"):
        use(given)


@pytest.mark.parametrize(
    "backend", [pytest.param("tensorflow", marks=pytest.mark.slow), *backends.NIGHTLY_ON_TORCH]
)
def test_masks_follow_the_callback_on_other_backends(backend, tmp_path):
    assert backends.last_words(backend, "-c", CALLBACK, backend, tmp_path) == backends.WELL


def test_the_callback_refuses_a_model_without_dropout():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="has none"):
        model.fit(np.ones((2, 4)), np.ones((2, 2)), callbacks=[RateScheduler(EarlyDropout(1))])


def test_members_cannot_have_a_schedule_where_rates_are_fixed(few_digits):
    class OwnAttention(layers.Attention):
        """A subclass, whose code may read the rate in another place."""

    image = keras.Input((28, 28))
    x = layers.Flatten()(OwnAttention(dropout=0.2, name="attention")([image, image]))
    model = keras.Model(image, layers.Dense(10, "softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    member = Member({}, 0, schedule=EarlyDropout(1))
    with pytest.raises(ValueError, match="one with EarlyDropout: the layer 'attention' fixes"):
        train_members(model, [member], few_digits, epochs=1, batch_size=64)


def test_a_custom_schedule_is_accepted(few_digits, tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Steps(RateSchedule):
        by: float

        def factor(self, epoch):
            return self.by * epoch

    trainer = MemberTrainer(build_mlp(**MLP), few_digits, TrainSettings(epochs=3, batch_size=64))
    journaled = JournaledTrainer(trainer, tmp_path / "journal.jsonl")
    (trained,) = journaled.train([Member({}, 0, schedule=Steps(0.5))])
    assert list(trained.curves["rate_factor"]) == [0, 0.5, 1]
    with pytest.raises(ValueError, match=r"factor to be a number in \[0, 1\], received 1.4"):
        trainer.train([Member({}, 0, schedule=Steps(0.7))])


@pytest.mark.slow
def test_the_journal_distinguishes_schedules(few_digits, tmp_path):
    schedules = [None, EarlyDropout(1), LinearRamp(1), CosineRamp(1)]
    members = [Member({}, 0, schedule=schedule) for schedule in schedules]
    path, results = tmp_path / "journal.jsonl", []
    trainer = MemberTrainer(build_mlp(**MLP), few_digits, TrainSettings(epochs=2, batch_size=64))
    trained = JournaledTrainer(trainer, path).train(members[:3])
    assert len({result.score for result in trained}) == 3
    again = JournaledTrainer(trainer, path).train(members, results.append)
    assert [result.member for result in results] == members[3:]
    for one, other in zip(trained, again, strict=False):
        assert one.curves.equals(other.curves) and one.member is other.member
    assert "rate_factor" in again[1].curves and "rate_factor" not in again[0].curves
