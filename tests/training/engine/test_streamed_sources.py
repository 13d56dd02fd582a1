"""Members that train on a source of batches as it is: what one call of `Model.fit` would do."""

import itertools

import keras
import pytest
import tensorflow as tf
from batch_sources import SOURCES, WEIGHT, Batched, X, Y, generator, tf_data
from stock_fit import assert_equal_weights, assert_history

from dropout_zoo.models import build_mlp, with_rates
from dropout_zoo.training import (
    EarlyDropout,
    Member,
    MemberTrainer,
    TrainSettings,
    as_dataset,
    train_members,
)
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.interrupts import OutOfTimeError, TimeLimit
from dropout_zoo.training.seeding import seed_masks, seeded_globals

pytestmark = pytest.mark.filterwarnings("ignore:Model.fit trains the members:UserWarning")
VALIDATION = (X[:20], Y[:20])
EPOCHS = 3


def model():
    net = build_mlp(input_shape=(4,), num_classes=2, units=(8,), hidden_rates=0.5)
    # Batches reach the model as they are, with labels that are not one-hot.
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return net


def trainer_of(source, net=None, callbacks=None, **arguments):
    data = as_dataset(source, **{"validation_data": VALIDATION, "max_bytes": 0} | arguments)
    assert data.stream is not None
    settings = TrainSettings(epochs=EPOCHS, callbacks=callbacks, **data.training_options)
    return MemberTrainer(net or model(), data, settings, keep_state=True)


def one_fit(trainer, member, source, steps_per_epoch=None, callbacks=()):
    """The model after one call of stock `Model.fit` on the source, and its history."""
    plan = trainer.plan
    net = with_rates(plan.model, dict(zip(["hidden_1_dropout"], member.rates, strict=False)))
    net.set_weights(plan.start_weights(member.seed))
    seed_masks(net, member.seed)
    finite = isinstance(source, Batched) and not source.endless
    with seeded_globals(member.seed):
        history = net.fit(
            source,
            steps_per_epoch=steps_per_epoch,
            epochs=EPOCHS,
            shuffle=finite,  # of the other kinds, Keras warns that it does not shuffle them
            validation_data=plan.examples.validation,
            validation_batch_size=plan.evaluation_batch_size,
            callbacks=list(callbacks),
            verbose=0,
        )
    return net, history.history


def endless_generator():
    for _ in itertools.count():
        yield from generator(X, Y)


def shuffled(*arrays):
    return tf_data(*arrays).shuffle(50, seed=3).batch(8)


# What is given as the data, and its steps_per_epoch.
GIVEN = {
    "tf.data with weights": (lambda: SOURCES["tf.data"](X, Y, WEIGHT), None),
    "PyDataset with weights": (lambda: Batched(X, Y, WEIGHT), None),
    "DataLoader": (lambda: SOURCES["DataLoader"](X, Y), None),
    "function of shuffled tf.data": (lambda: lambda: shuffled(X, Y), None),
    "function of shuffled PyDataset": (lambda: lambda: Batched(X, Y, shuffles=True), None),
    "function of infinite tf.data": (lambda: lambda: shuffled(X, Y).repeat(), 5),
    "infinite PyDataset": (lambda: Batched(X, Y, endless=True), 5),
    "function of endless generator": (lambda: endless_generator, 5),
    "steps within an epoch": (lambda: SOURCES["tf.data"](X[:48], Y[:48]), 3),
}


SLOW = ("tf.data with weights", "PyDataset with weights", "function of infinite tf.data")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.slow if kind in SLOW else pytest.mark.nightly)
        for kind in GIVEN
    ],
)
def test_members_see_what_one_call_of_model_fit_would_show_them(kind):
    make, steps = GIVEN[kind]
    trainer = trainer_of(make(), steps_per_epoch=steps)
    member = Member([0.4], seed=1)
    first, second = trainer.train([member, member])
    assert first.status == "completed", first.reason
    source = make()
    net, history = one_fit(trainer, member, source() if callable(source) else source, steps)
    assert_history(second, history)
    assert_equal_weights(Checkpoint.load(second.checkpoint).last, net.get_weights())
    assert first.curves.equals(second.curves)


@pytest.mark.slow
def test_masks_of_recurrent_layers_are_those_of_one_call_of_model_fit():
    # They draw masks when they are evaluated, too, which `Model.fit` does on no training sample.
    cells = keras.layers.SimpleRNN(6, recurrent_dropout=0.3)
    net = keras.Sequential([keras.Input((4,)), keras.layers.Reshape((4, 1)), cells])
    net.add(keras.layers.Dense(2, "softmax"))
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    trainer = trainer_of(SOURCES["tf.data"](X, Y), net)
    member = Member({}, seed=1)
    (trained,) = trainer.train([member])
    stock, history = one_fit(trainer, member, SOURCES["tf.data"](X, Y))
    assert_history(trained, history)
    assert_equal_weights(Checkpoint.load(trained.checkpoint).last, stock.get_weights())


@pytest.mark.slow
def test_a_source_is_asked_for_as_many_ends_of_epochs_as_by_one_call_of_model_fit():
    source, alone = Batched(X, Y), Batched(X, Y)
    trainer = trainer_of(source)
    source.epochs_ended = 0
    member = Member([0.4], seed=1)
    trainer.train([member])
    one_fit(trainer, member, alone)
    assert source.epochs_ended == alone.epochs_ended > EPOCHS


class Stops(keras.callbacks.Callback):
    """Stops in the second epoch, and halves the learning rate within each."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            self.model.optimizer.learning_rate = self.model.optimizer.learning_rate * 0.5

    def on_epoch_end(self, epoch, logs=None):
        assert logs["val_loss"] > 0 and self.params["steps"] == 5
        self.model.stop_training = epoch == 1


@pytest.mark.slow
def test_callbacks_and_schedules_act_on_streamed_members_as_in_model_fit():
    source = Batched(X, Y, endless=True)
    trainer = trainer_of(source, steps_per_epoch=5, callbacks=lambda member: [Stops()])
    (trained,) = trainer.train([Member([0.4], seed=1)])
    net, history = one_fit(trainer, Member([0.4], seed=1), source, 5, [Stops()])
    assert_history(trained, history)
    assert len(trained.curves) == 2
    assert_equal_weights(Checkpoint.load(trained.checkpoint).last, net.get_weights())
    scheduled = trainer_of(source, steps_per_epoch=5)
    (off,) = scheduled.train([Member([0.4], seed=1, schedule=EarlyDropout(epochs=1))])
    assert off.curves["rate_factor"].tolist() == [1, 0, 0]


@pytest.mark.slow
def test_models_with_several_inputs_and_outputs_train_on_streams():
    inputs = {"a": keras.Input([4], name="a"), "b": keras.Input([1], name="b")}
    hidden = keras.layers.Dropout(0.5)(keras.layers.Concatenate()(list(inputs.values())))
    outputs = {
        "mask": keras.layers.Dense(4, activation="sigmoid", name="mask")(hidden),
        "label": keras.layers.Dense(1, name="label")(hidden),
    }
    net = keras.Model(inputs, outputs)
    net.compile("adam", {"mask": "binary_crossentropy", "label": "mse"})
    target = Y[:, None].astype("float32")
    arrays = {"a": X, "b": target}, {"mask": (X > 0).astype("float32"), "label": target}
    data = as_dataset(tf_data(*arrays).batch(8), validation_data=arrays, max_bytes=0)
    settings = TrainSettings(epochs=2, **data.training_options)
    (trained,) = MemberTrainer(net, data, settings).train([Member([0.2], seed=0)])
    assert trained.status == "completed", trained.reason
    assert trained.curves["val_mask_loss"].notna().all()


class Breaks(Batched):
    """Raises an error in the fourth batch once it is trained on."""

    def __getitem__(self, number):
        if number == 3:
            raise OSError("no such file")
        return super().__getitem__(number)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "steps", "reason"),
    [
        (Breaks(X, Y), None, "no such file"),
        (lambda: generator(X, Y), 5, "Your input ran out of data"),
    ],
    ids=["raises", "ends too early"],
)
def test_a_source_that_fails_in_the_middle_makes_its_members_fail(source, steps, reason):
    trainer = trainer_of(source, steps_per_epoch=steps)
    trained = trainer.train([Member([0.4], seed=1), Member([0.2], seed=1)])
    assert [each.status for each in trained] == ["failed", "failed"]
    assert all(reason in each.reason for each in trained)


@pytest.mark.slow
def test_a_time_limit_ends_the_training_on_an_endless_source_between_two_batches():
    trainer = trainer_of(Batched(X, Y, endless=True), steps_per_epoch=10**9)
    with pytest.raises(OutOfTimeError), TimeLimit(3):
        trainer.train([Member([0.4], seed=0)])


def test_a_warning_says_that_model_fit_trains_on_streams():
    trainer = trainer_of(Batched(X, Y))
    with pytest.warns(UserWarning, match=r"the training examples are streamed from a keras\.utils"):
        trainer.start()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 16}, "expected batch_size=8 with streamed .* received 16"),
        ({"order": "shared"}, "expected order='paired' with streamed"),
        ({"class_weight": {0: 2.0}}, "expected class_weight=None with streamed"),
        ({"training_sample": "all"}, "training_sample of at most 20 examples"),
        ({"training_sample": 21}, "training_sample of at most 20 examples"),
    ],
)
def test_settings_that_need_all_examples_are_refused_before_any_training(settings, words):
    data = as_dataset(Batched(X, Y), validation_data=VALIDATION, max_bytes=0)
    with pytest.raises(ValueError, match=words):
        train_members(model(), [Member([0.4], seed=0)], data, epochs=1, **settings)


def test_members_on_another_split_or_from_a_checkpoint_are_refused(tmp_path):
    trainer = trainer_of(Batched(X, Y))
    for member in (
        Member([0.4], seed=0, split=1),
        Member([0.4], seed=0, weights=tmp_path / "0.npz", initial_epoch=1),
    ):
        with pytest.raises(ValueError, match="neither split nor continued"):
            trainer.train([member])


def test_targets_that_the_loss_does_not_take_are_refused_before_any_training():
    with pytest.raises(ValueError, match="its loss has to take their targets"):
        trainer_of(Batched(X, Y), build_mlp(input_shape=(4,), num_classes=2))


@pytest.mark.slow
def test_batches_of_changing_shape_train_on_a_stream():
    def batches():
        lengths = itertools.cycle([5, 5, 5, 9, 7])
        return ((X[:8, :1].repeat(n, axis=1)[..., None], Y[:8]) for n in lengths)

    signature = (tf.TensorSpec([None, None, 1]), tf.TensorSpec([None], tf.int64))
    source = tf.data.Dataset.from_generator(batches, output_signature=signature)
    net = keras.Sequential(
        [
            keras.Input([None, 1]),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dropout(0.4),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    net.compile("adam", "sparse_categorical_crossentropy")
    validation = next(batches())
    trainer = trainer_of(source, net, validation_data=validation, steps_per_epoch=5)
    (trained,) = trainer.train([Member([0.4], seed=0)])
    assert trained.status == "completed", trained.reason
