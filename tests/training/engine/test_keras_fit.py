"""Members are what one call of stock `Model.fit` makes of the model, by the engine or without."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import optimizers
from stock_fit import assert_equal_weights, assert_history, both_ways, one_fit, trainer_of

from dropout_zoo.models import build_mlp, dropout_sites, with_rates
from dropout_zoo.training import (
    CosineRamp,
    EarlyDropout,
    Member,
    MemberTrainer,
    TrainSettings,
)
from dropout_zoo.training.checkpoint import Checkpoint

MLP = {"units": (16, 8), "hidden_rates": (0.5, 0.3)}


@pytest.mark.slow
def test_statistics_that_were_adapted_are_those_of_one_fit(few_digits):
    normalize = keras.layers.Normalization(axis=None)
    normalize.adapt(few_digits.train[0] * 3)
    stack = [keras.Input((28, 28)), normalize, keras.layers.Flatten(), keras.layers.Dropout(0.2)]
    model = keras.Sequential([*stack, keras.layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    trainer = trainer_of(model, few_digits)
    member = Member([0.4], seed=3)
    stock, history = one_fit(trainer, member)
    for trained in both_ways(trainer, member):
        assert_history(trained, history)
        assert_equal_weights(trained.final_model().get_weights(), stock.get_weights())
        kept = trained.model().layers[0]
        assert_equal_weights(kept.get_weights(), normalize.get_weights())
        np.testing.assert_array_equal(kept(few_digits.test[0]), normalize(few_digits.test[0]))


AVERAGED = {
    "adam": lambda: optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9),
    "overwritten every 4 steps": lambda: optimizers.SGD(
        0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=4
    ),
}


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.parametrize("optimizer", AVERAGED)
@pytest.mark.slow
def test_averaged_weights_are_those_of_one_fit(optimizer, few_digits, tmp_path):
    trainer = trainer_of(build_mlp(**MLP, optimizer=AVERAGED[optimizer]()), few_digits)
    member = Member([0.4, 0.2], seed=3)
    keeps_best = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.weights.h5", "val_loss", save_best_only=True, save_weights_only=True
    )
    stock, history = one_fit(trainer, member, [keeps_best])
    averaged = stock.get_weights()
    stock.load_weights(tmp_path / "best.weights.h5")
    for trained in both_ways(trainer, member):
        assert_history(trained, history)
        assert_equal_weights(trained.final_model().get_weights(), averaged)
        # No epoch was measured with the averaged weights: the best weights are not averaged.
        assert_equal_weights(trained.model().get_weights(), stock.get_weights())
    assert not np.array_equal(averaged[0], stock.get_weights()[0])


@pytest.mark.slow
def test_averages_continue_with_a_continued_run(few_digits):
    optimizer = AVERAGED["adam"]()
    trainer = trainer_of(build_mlp(**MLP, optimizer=optimizer), few_digits)
    rates = [0.4, 0.2]
    whole, _ = both_ways(trainer, Member(rates, seed=3))
    (begun,) = trainer.train([Member(rates, seed=3, epochs=1)])
    rest = Member(rates, seed=3, initial_epoch=1, weights=begun.checkpoint)
    for ended in both_ways(trainer, rest):
        for kind in ("last", "optimizer"):
            one, other = (getattr(Checkpoint.load(t.checkpoint), kind) for t in (whole, ended))
            assert_equal_weights(one, other)


def test_the_final_model_needs_the_state_after_the_last_epoch(few_digits):
    settings = TrainSettings(epochs=1, batch_size=64)
    trainer = MemberTrainer(build_mlp(**MLP), few_digits, settings, workers=1)
    (trained,) = trainer.train([Member({}, seed=0)])
    with pytest.raises(RuntimeError, match="keep_state=True"):
        trained.final_model()


SCHEDULES = [
    pytest.param(schedule, marks=pytest.mark.slow) for schedule in (EarlyDropout(1), CosineRamp(2))
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_a_schedule_is_that_of_one_fit_with_the_callback(schedule, few_digits):
    trainer = trainer_of(build_mlp(**MLP), few_digits)
    member = Member([0.4, 0.2], seed=3, schedule=schedule)
    stock, history = one_fit(trainer, member)
    stock = with_rates(stock, {})
    for trained in both_ways(trainer, member):
        assert_history(trained, history)
        assert list(trained.curves["rate_factor"]) == history["rate_factor"]
        assert_equal_weights(trained.final_model().get_weights(), stock.get_weights())
        assert [site.rate for site in dropout_sites(trained.model())] == [0.4, 0.2]
        assert_equal_weights(
            trained.final_model().get_weights(), Checkpoint.load(trained.checkpoint).last
        )


@pytest.mark.slow
def test_a_continued_member_continues_its_schedule(few_digits):
    trainer = trainer_of(build_mlp(**MLP), few_digits)
    about = {"seed": 3, "schedule": CosineRamp(2)}
    # Others in the same loop, with rates and a schedule of their own, leave no trace.
    others = [Member([0.1, 0.5], seed=3, schedule=EarlyDropout(2)), Member([0.4, 0.2], seed=3)]
    whole, *_ = trainer.train([Member([0.4, 0.2], **about), *others])
    (begun,) = trainer.train([Member([0.4, 0.2], **about, epochs=1)])
    rest = Member([0.4, 0.2], **about, initial_epoch=1, weights=begun.checkpoint)
    for ended in both_ways(trainer, rest):
        pd.testing.assert_frame_equal(ended.curves, whole.curves, check_exact=True)
        one, other = (Checkpoint.load(t.checkpoint).last for t in (whole, ended))
        assert_equal_weights(one, other)


def bidirectional():
    return keras.layers.Bidirectional(
        keras.layers.LSTM(4, dropout=0.2, recurrent_dropout=0.3, return_sequences=True)
    )


RECURRENT = {
    "lstm and gru": lambda: [
        bidirectional(),
        keras.layers.GRU(5, dropout=0.3),
    ],
    "stacked cells": lambda: [
        keras.layers.RNN([keras.layers.GRUCell(5, recurrent_dropout=0.3)]),
        keras.layers.Dropout(0.2),
    ],
    "mixed precision": lambda: [
        keras.layers.LSTM(4, dropout=0.2, recurrent_dropout=0.3, dtype="mixed_bfloat16"),
    ],
    "convolutional lstm": lambda: [
        keras.layers.Reshape((7, 28, 4)),
        keras.layers.ConvLSTM1D(2, 3, dropout=0.2, recurrent_dropout=0.1),
        keras.layers.Flatten(),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", RECURRENT)
def test_masks_of_recurrent_layers_are_those_of_one_fit(kind, few_digits):
    # They draw masks when they are evaluated, too, which `Model.fit` does on no training sample.
    stack = [keras.Input((28, 28)), *RECURRENT[kind](), keras.layers.Dense(10, "softmax")]
    model = keras.Sequential(stack)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    trainer = trainer_of(model, few_digits)
    member = Member({site.path: 0.4 for site in dropout_sites(model)}, seed=3)
    stock, history = one_fit(trainer, member)
    for trained in both_ways(trainer, member):
        assert_history(trained, history)
        assert_equal_weights(trained.final_model().get_weights(), stock.get_weights())
