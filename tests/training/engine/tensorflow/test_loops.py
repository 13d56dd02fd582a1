"""The engine: what it trains is what `Model.fit` trains, alone or in company."""

import _thread
import re
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, optimizers
from nets import split_settings
from scipy import stats
from stock_fit import member_rates

from dropout_zoo.models import build_cnn, build_mlp, with_runtime_rates
from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.training import Member, MemberTrainer, train_members
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.eligibility import why_only_model_fit
from dropout_zoo.training.engine.keras_fit import fit_member
from dropout_zoo.training.engine.tensorflow.fused_update import FUSED, fused, gains_from_fusion
from dropout_zoo.training.engine.tensorflow.threads import prepare_threads

SETTINGS = {"epochs": 3, "batch_size": 32, "update": "keras"}
MLP = {"units": (16, 8), "hidden_rates": (0.5, 0.3)}
CLASSES = 10


def compiled(*stack, optimizer="adam", **arguments):
    model = keras.Sequential([keras.Input((28, 28, 1)), *stack])
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", **arguments)
    return model


def noisy_net():
    """Augmentation, every kind of dropout, a nested model, and metrics of several kinds."""
    convolutions = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Conv2D(4, 5, 2), layers.SpatialDropout2D(0.2)]
    )
    return compiled(
        layers.RandomTranslation(0.1, 0.1),
        layers.GaussianNoise(0.1),
        convolutions,
        layers.Flatten(),
        layers.GaussianDropout(0.2),
        layers.Dense(16, "selu"),
        layers.AlphaDropout(0.2),
        layers.Dense(CLASSES, "softmax"),
        optimizer=optimizers.SGD(0.05, momentum=0.9, clipnorm=1.0),
        metrics=["accuracy", keras.metrics.AUC(name="auc")],
        weighted_metrics=["accuracy"],
    )


def masked_net():
    """Rows of an image without ink are masked, and left out of the average."""
    return compiled(
        layers.Reshape((28, 28)),
        layers.Masking(0.0),
        layers.Dropout(0.2, noise_shape=(None, 1, 28)),
        layers.GlobalAveragePooling1D(),
        layers.Dense(16, "relu"),
        layers.Dropout(0.3),
        layers.Dense(CLASSES, "softmax"),
    )


def bfloat16_net():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return build_mlp(**MLP)
    finally:
        keras.config.set_dtype_policy(before)


class AttentionBlock(layers.Layer):
    """As in many examples: inner layers made in `__init__`, and no `get_config`."""

    def __init__(self, dim, rate):
        super().__init__()
        self.attention = layers.MultiHeadAttention(2, dim, dropout=rate)
        self.inner = keras.Sequential([layers.Dense(dim, "relu"), layers.Dropout(rate)])
        self.dropout = layers.Dropout(rate)

    def call(self, x, training=False):
        y = self.attention(x, x, training=training)
        return self.inner(x + self.dropout(y, training=training), training=training)


def attention_net():
    """Dropout inside attention, and inside a custom layer."""
    image = keras.Input((28, 28, 1))
    x = layers.Dropout(0.1)(layers.Reshape((28, 28))(image))
    x = AttentionBlock(28, 0.3)(x)
    x = layers.Dense(CLASSES, "softmax")(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(image, x)
    model.compile("adam", "categorical_crossentropy")
    return model


def dot_product_attention_net():
    """Attention that drops its own weights."""
    image = keras.Input((28, 28, 1))
    rows = layers.Reshape((28, 28))(image)
    x = layers.Attention(dropout=0.2, use_scale=True)([rows, rows])
    x = layers.AdditiveAttention(dropout=0.3)([x, layers.Dropout(0.1)(rows)])
    model = keras.Model(image, layers.Dense(CLASSES, "softmax")(layers.Flatten()(x)))
    model.compile("adam", "categorical_crossentropy")
    return model


def cells_net():
    """Every kind of cell with dropout, in its own layer, in both directions and stacked."""
    image = keras.Input((28, 28, 1))
    x = layers.Dropout(0.1)(layers.Reshape((14, 56))(image))
    x = layers.Bidirectional(
        layers.LSTM(4, return_sequences=True, dropout=0.2, recurrent_dropout=0.2)
    )(x)
    x = layers.SimpleRNN(6, return_sequences=True, dropout=0.1)(x)
    cells = [layers.GRUCell(5, recurrent_dropout=0.3), layers.GRUCell(4, dropout=0.3)]
    x = layers.Dropout(0.2)(layers.RNN(cells)(x))
    model = keras.Model(image, layers.Dense(CLASSES, "softmax")(x))
    model.compile("adam", "categorical_crossentropy")
    return model


MODELS = {
    "attention": attention_net,
    "cells": cells_net,
    "dot-product attention": dot_product_attention_net,
    "mlp": lambda: build_mlp(**MLP),
    "cnn": lambda: build_cnn(filters=(4, 8), units=(16,)),
    "batch norm": lambda: build_mlp(**MLP, batch_norm="before_dropout"),
    "l2 and max-norm": lambda: build_mlp(
        **MLP,
        kernel_regularizer=keras.regularizers.L2(1e-3),
        kernel_constraint=keras.constraints.MaxNorm(1.0),
    ),
    "adamw": lambda: build_mlp(**MLP, optimizer=optimizers.AdamW(1e-3)),
    "schedule": lambda: build_mlp(
        **MLP, optimizer=optimizers.RMSprop(optimizers.schedules.CosineDecay(1e-2, 15))
    ),
    "noisy net": noisy_net,
    "masks": masked_net,
    "mixed_bfloat16": bfloat16_net,
}


@pytest.fixture(scope="module", autouse=True)
def single_threaded_kernels():
    assert prepare_threads(), "expected conftest.py to call prepare_threads() before any model"


def trainer_of(model, dataset, **arguments):
    settings, others = split_settings(SETTINGS | {"keep_state": True} | arguments)
    return MemberTrainer(model, dataset, settings, **others)


def by_fit(trainer, member, number):
    model = trainer.plan.model
    return fit_member(trainer.plan, member, member_rates(model, member), 1000 + number)


def assert_identical(first, second):
    assert first.status == second.status == "completed", (first.reason, second.reason)
    assert first.curves.equals(second.curves)
    assert list(first.curves.columns) == list(second.curves.columns)
    assert (first.best_epoch, first.score) == (second.best_epoch, second.score)
    one, other = Checkpoint.load(first.checkpoint), Checkpoint.load(second.checkpoint)
    for kind in ("best", "last", "optimizer"):
        for a, b in zip(getattr(one, kind), getattr(other, kind), strict=True):
            assert a.tobytes() == b.tobytes(), kind


FIRST = ("mlp",)
"""The others take long, and go through the same code but for their layers and optimizers."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in FIRST)) for name in MODELS]
)
def test_members_equal_fit_bit_for_bit(name, few_digits):
    model = MODELS[name]()
    trainer = trainer_of(model, few_digits, class_weight={0: 3.0, 4: 0.5}, workers=2)
    count = len(member_rates(model, Member({}, 0)))
    # The second one finds a loop that has just trained the other, or the other way round; its
    # first site drops nothing.
    members = [Member([0.4] * count, seed=1), Member([0.0] + [0.1] * (count - 1), seed=2)]
    for number, trained in enumerate(trainer.train(members)):
        assert_identical(trained, by_fit(trainer, members[number], number))


@pytest.fixture(scope="module")
def trainer_of_mlp(few_digits):
    return trainer_of(build_mlp(**MLP), few_digits)


@pytest.mark.slow
def test_a_rate_of_0_equals_fit(trainer_of_mlp):
    member = Member([0.0, 0.3], seed=1)
    (trained,) = trainer_of_mlp.train([member])
    assert_identical(trained, by_fit(trainer_of_mlp, member, 0))


@pytest.mark.slow
def test_other_members_order_and_number_of_loops_change_nothing(few_digits):
    model = build_mlp(**MLP)
    members = [Member([rate, 0.2], seed) for rate in (0.0, 0.6) for seed in (0, 1)]
    alone = [
        *trainer_of(model, few_digits, workers=1).train(members[:1]),
        *trainer_of(model, few_digits, workers=1).train(members[1:]),
    ]
    reversed_order = trainer_of(model, few_digits, workers=3).train(members[::-1])
    for one, other in zip(alone, reversed_order[::-1], strict=True):
        assert one.member is other.member
        assert_identical(one, other)


@pytest.mark.slow
def test_models_with_state_unknown_to_keras_are_left_to_fit(few_digits):
    @keras.saving.register_keras_serializable("tests")
    class Counts(layers.Layer):
        """No member could be given its count anew."""

        def __init__(self, **arguments):
            super().__init__(**arguments)
            count = tf.Variable(0.0)
            self.holder = lambda: count

        def call(self, x):
            self.holder().assign_add(1.0)
            return x + 0.001 * self.holder()

    stack = (layers.Flatten(), layers.Dropout(0.2), Counts(), layers.Dense(CLASSES, "softmax"))
    trainer = trainer_of(compiled(*stack), few_digits)
    with pytest.warns(UserWarning, match="1 variables or tables that Keras does not track"):
        one, other = trainer.train([Member([0.2], seed=0), Member([0.2], seed=0)])
    assert_identical(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["tensorflow", "numpy"])
def test_models_with_unseeded_noise_are_left_to_fit(few_digits, noise):
    def from_numpy(x):
        return tf.numpy_function(lambda a: a + np.float32(np.random.rand()), [x], tf.float32)

    @keras.saving.register_keras_serializable("tests")
    class Noise(layers.Layer):
        def call(self, x):
            drawn = x + tf.random.normal(tf.shape(x)) if noise == "tensorflow" else from_numpy(x)
            return tf.ensure_shape(drawn, x.shape)

    stack = (layers.Flatten(), layers.Dropout(0.2), Noise(), layers.Dense(CLASSES, "softmax"))
    trainer = trainer_of(compiled(*stack), few_digits, workers=1)
    called = {"tensorflow": "RandomStandardNormal", "numpy": "PyFunc"}[noise]
    with pytest.warns(UserWarning, match=f"random numbers follow from a seed.* {called}"):
        trainer.train([Member([0.2], seed=0)])


@pytest.mark.parametrize("update", ["keras", pytest.param("auto", marks=pytest.mark.slow)])
def test_a_member_that_continues_equals_one_that_was_not_interrupted(update, few_digits):
    model = build_mlp(**MLP, batch_norm="after_dropout")
    trainer = trainer_of(model, few_digits, update=update, workers=1)
    rates = [0.4, 0.2]
    (whole,) = trainer.train([Member(rates, seed=5, epochs=4)])
    (begun,) = trainer.train([Member(rates, seed=5, epochs=2)])
    rest = Member(rates, seed=5, epochs=4, initial_epoch=2, weights=begun.checkpoint)
    ended = trainer.train([Member([0.1, 0.1], seed=6), rest])[1]
    assert_identical(whole, ended)
    assert whole.checkpoint.read_bytes() == ended.checkpoint.read_bytes()


def test_patience_counts_on_and_the_best_weights_are_kept(few_digits):
    # With so large a learning rate the loss grows again long before the last epoch.
    model = build_mlp(**MLP, optimizer=optimizers.SGD(1.0))
    trainer = trainer_of(model, few_digits, epochs=40, patience=3, workers=1)
    rates = [0.0, 0.0]
    (whole,) = trainer.train([Member(rates, seed=0)])
    assert len(whole.curves) == whole.best_epoch + 3 < 40
    for epochs in (whole.best_epoch + 1, len(whole.curves)):  # not improved since, and ended
        (begun,) = trainer.train([Member(rates, seed=0, epochs=epochs)])
        rest = Member(rates, seed=0, initial_epoch=epochs, weights=begun.checkpoint)
        (ended,) = trainer.train([rest])
        assert_identical(whole, ended)
        assert whole.checkpoint.read_bytes() == ended.checkpoint.read_bytes()


@pytest.mark.slow
def test_a_member_that_diverges_or_fails_does_not_affect_the_others(few_digits, tmp_path):
    @keras.saving.register_keras_serializable("tests")
    class RefusesLargeValues(layers.Layer):
        def call(self, x):
            large = tf.where(tf.math.is_nan(x), 0.0, tf.abs(x))
            tf.debugging.assert_less(tf.reduce_max(large), 1e6, "too large a value")
            return x

    model = compiled(
        layers.Flatten(), RefusesLargeValues(), layers.Dropout(0.3), layers.Dense(8, "relu"),
        RefusesLargeValues(), layers.Dense(CLASSES, "softmax"),
    )  # fmt: skip
    trainer = trainer_of(model, few_digits, workers=2)
    (healthy,) = trainer.train([Member([0.3], seed=0, epochs=1)])
    found = Checkpoint.load(healthy.checkpoint)

    def damaged(name, index, value):
        last = [array.copy() for array in found.last]
        last[index][:] = value
        return Checkpoint(found.best, last, found.optimizer, found.seeds).save(tmp_path / name)

    goes_on = {"initial_epoch": 1, "epochs": 3}
    members = [
        Member([0.3], seed=0, **goes_on, weights=healthy.checkpoint),
        Member([0.3], seed=0, **goes_on, weights=damaged("nan.npz", -1, np.nan)),
        Member([0.3], seed=0, **goes_on, weights=damaged("large.npz", 0, 1e8)),
        Member([0.3], seed=0, **goes_on, weights=healthy.checkpoint),
    ]
    first, diverged, failed, last = trainer.train(members)
    assert_identical(first, last)
    assert diverged.status == "diverged" and len(diverged.curves) == 1
    assert failed.status == "failed" and "too large a value" in failed.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        optimizers.Adam,
        pytest.param(optimizers.SGD, marks=pytest.mark.slow),
        pytest.param(optimizers.RMSprop, marks=pytest.mark.slow),
    ],
)
def test_a_member_that_diverges_leaves_no_trace_in_a_fused_update(few_digits, tmp_path, make):
    trainer = trainer_of(
        build_mlp(**MLP, optimizer=make(1e-3)), few_digits, update="auto", workers=1
    )
    (healthy,) = trainer.train([Member([0.3, 0.3], seed=0, epochs=1)])
    found = Checkpoint.load(healthy.checkpoint)
    lost = [np.full_like(array, np.nan) for array in found.last]
    damaged = Checkpoint(found.best, lost, found.optimizer, found.seeds).save(tmp_path / "nan.npz")
    diverged, after = trainer.train(
        [
            Member([0.3, 0.3], seed=0, initial_epoch=1, epochs=2, weights=damaged),
            Member([0.3, 0.3], seed=0, epochs=1),
        ]
    )
    assert diverged.status == "diverged"
    assert_identical(healthy, after)


@pytest.mark.slow
@pytest.mark.parametrize("make", [optimizers.Adam, optimizers.RMSprop])
def test_fused_updates_give_the_same_scores_over_twenty_seeds(digits, make):
    members = [Member([0.5, 0.3], seed) for seed in range(20)]
    scores = {}
    for update in ("keras", "auto"):
        model = build_mlp(units=(64, 32), optimizer=make(1e-2))
        settings = {"epochs": 5, "batch_size": 32, "update": update}
        results = train_members(model, members, digits, **settings)
        scores[update] = np.array([result.score for result in results])
    differences = scores["auto"] - scores["keras"]
    assert np.any(differences != 0), "expected another kernel"
    low, high = stats.t.interval(0.95, 19, differences.mean(), stats.sem(differences))
    assert low < 0 < high
    assert high - low < 2 * scores["keras"].std(), "an interval that could show a difference"


@pytest.mark.slow
def test_runs_that_cannot_be_continued_are_reported(few_digits):
    (ended,) = trainer_of(build_mlp(**MLP), few_digits, keep_state=False, workers=1).train(
        [Member([0.3, 0.3], seed=0, epochs=1)]
    )
    trainer = trainer_of(build_mlp(**MLP), few_digits, workers=1)
    goes_on = {"initial_epoch": 1, "epochs": 2}
    with pytest.raises(ValueError, match="keep_state=True"):
        trainer.train([Member([0.3, 0.3], seed=0, **goes_on, weights=ended.checkpoint)])
    with pytest.raises(ValueError, match="expected weights to continue from at initial_epoch=1"):
        trainer.train([Member([0.3, 0.3], seed=0, **goes_on)])


@pytest.mark.slow
def test_runs_in_one_directory_keep_their_weights(few_digits, tmp_path):
    settings = {"epochs": 1, "batch_size": 32, "directory": tmp_path}
    (first,) = train_members(build_mlp(**MLP), [Member([0.3, 0.3], 0)], few_digits, **settings)
    before = first.model().get_weights()
    train_members(build_mlp(**MLP), [Member([0.5, 0.5], 1)], few_digits, **settings)
    for one, other in zip(before, first.model().get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_early_stopping_keeps_the_best_weights(few_digits):
    # With so large a learning rate the loss grows again long before the last epoch.
    model = build_mlp(**MLP, optimizer=optimizers.SGD(1.0))
    settings = {"epochs": 40, "patience": 2, "update": "auto"}
    (trained,) = trainer_of(model, few_digits, **settings).train([Member([0.0, 0.0], seed=0)])
    assert trained.best_epoch == len(trained.curves) - 2 < 38
    x, y = few_digits.validation
    measured = trained.model().evaluate(
        x, keras.utils.to_categorical(y, CLASSES), verbose=0, return_dict=True
    )
    assert measured["loss"] == pytest.approx(trained.score, rel=1e-5)


def test_an_iterator_is_asked_when_a_loop_is_free_and_after_each_result(few_digits):
    results, asked_with = [], []

    def members():
        for number in range(5):
            asked_with.append(len(results))
            yield Member([0.1 * number, 0.2], seed=0, epochs=1)
            if number == 2:  # what follows depends on all that came before
                while len(results) < 3:
                    yield None

    def on_result(trained):
        assert threading.current_thread() is threading.main_thread()
        results.append(trained)

    trainer = trainer_of(build_mlp(**MLP), few_digits, workers=2)
    trained = trainer.train(members(), on_result)
    assert [member.rates["hidden_1_dropout"] for member in trained] == [0.1 * n for n in range(5)]
    assert sorted(map(id, results)) == sorted(map(id, trained))
    assert asked_with[0] == asked_with[1] == 0 and asked_with[3] == 3
    with pytest.raises(RuntimeError, match="None while none is being trained"):
        trainer.train(iter([None]))


@pytest.mark.slow
@pytest.mark.usefixtures("interrupts_enabled")
def test_an_interrupt_ends_a_long_epoch_and_leaves_the_trainer_usable(few_digits):
    trainer = trainer_of(build_mlp(**MLP), few_digits, epochs=10**9)
    begun = threading.Event()
    order = trainer.plan.batch_order

    def order_of_a_long_epoch(member, rates, epoch):
        begun.set()
        return np.tile(order(member, rates, epoch), 20_000)

    def interrupt():
        begun.wait()
        time.sleep(0.2)  # until well inside the epoch
        _thread.interrupt_main()

    trainer.plan.batch_order = order_of_a_long_epoch
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        trainer.train([Member([0.2, 0.2], seed=0), Member([0.3, 0.2], seed=0)])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loop-")]
    trainer.plan.batch_order = order
    (trained,) = trainer.train([Member([0.2, 0.2], seed=0, epochs=2)])
    assert trained.status == "completed" and len(trained.curves) == 2


class OwnAttention(layers.MultiHeadAttention):
    def call(self, query, value, key=None, training=None):
        kept = 1 - self.dropout if training else 1.0
        return kept * super().call(query, value, training=training)


class OwnDotProduct(layers.Attention):
    pass


def own_dot_product_net():
    image = keras.Input((28, 28, 1))
    rows = layers.Reshape((28, 28))(image)
    x = layers.Flatten()(OwnDotProduct(dropout=0.2, name="attention")([rows, rows]))
    model = keras.Model(image, layers.Dense(CLASSES, "softmax")(x))
    model.compile("adam", "categorical_crossentropy")
    return model


class SkippedDropout(layers.Layer):
    """Leaves its dropout out at a rate of 0."""

    def __init__(self, rate):
        super().__init__()
        self.dropout = layers.Dropout(rate)

    def build(self, shape):
        self.dropout.build(shape)

    def compute_output_shape(self, shape):
        return shape

    def call(self, x, training=False):
        return self.dropout(x, training=training) if self.dropout.rate else x


def own_attention_net():
    sequence = keras.Input((28, 28, 1))
    x = layers.Reshape((28, 28))(sequence)
    x = OwnAttention(1, 4, dropout=0.3)(x, x)
    model = keras.Model(sequence, layers.Dense(CLASSES, "softmax")(layers.Flatten()(x)))
    model.compile("adam", "categorical_crossentropy")
    return model


@keras.saving.register_keras_serializable("tests")
class OwnFit(keras.Model):
    def fit(self, *args, **kwargs):
        return super().fit(*args, **kwargs)


def with_a_fit_of_its_own():
    image = keras.Input((28, 28, 1))
    x = layers.Dropout(0.2)(layers.Flatten()(image))
    model = OwnFit(image, layers.Dense(CLASSES, "softmax")(x))
    model.compile("adam", "categorical_crossentropy")
    return model


@keras.saving.register_keras_serializable("tests")
class OwnDropout(layers.Dropout):
    pass


ONLY_MODEL_FIT = {
    "the layer 'attention' fixes its dropout": own_dot_product_net,
    "the layer 'own_attention.*' may fix the rate": own_attention_net,
    "the layer 'attention_block.*' may fix the rate": lambda: compiled(
        layers.Reshape((28, 28)),
        AttentionBlock(8, 0.0),
        layers.Flatten(),
        layers.Dense(CLASSES, "softmax"),
    ),
    "the layer 'time_distributed.*' may fix the rate": lambda: compiled(
        layers.Reshape((2, 14, 28)),
        layers.TimeDistributed(SkippedDropout(0.0)),
        layers.Flatten(),
        layers.Dense(CLASSES, "softmax"),
    ),
    "OwnFit has a custom fit": with_a_fit_of_its_own,
    "is a OwnDropout": lambda: compiled(
        layers.Flatten(), OwnDropout(0.2), layers.Dense(CLASSES, "softmax")
    ),
    "run_eagerly=True": lambda: compiled(
        layers.Flatten(), layers.Dense(CLASSES, "softmax"), run_eagerly=True
    ),
    "jit_compile=True": lambda: compiled(
        layers.Flatten(), layers.Dense(CLASSES, "softmax"), jit_compile=True
    ),
}


@pytest.mark.parametrize("reason", ONLY_MODEL_FIT)
def test_models_that_cannot_be_lifted_have_a_reason(reason):
    assert re.search(reason, why_only_model_fit(ONLY_MODEL_FIT[reason]()))


@pytest.mark.parametrize("name", MODELS)
def test_models_that_can_be_lifted_give_no_reason_for_model_fit(name):
    assert why_only_model_fit(MODELS[name]()) is None


@pytest.mark.parametrize(
    "reason", ["has a custom fit", pytest.param("fixes its dropout", marks=pytest.mark.slow)]
)
def test_fit_trains_models_that_cannot_be_lifted_with_a_warning(reason, few_digits):
    (model,) = (build() for key, build in ONLY_MODEL_FIT.items() if reason in key)
    with pytest.warns(UserWarning, match=rf"Model\.fit trains the members.*{reason}") as issued:
        trained = train_members(
            model, [Member([0.2], 0, epochs=1), Member([0.3], 0, epochs=1)], few_digits, **SETTINGS
        )
    assert [member.status for member in trained] == ["completed"] * 2
    assert len([warning for warning in issued if "Model.fit" in str(warning.message)]) == 1


def test_a_lifted_model_has_the_layers_and_predictions_of_the_plain_one():
    model = MODELS["noisy net"]()
    lifted = with_runtime_rates(model)
    assert [layer.name for layer in flat_layers(lifted)] == [
        layer.name for layer in flat_layers(model)
    ]
    assert lifted.optimizer.get_config() == model.optimizer.get_config()
    assert lifted.optimizer is not model.optimizer


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.Adam(1e-2),
        optimizers.Adam(1e-2, beta_1=0.8, beta_2=0.99, epsilon=1e-3),
        optimizers.SGD(0.1),
        optimizers.SGD(0.1, momentum=0.9),
        optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        optimizers.RMSprop(1e-2),
        optimizers.RMSprop(1e-2, momentum=0.5),
    ],
    ids=lambda optimizer: optimizer.name,
)
def test_a_fused_step_agrees_with_that_of_keras(optimizer):
    random = np.random.default_rng(0)
    start = random.normal(size=(50, 40)).astype("float32")
    by_keras, by_kernel = keras.Variable(start), keras.Variable(start)
    like = fused(optimizer)
    for step in range(50):
        gradient = random.normal(size=start.shape) * 10 ** random.uniform(-3, 0)
        gradient = tf.constant(gradient.astype("float32"))
        optimizer.apply([gradient], [by_keras])
        like.apply([gradient], [by_kernel])
        if step in (0, 49):
            moved = np.abs(by_keras.numpy() - start).max()
            assert moved > 1e-3
            assert np.abs(by_kernel.numpy() - by_keras.numpy()).max() < 1e-6 * (1 + step)
    assert len(optimizer.variables) == len(like.variables)


def test_fused_kernels_are_used_for_plain_optimizers_on_dense_nets():
    for optimizer in ("adam", "sgd", "rmsprop"):
        model = build_mlp(**MLP, optimizer=optimizer)
        assert gains_from_fusion(model) and type(model.optimizer) in FUSED
    for optimizer in (
        optimizers.AdamW(),
        optimizers.Adam(clipnorm=1.0),
        optimizers.Adam(use_ema=True),
        optimizers.Adam(amsgrad=True),
        optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 10)),
    ):
        assert not gains_from_fusion(build_mlp(**MLP, optimizer=optimizer))
    assert not gains_from_fusion(build_cnn())


@pytest.mark.slow
def test_fused_kernels_learn_what_keras_learns(few_digits, trainer_of_mlp):
    model, member = build_mlp(**MLP), Member([0.2, 0.1], seed=0)
    (by_kernel,) = train_members(model, [member], few_digits, **SETTINGS | {"update": "auto"})
    (by_keras,) = trainer_of_mlp.train([member])
    assert by_kernel.score == pytest.approx(by_keras.score, rel=1e-4)
    # The last digits tell that kernels were at work; scores may agree to all of theirs.
    weights = zip(*(each.model().get_weights() for each in (by_kernel, by_keras)), strict=True)
    agree = all(np.array_equal(a, b) for a, b in weights)
    assert agree != gains_from_fusion(model)
