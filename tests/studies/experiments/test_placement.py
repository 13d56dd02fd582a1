"""Placements: the rates differ between the settings, and nothing else does."""

import pytest

from dropout_zoo.models import build_cnn, build_mlp
from dropout_zoo.studies import Execution, placement_sweep
from dropout_zoo.studies.control_names import NO_DROPOUT

ALONE = Execution(workers=1)


def small_cnn(
    input_rate=None, conv_rates=None, conv_dropout="element", input_shape=(28, 28), num_classes=10
):
    return build_cnn(
        input_shape=(*input_shape, 1)[:3], num_classes=num_classes, filters=(4,), units=(8,),
        input_rate=input_rate, conv_rates=conv_rates, conv_dropout=conv_dropout,
    )  # fmt: skip


@pytest.fixture(scope="module")
def image_digits(few_digits):
    parts = {
        name: (getattr(few_digits, name)[0][..., None], getattr(few_digits, name)[1])
        for name in ("train", "validation", "test")
    }
    return type(few_digits).from_arrays(**parts)


@pytest.mark.slow
def test_placements_differ_only_in_their_rates(image_digits):
    result = placement_sweep(small_cnn, image_digits, epochs=1, num_seeds=1, execution=ALONE)
    scores = result.scores().set_index("setting")
    rates = scores.filter(regex="^rate/")
    assert list(scores.index) == [
        NO_DROPOUT, "input", "convolutional", "dense only", "all",
        "convolutional (SpatialDropout2D)", "all (SpatialDropout2D)",
    ]  # fmt: skip
    columns = ["rate/input_dropout", "rate/conv_1_dropout", "rate/hidden_1_dropout"]
    assert rates.loc["dense only", columns].tolist() == [0, 0, 0.5]
    assert rates.loc["convolutional", columns].tolist() == [0, 0.25, 0]
    assert rates.loc["all", columns].tolist() == [0.2, 0.25, 0.5]
    assert rates.loc["all", columns].tolist() == rates.loc["all (SpatialDropout2D)"].tolist()
    losses = scores["loss"]
    assert losses["convolutional"] != losses["convolutional (SpatialDropout2D)"]
    assert len({model["parameters"] for model in result.settings["models"]}) == 1


@pytest.mark.slow
def test_a_given_model_is_compared_at_its_placements(few_digits):
    model = build_mlp(units=(8,), hidden_rates=0.5, input_rate=0.1)
    result = placement_sweep(
        model, few_digits, rates={"input": 0.3}, epochs=1, num_seeds=1, execution=ALONE
    )
    assert list(result.scores()["setting"]) == [NO_DROPOUT, "input", "dense only", "all"]
    assert result.scores()["rate/input_dropout"].tolist() == [0, 0.3, 0, 0.3]
    with pytest.raises(ValueError, match=r"expected rates for placements of .*input, hidden"):
        placement_sweep(model, few_digits, rates={"kitchen": 0.3})
