"""The directory of a run: one run at a time, complete files, and one study's training runs."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import dropout_zoo.studies
import dropout_zoo.tuning
from dropout_zoo.studies.run_directory import RunDirectory, unused_directory

DESCRIPTION = {"data": {}, "versions": {}}
UNIX_ONLY = {"fcntl", "grp", "pwd", "resource", "termios", "tty"}
HOLD = """
import sys, time
from pathlib import Path
from dropout_zoo.studies.run_directory import RunDirectory

with RunDirectory(Path(sys.argv[1]), {"data": {}, "versions": {}}, files=()):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_directory_in_use_is_refused_with_the_process_that_uses_it(tmp_path):
    second = RunDirectory(tmp_path / "run", DESCRIPTION, files=(), resume=True)
    held = rf"in use by process {os.getpid()} since \d{{4}}-"
    first = RunDirectory(tmp_path / "run", DESCRIPTION, files=())
    with first, pytest.raises(ValueError, match=held):
        second.__enter__()
    with RunDirectory(tmp_path / "run", DESCRIPTION, files=(), resume=True) as directory:
        assert directory.state.is_dir()


def test_a_run_that_ends_leaves_the_state_of_the_next_one_alone(tmp_path):
    first = RunDirectory(tmp_path / "run", DESCRIPTION, files=())
    second = RunDirectory(tmp_path / "run", DESCRIPTION, files=(), overwrite=True)
    with first:
        first.write_outcome({})
        release = first._lock.release

        def release_and_begin_the_next():
            release()
            second.__enter__()
            (second.state / "journal.jsonl").write_text("kept")

        first._lock.release = release_and_begin_the_next
    assert (second.state / "journal.jsonl").read_text() == "kept"
    second.__exit__(None, None, None)


def test_settings_that_were_removed_during_the_run_are_written_again(tmp_path):
    with RunDirectory(tmp_path / "run", DESCRIPTION, files=()) as directory:
        settings = directory.path / "search.json"
        written = settings.read_bytes()
        settings.unlink()
        directory.write_outcome({})
    assert settings.read_bytes() == written
    assert "search.json" in json.loads((directory.path / "manifest.json").read_text())["files"]
    assert RunDirectory(tmp_path / "run", DESCRIPTION, files=(), resume=True).complete


def test_a_run_that_could_not_write_its_settings_is_resumed(tmp_path):
    state = tmp_path / "run" / "state"
    state.mkdir(parents=True)
    (state / "holder").write_text("process 1")  # some versions of filelock remove the lock file
    with RunDirectory(tmp_path / "run", DESCRIPTION, files=(), resume=True) as directory:
        assert (directory.path / "search.json").is_file()


def test_the_lock_of_another_process_holds_until_it_is_killed(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        waiting = RunDirectory(tmp_path / "run", DESCRIPTION, files=(), resume=True)
        for _ in range(2):  # a refused attempt leaves the name of the holder
            with pytest.raises(ValueError, match=f"in use by process {process.pid} since"):
                waiting.__enter__()
    finally:
        process.kill()
        process.communicate()
    with waiting as directory:
        assert str(os.getpid()) in (directory.state / "holder").read_text()


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    with RunDirectory(tmp_path / "run", {"a": 1}, files=["trials.csv"]) as directory:
        directory.write_table("trials.csv", pd.DataFrame({"a": [1]}))
        with pytest.raises(ValueError, match="Out of range"):
            directory.write_json("search.json", {"a": float("nan")})
        assert json.loads((directory.path / "search.json").read_text())["a"] == 1
        assert (directory.path / "trials.csv").read_text() == "a\n1\n"
        assert sorted(path.name for path in directory.state.iterdir()) == ["holder", "lock"]


def test_numbered_directories_are_unused(tmp_path):
    paths = [unused_directory(tmp_path / "state" / "weights") for _ in range(2)]
    assert paths == [tmp_path / "state" / "weights-1", tmp_path / "state" / "weights-2"]
    assert all(path.is_dir() for path in paths)


@pytest.mark.parametrize("package", [dropout_zoo.studies, dropout_zoo.tuning])
def test_no_module_that_windows_lacks_is_imported(package):
    for file in Path(package.__file__).parent.rglob("*.py"):
        imported = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module)
        assert not imported & UNIX_ONLY, file
