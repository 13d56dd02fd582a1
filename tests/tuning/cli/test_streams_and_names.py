"""Names that cannot be used, and output that cannot be written: a line, and a status."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dropout_zoo.training import parse_objective
from dropout_zoo.tuning.cli.main import main

QUICK = ["--epochs", "1", "--num-seeds", "2"]
TUNE = ["tune", "mlp", *QUICK, "--num-finalists", "1"]
SWEEP = ["sweep", "rate", "mlp", *QUICK, "--rates", "0.5"]
LONG = "a" * 300
SWALLOWS = """
import signal, sys

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "keras_tuner":
            try:
                signal.raise_signal(signal.SIGINT)
            except BaseException:
                raise ImportError("interrupted")

sys.meta_path.insert(0, Finder())
"""


def exits():
    sys.exit(0)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(*arguments):
    """The message of a command line that is wrong, which leaves nothing behind."""
    answered = CliRunner().invoke(main, list(arguments))
    assert answered.exit_code == 2, answered.output
    assert "Traceback" not in answered.output
    assert list(Path().iterdir()) == []
    return answered.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", [TUNE, SWEEP])
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--out", ""], "expected the name of a directory, received an empty one"),
        (["--out", os.fsdecode(b"\xff")], r"whose name is UTF-8, received b'\xff'"),
        (["--out", LONG], "File name too long"),
        (["--out", f"above/{LONG}"], "File name too long"),
        (["--data", f"{LONG}.csv"], "File name too long"),
        (["--objective", ""], "expected an objective"),
        (["--objective", "val_loss:", "--out", "run"], "received 'val_loss:'"),
        (["--objective", "val_nope:max", "--out", "run"], "received 'val_nope'"),
        (["--objective", "val_nope:max"], "received 'val_nope'"),
        (["--epochs", "0", "--out", "run"], "expected epochs"),
        (["--batch-size", "0", "--out", "run"], "expected batch_size"),
        (["--patience", "0", "--out", "run"], "expected patience"),
        (["--learning-rate", "0", "--out", "run"], "expected learning_rate"),
        (["--num-seeds", "0", "--out", "run"], "expected "),
    ],
)
@pytest.mark.posix
def test_what_is_wrong_is_said_before_anything_is_written(here, command, options, reason):
    assert reason in refused(*command, *options)


@pytest.mark.parametrize("command", [TUNE, SWEEP])
@pytest.mark.posix
def test_data_whose_name_no_directory_can_have_need_out(tmp_path, monkeypatch, command):
    rng = np.random.default_rng(0)
    name = os.fsdecode(b"\xff.npz")
    np.savez(tmp_path / name, x=rng.random((60, 28, 28), "float32"), y=np.arange(60) % 10)
    monkeypatch.chdir(tmp_path)
    answered = CliRunner().invoke(main, [*command, "--data", name])
    assert answered.exit_code == 2
    assert "whose name is UTF-8" in answered.stderr
    assert answered.stderr.endswith("; choose another directory (--out)\n")


@pytest.mark.parametrize("command", [["tune"], ["sweep", "rate"], ["audit"], ["show"]])
def test_a_builder_that_exits_is_an_error(here, command):
    assert "received SystemExit" in refused(*command, f"{__name__}:exits")


def test_a_module_that_exits_is_an_error(here, tmp_path_factory, monkeypatch):
    path = tmp_path_factory.mktemp("modules")
    (path / "exits_at_once.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(path)
    assert "importing 'exits_at_once' fails: SystemExit" in refused("show", "exits_at_once:model")


@pytest.mark.parametrize(
    "command",
    [["show", f"{LONG}.keras"], ["show", "mlp", "--svg", f"{LONG}.svg"], ["verify", LONG]],
)
def test_names_that_are_too_long_are_invalid(here, command):
    assert "File name too long" in refused(*command)


@pytest.mark.parametrize("text", ["", ":", "val_loss:", ":min", "val_loss:max:", "val_loss:up"])
def test_objectives_that_are_cut_short_are_refused(text):
    with pytest.raises(ValueError, match="expected an objective"):
        parse_objective(text)


def program(command: str):
    return subprocess.run(
        ["bash", "-c", command.replace("dropout-zoo", f"{sys.executable} -m dropout_zoo.tuning")],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )


@pytest.mark.parametrize(
    "command",
    [
        "list",
        pytest.param("--version", marks=pytest.mark.slow),
        pytest.param("list --json", marks=pytest.mark.slow),
        pytest.param("--help", marks=pytest.mark.slow),
        pytest.param("show mlp", marks=pytest.mark.slow),
        pytest.param("audit mlp --json", marks=pytest.mark.slow),
    ],
)
@pytest.mark.posix
def test_output_that_cannot_be_written_is_one_line(command):
    ran = program(f"dropout-zoo {command} > /dev/full")
    *_, last = ran.stderr.splitlines()
    assert last == "Error: cannot write the output: No space left on device"
    assert ran.stderr.count("Error") == 1
    assert "Traceback" not in ran.stderr
    assert ran.returncode == 1
    closed = program(f"dropout-zoo {command} >&-")
    assert "Error" not in closed.stderr and "Traceback" not in closed.stderr
    assert closed.returncode == 0
    ran = program(f"dropout-zoo {command} | true")
    assert "Error" not in ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.slow
@pytest.mark.posix
def test_a_run_without_standard_streams_is_whole(tmp_path):
    """What libraries print does not reach the files of the run, which would get the numbers."""
    run = tmp_path / "run"
    ran = program(f"dropout-zoo {' '.join(SWEEP)} --out {run} <&- >&- 2>&-")
    assert ran.returncode == 0
    assert CliRunner().invoke(main, ["verify", str(run)]).exit_code == 0


@pytest.mark.parametrize("command", ["tune --data nope.npz", "tune --nope"])
@pytest.mark.posix
def test_an_error_that_cannot_be_written_keeps_its_exit_status(here, command):
    assert program(f"dropout-zoo {command} 2> /dev/full").returncode == 2


@pytest.mark.posix
@pytest.mark.usefixtures("interrupts_enabled")
def test_an_interrupt_before_a_command_begins_is_no_failure(monkeypatch):
    def interrupted(pattern):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("dropout_zoo.models.registry.list_models", interrupted)
    answered = CliRunner().invoke(main, ["list"])
    assert answered.exit_code == 130
    assert answered.stderr.strip() == "Interrupted."


@pytest.mark.slow
@pytest.mark.posix
@pytest.mark.usefixtures("interrupts_enabled")
def test_an_interrupt_that_an_import_swallows_ends_the_command(here):
    (here / "sitecustomize.py").write_text(SWALLOWS)
    ran = subprocess.run(
        [sys.executable, "-m", "dropout_zoo.tuning", *TUNE, "--dry-run"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(here), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert ran.returncode == 130
    assert ran.stderr == "Starting Keras and its backend ...\nInterrupted.\n"
