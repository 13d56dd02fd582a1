"""One call of stock `Model.fit` on the batches of a member, to compare members with."""

import numpy as np
import tensorflow as tf

from dropout_zoo.models import with_rates, with_runtime_rates
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.training import MemberTrainer, RateScheduler, TrainSettings
from dropout_zoo.training.engine.keras_fit import fit_member
from dropout_zoo.training.members import completed_rates
from dropout_zoo.training.seeding import seed_masks

EPOCHS = 3


def trainer_of(model, dataset, callbacks=None):
    settings = TrainSettings(epochs=EPOCHS, callbacks=callbacks)
    return MemberTrainer(model, dataset, settings, update="keras", keep_state=True)


def member_rates(model, member):
    """The rate of a member at every site of a model, by site path."""
    return completed_rates({site.path: site.rate for site in settable_sites(model)}, member)


def one_fit(trainer, member, callbacks=()):
    """The model after one call of stock `Model.fit` on the member's batches, and its history."""
    plan = trainer.plan
    rates = member_rates(plan.model, member)
    model = with_rates(plan.model, rates)
    model.set_weights(plan.start_weights(member.seed))
    if member.schedule is not None:
        model = with_runtime_rates(model)
        callbacks = [*callbacks, RateScheduler(member.schedule)]
    seed_masks(model, member.seed)
    x, y = plan.examples.train
    size, batches = plan.settings.batch_size, []
    for epoch in range(EPOCHS):
        order = plan.batch_order(member, rates, epoch)
        parts = np.split(order, range(size, len(order), size))
        batches += [(x[part], y[part]) for part in parts]
    signature = tuple(tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in (x, y))
    history = model.fit(
        tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature),
        shuffle=False,
        steps_per_epoch=len(batches) // EPOCHS,
        epochs=EPOCHS,
        validation_data=plan.examples.validation,
        validation_batch_size=plan.evaluation_batch_size,
        callbacks=list(callbacks),
        verbose=0,
    )
    return model, history.history


def both_ways(trainer, member):
    """The member as the engine trains it, and as `Model.fit` does epoch by epoch."""
    (by_engine,) = trainer.train([member])
    rates, make = member_rates(trainer.plan.model, member), trainer.plan.settings.callbacks
    callbacks = () if make is None else make(member)
    return by_engine, fit_member(trainer.plan, member, rates, 1000, callbacks)


def assert_equal_weights(one, other):
    for a, b in zip(one, other, strict=True):
        assert a.tobytes() == b.tobytes()


def assert_history(trained, history):
    for name in set(history) & set(trained.curves):
        assert list(trained.curves[name]) == history[name], name
    assert {"loss", "val_loss", "accuracy", "val_accuracy"} <= set(history)
