"""Keras's callbacks for members do what they do in one call of stock `Model.fit`."""

import csv
import itertools
from functools import partial

import numpy as np
import pytest
from keras import callbacks
from stock_fit import assert_equal_weights, assert_history, both_ways, one_fit, trainer_of

from dropout_zoo.models import build_mlp
from dropout_zoo.training import EarlyDropout, Member, RateScheduler, TrainSettings

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
        made = self.by_label[member.label] = getattr(self, member.label.replace(" ", "_"))()
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

    def within_an_epoch(self):
        return [callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]

    def not_a_number(self, **arguments):
        divergent = callbacks.LearningRateScheduler(lambda epoch: 1e38)
        return [divergent, callbacks.TerminateOnNaN(**arguments)]

    def not_a_number_at_all(self):
        return self.not_a_number(raise_error=True)

    def raising(self):
        return [callbacks.LambdaCallback(on_epoch_end=fails)]

    def no_list(self):
        return callbacks.EarlyStopping()

    def shared(self):
        return [SHARED]

    def one_file(self):
        return [callbacks.CSVLogger(self.folder / "one.csv")]

    def own_file(self):
        return [callbacks.CSVLogger(self.folder / "own.csv")]

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


def assert_like_one_fit(trainer, made, of, ways=2):
    """Compare a member as the engine, and as `Model.fit`, trains it with one stock `Model.fit`."""
    first = next(made.numbers) + 1
    trained = both_ways(trainer, of) if ways == 2 else trainer.train([of])
    stock, history = one_fit(trainer, of, made(of))
    expected = rows(made.folder / f"{first + ways}.csv")
    assert len(expected) == 1 + len(history["loss"])
    for way, result in enumerate(trained):
        assert result.status == "completed", result.reason
        assert_history(result, history)
        assert list(result.curves.get("learning_rate", [])) == history.get("learning_rate", [])
        final = result.final_model()
        assert_equal_weights(final.get_weights(), stock.get_weights())
        variables = zip(final.optimizer.variables, stock.optimizer.variables, strict=True)
        assert all(np.array_equal(one, other) for one, other in variables)
        assert rows(made.folder / f"{first + way}.csv") == expected
    return trained, history


def test_a_plateau_reduces_the_learning_rate_as_in_one_fit(trainer, made):
    _, history = assert_like_one_fit(trainer, made, member("plateau"), ways=1)
    assert history["learning_rate"] == pytest.approx([1e-3, 1e-3, 3e-4])


@pytest.mark.slow
def test_a_schedule_of_the_learning_rate_is_that_of_one_fit(trainer, made):
    _, history = assert_like_one_fit(trainer, made, member("schedule"), ways=1)
    assert history["learning_rate"] == pytest.approx([5e-4, 2.5e-4, 1.25e-4])


@pytest.mark.slow
def test_early_stopping_ends_and_restores_as_in_one_fit(trainer, made):
    trained, history = assert_like_one_fit(trainer, made, member("stopping"))
    assert len(history["loss"]) == 2
    for result in trained:  # the best epoch is that of the objective, which knows no min_delta
        assert result.best_epoch == 1 + int(np.argmin(history["val_loss"]))
        assert not np.array_equal(result.model().get_weights(), result.final_model().get_weights())


@pytest.mark.slow
def test_a_callback_for_batches_makes_model_fit_train_the_member(trainer, made):
    with pytest.warns(UserWarning, match="Model.fit trains members .* callback Batches may act"):
        _, history = assert_like_one_fit(trainer, made, member("batches"))
    assert len(history["loss"]) == 2
    assert made.by_label["batches"][0].seen == {"train": 2 * 5, "test": 2}


@pytest.mark.slow
def test_members_with_and_without_callbacks_share_an_engine(trainer, made):
    """Learning rates, weights and an end that callbacks set last no longer than their member."""
    labels = ["stopping", "plain", "not a number", "not a number at all", "within an epoch"]
    labels += ["raising", "plateau", "plain"]
    with pytest.warns(UserWarning, match="callback LambdaCallback has on_train_batch_end"):
        trained = trainer.train([member(label, seed) for seed, label in enumerate(labels)])
    assert [result.member.label for result in trained] == labels
    assert [len(result.curves) for result in trained] == [2, 3, 1, 0, 3, 1, 3, 3]
    status = {result.member.label: (result.status, result.reason) for result in trained}
    assert status["raising"] == ("failed", "ArithmeticError: no such epoch")
    assert status["not a number"][0] == "diverged"
    assert status["not a number at all"][1].startswith("RuntimeError: NaN or Inf loss")
    for place in (1, 7):
        (alone,) = trainer.train([member("plain", place)])
        assert alone.curves.equals(trained[place].curves)


REFUSED = {
    "no list": (TypeError, "a list of keras.callbacks.Callback .*EarlyStopping"),
    "shared": (ValueError, "new callbacks for each member, .* the same EarlyStopping"),
    "one file": (ValueError, "a file for each member, received .*one.csv for two"),
    "rates": (ValueError, "without RateScheduler, .* a schedule"),
}


@pytest.mark.parametrize("label", REFUSED)
def test_callbacks_that_members_cannot_have_are_refused_before_training(label, trainer, made):
    kind, words = REFUSED[label]
    with pytest.raises(kind, match=words):
        trainer.train([member("plain", 1), member(label, 1), member(label, 2)])


@pytest.mark.slow
def test_a_member_that_is_trained_again_writes_its_file_again(trainer, made):
    for _ in range(2):
        trainer.train([member("own file", epochs=2)])
    assert len(rows(made.folder / "own.csv")) == 1 + 2


def test_a_list_of_callbacks_is_refused():
    with pytest.raises(TypeError, match=r"a function .* callbacks=lambda member: .* type list"):
        TrainSettings(callbacks=[callbacks.EarlyStopping()])
    with pytest.raises(TypeError, match=r"a function of the member, .* takes \(\)"):
        TrainSettings(callbacks=lambda: [callbacks.EarlyStopping()])


@pytest.mark.slow
def test_a_member_with_callbacks_is_not_continued(trainer):
    (begun,) = trainer.train([member("plain", epochs=1)])
    with pytest.raises(ValueError, match="continues with callbacks, whose state"):
        trainer.train([member("plain", initial_epoch=1, weights=begun.checkpoint)])


def stopping_after(epochs):
    return lambda member: [callbacks.EarlyStopping(patience=epochs)]


def scaled(by, member):
    return [callbacks.LearningRateScheduler(lambda epoch: by / (1 + epoch))]


def test_the_record_tells_other_callbacks_apart():
    functions = [
        None,
        stopping_after(3),
        stopping_after(4),
        partial(scaled, 0.1),
        partial(scaled, 0.2),
        lambda member: [callbacks.LearningRateScheduler(lambda epoch: 0.1 / (1 + epoch))],
        lambda member: [callbacks.LearningRateScheduler(lambda epoch: 0.1 / (2 + epoch))],
    ]
    records = [TrainSettings(callbacks=each).describe()["callbacks"] for each in functions]
    assert records[0] is None
    assert len(set(records)) == len(functions)
    assert TrainSettings(callbacks=stopping_after(3)).describe()["callbacks"] == records[1]
