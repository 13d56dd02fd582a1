"""Training code of a model's own trains in the engine only if it is seen to do so as in `fit`."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from stock_fit import member_rates

from dropout_zoo.training import Member, MemberTrainer, TrainSettings, as_dataset
from dropout_zoo.training.engine.base import EngineOptions
from dropout_zoo.training.engine.keras_fit import FitEngine, fit_member
from dropout_zoo.training.engine.selection import start_engine
from dropout_zoo.training.engine.tensorflow import loop
from dropout_zoo.training.engine.tensorflow.loops import LoopEngine

random = np.random.default_rng(0)
X = random.normal(size=(60, 6))
Y = X[:, :3].argmax(axis=1)


class OwnStep(keras.Model):
    """Its loss is multiplied by a factor of each subclass."""

    def train_step(self, data):
        x, y = data
        factor = self.factor()
        with tf.GradientTape() as tape:
            loss = factor * self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.after(loss)
        return {"value": loss}

    def after(self, loss):
        """Do nothing."""


class CallsNumpy(OwnStep):
    def factor(self):
        return self.trainable_variables[0].value.numpy().mean()


class CountsTraces(OwnStep):
    """Every model of a process has another factor."""

    traces = 0

    def factor(self):
        CountsTraces.traces += 1
        return CountsTraces.traces


class DrawsWhenTraced(OwnStep):
    def factor(self):
        return np.random.default_rng().uniform()


class ReadsRate(OwnStep):
    """The engine traces the step once for all rates."""

    def factor(self):
        return 1 + self.get_layer("drop").rate


class DrawsWithoutSeed(OwnStep):
    def factor(self):
        return tf.random.uniform([])


class CreatesAWeight(OwnStep):
    def factor(self):
        if not hasattr(self, "scale"):
            self.scale = self.add_weight(shape=(), initializer="ones", trainable=False)
        return self.scale


class CreatesAVariable(OwnStep):
    def factor(self):
        if not hasattr(self, "scale"):
            self.scale = tf.Variable(1.0)
        self.scale.assign_add(0.5)
        return self.scale


class CountsItsTraces(OwnStep):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.traces = 0

    def factor(self):
        self.traces += 1
        return self.traces


class KeepsATotal(OwnStep):
    """The total is not reset after an epoch, but a new member starts without."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.total = keras.metrics.Sum(name="total")

    def factor(self):
        return 1 / (1 + self.total.result())

    def after(self, loss):
        self.total.update_state(loss)

    def reset_metrics(self):
        """Keep the total."""


def made(kind):
    inputs = keras.Input((6,))
    x = layers.Dropout(0.3, name="drop")(layers.Dense(8, activation="relu")(inputs))
    model = kind(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def trainer_of(model):
    data = as_dataset(X, Y, validation_split=0.3)
    return MemberTrainer(model, data, TrainSettings(epochs=2), update="keras", workers=1)


OTHER_RESULTS = "expected the curves and weights that Model.fit gives, received others"
LEFT_TO_FIT = {
    ReadsRate: OTHER_RESULTS,
    CountsTraces: OTHER_RESULTS,
    DrawsWhenTraced: OTHER_RESULTS,
    DrawsWithoutSeed: "follow from a seed.* RandomUniform",
    CreatesAWeight: "received one with 1 that the step creates",
    CreatesAVariable: "1 variables or tables that Keras does not track",
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.slow if kind is ReadsRate else pytest.mark.nightly)
        for kind in LEFT_TO_FIT
    ],
)
def test_code_that_trains_otherwise_in_the_engine_is_left_to_fit(kind):
    plan = trainer_of(made(kind)).plan
    with pytest.warns(UserWarning, match=f"Model.fit trains the members.*{LEFT_TO_FIT[kind]}"):
        assert isinstance(start_engine(plan, EngineOptions()), FitEngine)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", [CountsItsTraces, KeepsATotal])
def test_state_of_the_code_is_that_of_each_member(kind):
    trainer = trainer_of(made(kind))
    assert isinstance(start_engine(trainer.plan, EngineOptions()), LoopEngine)
    members = [Member([0.1], 0), Member([0.4], 1), Member([0.4], 1)]
    trained = trainer.train(members)
    assert trained[1].curves.equals(trained[2].curves)
    fitted = fit_member(trainer.plan, members[1], member_rates(trainer.plan.model, members[1]), 9)
    assert trained[1].curves.equals(fitted.curves)
    assert {"value", "train_loss", "val_loss"} <= set(fitted.curves)


class StepsOfTheGuide(keras.Model):
    """Each returns the results of the compiled metrics as one value, which is a dict."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return self.updated(loss, y, y_pred)

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        return self.updated(self.compute_loss(y=y, y_pred=y_pred), y, y_pred)

    def updated(self, loss, y, y_pred):
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


@pytest.mark.slow
def test_steps_that_return_the_results_of_all_compiled_metrics_at_once_train_in_the_engine():
    model = made(StepsOfTheGuide)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    trainer = trainer_of(model)
    assert isinstance(start_engine(trainer.plan, EngineOptions()), LoopEngine)
    member = Member([0.4], 1)
    (trained,) = trainer.train([member])
    fitted = fit_member(trainer.plan, member, member_rates(trainer.plan.model, member), 9)
    assert trained.curves.equals(fitted.curves)
    assert {"loss", "accuracy", "train_accuracy", "val_accuracy"} <= set(trained.curves)


class RefusesGraphs(keras.Model):
    """Its step runs in every graph but those of loops, which have no numbers of examples."""

    def train_step(self, data):
        logs = super().train_step(data)
        frames = inspect.stack()
        if any(frame.filename == loop.__file__ for frame in frames):
            tf.debugging.assert_less(logs["loss"], 0.0, "not in a loop")
        return logs


@pytest.mark.slow
def test_a_warning_says_why_training_fails_in_the_engine_only():
    plan = trainer_of(made(RefusesGraphs)).plan
    with pytest.warns(UserWarning, match="as with Model.fit, received .*not in a loop"):
        assert isinstance(start_engine(plan, EngineOptions()), FitEngine)


@pytest.mark.slow
def test_code_that_fit_cannot_run_is_refused_before_any_training():
    trainer = trainer_of(made(CallsNumpy))
    with pytest.raises(ValueError, match=r"expected a model that Model\.fit can train.* numpy"):
        trainer.train([Member({}, 0)])


class FixesSeeds(keras.Model):
    """Seeds in code, which no configuration has."""

    def __init__(self):
        super().__init__()
        seeded = keras.initializers.GlorotUniform(seed=1)
        self.dense = layers.Dense(3, kernel_initializer=seeded, name="seeded")
        self.dropout, self.last = layers.Dropout(0.2, seed=2), layers.Dense(3)

    def call(self, x, training=False):
        return self.last(self.dropout(self.dense(x), training=training))


def test_initial_weights_that_code_fixes_are_named():
    model = FixesSeeds()
    model.compile("adam", "mse")
    with pytest.warns(UserWarning, match="received '[^,]*seeded/kernel', which .* same values"):
        MemberTrainer(model, as_dataset(X, X[:, :3]), TrainSettings())


class HasALayerOfItsOwn(keras.Model):
    """No initializer has a seed; the bias of an LSTM has ones for one gate, and zeros."""

    def __init__(self):
        super().__init__()
        self.lstm, self.last = layers.LSTM(3, dropout=0.2), layers.Dense(3)

    def call(self, x, training=False):
        return self.last(self.lstm(x[..., None], training=training))


def test_biases_of_two_constants_are_no_initial_weights_that_code_fixes(recwarn):
    model = HasALayerOfItsOwn()
    model.compile("adam", "mse")
    MemberTrainer(model, as_dataset(X, X[:, :3]), TrainSettings())
    assert not [w for w in recwarn if "initial weights" in str(w.message)]


def test_the_unbuilt_model_of_a_caller_stays_unbuilt():
    model = keras.Sequential([layers.Dense(4), layers.Dropout(0.2), layers.Dense(3)])
    model.compile("adam", "sparse_categorical_crossentropy")
    trainer = MemberTrainer(model, as_dataset(X, Y), TrainSettings())
    assert not model.built
    assert trainer.plan.model.built
