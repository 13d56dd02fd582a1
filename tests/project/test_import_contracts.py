"""Imports run one way: the contracts in pyproject.toml hold, and they fail when they are broken."""

import ast
import os
import shutil
import subprocess
import sys

import pytest
from installed_layout import ROOT, lay_out, package_folders

LINTER = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(folder):
    """Check the contracts on the packages below a folder."""
    return subprocess.run(
        [sys.executable, "-c", LINTER, "--no-cache", ROOT / "pyproject.toml"],
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory):
    return lay_out(tmp_path_factory.mktemp("contracts"))


def test_every_contract_is_kept(laid_out):
    linted = lint(laid_out)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert " 0 broken" in linted.stdout


# An import the wrong way for each contract, and a word of the contract's name.
WRONG = [
    ("models/guidance.py", "from ..training import members", "The four packages"),
    ("models/graph/sites.py", "from ..auditing import audit", "The parts of models"),
    ("training/members.py", "from .engine import trainer", "The parts of training"),
    ("training/engine/jobs.py", "from .trainer import MemberTrainer", "The parts of the engine"),
    ("studies/data/subsets.py", "from .. import runner", "The parts of studies"),
    ("tuning/space.py", "from .search import __doc__", "The parts of tuning"),
    ("training/objective.py", "from . import plan", "No part of a package"),
]


def test_an_import_the_wrong_way_breaks_its_contract(laid_out, tmp_path):
    shutil.copytree(laid_out, tmp_path, dirs_exist_ok=True)
    for module, line, _ in WRONG:
        with open(tmp_path / "dropout_zoo" / module, "a") as file:
            file.write(f"\n{line}\n")
    linted = lint(tmp_path)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    broken = [line for line in linted.stdout.splitlines() if " BROKEN" in line]
    assert len(broken) == len(WRONG)
    for module, line, contract in WRONG:
        assert any(contract in line for line in broken), f"{line} in {module}"


def test_a_module_in_no_layer_breaks_its_contract(laid_out, tmp_path):
    shutil.copytree(laid_out, tmp_path, dirs_exist_ok=True)
    packages = ["models", "training", "training/engine", "studies", "tuning"]
    for package in packages:
        (tmp_path / "dropout_zoo" / package / "unlisted.py").touch()
    linted = lint(tmp_path)
    for package in packages:
        assert f"dropout_zoo.{package.replace('/', '.')}.unlisted" in linted.stdout


def private_imports(source):
    """Names with a leading underscore that a module imports from another of this project."""
    tree = ast.parse(source)
    ours = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.level or (node.module or "").split(".")[0] == "dropout_zoo")
    ]
    names = {alias.asname or alias.name for node in ours for alias in node.names}
    imported = [alias.name for node in ours for alias in node.names]
    imported += [part for node in ours for part in (node.module or "").split(".")]
    read = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in names
    ]
    return [name for name in imported + read if name.startswith("_") and not name.startswith("__")]


def test_no_module_imports_a_private_name_of_another():
    found = {
        str(file.relative_to(ROOT)): private_imports(file.read_text())
        for folder in package_folders().values()
        for file in folder.rglob("*.py")
    }
    assert len(found) > 100
    assert {file: names for file, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        "from .sites import _of",
        "from dropout_zoo.models import _compat",
        "from ._compat import value",
        "from . import sites\nsites._of()",
    ],
)
def test_a_private_name_of_another_module_is_found(source):
    assert len(private_imports(source)) == 1


def test_a_private_name_of_a_library_or_of_oneself_is_no_private_import():
    assert private_imports("from keras import _tf_keras\n_mine = 1\nself._mine = _mine") == []
