"""A network with dropout is compared with averages of others, trained on the same data."""

import pytest

from dropout_zoo.studies import with_fewer_examples
from dropout_zoo.studies.claims.ensembles import beside_ensembles, network_seeds
from dropout_zoo.studies.claims.held_out import predictions
from dropout_zoo.training import Member, train_members


@pytest.mark.slow
def test_networks_are_averaged_by_their_probabilities(trained, few_digits):
    training = {"epochs": 100, "patience": 5}
    found = beside_ensembles(trained, few_digits, training)
    x, y = few_digits.test
    seeds = network_seeds(few_digits, 9)
    assert len(set(seeds)) == 9
    members = [Member([0.0], seed) for seed in seeds[:5]] + [Member([0.5], s) for s in seeds[5:]]
    runs = train_members(trained, members, few_digits, **training)
    outputs = [predictions(each.model(), x) for each in runs] + [predictions(trained, x)]

    def error(probabilities):
        return 100 * (probabilities.argmax(axis=-1) != y).mean()

    without, half = outputs[:5], outputs[5:]
    gains = [error(sum(each)) - sum(map(error, each)) / 5 for each in (without, half)]
    assert found["ensemble_minus_one"] == pytest.approx(gains[0])
    assert found["ensemble_gain_change"] == pytest.approx(gains[1] - gains[0])
    alone = sum(map(error, half)) / 5
    assert found["ensemble_minus_dropout"] == pytest.approx(error(sum(without)) - alone)


@pytest.mark.slow
def test_networks_that_are_not_trained_to_the_end_are_not_compared(trained, few_digits):
    with pytest.raises(RuntimeError, match="expected networks that are trained to the end"):
        beside_ensembles(trained, few_digits, {"epochs": 3})


def test_other_examples_give_other_seeds(few_digits):
    other = with_fewer_examples(few_digits, 60, seed=0)
    assert not set(network_seeds(few_digits, 9)) & set(network_seeds(other, 9))
