"""The benchmark table of the zoo: what it trains and writes, and that docs/zoo.md shows it."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from dropout_zoo.models import (
    create_model,
    list_models,
    model_entry,
    trained_weights,
    weights_card,
)
from dropout_zoo.training import load_dataset

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def programs():
    """The modules of the program; its folder holds scripts and is not a package."""
    sys.path.insert(0, str(BENCHMARKS))
    names = ("zoo_jobs", "zoo_page", "zoo_training", "zoo_table", "zoo_weights")
    yield {name: importlib.import_module(name) for name in names}
    sys.path.remove(str(BENCHMARKS))


def kept():
    return json.loads((BENCHMARKS / "zoo_table.json").read_text())


def test_the_page_of_the_zoo_shows_what_was_measured(programs):
    page = (ROOT / "docs" / "zoo.md").read_text()
    assert programs["zoo_page"].with_table(page, kept()) == page


def test_every_registered_model_is_in_the_table():
    table = kept()
    shown = [each["model"] for each in (*table["rows"], *table["not_run"])]
    assert sorted(shown) == list_models()
    assert all(each["reason"] for each in table["not_run"])


def test_every_number_follows_from_the_seeds_errors():
    for row in kept()["rows"]:
        none = row["settings"]["none"]["errors"]
        for setting in row["settings"].values():
            if setting["errors"] is None:
                assert setting["reason"]
                continue
            assert len(setting["errors"]) == row["work"]["num_seeds"]
            assert setting["mean"] == pytest.approx(np.mean(setting["errors"]))
            assert setting["std"] == pytest.approx(np.std(setting["errors"], ddof=1))
            if setting["difference"]:
                difference = np.subtract(setting["errors"], none)
                assert setting["difference"]["mean"] == pytest.approx(difference.mean())


def test_every_registered_model_is_benchmarked_or_excused_with_a_reason(programs):
    jobs = programs["zoo_jobs"]
    planned = {job.model for job in jobs.JOBS}
    assert planned <= set(list_models())
    assert set(jobs.PUBLISHED) <= set(list_models())
    for name in list_models():
        found = jobs.job_for(model_entry(name))
        assert isinstance(found, jobs.BenchmarkJob) == (name in planned)
    excused = {
        name: jobs.job_for(model_entry(name)).reason for name in set(list_models()) - planned
    }
    assert "SVHN needs a download" in excused["srivastava_cnn"]
    assert "too large for two cores" in excused["srivastava_8192x2"]


@pytest.mark.slow
def test_a_work_is_trained_scored_and_not_trained_again(programs, tmp_path, monkeypatch):
    job = programs["zoo_jobs"].BenchmarkJob(
        "mlp", "digits", epochs=60, patience=4, train=150, validation=90, num_seeds=2
    )
    row_of = programs["zoo_training"].row_of
    row = row_of(job, None, tmp_path)
    json.dumps(row, allow_nan=False)
    run = Path(row.pop("run"))
    assert row["dataset"]["examples"]["train"] == 150
    assert row["settings"]["default"]["rates"] == dict(model_entry("mlp").sites)
    assert not any(row["settings"]["none"]["rates"].values())
    assert all(0 < error < 100 for error in row["settings"]["none"]["errors"])
    difference = row["settings"]["default"]["difference"]
    assert difference["low"] < difference["mean"] < difference["high"]
    assert row["updates"]["none"] > 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert row_of(job, None, tmp_path) == row | {"run": str(run)}
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before
    programs["zoo_weights"].store_weights(
        row | {"model": "mlp", "parameters": 100, "machine": {"processor": "any"}},
        run,
        tmp_path / "weights",
    )
    monkeypatch.setattr(trained_weights, "WEIGHTS", tmp_path / "weights")
    stored, card = create_model("mlp", weights="digits"), weights_card("mlp", "digits")
    x, y = load_dataset("digits", seed=0).test
    error = 100 * np.mean(stored.predict(x, verbose=0).argmax(axis=1) != y)
    assert error == pytest.approx(card.test_error_of_weights, abs=0.1)
    assert f"test error {error:.2f}%" in str(card)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"parameters": 2_000_000}, "2,000,000 parameters are more than 1,500,000"),
        ({"work": {"task": "reconstruction"}}, "a card states a test error"),
        ({}, "not trained to the end"),
    ],
)
def test_weights_are_stored_only_with_a_card_that_can_be_filled(
    programs, tmp_path, capsys, change, why
):
    one = row(programs, [5.0, 6.0], [5.0, 6.1], "not trained to the end") | change
    programs["zoo_weights"].store_weights(one, tmp_path, tmp_path / "weights")
    assert f"net: no weights are stored: {why}" in capsys.readouterr().err
    assert not (tmp_path / "weights").exists()


def row(programs, none, half, default):
    """A row with these errors and the differences that the program computes from them."""
    rates = {"none": {"drop": 0.0}, "half": {"drop": 0.25}, "default": {"drop": 0.5}}
    return {
        "model": "net",
        "data": "digits",
        "parameters": 100,
        "work": {"task": None},
        "dataset": {"examples": {"train": 1000}},
        "updates": {"none": 3000, "half": 3500, "default": 4000},
        "settings": programs["zoo_training"].compared(
            {"none": none, "half": half, "default": default}, rates
        ),
        "published": "",
    }


def page_of(programs, *errors):
    """The page of a row: its first sentence, and the cells of the row."""
    text = programs["zoo_page"].markdown({"rows": [row(programs, *errors)], "not_run": []})
    line = next(line for line in text.splitlines() if line.startswith("| net "))
    return text, [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_shows_reliable_differences_in_bold(programs):
    told, cells = page_of(programs, [5.0, 6.0, 7.0], [5.0, 6.5, 6.5], [3.0, 4.1, 4.9])
    assert told.startswith("Of 1 models, dropout lowered the test error of 1 and raised that of 0")
    assert cells[:4] == ["net", "digits, 1,000", "3,000 and 4,000", "6.00 ± 1.00"]
    assert cells[4].startswith("6.00 ± 0.87 (+0.00, ")
    assert cells[5].startswith("4.00 ± 0.95 (**-2.00, ")
    assert cells[6] == "helped at the default rates"


@pytest.mark.parametrize(
    ("half", "default", "effect"),
    [
        ([5.1, 6.0, 6.9], [5.0, 5.9, 7.1], "no reliable difference (±0."),
        ([3.0, 4.1, 4.9], [3.1, 4.0, 5.0], "helped"),
        ([7.0, 8.1, 8.9], [7.1, 8.0, 9.0], "harmed"),
        ([3.0, 4.1, 4.9], [7.1, 8.0, 9.0], "helped at half the rates, harmed at the default rates"),
        ([3.0, 4.1, 4.9], "not trained to the end", "helped at half the rates"),
        ("not trained to the end", [5.1, 6.0, 6.9], "no reliable difference (±0."),
        ("not trained to the end", "not trained to the end", "not comparable"),
    ],
)
def test_the_page_says_what_dropout_did(programs, half, default, effect):
    _, cells = page_of(programs, [5.0, 6.0, 7.0], half, default)
    assert cells[6].startswith(effect)


def test_models_that_one_of_the_rates_helps_and_the_other_harms_are_counted_apart(programs):
    text, _ = page_of(programs, [5.0, 6.0, 7.0], [3.0, 4.1, 4.9], [7.1, 8.0, 9.0])
    told = " ".join(text.split())
    assert "lowered the test error of 0 and raised that of 0" in told
    assert "For 1, one of the two helped and the other harmed." in told
    assert "cannot be compared" not in told


def test_the_page_shows_failures(programs):
    failed = "diverged on 1 of 3 seeds"
    told, cells = page_of(programs, [5.0, 6.0, 7.0], failed, failed)
    assert cells[4:6] == [failed, failed]
    assert "1 cannot be compared." in told.replace("\n", " ")


def test_a_page_without_markers_is_refused(programs):
    with pytest.raises(ValueError, match="expected one marked table"):
        programs["zoo_page"].with_table("no marks", {"rows": [], "not_run": []})
