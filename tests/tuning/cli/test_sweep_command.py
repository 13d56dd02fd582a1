"""The command `sweep`: what it writes, what it answers, and that it goes on where it was."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from dropout_zoo.studies import StudyResult, runner
from dropout_zoo.studies.experiments.methods import MORE_DATA, NO_METHOD, methods_for
from dropout_zoo.tuning.cli import sweep_output
from dropout_zoo.tuning.cli.main import main

FILES = {
    "study.parquet", "settings.csv", "summary.txt", "plot.png", "search.json", "outcome.json",
    "manifest.json",
}  # fmt: skip
QUICK = ["--epochs", "1", "--num-seeds", "2"]
OWN_MODEL = """
from dropout_zoo.models import build_mlp

def small(units=(8,), input_shape=(8, 8), num_classes=10):
    return build_mlp(
        input_shape=input_shape, num_classes=num_classes, units=units, hidden_rates=0.0
    )
"""


def write_data(folder):
    rng = np.random.default_rng(0)
    y = np.arange(200) % 10
    x = rng.integers(0, 60, (200, 8, 8)) + 15 * y[:, None, None]
    np.savez(folder / "data.npz", x=x.astype("uint8"), y=y)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a small file of data and a builder."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    # A name of its own each time, because imported modules stay.
    (tmp_path / f"own_{tmp_path.name}.py").write_text(OWN_MODEL)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, ["sweep", *(str(argument) for argument in arguments)])


SWEEP = ["rate", "mlp", "--data", "data.npz", "--rates", "0.5", *QUICK, "--out", "run"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The answer to a sweep, and the folder that it was run in, which tests leave as it is."""
    folder = tmp_path_factory.mktemp("finished")
    write_data(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        return run(*SWEEP), folder


def test_a_rate_sweep_leaves_table_plot_and_summary(finished):
    answered, here = finished
    assert answered.exit_code == 0, answered.output
    assert {path.name for path in (here / "run").iterdir()} == FILES
    study = StudyResult.from_parquet(here / "run" / "study.parquet")
    assert study.summary() in answered.stdout
    assert (here / "run" / "summary.txt").read_text() == study.summary() + "\n"
    table = pd.read_csv(here / "run" / "settings.csv")
    assert list(table["setting"]) == ["no dropout", "hidden 0.50"]
    np.testing.assert_allclose(table["mean"], study.means()["mean"])
    np.testing.assert_allclose(table["gain"].iloc[1], study.gains()["gain"].iloc[0])
    assert "4 training runs in" in answered.stdout
    assert "rate sweep: " in answered.stderr
    assert (here / "run" / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_json_is_the_outcome_and_a_complete_sweep_is_not_run_again(finished, monkeypatch):
    _, here = finished
    monkeypatch.chdir(here)
    before = {path: path.stat().st_mtime_ns for path in (here / "run").iterdir()}
    outcome = json.loads(run(*SWEEP, "--json", "--resume").stdout)
    assert outcome["study"] == "rate_sweep"
    assert outcome["num_runs"] == 4
    assert outcome == json.loads((here / "run" / "outcome.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in (here / "run").iterdir()} == before
    refused = run(*SWEEP)
    assert refused.exit_code == 2
    assert "(--resume) continues it, overwrite=True (--overwrite) removes it" in refused.stderr
    other = run(*SWEEP, "--resume", "--batch-size", "16")
    assert other.exit_code == 2
    assert "training.batch_size: 32 in that run, now 16" in other.stderr


@pytest.mark.slow
def test_overwrite_repeats_a_complete_sweep(here):
    for more in ([], ["--overwrite"]):
        answered = run(*SWEEP, "--json", *more)
        outcome = json.loads(answered.stdout)
        assert (answered.exit_code, outcome["num_runs"]) == (0, 4)
        assert outcome == json.loads((here / "run" / "outcome.json").read_text())


@pytest.mark.parametrize(
    ("kind", "ranges", "settings"),
    [
        pytest.param(
            "data-size",
            ["--sizes", "50,100", "--rates", "0.5"],
            {"50 examples, rate 0.50"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "capacity",
            ["--units", "4,8-4"],
            {"4 units, rate 0.50", "8-4 units, no dropout"},
            marks=pytest.mark.slow,
        ),
        pytest.param("placement", [], {"no dropout", "dense only"}, marks=pytest.mark.slow),
        pytest.param(
            "methods",
            ["--methods", "dropout,smaller model"],
            {"no method", "dropout", "smaller model"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_kind_runs_on_a_custom_function(here, kind, ranges, settings):
    answered = run(
        kind, f"own_{here.name}:small", "--data", "data.npz", "--epochs", "1", "--num-seeds", "1",
        "--json", *ranges,
    )  # fmt: skip
    assert answered.exit_code == 0, answered.output
    outcome = json.loads(answered.stdout)
    assert outcome["study"] == {
        "data-size": "data_size_sweep", "capacity": "capacity_sweep",
        "placement": "placement_sweep", "methods": "compare_methods",
    }[kind]  # fmt: skip
    assert outcome["conclusions"]
    assert outcome == json.loads((Path(outcome["directory"]) / "outcome.json").read_text())
    assert settings <= {row["setting"] for row in outcome["settings"]}


@pytest.mark.slow
def test_dry_run_writes_nothing(here):
    before = sorted(here.rglob("*"))
    answered = run("rate", "--data", "data.npz", "--rates", "0.2,0.5", "--dry-run")
    assert answered.exit_code == 0, answered.output
    assert "hidden 0.20" in answered.stdout
    assert "15 training runs, about" in answered.stdout
    planned = json.loads(run("placement", "--data", "data.npz", "--dry-run", "--json").stdout)
    assert planned["num_runs"] == 4 * 5
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["speed"], "No such command 'speed'"),
        (["rate", "mpl"], "received 'mpl'; did you mean 'mlp'"),
        (["rate", "--rates", "half"], "'--rates': expected numbers separated by commas"),
        (["rate", "--rates", "1.5"], r"expected rates[0] to be in [0, 1)"),
        (["methods", "--rates", "0.5"], "No such option"),
        (["rate", "--sites", "kitchen"], "expected sites to be 'all', 'each', a placement"),
        (["rate", "--num-seeds", "0"], "seeds to be a whole number of at least 1"),
        (["rate", "--objective", "val_happiness"], "whose direction is known"),
        (["rate", "--data", "missing.npz"], "missing.npz: expected"),
    ],
)
def test_wrong_use_is_reported_and_writes_nothing(here, arguments, words):
    data = [] if "--data" in arguments else ["--data", "data.npz"]
    answered = run(arguments[0], *data, *QUICK, *arguments[1:], "--out", "run")
    assert answered.exit_code == 2, answered.output
    assert words in answered.stderr
    assert "Traceback" not in answered.output
    assert not (here / "run" / "outcome.json").exists()
    refused = run("rate", "--resume")
    assert refused.exit_code == 2
    assert "expected --out with --resume" in refused.stderr


def interrupt(here, arguments, *signals):
    """Start a sweep, send it signals once it has finished a run; the program, and its errors."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dropout_zoo.tuning", "sweep", *arguments],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=here, env=os.environ.copy(),
    )  # fmt: skip
    journal = here / "run" / "state" / "runs-0.jsonl"
    try:
        deadline = time.monotonic() + 120
        while not (journal.is_file() and journal.stat().st_size) and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.3)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "Traceback" not in error
    return process, error


@pytest.mark.slow
@pytest.mark.posix
def test_a_sweep_that_ignores_interrupts_is_ended_by_sigterm_and_resumed(here):
    arguments = [
        "rate", "mlp", "--data", "data.npz", "--rates", "0.2", "--epochs", "1000",
        "--num-seeds", "2", "--out", "run",
    ]  # fmt: skip
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as after `nohup ... &` in a script
    try:
        process, error = interrupt(here, arguments, signal.SIGINT, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.returncode == 130, error
    assert "To continue, run the same command with --resume --out run" in error
    resumed = run(*arguments, "--resume", "--json")
    assert resumed.exit_code == 0, resumed.output


def test_a_resumed_sweep_that_cannot_begin_keeps_what_was_trained(here, monkeypatch):
    arguments = ["rate", "mlp", "--data", "data.npz", "--rates", "0.2", "--epochs", "1",
                 "--num-seeds", "1", "--out", "run"]  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(sweep_output, "write_sweep", lambda *_: sys.exit(1))  # as if killed there
        assert run(*arguments).exit_code == 1
    state = here / "run" / "state"
    before = {path: path.read_bytes() for path in state.rglob("*.*") if path.is_file()}
    assert any(path.suffix == ".jsonl" for path in before)
    with monkeypatch.context() as patched:
        full = OSError(errno.ENOSPC, "No space left on device", "weights")
        patched.setattr(runner, "unused_directory", Mock(side_effect=full))
        failed = run(*arguments, "--resume")
    assert failed.exit_code == 1 and "No space left on device" in failed.stderr
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
@pytest.mark.posix
@pytest.mark.usefixtures("interrupts_enabled")
def test_an_interrupted_sweep_is_resumed(here):
    arguments = [
        "rate", "mlp", "--data", "data.npz", "--rates", "0.2,0.4,0.6", "--epochs", "80",
        "--num-seeds", "2", "--out", "run",
    ]  # fmt: skip
    process, error = interrupt(here, arguments, signal.SIGINT)
    journal = here / "run" / "state" / "runs-0.jsonl"
    assert process.returncode == 130, error
    assert "To continue, run the same command with --resume --out run" in error
    done = len([line for line in journal.read_text().splitlines() if line])
    assert 0 < done < 8
    resumed = run(*arguments, "--resume", "--json")
    assert resumed.exit_code == 0, resumed.output
    assert {path.name for path in (here / "run").iterdir()} == FILES
    whole = run(*arguments[:-1], "again", "--json")
    first, second = (
        StudyResult.from_parquet(here / name / "study.parquet") for name in ("run", "again")
    )
    assert first.data["run"].nunique() == 8
    pd.testing.assert_frame_equal(
        first.data.drop(columns="seconds"), second.data.drop(columns="seconds")
    )
    assert json.loads(whole.stdout)["conclusions"] == json.loads(resumed.stdout)["conclusions"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data-size", "--sizes", "32.7"], "'--sizes': expected integers"),
        (["data-size", "--sizes", "inf"], "'--sizes': expected integers"),
        (["capacity", "--units", "8-inf"], "'--units': expected integers"),
        (["capacity", "--sites", "input"], "No such option"),
    ],
)
def test_wrong_ranges_are_reported(here, arguments, words):
    answered = run(*arguments, "--data", "data.npz", *QUICK)
    assert answered.exit_code == 2
    assert words in answered.stderr
    assert "Traceback" not in answered.output


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("rate", {"--rates", "--sites"}),
        ("data-size", {"--rates", "--sites", "--sizes"}),
        ("capacity", {"--rates", "--units"}),
        ("placement", set()),
        ("methods", {"--methods"}),
    ],
)
def test_each_kind_has_its_own_options(kind, options):
    answered = run(kind, "--help")
    assert answered.exit_code == 0
    ranges = {"--rates", "--sites", "--sizes", "--units", "--methods"}
    assert {each for each in ranges if f"  {each} " in answered.stdout} == options
    assert "MODEL and exit status: see `dropout-zoo sweep --help`." in answered.stdout


def test_the_help_lists_every_method_by_a_name_that_the_option_takes():
    answered = " ".join(run("methods", "--help").output.split())
    listed = answered.partition("in addition to no method: ")[2].partition(". [default")[0]
    known = {*methods_for((8,), is_image=True), MORE_DATA} - {NO_METHOD}
    assert set(listed.split(", ")) == known


@pytest.mark.nightly
def test_the_methods_are_raced_on_a_reconstruction(here):
    answered = run(
        "methods", "autoencoder", "--task", "reconstruction", "--data", "data.npz",
        "--methods", "augmentation", *QUICK,
    )  # fmt: skip
    assert answered.exit_code == 0, answered.output
    assert "val_mae" in answered.stdout
