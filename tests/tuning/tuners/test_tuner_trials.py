"""Trials of `DropoutTuner`: what trains each of them, and from which weights it starts."""

import re
import warnings
from contextlib import contextmanager
from typing import ClassVar

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from keras_tuner import oracles
from nets import Scaled

from dropout_zoo.models import dropout_sites
from dropout_zoo.training import Dataset, MemberTrainer, TrainSettings
from dropout_zoo.tuning import DropoutHyperModel, DropoutTuner
from dropout_zoo.tuning.tuners import trial_trainers

random = np.random.default_rng(0)
X, Y = random.normal(size=(24, 3)).astype("float32"), random.normal(size=(24, 1)).astype("float32")
DATA = Dataset.from_arrays((X, Y), (X, Y), (X, Y))
BY_MODEL_FIT = "ignore:Model.fit trains"


def net(rate=0.2, *, inner=(), **compiled):
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4), *inner, layers.Dropout(rate), layers.Dense(1)]
    )
    model.compile(**{"optimizer": "sgd", "loss": "mse"} | compiled)
    return model


def tuner_of(tmp_path, hypermodel, *, kind=DropoutTuner, objective="val_loss", **arguments):
    oracle = oracles.GridSearchOracle(objective, max_consecutive_failed_trials=99, seed=1)
    return kind(oracle, hypermodel, directory=tmp_path, **arguments)


@contextmanager
def warned(match):
    """A block in which one warning is given; those of KerasTuner's own code do not count."""
    with pytest.warns(UserWarning, match=match) as seen:
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
    assert len([each for each in seen if each.category is UserWarning]) == 1


def scores(tuner, name="g"):
    """The score of each trial by the value of a hyperparameter."""
    trials = tuner.oracle.trials.values()
    assert {trial.status for trial in trials} == {"COMPLETED"}
    return {trial.hyperparameters.get(name): trial.score for trial in trials}


def sum_of_first_kernels(model):
    return float(np.abs(model.layers[0].get_weights()[0]).sum())


@pytest.fixture
def trainers(monkeypatch):
    """Counts the trainers that a search makes."""
    made = []

    class Counted(MemberTrainer):
        def __init__(self, *args, **kwargs):
            made.append(self)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(trial_trainers, "MemberTrainer", Counted)
    return made


def enclosing(factor):
    factor = ops.convert_to_tensor(factor)
    return lambda y_true, y_pred: factor * ops.mean((y_true - y_pred) ** 2, axis=-1)


def traced_loss(factor):
    @tf.function
    def scaled(y_true, y_pred):  # not a lambda, whose name Keras does not take
        return factor * ops.mean((y_true - y_pred) ** 2, axis=-1)

    return scaled


def times(factor):
    return lambda x: x * factor


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, step):
        return 0.001 * self.factor


class Shifted(keras.metrics.MeanSquaredError):
    """A metric whose configuration leaves out its shift."""

    def __init__(self, shift=1.0, **settings):
        super().__init__(**{"name": "mse"} | settings)
        self.shift = shift

    def result(self):
        return super().result() + self.shift


DIFFERENT = {
    "loss": lambda g: {"loss": Scaled(g)},
    "tensor": lambda g: {"loss": enclosing(g)},
    "traced loss": lambda g: {"loss": traced_loss(g)},
    "lambda": lambda g: {"inner": [layers.Lambda(times(ops.convert_to_tensor(g)))]},
    "traced": lambda g: {"inner": [layers.Lambda(tf.function(times(g)))]},
    "traced activation": lambda g: {"inner": [layers.Dense(4, tf.function(times(g)))]},
    "schedule": lambda g: {"optimizer": keras.optimizers.SGD(Falling(g))},
    "metric": lambda g: {"metrics": [Shifted(g)]},
}


@pytest.mark.filterwarnings(BY_MODEL_FIT)
@pytest.mark.parametrize(
    "part",
    [part if part == "loss" else pytest.param(part, marks=pytest.mark.slow) for part in DIFFERENT],
)
def test_trials_with_different_custom_code_get_their_own_scores(tmp_path, part):
    def build(hp):
        return net(**DIFFERENT[part](hp.Choice("g", [1.0, 100.0])))

    objective = keras_tuner.Objective("val_mse" if part == "metric" else "val_loss", "min")
    tuner = tuner_of(tmp_path, build, objective=objective)
    keras.utils.set_random_seed(0)  # Model.fit, which trains some, draws the order of the data
    tuner.search(DATA)
    found = scores(tuner)
    assert found[100.0] != pytest.approx(found[1.0], rel=0.01)
    if part == "metric":
        assert found[100.0] - found[1.0] == pytest.approx(99, abs=0.1)


factor_of_all = 1.0


def scaled_by_a_global(y_true, y_pred):
    return factor_of_all * ops.mean((y_true - y_pred) ** 2, axis=-1)


class TimesItsFactor(layers.Layer):
    factor = 1.0

    def call(self, x):
        return x * self.factor


class WithState(keras_tuner.HyperModel):
    """A hypermodel whose later builds change what the loss or a layer of earlier models reads."""

    others = ("self", "dict", "global", "layer", "class")
    factor = 1.0

    def __init__(self, part):
        super().__init__()
        self.part = part
        self.factors = {}

    def build(self, hp):
        global factor_of_all
        self.factor = factor_of_all = TimesItsFactor.factor = self.factors["g"] = hp.Choice(
            "g", [1.0, 100.0]
        )
        factors = self.factors
        return {
            "method": lambda: net(loss=self.scaled),
            "self": lambda: net(loss=lambda t, p: self.factor * ops.mean((t - p) ** 2, axis=-1)),
            "dict": lambda: net(loss=lambda t, p: factors["g"] * ops.mean((t - p) ** 2, axis=-1)),
            "global": lambda: net(loss=scaled_by_a_global),
            "layer": lambda: net(inner=[layers.Lambda(lambda x: x * self.factor)]),
            "class": lambda: net(inner=[TimesItsFactor()]),
        }[self.part]()

    def scaled(self, y_true, y_pred):
        return self.factor * ops.mean((y_true - y_pred) ** 2, axis=-1)


@pytest.mark.filterwarnings(BY_MODEL_FIT)
@pytest.mark.parametrize(
    "part",
    ["method", *(pytest.param(part, marks=pytest.mark.slow) for part in WithState.others)],
)
def test_what_a_later_build_changes_does_not_reach_earlier_trials(tmp_path, part):
    tuner = tuner_of(tmp_path, WithState(part), parallel_trials=4)
    tuner.search(X, Y, validation_data=(X, Y), epochs=1, verbose=0)
    found = scores(tuner)
    assert found[100.0] > 2 * found[1.0]


def test_trials_whose_models_are_shown_to_be_equal_share_a_trainer(tmp_path, trainers):
    def build(hp):
        return net(hp.Choice("g", [0.1, 0.3, 0.5]), loss=enclosing(2.0))  # an unnamed Dropout

    tuner = tuner_of(tmp_path, build)
    tuner.search(DATA)
    assert len(set(scores(tuner).values())) == 3
    assert len(trainers) == 1


class Opaque:
    """Holds a number where it cannot be read."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


def opaque(value):
    held = Opaque(value)
    return lambda y_true, y_pred: held.value * ops.mean((y_true - y_pred) ** 2)


@pytest.mark.slow
def test_models_that_cannot_be_read_are_trained_alone(tmp_path, trainers):
    tuner = tuner_of(tmp_path, lambda hp: net(loss=opaque(hp.Choice("g", [1.0, 100.0]))))
    tuner.search(DATA)
    assert scores(tuner)[100.0] > 10 * scores(tuner)[1.0]
    assert len(trainers) == 2


@pytest.mark.slow
def test_a_model_whose_rates_alone_vary_has_one_trainer(tmp_path, trainers):
    tuner = tuner_of(tmp_path, DropoutHyperModel(net(loss=opaque(3.0)), [0.1, 0.5]))
    tuner.search(DATA)
    assert (len(tuner.results), len(trainers)) == (2, 1)


def pretrained(value):
    def build(hp):
        model = net(hp.Choice("g", [0.1, 0.3]), optimizer=keras.optimizers.SGD(0.0))
        model.layers[0].set_weights([np.full((3, 4), value), np.zeros(4)])
        return model

    return build


def test_weights_that_a_build_function_sets_are_kept(tmp_path, trainers):
    tuner = tuner_of(tmp_path, pretrained(7.0))
    tuner.search(DATA)
    assert sum_of_first_kernels(tuner.get_best_models()[0]) == 7 * 12
    assert len(trainers) == 1


@pytest.mark.slow
def test_weights_are_drawn_from_the_seed_on_request(tmp_path):
    tuner = tuner_of(tmp_path, pretrained(7.0))
    tuner.search(DATA, initial_weights="fresh")
    assert sum_of_first_kernels(tuner.get_best_models()[0]) < 12


@pytest.mark.slow
def test_each_trial_starts_from_its_own_weights(tmp_path):
    def build(hp):
        return pretrained(hp.Choice("v", [2.0, 5.0]))(hp)

    tuner = tuner_of(tmp_path, build)
    tuner.search(DATA)
    for trial in tuner.oracle.trials.values():
        value = trial.hyperparameters.get("v")
        assert sum_of_first_kernels(tuner.load_model(trial)) == 12 * value


@pytest.mark.slow
@pytest.mark.parametrize("initial_weights", ["fresh", "keep"])
def test_a_hypermodel_decides_which_weights_trials_start_from(tmp_path, initial_weights):
    model = pretrained(7.0)(keras_tuner.HyperParameters())
    wanted = DropoutHyperModel(model, [0.1], initial_weights=initial_weights)
    tuner = tuner_of(tmp_path, wanted)
    tuner.search(DATA)
    kept = sum_of_first_kernels(tuner.get_best_models()[0]) == 7 * 12
    assert kept == (initial_weights == "keep")
    other = tuner_of(tmp_path / "other", wanted)
    other.search(DATA, initial_weights="keep")  # what a search is told comes first
    assert sum_of_first_kernels(other.get_best_models()[0]) == 7 * 12


@pytest.mark.slow
def test_the_seed_determines_what_is_built_and_global_state_is_restored(tmp_path):
    def build(hp):
        return net(hp.Choice("g", [0.1, 0.3]))

    found = []
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        tuner = tuner_of(tmp_path / name, build, seed=seed)
        keras.utils.set_random_seed(len(found))
        tuner.search(DATA)
        found.append((scores(tuner), np.random.random()))
        keras.utils.set_random_seed(len(found) - 1)
        assert found[-1][1] == np.random.random()
    assert found[0][0] == found[1][0] != found[2][0]


@pytest.mark.slow
def test_a_build_of_a_subclass_is_called(tmp_path):
    class Wider(DropoutHyperModel):
        def build(self, hp):
            model = super().build(hp)
            model.compile(keras.optimizers.SGD(hp.Choice("rate", [0.0, 0.1])), "mse")
            return model

    tuner = tuner_of(tmp_path, Wider(net(), [0.2]))
    tuner.search(DATA)
    assert len(set(scores(tuner, "rate").values())) == 2


def test_a_run_trial_of_a_subclass_is_called_with_its_arguments(tmp_path):
    class Own(DropoutTuner):
        def run_trial(self, trial, *args, offset):
            return {"val_loss": trial.hyperparameters.Choice("x", [1, 2]) + offset + sum(args)}

    hp = keras_tuner.HyperParameters()
    hp.Choice("x", [1, 2])
    oracle = oracles.GridSearchOracle("val_loss", hyperparameters=hp)
    tuner = Own(oracle, directory=tmp_path)
    tuner.search(1, offset=10)
    assert scores(tuner, "x") == {1: 12, 2: 13}
    with pytest.raises(ValueError, match="received `hypermodel=None`"):
        tuner_of(tmp_path, None)


@pytest.mark.slow
def test_a_run_trial_may_call_that_of_the_tuner(tmp_path):
    class Own(DropoutTuner):
        def run_trial(self, trial, *args, **kwargs):
            kwargs["epochs"] = trial.hyperparameters.Choice("epochs", [1, 3])
            return super().run_trial(trial, *args, **kwargs)

    tuner = tuner_of(tmp_path, lambda hp: net(hp.Choice("g", [0.2])), kind=Own)
    tuner.search(DATA)
    assert len(tuner.get_best_models(1)) == 1


@pytest.mark.slow
def test_a_fit_of_a_hypermodel_is_called(tmp_path):
    class Fits(keras_tuner.HyperModel):
        def build(self, hp):
            return net(hp.Choice("g", [0.1, 0.2]))

        def fit(self, hp, model, *args, **kwargs):
            batch_size = hp.Choice("batch", [8, 16])
            return model.fit(*args, batch_size=batch_size, **kwargs)

    tuner = tuner_of(tmp_path, Fits())
    with warned("because Fits has a custom fit"):
        tuner.search(X, Y, validation_data=(X, Y))
    assert set(scores(tuner, "batch")) == {8, 16}


def without_input(hp):
    model = keras.Sequential(
        [layers.Dense(4), layers.Dropout(hp.Choice("g", [0.1, 0.4])), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    return model


def test_the_best_models_of_a_sequential_without_input_are_loaded(tmp_path):
    tuner = tuner_of(tmp_path, without_input)
    tuner.search(DATA)
    for each in (tuner, tuner_of(tmp_path, without_input)):
        best = each.get_best_models()[0]
        measured = best.evaluate(X, Y, verbose=0)
        assert measured == pytest.approx(each.oracle.get_best_trials()[0].score, rel=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings(BY_MODEL_FIT)
def test_a_subclassed_model_is_trained_by_model_fit(tmp_path):
    class Own(keras.Model):
        def __init__(self, rate):
            super().__init__()
            self.dropout, self.dense = layers.Dropout(rate), layers.Dense(1)

        def build(self, shape):
            self.dense.build(shape)
            super().build(shape)

        def call(self, x, training=False):
            return self.dense(self.dropout(x, training=training))

    def build(hp):
        model = Own(hp.Choice("g", [0.1, 0.4]))
        model.compile("sgd", "mse")
        return model

    tuner = tuner_of(tmp_path, build)
    tuner.search(DATA)
    best = tuner.get_best_models()[0]
    measured = best.evaluate(X, Y, verbose=0)
    assert measured == pytest.approx(min(scores(tuner).values()), rel=1e-5)


@pytest.mark.slow
def test_early_stopping_on_the_objective_needs_no_model_fit(tmp_path):
    tuner = tuner_of(tmp_path, lambda hp: net(hp.Choice("g", [0.2]), optimizer="sgd"))
    stopping = keras.callbacks.EarlyStopping(patience=2)
    tuner.search(X, 100 * Y, validation_data=(X, -Y), epochs=20, callbacks=[stopping])
    (result,) = tuner.results.values()
    assert len(result.curves) == result.best_epoch + 2
    with pytest.raises(ValueError, match="either patience or EarlyStopping"):
        tuner.search(X, Y, validation_data=(X, Y), patience=1, callbacks=[stopping])


def test_callbacks_that_are_copied_are_no_function(tmp_path):
    with pytest.raises(TypeError, match="a list of callbacks, which are copied"):
        tuner_of(tmp_path, lambda hp: net()).search(DATA, callbacks=lambda member: [])


class Noted(keras.callbacks.Callback):
    epochs: ClassVar = []  # shared by the copies that each trial gets

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(epoch)


@pytest.mark.slow
def test_other_callbacks_require_model_fit(tmp_path):
    Noted.epochs.clear()
    tuner = tuner_of(tmp_path, lambda hp: net(hp.Choice("g", [0.1, 0.2])))
    with warned("Model.fit trains .* because Noted is a callback"):
        tuner.search(DATA, epochs=2, callbacks=[Noted()])
    assert Noted.epochs == [0, 1, 0, 1]
    best = tuner.get_best_models()[0]
    measured = best.evaluate(X, Y, verbose=0)
    assert measured == pytest.approx(min(scores(tuner).values()), rel=1e-5)


@pytest.mark.filterwarnings(BY_MODEL_FIT)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epoch": 3}, TypeError, "received 'epoch'; did you mean 'epochs'?"),
        ({"executions_per_trial": 2}, TypeError, "received 'executions_per_trial'"),
        ({"learning_rate": 0.1}, ValueError, "expected no learning_rate where Model.fit trains"),
    ],
)
def test_arguments_that_model_fit_does_not_take_are_refused(tmp_path, arguments, error, message):
    tuner = tuner_of(tmp_path, lambda hp: net(hp.Choice("g", [0.1, 0.2])))
    with pytest.raises(error, match=re.escape(message)):
        tuner.search(DATA, callbacks=[Noted()], **arguments)
    assert not tuner.oracle.trials


@pytest.mark.filterwarnings(BY_MODEL_FIT)
def test_a_search_by_model_fit_that_trained_nothing_is_an_error(tmp_path):
    class Failing(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            raise ArithmeticError("by design")

    tuner = tuner_of(tmp_path, lambda hp: net(hp.Choice("g", [0.1, 0.2])))
    with pytest.raises(RuntimeError, match="every trial failed: ArithmeticError: by design"):
        tuner.search(DATA, callbacks=[Failing()])


def test_a_trained_model_whose_weights_are_drawn_anew_is_warned_of(tmp_path):
    model = net()
    model.fit(X, Y, verbose=0)
    told = "The model was trained before. Its weights are drawn anew"
    with warned(told):
        tuner_of(tmp_path, model)
    with warned(told):
        DropoutHyperModel(model, [0.1])
    DropoutHyperModel(model, [0.1], initial_weights="keep")


@pytest.mark.slow
def test_several_objectives_are_summed(tmp_path):
    objective = ["val_loss", keras_tuner.Objective("val_mae", "min")]
    tuner = tuner_of(
        tmp_path, lambda hp: net(hp.Choice("g", [0.1]), metrics=["mae"]), objective=objective
    )
    with warned("several objectives"):
        tuner.search(DATA)
    (trial,) = tuner.oracle.trials.values()
    parts = [trial.metrics.get_last_value(name) for name in ("val_loss", "val_mae")]
    assert trial.score == pytest.approx(sum(parts))


@pytest.mark.slow
def test_hooks_of_a_subclass_are_called(tmp_path):
    class Own(DropoutTuner):
        ended = 0

        def on_epoch_end(self, trial, model, epoch, logs=None):
            self.ended += 1

    tuner = tuner_of(tmp_path, lambda hp: net(hp.Choice("g", [0.1])), kind=Own)
    with warned("Own has a custom on_epoch_end"):
        tuner.search(DATA, epochs=3)
    assert tuner.ended == 3


@pytest.mark.slow
@pytest.mark.parametrize("build", [False, True])
def test_a_score_is_the_mean_of_its_executions(tmp_path, build):
    hypermodel = (
        (lambda hp: net(hp.Choice("g", [0.2]))) if build else DropoutHyperModel(net(), [0.2])
    )
    alone = []
    for seed in (5, 6):
        tuner = tuner_of(tmp_path / str(seed), hypermodel, seed=seed)
        tuner.search(DATA)
        alone.append(tuner.oracle.get_best_trials()[0].score)
    assert alone[0] != alone[1]
    tuner = tuner_of(tmp_path / "both", hypermodel, seed=5, executions_per_trial=2)
    tuner.search(DATA)
    assert tuner.oracle.get_best_trials()[0].score == pytest.approx(np.mean(alone))
    measured = tuner.get_best_models()[0].evaluate(X, Y, verbose=0)
    assert measured == pytest.approx(min(alone), rel=1e-5)


@pytest.mark.slow
def test_models_are_compiled_with_the_arguments_of_the_tuner(tmp_path):
    tuner = tuner_of(
        tmp_path,
        DropoutHyperModel(net(), [0.1, 0.3]),
        objective="val_mean_absolute_error",
        optimizer=keras.optimizers.Adam(0.5),
        loss="mae",
        metrics=["mean_absolute_error"],
    )
    tuner.search(DATA)
    best = tuner.get_best_models()[0]
    assert (type(best.optimizer), best.loss) == (keras.optimizers.Adam, "mae")


@pytest.mark.slow
def test_a_model_that_is_too_large_fails_alone(tmp_path):
    def build(hp):
        return net(inner=[layers.Dense(hp.Choice("g", [2, 50]))])

    tuner = tuner_of(tmp_path, build, max_model_size=100)
    tuner.search(DATA)
    status = {t.hyperparameters.get("g"): t.status for t in tuner.oracle.trials.values()}
    assert status == {2: "COMPLETED", 50: "FAILED"}


def test_what_is_not_supported_is_refused_at_the_start(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="expected distribution_strategy=None, received object"):
        tuner_of(tmp_path, net(), distribution_strategy=object())
    with pytest.raises(ValueError, match="expected executions_per_trial"):
        tuner_of(tmp_path, net(), executions_per_trial=0)
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    with pytest.raises(ValueError, match="expected one process"):
        tuner_of(tmp_path, net())


@pytest.mark.slow
@pytest.mark.filterwarnings(BY_MODEL_FIT)
def test_hyperband_continues_trials_with_model_fit(tmp_path):
    Noted.epochs.clear()
    oracle = oracles.HyperbandOracle("val_loss", max_epochs=2, factor=2, seed=1)
    tuner = DropoutTuner(oracle, lambda hp: net(hp.Float("g", 0.1, 0.5)), directory=tmp_path)
    tuner.search(DATA, callbacks=[Noted()])
    trials = tuner.oracle.trials.values()
    assert {trial.status for trial in trials} == {"COMPLETED"}
    epochs = [(t.hyperparameters.get("tuner/initial_epoch"), t.hyperparameters.get("tuner/epochs"))
              for t in trials]  # fmt: skip
    assert Noted.epochs == [epoch for first, end in epochs for epoch in range(first, end)]


def test_attention_without_dropout_is_not_searched(tmp_path):
    class Block(layers.Layer):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.attention = layers.MultiHeadAttention(1, 2)

        def build(self, shape):
            self.attention.build(shape, shape)
            super().build(shape)

        def call(self, x):
            return self.attention(x, x)

    inputs = keras.Input((3, 2))
    x = layers.Dropout(0.2, name="drop")(Block(name="block")(inputs))
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x)))
    model.compile("sgd", "mse")
    assert len(dropout_sites(model)) == 2
    assert list(DropoutHyperModel(model).space.choices) == ["drop"]
    named = DropoutHyperModel(model, {"block/attention/dropout_layer": [0.1, 0.9]})
    assert list(named.space.choices) == ["block/attention/dropout_layer", "drop"]


@pytest.mark.slow
def test_search_with_trains_the_rates_of_any_build(tmp_path):
    model = net()
    trainer = MemberTrainer(model, DATA, TrainSettings(epochs=1))
    tuner = tuner_of(tmp_path, lambda hp: net(hp.Choice("g", [0.1, 0.4])))
    tuner.search_with(trainer)
    assert sorted(rate for r in tuner.results.values() for rate in r.rates.values()) == [0.1, 0.4]


@pytest.mark.parametrize("objective", ["loss", ["val_loss", keras_tuner.Objective("mae", "min")]])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of KerasTuner's dependencies
@pytest.mark.filterwarnings(BY_MODEL_FIT)
def test_an_objective_that_is_measured_with_dropout_on_is_warned_of(tmp_path, objective):
    tuner = tuner_of(
        tmp_path, lambda hp: net(hp.Choice("g", [0.1]), metrics=["mae"]), objective=objective
    )
    with pytest.warns(UserWarning, match=r"'(loss|mae)', a metric of the training examples, mea"):
        tuner.search(DATA)
