"""Members that train on a source of batches as it is: what one call of `Model.fit` would do."""

import itertools

import pytest
from batch_sources import SOURCES, WEIGHT, Batched, X, Y, generator, tf_data
from stock_fit import assert_equal_weights, assert_history

from dropout_zoo.models import build_mlp, with_rates
from dropout_zoo.training import Member, MemberTrainer, TrainSettings, as_dataset
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.seeding import seed_masks, seeded_globals

pytestmark = pytest.mark.filterwarnings("ignore:Model.fit trains the members")
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


# What is given as the data, and what makes the same source for stock `Model.fit`.
GIVEN = {
    "tf.data": (lambda: SOURCES["tf.data"](X, Y), None),
    "tf.data with weights": (lambda: SOURCES["tf.data"](X, Y, WEIGHT), None),
    "PyDataset": (lambda: Batched(X, Y), None),
    "PyDataset with weights": (lambda: Batched(X, Y, WEIGHT), None),
    "DataLoader": (lambda: SOURCES["DataLoader"](X, Y), None),
    "function of shuffled tf.data": (lambda: lambda: shuffled(X, Y), None),
    "function of shuffled PyDataset": (lambda: lambda: Batched(X, Y, shuffles=True), None),
    "infinite tf.data": (lambda: SOURCES["tf.data"](X, Y).repeat(), 5),
    "function of infinite shuffled tf.data": (lambda: lambda: shuffled(X, Y).repeat(), 5),
    "infinite PyDataset": (lambda: Batched(X, Y, endless=True), 5),
    "function of endless generator": (lambda: endless_generator, 5),
    "steps within an epoch": (lambda: SOURCES["tf.data"](X[:48], Y[:48]), 3),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_members_see_what_one_call_of_model_fit_would_show_them(kind):
    make, steps = GIVEN[kind]
    trainer = trainer_of(make(), steps_per_epoch=steps)
    member = Member([0.4], seed=1)
    first, other, trained = trainer.train([member, Member([0.1], seed=2), member])
    assert not first.reason and not trained.reason
    source = make()
    net, history = one_fit(trainer, member, source if not callable(source) else source(), steps)
    assert_history(trained, history)
    assert_equal_weights(Checkpoint.load(trained.checkpoint).last, net.get_weights())
    assert first.curves.equals(trained.curves) and not first.curves.equals(other.curves)
