"""A small transformer that tells sequences of tokens apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dropout_zoo.models.registry import register_model

if TYPE_CHECKING:
    import keras


@register_model(
    "transformer",
    family="transformer",
    parameters=33_028,
    sites={
        "embedding_dropout": 0.1,
        "block_1_attention/dropout_layer": 0.1,
        "block_1_attention_dropout": 0.1,
        "block_1_feed_forward_dropout": 0.1,
        "block_2_attention/dropout_layer": 0.1,
        "block_2_attention_dropout": 0.1,
        "block_2_feed_forward_dropout": 0.1,
    },
    source="Vaswani et al. 2017 (arXiv 1706.03762), Section 5.4: rate 0.1 on the embeddings and at "
    "the end of each branch; the same rate on the attention's weights",
)
def build_transformer(
    *,
    input_shape: Sequence[int] = (32,),
    num_classes: int | None = 4,
    vocabulary_size: int = 200,
    width: int = 32,
    num_blocks: int = 2,
    num_heads: int = 4,
    feed_forward_units: int = 128,
    embedding_rate: float = 0.1,
    attention_rate: float = 0.1,
    residual_rate: float = 0.1,
    optimizer: Any = "adam",
    loss: Any = None,
    name: str = "transformer",
    compile: bool = True,
) -> keras.Model:
    """Build a transformer encoder with a classifier on the mean of its outputs.

    Embeddings of tokens and of their positions are added; encoder blocks follow, each with
    attention and two dense layers on residual branches behind layer normalisation; then layer
    normalisation, the mean over the sequence, and a softmax. Dropout stands on the sum of the
    embeddings, on the weights of the attention, and at the end of each branch. Rates of 0 keep
    their layers, so that a control without dropout starts from the same initial weights.

    Args:
        input_shape: length of a sequence, as ``(32,)``.
        num_classes: number of classes, at least 2; None for regression with one linear output.
        vocabulary_size: number of different tokens, which are 0, 1, ..., vocabulary_size - 1.
        width: length of an embedding, and of what each block computes for a token.
        num_blocks: number of encoder blocks.
        num_heads: heads of each attention; a divisor of the width.
        feed_forward_units: width of the inner dense layer of a block.
        embedding_rate: rate (fraction dropped, in [0, 1)) on the sum of the embeddings.
        attention_rate: rate on the weights of the attention.
        residual_rate: rate at the end of each residual branch.
        optimizer: what `keras.Model.compile` takes.
        loss: what `keras.Model.compile` takes; None for categorical cross-entropy (regression:
            mean squared error).
        name: the model's name.
        compile: whether to compile the model.

    Returns:
        A functional `keras.Model` from int32 tokens of shape ``(batch, length)`` to ``(batch,
        num_classes)``, with layers ``embedding``, ``positions``, ``embedding_dropout``,
        ``block_1_attention``, ``block_1_attention_dropout``, ..., ``classifier``.

    Raises:
        ValueError: an argument is out of its range; the message says what is expected.

    References:
        Vaswani et al. 2017, arXiv:1706.03762.
    """
    import keras

    from dropout_zoo.models.architectures import building_blocks
    from dropout_zoo.models.architectures.transformer_encoder import encoder

    inputs, x = building_blocks.embedded_tokens(input_shape, vocabulary_size, width)
    x = encoder(
        x,
        num_blocks=num_blocks,
        num_heads=num_heads,
        feed_forward_units=feed_forward_units,
        embedding_rate=embedding_rate,
        attention_rate=attention_rate,
        residual_rate=residual_rate,
    )
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    model = keras.Model(inputs, building_blocks.classifier(num_classes)(x), name=name)
    return (
        building_blocks.compile_documented(model, optimizer, loss, num_classes)
        if compile
        else model
    )
