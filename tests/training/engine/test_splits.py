"""Members on other splits equal members trained on data that were split that way beforehand."""

import numpy as np
import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.training import DataError, Dataset, Member, MemberTrainer, TrainSettings


def trainer(dataset, **options):
    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    return MemberTrainer(model, dataset, TrainSettings(epochs=2), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 1},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"workers": 1, "memory_budget": 1}, marks=pytest.mark.slow),
    ],
    ids=["one loop", "several loops", "streamed"],
)
def test_a_split_equals_data_that_were_split_beforehand(few_digits, options):
    members = [Member([0.2], seed=5, split=split) for split in (3, 0, 1, 2, 3)]
    trained = trainer(few_digits, **options).train(members)
    [alone] = trainer(few_digits.resplit(3), **options).train([Member([0.2], seed=5)])
    for result in (trained[0], trained[-1]):  # before and after other splits
        assert result.curves.to_dict() == alone.curves.to_dict()
    assert trained[1].score != alone.score


def test_a_resplit_exchanges_examples_and_keeps_sizes_classes_and_the_test_set(few_digits):
    def rows(*parts):
        flat = np.concatenate([x.reshape(len(x), -1) for x, _ in parts])
        return sorted(map(bytes, flat))

    other = few_digits.resplit(seed=4)
    assert rows(other.train, other.validation) == rows(few_digits.train, few_digits.validation)
    assert rows(other.validation) != rows(few_digits.validation)
    assert other.test[0] is few_digits.test[0]
    together = np.bincount(np.concatenate([few_digits.train[1], few_digits.validation[1]]))
    share = together * len(few_digits.validation[1]) / together.sum()
    assert np.abs(np.bincount(other.validation[1]) - share).max() < 1
    assert other.fingerprint() == few_digits.resplit(seed=4).fingerprint()


def test_weighted_examples_cannot_be_exchanged(few_digits):
    weighted = Dataset.from_arrays(
        few_digits.train, few_digits.validation, few_digits.test, sample_weight=np.ones(150)
    )
    with pytest.raises(
        DataError, match="weights for training and validation examples, or for neither"
    ):
        weighted.resplit(seed=0)
