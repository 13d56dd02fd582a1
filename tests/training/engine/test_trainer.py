"""Members: what a seed and the rates determine, and what a run produces."""

import random

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from nets import net_with_initializer

from dropout_zoo.models import build_mlp, dropout_sites
from dropout_zoo.training import (
    Dataset,
    Member,
    MemberTrainer,
    TrainSettings,
    as_dataset,
    targets_for,
    train_members,
)
from dropout_zoo.training.seeding import batch_order, fresh_weights

SETTINGS = {"epochs": 3, "batch_size": 32}


def small_mlp(**arguments):
    return build_mlp(**{"units": (16, 8), "hidden_rates": (0.5, 0.3)} | arguments)


def weights_of(trained):
    return trained.model().get_weights()


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def model():
    return small_mlp()


@pytest.fixture(scope="module")
def trainer(model, few_digits):
    """A trainer of the model, for tests that need no new one."""
    return MemberTrainer(model, few_digits, TrainSettings(**SETTINGS), workers=1)


def test_a_member_learns_and_is_recorded(model, few_digits):
    before = model.get_weights()
    results = []
    (trained,) = train_members(
        model, [Member([0.2, 0.1], seed=3)], few_digits, **SETTINGS, on_result=results.append
    )
    assert results == [trained]
    assert trained.status == "completed"
    assert trained.rates == {"hidden_1_dropout": 0.2, "hidden_2_dropout": 0.1}
    assert list(trained.curves["epoch"]) == [1, 2, 3]
    assert set(trained.curves.columns) == {"epoch"} | {
        f"{part}{name}" for part in ("", "train_", "val_") for name in ("loss", "accuracy")
    }
    assert trained.curves["val_loss"].iloc[-1] < trained.curves["val_loss"].iloc[0]
    assert trained.score == trained.curves["val_loss"].min()
    assert trained.best_epoch == trained.curves["val_loss"].idxmin() + 1
    assert trained.seconds > 0
    assert equal(before, model.get_weights())


def test_the_model_of_a_member_scores_what_the_curves_say(trainer, few_digits):
    (trained,) = trainer.train([Member([0.4, 0.3], seed=0)])
    built = trained.model()
    assert [site.rate for site in dropout_sites(built)] == [0.4, 0.3]
    assert all(type(site.layer) is layers.Dropout for site in dropout_sites(built))
    best = trained.curves.set_index("epoch").loc[trained.best_epoch]
    for prefix, (x, y) in {
        "val_": few_digits.validation,
        "train_": few_digits.training_sample(),
    }.items():
        measured = built.evaluate(x, targets_for(built, y, 10), verbose=0, return_dict=True)
        for name, value in measured.items():
            assert best[f"{prefix}{name}"] == pytest.approx(value, abs=1e-5)


@pytest.mark.slow
def test_a_seed_gives_the_same_result_whatever_else_is_trained(model, few_digits, trainer):
    members = [Member([0.2, 0.2], seed=1), Member([0.5, 0.5], seed=2), Member([0.0, 0.0], seed=1)]
    together = train_members(model, members, few_digits, **SETTINGS)
    alone = [trainer.train([member])[0] for member in members]
    for one, other in zip(together, reversed(list(reversed(alone))), strict=True):
        pd.testing.assert_frame_equal(one.curves, other.curves)
        assert equal(weights_of(one), weights_of(other))
    assert not equal(weights_of(together[0]), weights_of(together[2]))


@pytest.mark.slow
def test_a_learning_rate_replaces_that_of_the_compiled_model(model, few_digits):
    member = [Member([0.2, 0.1], seed=3)]
    (changed,) = train_members(model, member, few_digits, **SETTINGS, learning_rate=0.01)
    compiled = small_mlp(optimizer=keras.optimizers.Adam(0.01))
    (expected,) = train_members(compiled, member, few_digits, **SETTINGS)
    pd.testing.assert_frame_equal(changed.curves, expected.curves)
    assert float(changed.model().optimizer.learning_rate) == pytest.approx(0.01)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001)


class Unclonable(keras.Model):
    """A model that Keras cannot clone: its configuration lacks an argument."""

    def __init__(self, units):
        super().__init__()
        self.dense, self.out = layers.Dense(units), layers.Dense(10, "softmax")
        self.flatten = layers.Flatten()

    def call(self, x):
        return self.out(self.dense(self.flatten(x)))

    def get_config(self):
        return {}


def unclonable():
    model = Unclonable(4)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


@pytest.mark.slow
def test_a_learning_rate_also_reaches_the_copies_that_a_function_builds(few_digits):
    trainer = MemberTrainer(unclonable, few_digits, TrainSettings(epochs=1, learning_rate=0.5))
    (trained,) = trainer.train([Member({}, seed=0)])
    assert float(trained.model().optimizer.learning_rate) == 0.5
    (usual,) = train_members(unclonable, [Member({}, seed=0)], few_digits, epochs=1)
    assert abs(trained.score - usual.score) > 0.1


def test_a_learning_rate_and_a_schedule_exclude_each_other(few_digits):
    decaying = keras.optimizers.schedules.ExponentialDecay(0.01, 100, 0.9)
    model = small_mlp(optimizer=keras.optimizers.SGD(decaying))
    with pytest.raises(ValueError, match="constant learning rate, received one with Exponential"):
        MemberTrainer(model, few_digits, TrainSettings(learning_rate=0.01))


def test_members_of_a_seed_start_from_the_same_weights():
    # Keras itself gives a layer with rate 0 no seed generator, which moves all that follows.
    starts = [
        fresh_weights(small_mlp(hidden_rates=rates), seed=5)
        for rates in ((0.5, 0.3), (0.0, 0.0), (0.5, 0.0))
    ]
    assert equal(starts[0], fresh_weights(small_mlp(), seed=5))
    assert equal(starts[0], starts[1])
    assert equal(starts[0], starts[2])
    assert not equal(starts[0], fresh_weights(small_mlp(), seed=6))


def test_a_seed_fixed_in_an_initializer_does_not_fix_the_members():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, kernel_initializer=keras.initializers.HeNormal(seed=7))]
    )
    first, again, other = (fresh_weights(model, seed) for seed in (1, 1, 2))
    assert equal(first, again)
    assert not equal(first, other)


def test_frozen_and_adapted_layers_keep_their_weights():
    normalize = layers.Normalization()
    normalize.adapt(np.random.default_rng(0).normal(3, 2, (50, 4)).astype("float32"))
    frozen = layers.Dense(5, trainable=False)
    model = keras.Sequential([keras.Input((4,)), normalize, frozen, layers.Dense(2)])
    model.get_layer(index=-1).set_weights([np.ones((5, 2)), np.ones(2)])
    kept, fresh = model.get_weights(), fresh_weights(model, 1)
    assert equal(kept[:-2], fresh[:-2])
    assert not equal(kept[-2:], fresh[-2:])


def test_drawing_weights_does_not_touch_the_global_generators():
    model = small_mlp()
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    fresh_weights(model, 9)
    assert (random.random(), np.random.random()) == expected


def test_initial_weights_can_be_kept(model, few_digits):
    settings = SETTINGS | {"epochs": 1, "initial_weights": "keep"}
    frozen = small_mlp(optimizer=keras.optimizers.SGD(0.0))
    (trained,) = train_members(frozen, [Member([0.5, 0.3], seed=1)], few_digits, **settings)
    assert equal(weights_of(trained), frozen.get_weights())


def test_orders_are_permutations_paired_as_asked():
    one, other = {"a": 0.2}, {"a": 0.5}

    def draw(order, seed=1, epoch=0, rates=one):
        return list(batch_order(seed, epoch, 50, order, rates))

    for order in ("paired", "shared", "independent"):
        assert sorted(draw(order)) == list(range(50))
        assert draw(order) == draw(order)
        assert draw(order) != draw(order, epoch=1)
    assert draw("paired") == draw("paired", rates=other)
    assert draw("paired") != draw("paired", seed=2)
    assert draw("shared") == draw("shared", seed=2)
    assert draw("independent") != draw("independent", rates=other)


@pytest.mark.slow
def test_patience_stops_a_member_and_its_best_weights_stay(few_digits):
    # A learning rate this large gets worse from the first epoch on.
    model = small_mlp(optimizer=keras.optimizers.SGD(30.0))
    (trained,) = train_members(
        model, [Member([0.0, 0.0], seed=1)], few_digits, epochs=20, batch_size=32, patience=2
    )
    assert trained.status == "completed"
    assert len(trained.curves) == trained.best_epoch + 2 < 20
    x, y = few_digits.validation
    loss = trained.model().evaluate(x, targets_for(model, y, 10), verbose=0)[0]
    assert loss == pytest.approx(trained.score, rel=1e-4)


def test_a_member_that_diverges_is_marked_and_the_others_continue(few_digits):
    inputs = keras.Input((28, 28))
    x = layers.Flatten()(inputs)
    x = layers.Dropout(0.2, name="drop")(x)
    # Without dropout this stays finite; what dropout scales up overflows.
    x = keras.ops.where(keras.ops.max(x) > 1.5, keras.ops.log(-keras.ops.ones_like(x)), x)
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
    model.compile("sgd", "sparse_categorical_crossentropy")
    members = [Member({"drop": rate}, seed=1) for rate in (0.0, 0.6, 0.1)]
    trained = train_members(model, members, few_digits, **SETTINGS)
    assert [result.status for result in trained] == ["completed", "diverged", "completed"]
    assert "loss nan" in trained[1].reason
    assert len(trained[1].curves) == 1
    with pytest.raises(RuntimeError, match="diverged"):
        trained[1].model()


@pytest.mark.slow
def test_a_continued_training_equals_an_uninterrupted_one(few_digits, tmp_path):
    trainer = MemberTrainer(
        small_mlp(), few_digits, TrainSettings(epochs=4), keep_state=True, directory=tmp_path,
        workers=1,
    )  # fmt: skip
    (whole,) = trainer.train([Member([0.5, 0.3], seed=4)])
    (begun,) = trainer.train([Member([0.5, 0.3], seed=4, epochs=2)])
    rest = Member([0.5, 0.3], seed=4, initial_epoch=2, weights=begun.checkpoint)
    (ended,) = trainer.train([rest])
    pd.testing.assert_frame_equal(ended.curves, whole.curves)
    assert (ended.best_epoch, ended.score) == (whole.best_epoch, whole.score)


def test_validation_and_training_sample_are_weighted_as_in_evaluate(few_digits):
    (x, y), validation = few_digits.train, few_digits.validation
    weight = np.linspace(0.1, 2, len(x), dtype="float32")
    of_validation = weight[: len(validation[0])]
    data = as_dataset(x, y, sample_weight=weight, validation_data=(*validation, of_validation))
    model = build_mlp(units=(8,), hidden_rates=0.3)
    (trained,) = train_members(
        model, [Member({}, 0)], data, epochs=1, training_sample="all", update="keras"
    )
    one_hot = np.eye(10, dtype="float32")
    for name, (inputs, labels), weights in (
        ("train_loss", (x, y), weight),
        ("val_loss", validation, of_validation),
    ):
        expected = trained.model().evaluate(
            inputs, one_hot[labels], 256, 0, weights, return_dict=True
        )
        assert trained.curves[name][0] == expected["loss"]


@pytest.mark.slow
def test_class_weights_and_sample_weights_mean_the_same(few_digits):
    weights = np.where(few_digits.train[1] == 3, 5.0, 1.0).astype("float32")
    weighted = Dataset.from_arrays(
        few_digits.train, few_digits.validation, few_digits.test, sample_weight=weights
    )
    model, member = small_mlp(), [Member([0.2, 0.2], seed=1)]
    (plain,) = train_members(model, member, few_digits, **SETTINGS)
    (by_class,) = train_members(model, member, few_digits, **SETTINGS, class_weight={3: 5.0})
    (by_sample,) = train_members(model, member, weighted, **SETTINGS)
    pd.testing.assert_frame_equal(by_class.curves, by_sample.curves)
    assert not equal(weights_of(plain), weights_of(by_class))


@pytest.mark.slow
def test_an_objective_can_be_maximized(few_digits):
    (trained,) = train_members(
        small_mlp(), [Member([0.2, 0.2], seed=1)], few_digits, **SETTINGS, objective="val_accuracy"
    )
    assert trained.score == trained.curves["val_accuracy"].max()


def test_a_regression_with_one_output_is_trained(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 6)).astype("float32")
    y = (x @ np.arange(6)).astype("float32")
    data = Dataset.from_arrays((x[:80], y[:80]), (x[80:100], y[80:100]), (x[100:], y[100:]))
    model = build_mlp(input_shape=(6,), num_classes=None, units=(8,), hidden_rates=(0.2,))
    (trained,) = train_members(model, [Member([0.2], seed=1)], data, epochs=3, batch_size=16)
    assert trained.curves["val_mae"].iloc[-1] < trained.curves["val_mae"].iloc[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs to be a whole number of at least 1, received 0"),
        ({"batch_size": 2.5}, "batch_size to be a whole number"),
        ({"patience": 0}, "patience to be a whole number"),
        ({"initial_weights": "old"}, "'fresh', 'keep'"),
        ({"order": "random"}, "'paired', 'shared', 'independent'"),
        ({"objective": "val_f1_score"}, "objective to be one of"),
        ({"objective": "val_thing"}, "direction is known"),
        ({"class_weight": {12: 2.0}}, "class number from 0 to 9"),
    ],
)
def test_settings_out_of_range_are_refused(model, few_digits, arguments, message):
    with pytest.raises(ValueError, match=message):
        train_members(model, [Member([0.1, 0.1], seed=1)], few_digits, **SETTINGS | arguments)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ([0.1], "expected 2 rates, one for each of hidden_1_dropout, hidden_2_dropout"),
        ({"hidden": 0.1}, "received one of 'hidden'"),
        ([0.1, 1.0], "a rate of 1 drops every unit"),
        ([0.1, float("nan")], "hidden_2_dropout to be a number"),
    ],
)
def test_rates_that_do_not_fit_are_refused(model, few_digits, rates, message):
    with pytest.raises(ValueError, match=message):
        train_members(model, [Member(rates, seed=1)], few_digits, **SETTINGS)


def test_anything_but_a_member_is_refused(model, few_digits):
    for members in ([3], iter([3])):
        with pytest.raises(TypeError) as raised:
            train_members(model, members, few_digits, **SETTINGS)
        assert str(raised.value) == (
            "expected members to be Member objects, received an object of type int"
        )


def test_a_model_that_does_not_fit_the_data_is_refused_before_training(few_digits):
    with pytest.raises(ValueError, match="fails on the first example"):
        train_members(
            build_mlp(input_shape=(9, 9)), [Member([0.1, 0.1], seed=1)], few_digits, **SETTINGS
        )
    with pytest.raises(ValueError, match="expected 10 output units"):
        train_members(
            build_mlp(num_classes=4), [Member([0.1, 0.1], seed=1)], few_digits, **SETTINGS
        )
    with pytest.raises(ValueError, match=r"call model\.compile"):
        train_members(
            build_mlp(compile=False), [Member([0.1, 0.1], seed=1)], few_digits, **SETTINGS
        )


@keras.saving.register_keras_serializable("tests")
class DrawsUnseeded(keras.initializers.Initializer):
    """As a custom initializer may: from Keras's random functions, without a seed."""

    def __call__(self, shape, dtype=None):
        return keras.random.normal(shape, stddev=0.1, dtype=dtype)


@pytest.mark.slow
def test_a_seed_decides_what_a_custom_initializer_draws(few_digits):
    model = net_with_initializer(DrawsUnseeded())
    keras.utils.set_random_seed(1)
    before = keras.ops.convert_to_numpy(keras.random.normal((3,)))
    keras.utils.set_random_seed(1)
    assert equal(fresh_weights(model, 1), fresh_weights(model, 1))
    assert not equal(fresh_weights(model, 1), fresh_weights(model, 2))
    # What is drawn elsewhere is left as it was.
    assert np.array_equal(keras.ops.convert_to_numpy(keras.random.normal((3,))), before)
    members = [Member([0.4], 1), Member([0.4], 2)]
    trainer = MemberTrainer(model, few_digits, TrainSettings(**SETTINGS))
    first, other = (trainer.train(members)[0] for _ in range(2))
    assert first.curves.equals(other.curves)
