"""The ledger: every claim can be judged, and what is stored belongs to what is declared."""

import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from dropout_zoo.studies import claims_table, get_claim, list_claims
from dropout_zoo.studies.claims.metrics import METRICS
from dropout_zoo.studies.claims.outcome import NOT_TESTED, VERDICTS
from dropout_zoo.studies.claims.page import claims_page
from dropout_zoo.studies.claims.planning import plan_experiment
from dropout_zoo.studies.claims.record import ExperimentRecord

EXPERIMENTS = {claim.experiment.name: claim.experiment for claim in list_claims()}
TESTED = [claim for claim in list_claims() if claim.stored_outcome().verdict != NOT_TESTED]


def test_the_page_is_what_the_claims_and_their_results_make_of_it():
    page = Path(__file__).parents[3] / "docs" / "claims.md"
    assert page.read_text(encoding="utf-8") == claims_page(), (
        "run: python -m dropout_zoo.studies.claims.page > docs/claims.md"
    )


def test_every_claim_compares_settings_of_its_experiment_in_a_known_metric():
    for claim in list_claims():
        assert set(claim.criterion.settings) <= set(claim.experiment.settings), claim.name
        assert claim.criterion.metric in METRICS, claim.name
        assert str(claim.criterion)


def test_names_of_experiments_are_unique():
    assert all(claim.experiment == EXPERIMENTS[claim.experiment.name] for claim in list_claims())


def test_every_stored_result_is_of_an_experiment_and_has_all_its_runs():
    folder = resources.files("dropout_zoo.studies.claims") / "results"
    stored = {file.name.removesuffix(".json") for file in folder.iterdir()}
    assert stored <= set(EXPERIMENTS)
    for name in stored:
        record, experiment = ExperimentRecord.stored(name), EXPERIMENTS[name]
        assert record.experiment == name
        assert record.definition["seeds"] == list(range(experiment.num_seeds))
        assert set(record.definition["settings"]) == set(experiment.settings)
        assert len(record.runs) == experiment.num_seeds * len(experiment.settings)


def test_every_stored_outcome_has_a_verdict_with_its_effects():
    assert len(TESTED) >= 2
    for claim in TESTED:
        outcome = claim.stored_outcome()
        assert outcome.verdict in VERDICTS
        assert outcome.why in str(outcome)
        for effect in outcome.effects:
            assert effect.difference.low <= effect.difference.mean <= effect.difference.high
            assert len(effect.by_seed) == effect.difference.pairs


def test_a_name_that_is_nearly_right_is_suggested():
    with pytest.raises(ValueError, match=r"did you mean 'narrows-the-gap'\?"):
        get_claim("narrow-the-gap")


def test_verdicts_are_known_without_importing_keras():
    code = (
        "import sys; from dropout_zoo.studies import list_claims; "
        "print(len([claim.stored_outcome() for claim in list_claims()]), 'keras' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.split() == [str(len(list_claims())), "False"]


@pytest.mark.slow
def test_the_plans_are_those_that_the_stored_results_were_made_with(mnist_path):
    for name, experiment in EXPERIMENTS.items():
        record = ExperimentRecord.stored(name)
        if record is not None:
            described = plan_experiment(experiment).describe()
            assert {key: described[key] for key in record.definition} == record.definition, name


@pytest.mark.slow
def test_a_claim_that_is_run_again_has_its_stored_verdict(mnist_path):
    claim = get_claim("no-dropout-in-one-epoch")
    found, stored = claim.run(), claim.stored_outcome()
    assert found.verdict == stored.verdict
    for effect, before in zip(found.effects, stored.effects, strict=True):
        # Other processors and versions round differently, which changes single runs.
        assert before.difference.low <= effect.difference.mean <= before.difference.high


def test_the_table_and_the_finding_say_what_the_test_of_a_claim_found():
    claim = get_claim("input-dropout-helps")
    outcome = claim.stored_outcome()
    table = claims_table([claim.name])
    row = table.loc[claim.statement]
    assert row["verdict"] == outcome.verdict
    assert row["effect"] == outcome.effects[0].value
    assert row["seeds"] == outcome.effects[0].difference.pairs
    assert claim.finding() == f'{row["verdict"].capitalize()} on 8 seeds: "{claim.statement}"'
    assert list(claims_table().index) == [each.statement for each in list_claims()]


def test_claims_that_could_not_be_compared_are_tabulated_too():
    claim = next(c for c in list_claims() if not c.stored_outcome().effects)
    row = claims_table([claim.name]).iloc[0]
    assert (row["effect"], row["seeds"]) == ("", 0)
    assert claim.finding().startswith(f"{row['verdict'].capitalize()} (")
