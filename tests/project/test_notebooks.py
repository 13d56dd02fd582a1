"""The notebooks run, each text is in step with its .ipynb, and what is committed is complete."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9]*.py"))
EACH = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def committed(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def code_cells(notebook):
    injected = "injected-parameters"
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in cells if injected not in cell.metadata.get("tags", ())]


def has_image(cell):
    return any("image/png" in output.get("data", {}) for output in cell.outputs)


def text_of(cell):
    """Everything that a reader sees below a cell, as text."""
    texts = [output.get("text", "") for output in cell.outputs]
    for output in cell.outputs:
        data = output.get("data", {})
        texts += [data.get(kind, "") for kind in ("text/plain", "text/markdown", "text/html")]
    return "\n".join(texts)


def faults(notebook):
    """What must not be in a notebook that people read."""
    found = []
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "error" or output.get("name") == "stderr":
                found.append(f"{output.output_type}: {output.get('text', output.get('evalue'))}")
        found += re.findall(r".*(?:/tmp/|/home/|/root/|site-packages).*", text_of(cell))
        found += re.findall(r".* object at 0x.*", text_of(cell))
    return found


def test_the_readme_links_to_each_pair():
    assert len(SOURCES) >= 6
    notebooks = sorted(FOLDER.glob("*.ipynb"))
    assert [path.stem for path in notebooks] == [path.stem for path in SOURCES]
    linked = re.findall(r"\]\((\w+)\.ipynb\)", (FOLDER / "README.md").read_text())
    assert linked == [path.stem for path in SOURCES]


@EACH
def test_text_and_notebook_agree(source):
    def cells(notebook):
        return [
            (cell.cell_type, cell.source.strip(), cell.metadata.get("tags", []))
            for cell in notebook.cells
        ]

    assert cells(jupytext.read(source)) == cells(committed(source))


@EACH
def test_the_committed_run_is_the_full_profile_on_mnist(source):
    notebook = committed(source)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert faults(notebook) == []
    assert any(map(has_image, cells))
    seen = "\n".join(map(text_of, cells))
    assert re.search(r"Profile full\. .*mnist\.npz", seen)
    assert source.with_suffix(".ipynb").stat().st_size < 1_000_000
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@pytest.mark.slow
@EACH
def test_runs_in_the_fast_profile_and_shows_what_the_committed_run_shows(source, tmp_path):
    if "import torch" in source.read_text():
        pytest.importorskip("torch")
    ran = subprocess.run(
        [sys.executable, FOLDER / "build.py", source.stem, "--profile", "fast", "--out", tmp_path],
        env={name: value for name, value in os.environ.items() if name != "DROPOUT_ZOO_MNIST"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    executed = nbformat.read(tmp_path / f"{source.stem}.ipynb", as_version=4)
    assert faults(executed) == []
    fast, full = code_cells(executed), code_cells(committed(source))
    assert [bool(cell.outputs) for cell in fast] == [bool(cell.outputs) for cell in full]
    assert list(map(has_image, fast)) == list(map(has_image, full))


@pytest.mark.slow
def test_build_keeps_the_fast_profile_out_of_the_folder():
    ran = subprocess.run(
        [sys.executable, FOLDER / "build.py", SOURCES[0].stem, "--profile", "fast"],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert "expected --out" in ran.stderr
