"""Sequences of tokens on a few topics: a generated dataset for text models."""

from __future__ import annotations

import numpy as np

from dropout_zoo.models.argument_validation import check_count, check_fraction
from dropout_zoo.training.data.array_checks import Array

TOPICS = 4
KEYWORDS = 10


def make_topics(
    examples: int = 2000,
    *,
    length: int = 32,
    vocabulary_size: int = 200,
    keyword_share: float = 0.1,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Generate sequences of tokens, each on one of four topics.

    Each topic has ten keywords. A token is a keyword of the sequence's topic with probability
    `keyword_share`. Otherwise it is noise: any token of the vocabulary, including all keywords,
    where the n-th most frequent token is 1 / n times as frequent as the first (Zipf's law). The
    topic depends on the tokens and not on their order, and cannot be predicted with certainty.
    Few examples and much noise make it easy to overfit.

    Args:
        examples: number of sequences, at least 4.
        length: number of tokens per sequence.
        vocabulary_size: number of different tokens, at least 40.
        keyword_share: probability that a token is a keyword of the topic, in [0, 1].
        seed: seed of everything that is drawn.

    Returns:
        Tokens, int32 of shape ``(examples, length)`` from 0 to ``vocabulary_size - 1``, and
        topics, int32 of shape ``(examples,)`` from 0 to 3, as evenly distributed as possible.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> from dropout_zoo.training import make_topics
        >>> tokens, topics = make_topics(8, length=16)
        >>> tokens.shape, sorted(topics.tolist())
        ((8, 16), [0, 0, 1, 1, 2, 2, 3, 3])
    """
    check_count(examples, "examples", minimum=TOPICS)
    check_count(length, "length")
    check_count(vocabulary_size, "vocabulary_size", minimum=TOPICS * KEYWORDS)
    check_fraction(keyword_share, "keyword_share")
    random = np.random.default_rng(seed)
    words = random.permutation(vocabulary_size)  # from the most frequent to the rarest
    keywords = random.permutation(vocabulary_size)[: TOPICS * KEYWORDS].reshape(TOPICS, KEYWORDS)
    topics = random.permutation(np.arange(examples) % TOPICS)
    shape = (examples, length)
    frequencies = 1 / np.arange(1, vocabulary_size + 1)
    noise = words[random.choice(vocabulary_size, shape, p=frequencies / frequencies.sum())]
    on_topic = keywords[topics[:, None], random.integers(0, KEYWORDS, shape)]
    tokens = np.where(random.random(shape) < keyword_share, on_topic, noise)
    return tokens.astype(np.int32), topics.astype(np.int32)
