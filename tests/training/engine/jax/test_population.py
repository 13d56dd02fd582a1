"""Members vectorized on JAX: what `Model.fit` trains on that backend, to float tolerance.

Keras reads its backend once: functions that begin with `check` are run by one test, in a pytest
of their own.
"""

import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from everyday_models import features_by_name, multi_task
from keras import layers, optimizers
from stock_fit import member_rates, one_fit

from dropout_zoo.models import build_cnn, build_mlp, with_runtime_rates
from dropout_zoo.training import (
    CosineRamp,
    EarlyDropout,
    Member,
    MemberTrainer,
    TrainSettings,
    as_dataset,
)
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine import eligibility
from dropout_zoo.training.engine.eligibility import why_only_model_fit
from dropout_zoo.training.engine.interrupts import OutOfTimeError, TimeLimit
from dropout_zoo.training.engine.keras_fit import fit_member

SETTINGS = {"epochs": 3, "batch_size": 32}
MLP = {"units": (16, 8), "hidden_rates": (0.5, 0.3)}
# What compiles fast; the machine that runs the tests may have an accelerator that they are not for.
ON_JAX = {
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_backend_optimization_level=0",
}
NO_JAX = importlib.util.find_spec("jax") is None

WITHOUT_TENSORFLOW = """
import sys
import warnings

sys.modules["tensorflow"] = None  # as if it were not installed
from dropout_zoo.models import build_cnn, build_mlp, dropout_sites
from dropout_zoo.training import Dataset, Member, load_dataset, train_members

digits = load_dataset("digits")
(trained,) = train_members(build_mlp(), [Member({}, 0)], digits, epochs=2, batch_size=64)
assert trained.score < 2.3 and len(dropout_sites(trained.model())) == 2
few = Dataset.from_arrays(*((x[:20], y[:20]) for x, y in (digits.train, digits.test, digits.test)))
with warnings.catch_warnings(record=True) as issued:
    warnings.simplefilter("always")
    (trained,) = train_members(
        build_cnn(filters=(2, 2), units=(4,)), [Member({}, 0)], few, epochs=1, batch_size=10
    )
assert trained.status == "completed", trained.reason
assert any("convolutions" in str(warning.message) for warning in issued)
print("all is well")
"""


def on_jax(*command):
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **ON_JAX},
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )


@pytest.mark.skipif(NO_JAX, reason="jax is not installed")
@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param("not nightly", marks=pytest.mark.slow),
        pytest.param("nightly", marks=pytest.mark.nightly),
    ],
)
def test_members_on_jax_agree_with_fit(chosen):
    checks = ("-o", "python_functions=check_*", "-p", "no:cacheprovider", "-n", "0", "-m", chosen)
    done = on_jax("-m", "pytest", "-q", "--import-mode=importlib", *checks, __file__)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]


@pytest.mark.skipif(NO_JAX, reason="jax is not installed")
@pytest.mark.slow
def test_training_needs_no_tensorflow():
    done = on_jax("-c", WITHOUT_TENSORFLOW)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("all is well")


def noisy_net():
    """Every kind of dropout that needs no convolution, and metrics of several kinds."""
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Reshape((28, 28)),
            layers.SpatialDropout1D(0.2),
            layers.Flatten(),
            layers.GaussianNoise(0.1),
            layers.GaussianDropout(0.2),
            layers.Dense(16, "selu"),
            layers.AlphaDropout(0.2),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile(
        optimizer=optimizers.SGD(0.05, momentum=0.9, clipnorm=1.0),
        loss="categorical_crossentropy",
        metrics=[keras.metrics.AUC(name="auc")],
        weighted_metrics=["accuracy"],
    )
    return model


def adapted_net():
    """Statistics that no seed draws again."""
    normalize = layers.Normalization(axis=None)
    normalize.adapt(np.array([-2.0, 4.0]))
    stack = [keras.Input((28, 28)), normalize, layers.Flatten(), layers.Dropout(0.2)]
    model = keras.Sequential([*stack, layers.Dense(10, "softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    return model


MODELS = {
    "adapted": adapted_net,
    "mlp": lambda: build_mlp(**MLP),
    # The gradient of a bias before batch normalization is 0 but for rounding, which Adam would
    # turn into steps as large as any.
    "batch norm": lambda: build_mlp(
        **MLP, batch_norm="before_dropout", optimizer=optimizers.SGD(0.1)
    ),
    "l2 and max-norm": lambda: build_mlp(
        **MLP,
        kernel_regularizer=keras.regularizers.L2(1e-3),
        kernel_constraint=keras.constraints.MaxNorm(1.0),
    ),
    "adamw": lambda: build_mlp(**MLP, optimizer=optimizers.AdamW(1e-3)),
    "averaged": lambda: build_mlp(**MLP, optimizer=optimizers.SGD(0.1, use_ema=True)),
    "noisy net": noisy_net,
}


def trainer_of(model, dataset, **arguments):
    names = [field.name for field in dataclasses.fields(TrainSettings)]
    arguments = SETTINGS | {"keep_state": True} | arguments
    settings = {name: arguments.pop(name) for name in names if name in arguments}
    return MemberTrainer(model, dataset, TrainSettings(**settings), **arguments)


@pytest.fixture(scope="module")
def trainer(few_digits):
    """Serves several checks: compiling takes longer than what they train."""
    return trainer_of(build_mlp(**MLP), few_digits)


@pytest.fixture(scope="module")
def trainer_of_two(few_digits):
    return trainer_of(build_mlp(**MLP), few_digits, workers=2)


def assert_close(first, second, rtol=1e-4):
    assert first.status == second.status == "completed", (first.reason, second.reason)
    assert list(first.curves.columns) == list(second.curves.columns)
    assert first.best_epoch == second.best_epoch
    np.testing.assert_allclose(first.curves, second.curves, rtol=rtol)
    one, other = Checkpoint.load(first.checkpoint), Checkpoint.load(second.checkpoint)
    for kind in ("best", "last", "optimizer", "seeds"):
        for a, b in zip(getattr(one, kind), getattr(other, kind), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-3 * np.abs(a).max(), err_msg=kind)


@pytest.mark.parametrize(
    "name",
    [
        "mlp",
        "batch norm",
        "noisy net",
        # Compiling takes most of the time, and these add little.
        *(
            pytest.param(n, marks=pytest.mark.nightly)
            for n in ("l2 and max-norm", "adamw", "averaged")
        ),
    ],
)
def check_a_member_in_company_is_that_of_fit(name, few_digits):
    model = MODELS[name]()
    order = {"adamw": "independent", "noisy net": "shared"}.get(name, "paired")
    trainer = trainer_of(model, few_digits, class_weight={0: 3.0, 4: 0.5}, order=order)
    count = len(member_rates(model, Member({}, 0)))
    members = [Member([0.0] * count, seed=2), Member([0.4] * count, seed=1)]
    trained = trainer.train(members)[1]
    rates = member_rates(model, members[1])
    assert_close(trained, fit_member(trainer.plan, members[1], rates, 1000))


@pytest.mark.parametrize(
    "rates", [[0.4, 0.3], pytest.param([0.0, 0.3], marks=pytest.mark.nightly)], ids=str
)
def check_masks_of_recurrent_layers_are_those_of_one_fit(rates, few_digits):
    # They draw masks when they are evaluated, too, which `Model.fit` does on no training sample.
    stack = [layers.Reshape((28, 28)), layers.SimpleRNN(6, dropout=0.2, recurrent_dropout=0.3)]
    model = keras.Sequential([keras.Input((28, 28, 1)), *stack, layers.Dense(10, "softmax")])
    model.compile(optimizers.SGD(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    trainer = trainer_of(model, few_digits)
    member = Member(rates, seed=1)
    stock, history = one_fit(trainer, member)
    (trained,) = trainer.train([member])
    fitted = fit_member(trainer.plan, member, member_rates(model, member), 1000)
    for each in (trained, fitted):
        for name in ("loss", "val_loss"):
            np.testing.assert_allclose(each.curves[name], history[name], rtol=1e-4)
        for one, other in zip(
            Checkpoint.load(each.checkpoint).last, stock.get_weights(), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def convolutional_net():
    """Convolutions and pooling of several kinds, none of which the other models have."""
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(3, (3, 2), strides=2, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(4, 3, dilation_rate=2, activation="relu"),
            layers.MaxPooling2D(2, strides=1),
            layers.SpatialDropout2D(0.2),
            layers.Reshape((4, 4)),
            layers.Conv1D(4, 3, padding="same"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile(optimizers.SGD(0.05), "categorical_crossentropy", metrics=["accuracy"])
    return model


def check_convolutions_in_company_are_those_of_fit(few_digits, monkeypatch):
    # On a CPU they are slow, and left to Model.fit, but not wrong.
    monkeypatch.setattr(eligibility, "_CONVOLUTIONS", ())
    trainer = trainer_of(convolutional_net(), few_digits, epochs=2)
    members = [Member([0.0, 0.0], seed=2), Member([0.4, 0.2], seed=1)]
    trained = trainer.train(members)[1]
    rates = member_rates(trainer.plan.model, members[1])
    assert_close(trained, fit_member(trainer.plan, members[1], rates, 1000))


LAYERS = {
    f"{layer.__class__.__name__} {index}": layer
    for index, layer in enumerate(
        [
            layers.Conv2D(4, (3, 2), strides=(3, 1), activation="relu"),
            layers.Conv2D(4, (3, 2), padding="same", strides=2),
            layers.Conv2D(4, 3, padding="same", dilation_rate=(1, 2), use_bias=False),
            layers.Conv1D(4, 4, padding="same", strides=3),
            layers.Conv1D(4, 3, padding="causal"),
            layers.Conv2D(6, 3, groups=3),
            layers.MaxPooling2D(2),
            layers.MaxPooling2D((2, 3)),
            layers.MaxPooling2D(3, strides=2, padding="same"),
        ]
    )
}


@pytest.mark.parametrize("name", LAYERS)
def check_vectorized_layers_have_the_results_and_gradients_of_keras(name):
    import jax

    from dropout_zoo.training.engine.jax.vectorized_layers import vectorize_layers

    shape = (11, 3) if isinstance(LAYERS[name], layers.Conv1D) else (9, 8, 3)
    model = keras.Sequential([keras.Input(shape), LAYERS[name]])
    # Rounded, so that windows hold equal values, of which one gets the gradient.
    x = np.random.default_rng(0).normal(size=(3, *shape)).round(1).astype("float32")
    weights = [variable.value for variable in model.trainable_variables]

    def sum_of_results(weights, x):
        found, _ = model.stateless_call(weights, [], x)
        return (jax.numpy.sin(found) * jax.numpy.arange(found.size).reshape(found.shape)).sum()

    plain = jax.value_and_grad(sum_of_results, argnums=(0, 1))(weights, x)
    vectorize_layers(model)
    vectorized = jax.value_and_grad(sum_of_results, argnums=(0, 1))(weights, x)
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(vectorized), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(one).max())


def check_many_members_are_written_and_read_in_batches(trainer, monkeypatch):
    from dropout_zoo.training.engine.jax import slots

    members = [Member([0.1 * seed, 0.2], seed, epochs=1) for seed in range(5)]
    together = trainer.train(members)
    monkeypatch.setattr(slots, "_BYTES_PER_BATCH", 1)  # one member at a time
    alone = trainer.train(members)
    for one, other in zip(together, alone, strict=True):
        assert_close(one, other, rtol=0)


def check_adapted_statistics_are_kept(few_digits):
    (trained,) = trainer_of(adapted_net(), few_digits, epochs=1).train([Member({}, seed=1)])
    kept = trained.model().layers[0]
    assert [float(value) for value in kept.get_weights()] == [1.0, 9.0, 0.0]
    assert (keras.ops.convert_to_numpy(kept(np.full((1, 28, 28), 7.0))) == 2).all()


def check_company_and_number_of_slots_change_nothing(trainer, trainer_of_two):
    members = [
        Member([rate, 0.2], seed, epochs=epochs)
        for rate, seed, epochs in ((0.0, 0, 2), (0.3, 1, 3), (0.6, 0, 1), (0.3, 0, 3), (0.1, 2, 2))
    ]
    results = []
    together = trainer.train(members)
    in_two_slots = trainer_of_two.train(members, results.append)
    for one, other, member in zip(together, in_two_slots, members, strict=True):
        assert one.member is other.member is member
        assert len(one.curves) == member.epochs and one.seconds > 0
        assert_close(one, other)
    # The third takes over from the first, and ends with the second.
    assert [members.index(trained.member) for trained in results] == [0, 2, 1, 4, 3]


def check_members_of_one_seed_share_an_order_and_no_masks_with_another(trainer):
    same = [Member([0.3, 0.2], seed=0), Member([0.3, 0.2], seed=0)]
    shared = trainer.train(same)
    mixed = trainer.train([*same, Member([0.3, 0.2], seed=1)])
    assert_close(shared[0], shared[1], rtol=0)
    assert_close(shared[0], mixed[1])
    assert not np.allclose(mixed[0].curves["loss"], mixed[2].curves["loss"], rtol=1e-3)


def check_a_split_is_that_of_the_data_split_so_beforehand(few_digits):
    settings = TrainSettings(**SETTINGS)
    members = [Member([0.2, 0.2], seed, split=split) for seed, split in ((0, 0), (3, 2), (4, 2))]
    trained = MemberTrainer(build_mlp(**MLP), few_digits, settings).train(members)
    resplit = MemberTrainer(build_mlp(**MLP), few_digits.resplit(2), settings)
    for one, alone in zip(
        trained[1:], resplit.train([replace(m, split=0) for m in members[1:]]), strict=True
    ):
        np.testing.assert_allclose(one.curves, alone.curves, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [features_by_name, multi_task])
def check_several_inputs_and_outputs_are_those_of_fit(make):
    model, x, y, _ = make()
    data = as_dataset(x, y, validation_split=0.3)
    trainer = MemberTrainer(model, data, TrainSettings(**SETTINGS))
    members = [Member({}, seed) for seed in (0, 1)]
    for trained in trainer.train(members):
        rates = member_rates(trainer.plan.model, trained.member)
        assert_close(trained, fit_member(trainer.plan, trained.member, rates, 1000))


def check_a_member_that_continues_equals_one_that_was_not_interrupted(trainer):
    rates = [0.4, 0.2]
    (whole,) = trainer.train([Member(rates, seed=5, epochs=4)])
    (begun,) = trainer.train([Member(rates, seed=5, epochs=2)])
    rest = Member(rates, seed=5, epochs=4, initial_epoch=2, weights=begun.checkpoint)
    _, ended, done = trainer.train([Member([0.1, 0.1], seed=6), rest, replace(rest, epochs=2)])
    np.testing.assert_allclose(ended.curves["val_loss"], whole.curves["val_loss"], rtol=1e-4)
    assert done.status == "completed" and done.curves.equals(begun.curves)
    assert done.checkpoint.read_bytes() == begun.checkpoint.read_bytes()


def check_schedules_in_company_are_those_of_fit(trainer):
    about = {"seed": 1, "schedule": CosineRamp(2)}
    others = [Member([0.0, 0.2], seed=0), Member([0.3, 0.4], seed=1, schedule=EarlyDropout(1))]
    *company, whole = trainer.train([*others, Member([0.5, 0.4], **about)])
    (alone,) = trainer.train(others[:1])
    assert_close(company[0], alone)
    for trained in (company[1], whole):
        member = trained.member
        rates = member_rates(trainer.plan.model, member)
        assert_close(trained, fit_member(trainer.plan, member, rates, 1000))
    assert list(company[1].curves["rate_factor"]) == [1, 0, 0]
    (begun,) = trainer.train([Member([0.5, 0.4], **about, epochs=1)])
    rest = Member([0.5, 0.4], **about, initial_epoch=1, weights=begun.checkpoint)
    ended = trainer.train([*others, rest])[-1]
    np.testing.assert_allclose(ended.curves, whole.curves, rtol=1e-4)


def check_what_diverges_does_not_touch_the_others(trainer_of_two, tmp_path):
    (healthy,) = trainer_of_two.train([Member([0.3, 0.2], seed=0, epochs=1)])
    found = Checkpoint.load(healthy.checkpoint)
    last = [array.copy() for array in found.last]
    last[-1][:] = np.nan
    damaged = Checkpoint(found.best, last, found.optimizer, found.seeds).save(tmp_path / "nan.npz")
    goes_on = {"initial_epoch": 1, "epochs": 3}
    first, diverged, after = trainer_of_two.train(
        [
            Member([0.3, 0.2], seed=0, **goes_on, weights=healthy.checkpoint),
            Member([0.3, 0.2], seed=0, **goes_on, weights=damaged),
            Member([0.3, 0.2], seed=0, **goes_on, weights=healthy.checkpoint),
        ]
    )
    assert diverged.status == "diverged" and len(diverged.curves) == 1
    assert diverged.checkpoint is None
    assert_close(first, after)


def check_early_stopping_and_the_best_weights(few_digits):
    # With so large a learning rate the loss grows again long before the last epoch.
    model = build_mlp(**MLP, optimizer=optimizers.SGD(1.0))
    trainer = trainer_of(model, few_digits, epochs=40, patience=2, keep_state=False)
    stopped, other = trainer.train([Member([0.0, 0.0], seed=0), Member([0.5, 0.5], seed=1)])
    assert stopped.best_epoch == len(stopped.curves) - 2 < 38
    trainer_of_all = trainer_of(model, few_digits, epochs=40, patience=2)
    past = stopped.best_epoch + 1
    (begun,) = trainer_of_all.train([Member([0.0, 0.0], seed=0, epochs=past)])
    rest = Member([0.0, 0.0], seed=0, initial_epoch=past, weights=begun.checkpoint)
    (ended,) = trainer_of_all.train([rest])  # its patience counts on, its best weights are kept
    assert (ended.best_epoch, len(ended.curves)) == (stopped.best_epoch, len(stopped.curves))
    for one, two in zip(ended.model().get_weights(), stopped.model().get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-5)
    # What patience has ended is not trained on beside one that is.
    done = replace(rest, initial_epoch=len(ended.curves), weights=ended.checkpoint)
    again, _ = trainer_of_all.train([done, Member([0.5, 0.5], seed=1, epochs=2)])
    kept, state = (Checkpoint.load(each.checkpoint) for each in (ended, again))
    for one, two in zip([*kept.last, *kept.seeds], [*state.last, *state.seeds], strict=True):
        np.testing.assert_array_equal(one, two)
    x, y = few_digits.validation
    for trained in (stopped, other):
        measured = trained.model().evaluate(
            x, keras.utils.to_categorical(y, 10), verbose=0, return_dict=True
        )
        assert measured["loss"] == pytest.approx(trained.score, rel=1e-5)
        assert not Checkpoint.load(trained.checkpoint).optimizer


@pytest.mark.nightly
def check_members_with_callbacks_are_left_to_fit(few_digits):
    def halving(member):
        return [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)][: member.seed]

    trainer = trainer_of(build_mlp(**MLP), few_digits, callbacks=halving)
    with pytest.warns(UserWarning, match="because the engine on JAX calls no callbacks") as issued:
        trained = trainer.train([Member([0.2, 0.2], seed) for seed in (0, 1, 2)])
    assert len([each for each in issued if "callbacks" in str(each.message)]) == 1
    assert "learning_rate" not in trained[0].curves
    for result in trained[1:]:
        assert list(result.curves["learning_rate"]) == pytest.approx([5e-4, 2.5e-4, 1.25e-4])


def check_an_iterator_is_asked_between_epochs(trainer):
    results, asked_with = [], []

    def members():
        for number in range(5):
            asked_with.append(len(results))
            yield Member([0.1 * number, 0.2], seed=0, epochs=1)
            if number == 2:  # what follows depends on all that came before
                while len(results) < 3:
                    yield None

    trained = trainer.train(members(), results.append)
    assert [member.rates["hidden_1_dropout"] for member in trained] == [0.1 * n for n in range(5)]
    assert asked_with == [0, 0, 0, 3, 3]
    with pytest.raises(RuntimeError, match="None while none is being trained"):
        trainer.train(iter([None]))


def check_an_interrupt_leaves_the_trainer_usable(trainer):
    def interrupt(trained):
        raise KeyboardInterrupt

    members = [Member([0.2, 0.2], seed=0, epochs=1), Member([0.2, 0.2], seed=0)]
    with pytest.raises(KeyboardInterrupt):
        trainer.train(members, interrupt)
    one, other = trainer.train(members)
    assert (len(one.curves), len(other.curves)) == (1, 3)


def check_an_interrupt_does_not_wait_for_the_end_of_an_epoch(few_digits, monkeypatch):
    from dropout_zoo.training.engine.jax import epochs as vectorized

    calls = []

    def interrupted():
        calls.append(True)
        if len(calls) == 4:
            raise KeyboardInterrupt

    trainer = trainer_of(build_mlp(**MLP), few_digits, batch_size=5)
    member = Member([0.2, 0.2], seed=0, epochs=1)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(vectorized, "check_interrupt", interrupted)
        patched.setattr(vectorized, "_SECONDS_PER_CALL", 0.0)  # one step per call, of the thirty
        trainer.train([member] * 2)
    assert len(calls) == 4
    (again,), (whole,) = (
        each.train([member])
        for each in (trainer, trainer_of(build_mlp(**MLP), few_digits, batch_size=5))
    )
    pd.testing.assert_frame_equal(again.curves, whole.curves)


def check_a_time_limit_leaves_the_trainer_usable(trainer):
    members = [Member([0.2, 0.2], seed=0)]
    with pytest.raises(OutOfTimeError), TimeLimit(0):
        trainer.train(members)
    (trained,) = trainer.train(members)
    assert len(trained.curves) == 3


def check_memory_is_estimated_from_above(trainer, monkeypatch):
    import jax

    from dropout_zoo.training.engine.jax import population

    trainer.train([Member({}, 0, epochs=1)])
    epochs = trainer._engine._epochs
    one = (*epochs.current(), epochs._metrics)
    two = jax.tree.map(lambda value: jax.numpy.stack([value] * 2), one)
    orders = jax.numpy.zeros((2, 150), "int32")
    program = epochs._train._jitted.lower(two, epochs._data[0], orders, 0, 4, size=32)
    used = program.compile().memory_analysis()
    a_member = (used.argument_size_in_bytes + used.temp_size_in_bytes) / 2
    data = sum(array.nbytes for array in jax.tree.leaves(epochs._data))
    estimated = epochs.bytes_per_member() + data
    assert a_member < estimated < 10 * a_member
    assert population.members_that_fit(2**40) == 1
    assert population.members_that_fit(2**20) == 2048  # JAX does not tell on a CPU

    class Device:
        def memory_stats(self):
            return {"bytes_limit": 10 * 2**20, "bytes_in_use": 5 * 2**20}

    monkeypatch.setattr(jax, "local_devices", lambda: [Device()])
    assert population.members_that_fit(2**20) == 4


@pytest.mark.parametrize("name", MODELS)
def check_what_can_be_lifted_has_no_reason_against_it(name):
    model = MODELS[name]()
    assert why_only_model_fit(model) is None
    assert with_runtime_rates(model).optimizer is not model.optimizer


def check_what_cannot_be_vectorized_is_left_to_fit(few_digits):
    @keras.saving.register_keras_serializable("tests")
    class Branches(layers.Layer):
        def call(self, x, training=False):
            return x if training and bool(keras.ops.any(x > 2)) else x * 1.0

    stack = [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dropout(0.1), Branches()]
    model = keras.Sequential([*stack, layers.Dense(10, "softmax")])
    model.compile("sgd", "categorical_crossentropy", jit_compile=False)
    assert "jit_compile=False" in why_only_model_fit(model)
    model.compile("sgd", "categorical_crossentropy", jit_compile=True)
    with pytest.warns(UserWarning, match="Model.fit trains the members"):
        trainer_of(model, few_digits).train([Member({}, 0, epochs=1)])
    assert re.search("convolutions such as 'conv", why_only_model_fit(build_cnn()))
