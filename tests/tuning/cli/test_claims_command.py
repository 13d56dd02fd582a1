"""The command `claims`: the list of verdicts, and claims that are run again."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from dropout_zoo.studies import list_claims, with_fewer_examples
from dropout_zoo.studies.claims import ledger
from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.criteria import HIGHER, LOWER, Difference, versus
from dropout_zoo.studies.claims.experiment import Experiment, ExperimentSetting, hidden
from dropout_zoo.tuning.cli.main import main


def run(*arguments):
    return CliRunner().invoke(main, ["claims", *(str(argument) for argument in arguments)])


@pytest.fixture
def small(monkeypatch, few_digits):
    """Two claims that share an experiment of a few seconds, in place of those of the ledger."""
    experiment = Experiment(
        name="small",
        description="60 digits",
        data=lambda seed: with_fewer_examples(few_digits, 60, seed),
        arguments={"units": (16,)},
        settings={"none": ExperimentSetting(), "most": ExperimentSetting(hidden(0.9))},
        training={"epochs": 2},
        num_seeds=3,
    )
    rules = {"harms": ("last_train_loss", HIGHER), "helps": ("test_loss", LOWER)}
    claims = {
        name: Claim(
            name, "Topic", f"It {name}.", "nobody", experiment,
            Difference(metric, direction, [versus("most", "none")]), trained_to_the_end=False,
        )
        for name, (metric, direction) in rules.items()
    }  # fmt: skip
    monkeypatch.setattr(ledger, "get_claim", claims.__getitem__)
    return claims


def test_all_claims_are_listed_with_their_stored_verdicts():
    found = json.loads(run("--json").output)
    assert [each["name"] for each in found] == [claim.name for claim in list_claims()]
    by_name = {each["name"]: each for each in found}
    for claim in list_claims():
        assert by_name[claim.name]["verdict"] == claim.stored_outcome().verdict
    shown = run()
    assert shown.exit_code == 0
    assert "lowers-the-rise" in shown.output


def test_claims_are_run_once_per_experiment_and_complete_runs_are_not_run_again(small, tmp_path):
    found = run("harms", "helps", "--out", tmp_path / "out", "--num-seeds", 2)
    assert found.exit_code == 0, found.output
    folder = tmp_path / "out" / "small"
    assert {file.name for file in folder.iterdir()} == {
        "results.json", "summary.txt", "harms.png", "helps.png", "search.json", "outcome.json",
        "manifest.json",
    }  # fmt: skip
    assert len(json.loads((folder / "results.json").read_text())["runs"]) == 4
    assert "harms: It harms." in found.output
    assert "2 seeds" in found.output
    before = (folder / "results.json").stat().st_mtime_ns
    command = ("harms", "helps", "--out", tmp_path / "out", "--num-seeds", 2)
    again = json.loads(run(*command, "--resume", "--json").stdout)
    assert [each["claim"] for each in again] == ["harms", "helps"]
    assert (folder / "results.json").stat().st_mtime_ns == before
    refused = run(*command)
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr


def test_a_dry_run_shows_the_plan_and_estimates_its_time(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [found] = json.loads(run("harms", "helps", "--dry-run", "--json").stdout)
    assert found["num_runs"] == 6
    assert found["claims"] == ["harms", "helps"]
    assert found["description"] == "60 digits"
    assert found["estimated_seconds"] > 0
    assert found["settings"]["most"] == {"hidden_1_dropout": 0.9}
    shown = run("harms", "--dry-run", "--num-seeds", 2)
    assert shown.exit_code == 0, shown.output
    assert "small: 60 digits" in shown.stdout
    assert "hidden rate" in shown.stdout
    assert "4 training runs, about" in shown.stdout
    assert "Nothing was written." in shown.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_dry_run_of_several_experiments_says_once_that_nothing_was_written(small):
    small["again"] = replace(
        small["helps"], experiment=replace(small["helps"].experiment, name="other")
    )
    shown = run("harms", "again", "--dry-run", "--num-seeds", 2)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.count("training runs, about") == 2
    assert shown.stdout.count("Nothing was written.") == 1


@pytest.mark.parametrize(
    ("name", "given", "least"), [("lowers-the-rise", 1, 2), ("best-rate-within-the-range", 3, 4)]
)
@pytest.mark.parametrize("dry_run", [["--dry-run"], []])
def test_too_few_seeds_for_the_criterion_are_refused(name, given, least, dry_run, tmp_path):
    found = run(name, "--num-seeds", given, "--out", tmp_path / "out", *dry_run)
    assert found.exit_code == 2
    expected = f"expected num_seeds to be a whole number of at least {least}, received {given}"
    assert expected in found.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_name_suggests_a_similar_one():
    found = run("narrow-the-gap")
    assert found.exit_code == 2
    assert "did you mean 'narrows-the-gap'?" in found.stderr
