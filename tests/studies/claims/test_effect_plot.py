"""The picture of a claim shows its effects on the side that the claim states."""

import matplotlib.pyplot as plt
import pytest

from dropout_zoo.studies import get_claim
from dropout_zoo.studies.claims.effect_plot import effect_display


@pytest.mark.parametrize(
    ("name", "sign", "reading"),
    [
        ("input-dropout-helps", -1, "right is as claimed"),
        ("slows-training", 1, "right is as claimed"),
        ("dropout-equals-an-ensemble", 1, "0 is as claimed"),
    ],
)
def test_effects_are_drawn_with_the_sign_of_the_claim(name, sign, reading):
    claim = get_claim(name)
    outcome = claim.stored_outcome()
    display = effect_display(claim, outcome).plot()
    [effect] = outcome.effects
    [drawn] = display.gains.to_dict("records")
    assert drawn["gain"] == sign * effect.difference.mean
    assert drawn["low"] <= drawn["gain"] <= drawn["high"]
    assert display.pairs["gain"].tolist() == [sign * value for value in effect.by_seed]
    label = " ".join(display.ax_.get_xlabel().split())
    assert reading in label
    assert ("sign reversed" in label) == (sign < 0)
    plt.close(display.figure_)
