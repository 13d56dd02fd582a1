"""A small transformer encoder that classifies sequences of tokens."""

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
    "the end of each branch; the same rate on the attention weights",
)
def build_transformer(
    *,
    input_shape: Sequence[int] = (32,),
    num_classes: int | None = 4,
    vocabulary_size: int = 200,
    hidden_dim: int = 32,
    num_layers: int = 2,
    num_heads: int = 4,
    intermediate_dim: int = 128,
    embedding_rate: float = 0.1,
    attention_rate: float = 0.1,
    residual_rate: float = 0.1,
    optimizer: Any = "adam",
    loss: Any = None,
    name: str = "transformer",
    compile: bool = True,
) -> keras.Model:
    """Build a transformer encoder that classifies sequences of tokens.

    Token and position embeddings are added. Each encoder layer has two residual branches, attention
    and a feed-forward network, each with layer normalization first. A last layer normalization, the
    mean over the sequence and a softmax follow. Dropout is applied to the sum of the embeddings, to
    the attention weights and at the end of each branch. Layers with a rate of 0 are kept, so that a
    control without dropout starts from the same initial weights.

    Args:
        input_shape: length of a sequence, as ``(32,)``.
        num_classes: number of classes, at least 2; None for regression with one linear output.
        vocabulary_size: number of different tokens; tokens are integers from 0 to
            ``vocabulary_size - 1``.
        hidden_dim: size of the embeddings and of the outputs of each encoder layer.
        num_layers: number of encoder layers.
        num_heads: number of attention heads; must divide `hidden_dim`.
        intermediate_dim: size of the inner dense layer of each feed-forward network.
        embedding_rate: rate (fraction dropped, in [0, 1)) on the sum of the embeddings.
        attention_rate: rate on the attention weights.
        residual_rate: rate at the end of each residual branch.
        optimizer: passed to `keras.Model.compile`.
        loss: passed to `keras.Model.compile`; None for categorical cross-entropy (mean squared
            error for regression).
        name: name of the model.
        compile: whether to compile the model.

    Returns:
        A functional `keras.Model` from int32 tokens of shape ``(batch, length)`` to ``(batch,
        num_classes)``, with layers ``embedding``, ``positions``, ``embedding_dropout``,
        ``block_1_attention``, ``block_1_attention_dropout``, ..., ``classifier``.

    Raises:
        ValueError: an argument is out of range; the message says what is expected.

    Example:
        >>> from dropout_zoo.models import build_transformer, dropout_sites
        >>> model = build_transformer(num_layers=1, residual_rate=0.2)
        >>> [site.path for site in dropout_sites(model) if site.rate == 0.2]
        ['block_1_attention_dropout', 'block_1_feed_forward_dropout']

    References:
        Vaswani et al. 2017, arXiv:1706.03762.
    """
    import keras

    from dropout_zoo.models.architectures import building_blocks
    from dropout_zoo.models.architectures.transformer_encoder import encoder

    inputs, x = building_blocks.embedded_tokens(input_shape, vocabulary_size, hidden_dim)
    x = encoder(
        x,
        num_layers=num_layers,
        num_heads=num_heads,
        intermediate_dim=intermediate_dim,
        embedding_rate=embedding_rate,
        attention_rate=attention_rate,
        residual_rate=residual_rate,
    )
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    model = keras.Model(inputs, building_blocks.classifier(num_classes)(x), name=name)
    return building_blocks.compile_documented(model, optimizer, loss, num_classes, compile=compile)
