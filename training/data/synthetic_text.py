"""Sequences of tokens on a few topics: a generated data set for text models, without a network."""

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

    Each topic has ten keywords. A token is a keyword of the sequence's topic with the probability
    `keyword_share`, and otherwise noise: any token of the vocabulary, the keywords of all topics
    among them, the n-th most frequent 1 / n times as often as the first (Zipf's law). The topic is
    in the tokens, not in their order, and cannot be told with certainty. Few examples and much
    noise make it easy to overfit.

    Args:
        examples: number of sequences, at least 4.
        length: tokens in a sequence.
        vocabulary_size: number of different tokens, at least 40.
        keyword_share: probability of a token to be a keyword of the topic, in [0, 1].
        seed: decides everything; the same seed gives the same arrays.

    Returns:
        Tokens, int32 of shape ``(examples, length)`` from 0 to ``vocabulary_size - 1``, and
        topics, int32 of shape ``(examples,)`` from 0 to 3, as many of each as can be.

    Raises:
        ValueError: an argument is out of range.
    """
    check_count(examples, "examples", least=TOPICS)
    check_count(length, "length")
    check_count(vocabulary_size, "vocabulary_size", least=TOPICS * KEYWORDS)
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
