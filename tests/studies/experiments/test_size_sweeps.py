"""Studies over the number of examples, the size of the model, and the epochs."""

import keras
import numpy as np
import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import (
    Execution,
    capacity_sweep,
    data_size_sweep,
    epoch_sweep,
    rate_size_map,
    rate_width_map,
)
from dropout_zoo.studies.control_names import NO_DROPOUT
from dropout_zoo.studies.data.subsets import with_fewer_examples
from dropout_zoo.studies.experiments.size_sweeps import check_sizes_of_data

ALONE = Execution(workers=1)  # a second worker traces everything a second time
QUICK = {"epochs": 2, "num_seeds": 2, "execution": ALONE}
ONE = {"epochs": 1, "num_seeds": 1, "execution": ALONE}


@pytest.fixture(scope="module")
def model():
    return build_mlp(units=(16,), hidden_rates=(0.5,))


@pytest.fixture(scope="module")
def by_size(model, few_digits):
    return data_size_sweep(model, few_digits, sizes=(30, 150), **QUICK)


def test_fewer_examples_keep_their_shares_and_the_validation_part(few_digits):
    part = with_fewer_examples(few_digits, 50, seed=3)
    counts = np.bincount(part.train[1], minlength=10)
    shares = np.bincount(few_digits.train[1], minlength=10) / 3
    assert counts.sum() == 50
    assert np.abs(counts - shares).max() < 1
    assert part.validation is few_digits.validation
    assert part.fingerprint() != with_fewer_examples(few_digits, 50, seed=4).fingerprint()
    assert with_fewer_examples(few_digits, 150, seed=3) is few_digits
    for number in (0, -1, 2.5):
        with pytest.raises(ValueError, match="expected examples to be"):
            with_fewer_examples(few_digits, number, seed=3)


def test_each_size_is_compared_with_itself_without_dropout(by_size):
    assert by_size.controls == {
        "30 examples, as given": "30 examples, no dropout",
        "150 examples, as given": "150 examples, no dropout",
    }
    assert len(by_size.scores()) == 2 * 2 * 2
    error = by_size.means("val_accuracy").set_index("setting")["mean"]
    assert error["150 examples, no dropout"] > error["30 examples, no dropout"]
    assert "150 examples, as given: " in by_size.summary()


def test_small_sets_get_as_many_updates_up_to_a_limit(by_size, model, few_digits):
    lengths = by_size.data.groupby("examples")["epoch"].max()
    assert lengths.to_dict() == {30: 10, 150: 2}
    capped = data_size_sweep(
        model, few_digits, sizes=(30,), max_epoch_factor=2, epochs=2, num_seeds=1, execution=ALONE
    )
    assert capped.data["epoch"].max() == 4


@pytest.mark.slow
def test_fresh_subsets_differ_by_seed_and_shared_ones_do_not(model, few_digits):
    runs = {
        subsets: data_size_sweep(
            model,
            few_digits,
            sizes=(30,),
            subsets=subsets,
            max_epoch_factor=1,
            **ONE | {"num_seeds": 2},
        )
        for subsets in ("fresh", "shared")
    }
    losses = {
        name: run.scores().set_index(["setting", "seed"])["val_loss"] for name, run in runs.items()
    }
    same, other = ("30 examples, no dropout", 0), ("30 examples, no dropout", 1)
    assert losses["fresh"][same] == pytest.approx(losses["shared"][same])
    assert losses["fresh"][other] != pytest.approx(losses["shared"][other])


def test_default_sizes_go_from_a_hundred_to_all(digits):
    sizes = check_sizes_of_data(None, digits)
    assert (sizes[0], sizes[-1]) == (100, len(digits.train[1]))
    with pytest.raises(ValueError, match="expected sizes of at most"):
        check_sizes_of_data([10**6], digits)


@pytest.mark.slow
def test_capacity_varies_width_and_depth(few_digits):
    result = capacity_sweep("mlp", few_digits, units=[(4,), (16,), (8, 8)], **QUICK)
    scores = result.scores().drop_duplicates("setting").set_index("setting")
    assert len(scores) == 6
    assert scores.loc["8-8 units, no dropout", "layers"] == 2
    assert scores.loc["16 units, rate 0.50", "parameters"] == 784 * 16 + 16 + 16 * 10 + 10
    assert scores.loc["8-8 units, rate 0.50", "rate/hidden_2_dropout"] == 0.5
    assert result.controls["4 units, rate 0.50"] == "4 units, no dropout"


@pytest.mark.slow
def test_capacity_takes_a_custom_builder_and_names_missing_arguments(few_digits, model):
    def wide(units=(8,)):
        return build_mlp(units=units, hidden_rates=0.3)

    def narrow():
        return model

    result = capacity_sweep(wide, few_digits, units=[(4,)], **ONE)
    assert set(result.scores()["parameters"]) == {784 * 4 + 4 + 4 * 10 + 10}
    with pytest.raises(ValueError, match=r"expected a builder with the arguments 'units'.*narrow"):
        capacity_sweep(narrow, few_digits, units=[(4,)])
    with pytest.raises(ValueError, match="received the built model 'mlp'"):
        capacity_sweep(model, few_digits, units=[(4,)])


def test_an_epoch_sweep_says_when_validation_turns(model, few_digits):
    result = epoch_sweep(model, few_digits, epochs=3, num_seeds=2, execution=ALONE)
    for name in (NO_DROPOUT, "as given"):
        curves = result.curves(name)
        turns = curves.loc[curves.groupby("seed")["val_loss"].idxmin(), "epoch"]
        expected = f"{name}: val_loss is best at epoch {turns.mean():.1f}"
        assert expected in result.summary()


def test_an_epoch_sweep_whose_validation_never_turns_says_so(few_digits):
    slow = build_mlp(units=(8,), hidden_rates=0.3, optimizer=keras.optimizers.SGD(1e-4))
    summary = epoch_sweep(slow, few_digits, epochs=3, num_seeds=2, execution=ALONE).summary()
    assert "best at epoch 3.0 on average" in summary
    assert "the last epoch, so longer training may improve it" in summary


@pytest.mark.slow
def test_maps_vary_the_rate_and_another_factor(few_digits):
    widths = rate_width_map("mlp", few_digits, units=(8,), widths=(0.5, 2), rates=(0.5,), **ONE)
    scores = widths.scores()
    assert sorted(zip(scores["width"], scores["rate"], strict=True)) == [
        (0.5, 0.0), (0.5, 0.5), (2.0, 0.0), (2.0, 0.5),
    ]  # fmt: skip
    assert scores.groupby("width")["parameters"].first().tolist() == [
        785 * 4 + 4 * 10 + 10, 785 * 16 + 16 * 10 + 10,
    ]  # fmt: skip
    sizes = rate_size_map("mlp", few_digits, sizes=(30, 150), rates=(0.5,), **ONE)
    assert set(sizes.scores()["examples"]) == {30, 150}
    assert "30 examples: the mean val_loss is lowest at rate " in sizes.summary()
    assert all([*widths.conclusions, *sizes.conclusions])  # one seed gives no interval of a gain


def test_an_unknown_setting_is_reported_with_the_study_it_was_given_to(model, few_digits):
    with pytest.raises(TypeError, match=r"epoch_sweep\(\)"):
        epoch_sweep(model, few_digits, epoch=3)
