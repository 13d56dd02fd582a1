"""Sentences on gains: what they claim follows from the interval, and they say what it rests on."""

import math

import pandas as pd
import pytest

from dropout_zoo.studies import (
    PairedDifference,
    TrainingStudyResult,
    claim_sentence,
    paired_difference,
)
from dropout_zoo.studies.summary_text import gain_clause, gain_counts
from dropout_zoo.training.objective import Objective

CLEAR = PairedDifference(0.2, low=0.1, high=0.3, level=0.95, p_value=0.01, pairs=5)
UNSURE = PairedDifference(0.0095, low=-0.018, high=0.037, level=0.95, p_value=0.4, pairs=5)


@pytest.mark.parametrize(
    ("gain", "sentence"),
    [
        (CLEAR, "0.2 better than no dropout (95% CI 0.1 to 0.3, 5 paired seeds)"),
        (
            UNSURE,
            "no reliable gain over no dropout: 0.0095 (95% CI -0.018 to 0.037 includes 0, 5 "
            "paired seeds)",
        ),
        (
            UNSURE._replace(level=0.99),
            "no reliable gain over no dropout: 0.0095 (95% CI -0.018 to 0.037 includes 0, 5 "
            "paired seeds, Holm-adjusted)",
        ),
        (
            CLEAR._replace(mean=-0.2, low=-0.3, high=-0.1),
            "0.2 worse than no dropout (95% CI -0.3 to -0.1, 5 paired seeds)",
        ),
        (
            paired_difference([0.5], [0.3]),
            "0.2 better than no dropout on a single seed, so not conclusive",
        ),
        (
            PairedDifference(5.6e-17, -1e-16, 2e-16, level=0.95, p_value=0.4, pairs=5),
            "no reliable gain over no dropout: 0 (95% CI 0 to 0 includes 0, 5 paired seeds)",
        ),
        (
            paired_difference([0.1 + 0.2], [0.3]),
            "equal to no dropout on a single seed, so not conclusive",
        ),
        (None, "not compared with no dropout, because a training run failed"),
    ],
)
def test_the_clause_claims_what_the_interval_allows(gain, sentence):
    assert gain_clause(gain, "no dropout") == sentence


def test_a_row_of_gains_reads_like_its_difference():
    row = pd.Series({"setting": "a", "gain": 0.2, "low": 0.1, "high": 0.3, "level": 0.9,
                     "p_value": 0.01, "pairs": 4})  # fmt: skip
    assert gain_clause(row, "b", "fold", level=0.9) == (
        "0.2 better than b (90% CI 0.1 to 0.3, 4 paired folds)"
    )


def test_values_that_are_not_finite_are_no_reliable_gain():
    unknown = CLEAR._replace(mean=math.nan, low=math.nan, high=math.nan)
    assert gain_clause(unknown, "b") == (
        "no confidence interval for the gain over b, because some values are not finite"
    )


def test_settings_are_listed_by_how_they_compare_with_the_control():
    scores = {
        "no dropout": [0.50, 0.52, 0.51],
        "hidden 0.20": [0.30, 0.31, 0.32],
        "hidden 0.30, input 0.10": [0.31, 0.30, 0.33],
        "hidden 0.50": [0.51, 0.50, 0.52],
        "hidden 0.90": [0.90, 0.92, 0.90],
    }
    runs = [(name, seed, loss) for name, by in scores.items() for seed, loss in enumerate(by)]
    data = pd.DataFrame(runs, columns=["setting", "seed", "val_loss"])
    data = data.assign(run=range(len(data)), status="completed", reason="", epoch=1, best_epoch=1)
    controls = dict.fromkeys(list(scores)[1:], "no dropout")
    result = TrainingStudyResult(
        kind="rates", data=data, settings={}, versions={}, conclusions=(),
        objective=Objective("val_loss", "min"), factors=[], controls=controls,
    )  # fmt: skip
    assert gain_counts(result) == (
        "Compared with no dropout, these settings are better: hidden 0.20; hidden 0.30, input "
        "0.10. These are worse: hidden 0.90. These are not reliably different: hidden 0.50."
    )


@pytest.mark.parametrize(
    ("confirmed", "word"), [(True, "Confirmed"), (False, "Not confirmed"), (None, "Undecided")]
)
def test_a_claim_is_confirmed_or_not_or_undecided(confirmed, word):
    sentence = claim_sentence("dropout helps", confirmed, "a gain of 0.02")
    assert sentence == f"**{word}**: dropout helps. Here: a gain of 0.02."
    withheld = claim_sentence("dropout helps", confirmed, "a gain of 0.02", not_ended=["a", "b"])
    assert withheld == (
        '**Undecided**: dropout helps. Here: a gain of 0.02. Not trained to the end: "a" and "b".'
    )
