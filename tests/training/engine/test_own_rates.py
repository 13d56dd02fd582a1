"""Rates that layers of the user's own read themselves."""

import keras
import pytest
from keras import layers
from stock_fit import assert_equal_weights, assert_history, one_fit, trainer_of

from dropout_zoo.training import Member


class OwnDropout(layers.Layer):
    """Reads its rate in each call, and in Python."""

    def __init__(self, drop_prob, **kwargs):
        super().__init__(**kwargs)
        self.drop_prob, self.seeds = drop_prob, keras.random.SeedGenerator(0)

    def call(self, x, training=None):
        if not training or self.drop_prob == 0:
            return x
        return keras.random.dropout(x, self.drop_prob, seed=self.seeds)


def net():
    inputs = keras.Input((28, 28))
    x = layers.Dense(12, activation="relu")(layers.Flatten()(inputs))
    x = layers.Dropout(0.2, name="drop")(OwnDropout(0.4, name="own")(x))
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.slow
def test_members_have_the_rates_that_own_code_reads_bit_for_bit(few_digits):
    trainer = trainer_of(net(), few_digits)
    in_engine = [Member({"drop": rate}, seed=3) for rate in (0.2, 0.5)]
    by_fit = [Member({"own": rate, "drop": 0.1}, seed=3) for rate in (0.0, 0.6)]
    trained = trainer.train(in_engine)
    with pytest.warns(UserWarning) as issued:
        trained += trainer.train(by_fit)
    (only,) = [each for each in issued if each.category is UserWarning]
    assert str(only.message) == (
        "Model.fit trains members one after another, because 'own' (OwnDropout) reads its rate in "
        "its own code, which is traced anew for each rate"
    )
    for member, result in zip([*in_engine, *by_fit], trained, strict=True):
        model, history = one_fit(trainer, member)
        assert_history(result, history)
        assert_equal_weights(result.final_model().get_weights(), model.get_weights())
        assert result.model().get_layer("own").drop_prob == member.rates.get("own", 0.4)
    losses = [result.curves["loss"].iloc[-1] for result in trained]
    assert len(set(losses)) == 4
