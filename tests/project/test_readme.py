"""README.md and docs/ keep their word: commands, snippets, links and the table of guidance."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dropout_zoo.models import GUIDANCE

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
# Each rule's code in docs/audit_rules.md is run by the tests of the audit.
PAGES = sorted({ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")})
START = re.compile(r"from dropout_zoo.training import start_keras\n\nstart_keras\(\).*\n")


def snippets_of(page):
    """The snippets of a page; those after its first one stand in a program that has started."""
    found = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    start = START.match(found[0]) if found else None
    return [*found[:1], *(f"{start.group() if start else ''}{each}" for each in found[1:])]


SNIPPETS = [
    (page.stem, snippet)
    for page in (ROOT / "README.md", *PAGES)
    if page.name != "audit_rules.md"
    for snippet in snippets_of(page)
]


def test_the_two_commands_are_on_separate_lines():
    commands = [line for line in README.splitlines() if line.startswith("python -m pip install")]
    assert commands == [
        "python -m pip install . && dropout-zoo tune",
        "python -m pip install '.[test]' && python -m pytest",
    ]


def test_the_documented_guidance_is_that_of_the_code():
    page = (ROOT / "docs" / "method.md").read_text()
    rows = dict(re.findall(r"^\| (\w+) \| ([\d.-]+|none) \|", page, re.MULTILINE))
    assert rows == {placement: str(guidance) for placement, guidance in GUIDANCE.items()}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_files_that_a_page_links_to_exist(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert links or page.name in ("audit_rules.md", "glossary.md")
    for link in links:
        assert link.startswith("https://") or (page.parent / link).is_file(), link


def anchors_of(path):
    """The anchors of the headings of a page, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_headings_that_a_page_links_to_exist(page):
    for link, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        assert anchor in anchors_of(page.parent / link if link else page), f"{link}#{anchor}"


def test_the_index_lists_every_page():
    linked = re.findall(r"^\| \[(\w+\.md)\]", (ROOT / "docs/README.md").read_text(), re.MULTILINE)
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert sorted(linked) == sorted(pages)


@pytest.mark.parametrize(
    "snippet",
    [snippet for _, snippet in SNIPPETS],
    ids=[f"{stem}-{number}" for number, (stem, _) in enumerate(SNIPPETS)],
)
@pytest.mark.slow
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
    assert "Warning" not in ran.stderr
    if "best.keras" in snippet:
        assert (tmp_path / "best.keras").is_file()
        assert "on the test set" in ran.stdout


@pytest.mark.parametrize("page", ["README.md", "docs/command_line.md"])
def test_commands_exist_with_their_options(page):
    from dropout_zoo.tuning.cli.main import main

    text = (ROOT / page).read_text()
    shown = re.findall(r"^dropout-zoo (\w+)(.*?)(?:#|$)", text, re.MULTILINE)
    assert shown
    if page != "README.md":
        assert {name for name, _ in shown} == set(main.commands)
    for name, rest in shown:
        command = main.commands[name]
        for word in rest.split()[:1] if isinstance(command, click.Group) else []:
            command = command.commands[word]
        options = {option for p in command.params for option in p.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= options
