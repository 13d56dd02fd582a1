"""Keras's callbacks for members do what they do in one call of stock `Model.fit`."""

import csv
import itertools

import numpy as np
import pytest
from keras import callbacks
from stock_fit import assert_equal_weights, assert_history, both_ways, one_fit, trainer_of

from dropout_zoo.models import build_mlp
from dropout_zoo.training import EarlyDropout, Member, RateScheduler

MLP = {"units": (16, 8), "hidden_rates": (0.5, 0.3)}
NEVER_BETTER = {"min_delta": 10.0, "patience": 1}
SHARED = callbacks.EarlyStopping()


class Batches(callbacks.Callback):
    """Counts batches, and halves the learning rate after the third of each epoch."""

    def on_train_begin(self, logs=None):
        self.seen = {"train": 0, "test": 0}

    def on_train_batch_end(self, batch, logs=None):
        self.seen["train"] += 1
        assert logs["loss"] > 0
        if batch == 2:
            self.model.optimizer.learning_rate = self.model.optimizer.learning_rate * 0.5

    def on_test_batch_end(self, batch, logs=None):
        self.seen["test"] += 1

    def on_epoch_end(self, epoch, logs=None):
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        self.losses = self.model.history.history.get("val_loss", [])
        assert len(self.losses) == epoch
        if epoch == 1:
            self.model.stop_training = True


def fails(epoch, logs):
    raise ArithmeticError("no such epoch")


class Made:
    """The callbacks of members by label, and what they leave behind."""

    def __init__(self, folder):
        self.folder, self.numbers, self.by_label = folder, itertools.count(), {}

    def __call__(self, member):
        made = self.by_label[member.label] = list(getattr(self, member.label.replace(" ", "_"))())
        return made

    def logged(self, *before):
        file = self.folder / f"{next(self.numbers)}.csv"
        return [*before, callbacks.CSVLogger(file)]

    def plateau(self):
        return self.logged(callbacks.ReduceLROnPlateau(**NEVER_BETTER, factor=0.3))

    def schedule(self):
        return self.logged(callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5))

    def stopping(self):
        return self.logged(callbacks.EarlyStopping(**NEVER_BETTER, restore_best_weights=True))

    def plain(self):
        return []

    def batches(self):
        return self.logged(Batches())

    def not_a_number(self):
        divergent = callbacks.LearningRateScheduler(lambda epoch: 1e38)
        return [divergent, callbacks.TerminateOnNaN()]

    def raising(self):
        return [callbacks.LambdaCallback(on_epoch_end=fails)]

    def no_list(self):
        return callbacks.EarlyStopping()

    def shared(self):
        return [SHARED]

    def one_file(self):
        return [callbacks.CSVLogger(self.folder / "one.csv")]

    def rates(self):
        return [RateScheduler(EarlyDropout(1))]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Made(tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="module")
def trainer(few_digits, made):
    return trainer_of(build_mlp(**MLP), few_digits, made)


def member(label, seed=3, **arguments):
    return Member([0.4, 0.2], seed, label=label, **arguments)


def rows(file):
    with open(file, newline="") as lines:
        return list(csv.reader(lines))


def assert_like_one_fit(trainer, made, of):
    """Compare both ways to train a member with stock `Model.fit`; return their results."""
    trained = both_ways(trainer, of)
    stock, history = one_fit(trainer, of, made(of))
    first = next(made.numbers) - 3
    expected = rows(made.folder / f"{first + 2}.csv")
    for way, result in enumerate(trained):
        assert result.status == "completed", result.reason
        assert_history(result, history)
        assert len(result.curves) == len(history["loss"])
        final = result.final_model()
        assert_equal_weights(final.get_weights(), stock.get_weights())
        variables = zip(final.optimizer.variables, stock.optimizer.variables, strict=True)
        assert all(np.array_equal(one, other) for one, other in variables)
        assert rows(made.folder / f"{first + way}.csv") == expected
    assert len(expected) == 1 + len(history["loss"])
    return trained, history


def test_a_plateau_reduces_the_learning_rate_as_in_one_fit(trainer, made):
    trained, history = assert_like_one_fit(trainer, made, member("plateau"))
    assert history["learning_rate"] == pytest.approx([1e-3, 1e-3, 3e-4])
    for result in trained:
        assert list(result.curves["learning_rate"]) == history["learning_rate"]
