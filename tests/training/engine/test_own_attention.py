"""Subclasses of Keras's attention layers train in the engine, unless their code reads the rate."""

import keras
import pytest
from keras import layers, ops
from stock_fit import assert_equal_weights, assert_history, one_fit, trainer_of

from dropout_zoo.training import Member
from dropout_zoo.training.engine.base import EngineOptions
from dropout_zoo.training.engine.eligibility import why_only_model_fit
from dropout_zoo.training.engine.keras_fit import FitEngine
from dropout_zoo.training.engine.selection import start_engine

CLASSES = 10


class CachedAttention(layers.MultiHeadAttention):
    """Has a call of its own, which can continue from the keys and values of earlier tokens."""

    def call(self, query, value, attention_mask=None, cache=None, training=None):
        query, key = self.query_dense(query), self.key_dense(value)
        value = self.value_dense(value)
        if cache is not None:
            key, value = (
                ops.concatenate(each, 1) for each in zip(cache, (key, value), strict=True)
            )
        outputs, _ = self._compute_attention(
            query, key, value, attention_mask=attention_mask, training=training
        )
        outputs = self.output_dense(outputs)
        return outputs if cache is None else (outputs, (key, value))


class GroupedAttention(layers.GroupQueryAttention):
    """Scales its outputs by a number that has nothing to do with dropout."""

    def __init__(self, num_heads, key_dim, dropout, **kwargs):
        super().__init__(key_dim, num_heads, num_heads, dropout, **kwargs)

    def call(self, query, value, attention_mask=None, training=None):
        return 0.9 * super().call(query, value, attention_mask=attention_mask, training=training)


class Scales(CachedAttention):
    def call(self, query, value, **others):
        return super().call(query, value, **others) * (1 - self.dropout)


class LeavesOut(CachedAttention):
    """Computes the attention without dropout itself."""

    def _compute_attention(self, query, key, value, **others):
        if self._dropout == 0:
            return ops.dot_product_attention(query, key, value), None
        return super()._compute_attention(query, key, value, **others)


class KeepsANumber(CachedAttention):
    def __init__(self, *args, dropout, **kwargs):
        super().__init__(*args, dropout=dropout, **kwargs)
        self._kept = 1 - dropout

    def call(self, query, value, **others):
        return super().call(query, value, **others) * self._kept


class HidesTheRate(CachedAttention):
    """Reads the rate in a way that no name in its code tells."""

    def call(self, query, value, **others):
        return super().call(query, value, **others) * (1 - vars(self)["_dropout"])


KINDS = {
    each.__name__: each
    for each in (CachedAttention, GroupedAttention, Scales, LeavesOut, KeepsANumber, HidesTheRate)
}


class Decoder(layers.Layer):
    """Causal attention and a network for each token, as in a language model."""

    def __init__(self, kind, rate):
        super().__init__()
        self.attention = KINDS[kind](2, 4, dropout=rate)
        self.inner, self.normalization = layers.Dense(12, "gelu"), layers.LayerNormalization()
        self.dropout = layers.Dropout(rate)

    def build(self, shape):
        self.attention.build(shape, shape)
        self.inner.build(shape)
        self.normalization.build(shape)

    def call(self, x, training=False):
        length = x.shape[1]
        causal = ops.tril(ops.ones((1, length, length), "bool"))
        y = self.normalization(x)
        y = self.attention(y, y, attention_mask=causal, training=training)
        return self.inner(x + self.dropout(y, training=training))


def net(attention, rate=0.1):
    image = keras.Input((28, 28, 1))
    x = layers.Dropout(0.2)(layers.Dense(8)(layers.Reshape((28, 28))(image)))
    x = layers.GlobalAveragePooling1D()(Decoder(attention.__name__, rate)(x))
    model = keras.Model(image, layers.Dense(CLASSES, "softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize(
    "attention",
    [
        pytest.param(CachedAttention, marks=pytest.mark.slow),
        pytest.param(GroupedAttention, marks=pytest.mark.nightly),
    ],
)
def test_members_equal_stock_fit_bit_for_bit(attention, few_digits, recwarn):
    trainer = trainer_of(net(attention), few_digits)
    members = [Member([0.2, 0.4, 0.4], seed=1), Member([0.1, 0.2, 0.2], seed=2)]
    for member, trained in zip(members, trainer.train(members), strict=True):
        model, history = one_fit(trainer, member)
        assert_history(trained, history)
        assert_equal_weights(trained.final_model().get_weights(), model.get_weights())
    assert not [each for each in recwarn if "Model.fit" in str(each.message)]


@pytest.mark.parametrize("attention", [CachedAttention, GroupedAttention])
def test_attention_whose_code_does_not_read_the_rate_can_be_lifted(attention):
    assert why_only_model_fit(net(attention)) is None


@pytest.mark.parametrize("attention", [Scales, LeavesOut, KeepsANumber])
def test_attention_whose_code_reads_the_rate_is_left_to_fit(attention):
    assert "may fix the rate of 'decoder" in why_only_model_fit(net(attention))


@pytest.mark.slow
def test_attention_that_computes_something_else_when_lifted_is_left_to_fit(few_digits):
    plan = trainer_of(net(HidesTheRate), few_digits).plan
    assert why_only_model_fit(plan.model) is None
    with pytest.warns(UserWarning, match=r"Model\.fit trains the members.*other outputs at a rate"):
        assert isinstance(start_engine(plan, EngineOptions()), FitEngine)
