"""The generated text: what is in it, and that it can be loaded by name."""

import numpy as np
import pytest

from dropout_zoo.training import load_dataset, make_topics


def likelihood_ratio_accuracy(x, y, given_x, given_y):
    """Accuracy of the classifier that knows how often each token occurs on each topic."""
    counts = [np.bincount(given_x[given_y == topic].ravel(), minlength=200) for topic in range(4)]
    shares = (np.array(counts) + 1) / (np.array(counts) + 1).sum(axis=1, keepdims=True)
    return (np.log(shares)[:, x].sum(axis=2).argmax(axis=0) == y).mean()


def test_texts_have_the_documented_tokens_and_topics():
    tokens, topics = make_topics(1001, length=20, vocabulary_size=60, seed=3)
    assert tokens.shape == (1001, 20) and tokens.dtype == topics.dtype == np.int32
    assert (tokens.min(), tokens.max()) == (0, 59)
    assert sorted(np.bincount(topics)) == [250, 250, 250, 251]


def test_the_same_seed_gives_the_same_text():
    first, again, other = (make_topics(50, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_token_is_a_keyword_of_the_topic_as_often_as_asked():
    tokens, topics = make_topics(4000, keyword_share=1.0)
    keywords = [set(tokens[topics == topic].ravel()) for topic in range(4)]
    assert [len(words) for words in keywords] == [10] * 4
    assert len(set.union(*keywords)) == 40
    # The noise has keywords too; the same seed draws the same ones.
    shares = []
    for share in (0.0, 0.3):
        tokens, topics = make_topics(4000, keyword_share=share)
        on_topic = [np.isin(tokens[topics == topic], list(keywords[topic])) for topic in range(4)]
        shares.append(np.mean(on_topic))
    assert shares[1] == pytest.approx(0.3 + 0.7 * shares[0], abs=0.01)


def test_topics_are_mostly_but_not_always_predictable():
    x, y = make_topics(20_000)
    assert 0.87 < likelihood_ratio_accuracy(x[10_000:], y[10_000:], x[:10_000], y[:10_000]) < 0.92
    nothing, _ = make_topics(20_000, keyword_share=0.0)
    chance = likelihood_ratio_accuracy(nothing[10_000:], y[10_000:], nothing[:10_000], y[:10_000])
    assert 0.22 < chance < 0.28


def test_the_text_can_be_loaded_by_name():
    dataset = load_dataset("topics")
    assert (dataset.input_shape, dataset.num_classes, dataset.source) == ((32,), 4, "topics")
    assert [len(y) for _, y in (dataset.train, dataset.validation, dataset.test)] == [
        1400,
        300,
        300,
    ]
    together = np.concatenate([x for x, _ in (dataset.train, dataset.validation, dataset.test)])
    tokens, _ = make_topics()
    assert np.array_equal(np.sort(together, axis=0), np.sort(tokens, axis=0))  # as they were


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"examples": 3}, "examples to be a whole number of at least 4"),
        ({"vocabulary_size": 39}, "vocabulary_size to be a whole number of at least 40"),
        ({"keyword_share": 1.1}, r"keyword_share to be a number in \[0, 1\]"),
    ],
)
def test_invalid_arguments_are_reported_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_topics(**arguments)
