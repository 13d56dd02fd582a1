"""The encoder of transformers. Imports Keras; builders import this module when they are called."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import keras

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.guidance import builder_rate
from dropout_zoo.models.layers.position_embedding import PositionEmbedding
from dropout_zoo.models.layers.seeded_dropout import seeded_dropout
from dropout_zoo.models.layers.stochastic_depth import StochasticDepth


def encoder(
    x: Any,
    *,
    num_layers: int,
    num_heads: int,
    intermediate_dim: int,
    embedding_rate: float,
    attention_rate: float,
    residual_rate: float,
    stochastic_depth_rate: float | None = None,
) -> Any:
    """Add positions, dropout on the embeddings, encoder layers and a last layer normalization.

    An encoder layer has two residual branches: attention, and two dense layers. Each branch starts
    with layer normalization and ends with dropout and, with `stochastic_depth_rate`, with
    stochastic depth.

    Args:
        x: embeddings, shape ``(batch, length, hidden_dim)``.
        num_layers: number of encoder layers.
        num_heads: number of attention heads; must divide the size of the embeddings.
        intermediate_dim: size of the inner dense layer of each feed-forward network.
        embedding_rate: rate (fraction dropped, in [0, 1)) on the sum of embeddings and positions.
        attention_rate: rate on the attention weights.
        residual_rate: rate at the end of each branch.
        stochastic_depth_rate: rate of stochastic depth in the last encoder layer, decreasing
            linearly towards the first one (Huang et al. 2016); None for no such layers.

    Returns:
        The outputs of the encoder, shape ``(batch, length, hidden_dim)``.

    Raises:
        ValueError: an argument is out of range.
    """
    hidden_dim = x.shape[-1]
    check_count(num_layers, "num_layers")
    check_count(num_heads, "num_heads")
    check_count(intermediate_dim, "intermediate_dim")
    if hidden_dim % num_heads:
        raise ValueError(
            f"expected num_heads to divide hidden_dim={hidden_dim}, received {num_heads}"
        )
    attention_rate = builder_rate(attention_rate, "attention_rate")
    residual_rate = builder_rate(residual_rate, "residual_rate")
    x = PositionEmbedding(name="positions")(x)
    rate = builder_rate(embedding_rate, "embedding_rate")
    x = seeded_dropout(rate, "embedding_dropout")(x)
    rates: Sequence[float | None] = [None] * num_layers
    if stochastic_depth_rate is not None:
        rates = stochastic_depth_rates(
            builder_rate(stochastic_depth_rate, "stochastic_depth_rate"), num_layers
        )
    for number, block_rate in enumerate(rates, start=1):
        name = f"block_{number}_attention"
        y = keras.layers.LayerNormalization(name=f"{name}_norm")(x)
        y = _attention(num_heads, hidden_dim // num_heads, attention_rate, name)(y, y)
        x = _add_branch(x, y, name, residual_rate, block_rate)
        name = f"block_{number}_feed_forward"
        y = keras.layers.LayerNormalization(name=f"{name}_norm")(x)
        y = keras.layers.Dense(intermediate_dim, activation="gelu", name=f"{name}_inner")(y)
        y = keras.layers.Dense(hidden_dim, name=name)(y)
        x = _add_branch(x, y, name, residual_rate, block_rate)
    return keras.layers.LayerNormalization(name="norm")(x)


def stochastic_depth_rates(rate: float, num_layers: int) -> list[float]:
    """Rates of stochastic depth that increase linearly from layer to layer up to a given rate.

    Args:
        rate: rate of the last layer.
        num_layers: number of layers.

    Returns:
        One rate per layer.
    """
    return [round(rate * number / num_layers, 6) for number in range(1, num_layers + 1)]


def _attention(num_heads: int, key_dim: int, rate: float, name: str) -> keras.Layer:
    # Keras itself draws a seed only for rates above 0, which shifts the initial weights of all
    # layers that follow. This is how `keras.random.SeedGenerator` draws it.
    seed = random.randint(1, int(1e9))
    return keras.layers.MultiHeadAttention(num_heads, key_dim, dropout=rate, seed=seed, name=name)


def _add_branch(
    x: Any, branch: Any, name: str, residual_rate: float, stochastic_depth_rate: float | None
) -> Any:
    branch = seeded_dropout(residual_rate, f"{name}_dropout")(branch)
    if stochastic_depth_rate is not None:
        branch = StochasticDepth(stochastic_depth_rate, name=f"{name}_depth")(branch)
    return keras.layers.Add(name=f"{name}_sum")([x, branch])
