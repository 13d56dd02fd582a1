"""Encoder blocks of transformers. Imports Keras: builders import it when they are called."""

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
    num_blocks: int,
    num_heads: int,
    feed_forward_units: int,
    embedding_rate: float,
    attention_rate: float,
    residual_rate: float,
    depth_rate: float | None = None,
) -> Any:
    """Positions, dropout on the embeddings, encoder blocks and a last layer normalisation.

    A block adds to its input what attention, and then two dense layers, make of it. Each of the
    two branches begins with layer normalisation and ends with dropout, and where there is a
    `depth_rate`, with stochastic depth.

    Args:
        x: embeddings of tokens, shape ``(batch, length, width)``.
        num_blocks: number of blocks.
        num_heads: heads of each attention; a divisor of the width.
        feed_forward_units: width of the inner dense layer of a block.
        embedding_rate: rate (fraction dropped, in [0, 1)) on the sum of embeddings and positions.
        attention_rate: rate on the weights of the attention.
        residual_rate: rate at the end of each branch.
        depth_rate: rate of stochastic depth in the last block, falling in equal steps to that of
            the first one (Huang et al. 2016); None for no such layers.

    Returns:
        What the blocks make of it, shape ``(batch, length, width)``.

    Raises:
        ValueError: an argument is out of range.
    """
    width = x.shape[-1]
    check_count(num_blocks, "num_blocks")
    check_count(num_heads, "num_heads")
    check_count(feed_forward_units, "feed_forward_units")
    if width % num_heads:
        raise ValueError(f"expected num_heads to divide the width {width}, received {num_heads}")
    attention_rate = builder_rate(attention_rate, "attention_rate")
    residual_rate = builder_rate(residual_rate, "residual_rate")
    x = PositionEmbedding(name="positions")(x)
    rate = builder_rate(embedding_rate, "embedding_rate")
    x = seeded_dropout(rate, "embedding_dropout")(x)
    rates: Sequence[float | None] = [None] * num_blocks
    if depth_rate is not None:
        rates = depth_rates(builder_rate(depth_rate, "depth_rate"), num_blocks)
    for number, block_rate in enumerate(rates, start=1):
        name = f"block_{number}_attention"
        y = keras.layers.LayerNormalization(name=f"{name}_norm")(x)
        y = _attention(num_heads, width // num_heads, attention_rate, name)(y, y)
        x = _added(x, y, name, residual_rate, block_rate)
        name = f"block_{number}_feed_forward"
        y = keras.layers.LayerNormalization(name=f"{name}_norm")(x)
        y = keras.layers.Dense(feed_forward_units, activation="gelu", name=f"{name}_inner")(y)
        y = keras.layers.Dense(width, name=name)(y)
        x = _added(x, y, name, residual_rate, block_rate)
    return keras.layers.LayerNormalization(name="norm")(x)


def depth_rates(rate: float, num_blocks: int) -> list[float]:
    """Rates of stochastic depth that grow in equal steps from block to block, the last one given.

    Args:
        rate: rate of the last block.
        num_blocks: number of blocks.

    Returns:
        A rate a block.
    """
    return [round(rate * number / num_blocks, 6) for number in range(1, num_blocks + 1)]


def _attention(heads: int, width: int, rate: float, name: str) -> keras.Layer:
    # Left to itself, Keras draws a seed only where the rate is not 0, which shifts the initial
    # weights of all that follows. This is the draw of `keras.random.SeedGenerator`.
    seed = random.randint(1, int(1e9))
    return keras.layers.MultiHeadAttention(heads, width, dropout=rate, seed=seed, name=name)


def _added(x: Any, branch: Any, name: str, residual_rate: float, depth_rate: float | None) -> Any:
    branch = seeded_dropout(residual_rate, f"{name}_dropout")(branch)
    if depth_rate is not None:
        branch = StochasticDepth(depth_rate, name=f"{name}_depth")(branch)
    return keras.layers.Add(name=f"{name}_sum")([x, branch])
