"""Disks that fill up, and folders that go: a line, a status, and nothing good replaced."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.tuning import tune

ARGUMENTS = [
    "tune",
    "mlp",
    "--data",
    "digits",
    "--epochs",
    "1",
    "--rates",
    "0.2,0.5",
    "--num-finalists",
    "1",
    "--num-seeds",
    "2",
]
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from dropout_zoo.tuning.cli.main import main
main(sys.argv[2:])
"""


def run_with_largest_file(size: int, folder: Path, *arguments: str):
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(size), *ARGUMENTS, "--out", str(folder), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )


@pytest.mark.parametrize(
    ("size", "fails_at"),
    [
        pytest.param(300, "search.json", marks=pytest.mark.nightly),
        pytest.param(1_200_000, "best.keras", marks=pytest.mark.slow),
    ],
)
@pytest.mark.posix
def test_a_full_disk_is_reported_and_the_run_can_be_resumed(tmp_path, size, fails_at):
    folder = tmp_path / "run"
    ran = run_with_largest_file(size, folder)
    assert ran.returncode == 1, ran.stderr
    last = ran.stderr.splitlines()[-1]
    assert last == f"Error: cannot use {folder / fails_at}: File too large"
    assert "Traceback" not in ran.stderr
    assert not (folder / fails_at).exists()
    assert not (folder / "outcome.json").exists()
    again = run_with_largest_file(100_000_000, folder, "--resume")
    assert again.returncode == 0, again.stderr
    assert (folder / "best.keras").is_file()
    assert not (folder / "state").exists()
    assert ("Resuming: 16 training runs are already finished" in again.stderr) == (
        fails_at == "best.keras"
    )


@pytest.mark.parametrize(
    "command",
    [
        ARGUMENTS,
        ["sweep", "rate", "--rates", "0.5", "--epochs", "1", "--num-seeds", "1"],
    ],
)
@pytest.mark.slow
@pytest.mark.posix
def test_a_directory_that_cannot_be_written_is_reported(tmp_path, command):
    folder = tmp_path / "kept"
    folder.mkdir()
    folder.chmod(0o555)
    # Root writes where it likes, unless that capability is taken from it.
    as_others = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    ran = subprocess.run(
        [
            *as_others,
            *(sys.executable, "-c", "from dropout_zoo.tuning.cli.main import main; main()"),
            *(*command, "--out", str(folder / "run")),
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.splitlines()[-1] == (
        f"Error: expected a directory that can be created, received {folder / 'run'}: "
        "Permission denied"
    )
    assert "Traceback" not in ran.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_directory_that_is_deleted_meanwhile_is_reported(few_digits, tmp_path):
    folder = tmp_path / "run"

    def delete():
        while not (folder / "state" / "journal.jsonl").exists():
            time.sleep(0.01)
        while folder.exists():
            shutil.rmtree(folder, ignore_errors=True)

    thread = threading.Thread(target=delete)
    thread.start()
    with pytest.raises(OSError, match=r"No such file or directory.*run"):
        tune(
            build_mlp(units=(8,), hidden_rates=(0.4,)),
            few_digits,
            rates=[0.1, 0.2, 0.3, 0.4],
            epochs=2,
            directory=folder,
            progress=False,
        )
    thread.join()
