"""The README keeps its word: its commands, its snippets, its table."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dropout_zoo.models import GUIDANCE

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_two_commands_stand_on_lines_of_their_own():
    commands = [line for line in README.splitlines() if line.startswith("python -m pip install")]
    assert commands == [
        "python -m pip install . && dropout-zoo tune",
        "python -m pip install '.[test]' && python -m pytest",
    ]


def test_the_guidance_is_the_guidance():
    rows = dict(re.findall(r"^\| (\w+) \| ([\d.-]+|none) \|", README, re.MULTILINE))
    assert rows == {placement: str(guidance) for placement, guidance in GUIDANCE.items()}


def test_files_that_it_links_to_are_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert link.startswith("https://") or (ROOT / link).is_file(), link


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_snippets_run(snippet, tmp_path):
    environment = os.environ | {"MPLBACKEND": "Agg", "TF_CPP_MIN_LOG_LEVEL": "3"}
    ran = subprocess.run(
        [sys.executable, "-c", snippet],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    if "best.keras" in snippet:
        assert (tmp_path / "best.keras").is_file()
        assert "On the test part" in ran.stdout


def test_commands_it_shows_are_commands_that_there_are():
    from dropout_zoo.tuning.cli.main import main

    shown = re.findall(r"^dropout-zoo (\w+)(.*?)(?:#|$)", README, re.MULTILINE)
    assert {name for name, _ in shown} == set(main.commands)
    for name, rest in shown:
        options = {option for p in main.commands[name].params for option in p.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= options
