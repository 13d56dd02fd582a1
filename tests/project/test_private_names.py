"""Private names of other libraries are used in the `internals` modules only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("models", "training", "studies", "tuning")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
NAMED_TUPLES = {"_replace", "_asdict", "_fields", "_make"}  # public, whatever their names say


def is_private(name):
    return name.startswith("_") and not name.endswith("__") and name not in NAMED_TUPLES


def own_names(tree):
    """The private names that a module's own classes define."""
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                found.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
DEFINED = {path: own_names(tree) for path, tree in TREES.items()}
DEFINED_ANYWHERE = set().union(*DEFINED.values())


def private_uses(path):
    """Private names that a module uses of anything but its own classes, with their lines."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            holder = node.value
            if isinstance(holder, ast.Name) and holder.id in ("self", "cls"):
                continue
            inherited = isinstance(holder, ast.Call) and ast.unparse(holder) == "super()"
            if node.attr not in (DEFINED_ANYWHERE if inherited else DEFINED[path]):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            if any(map(is_private, parts)) or "src" in parts:
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(name.value):
                yield node.lineno, ast.unparse(node)


@pytest.mark.parametrize(
    "path", MODULES, ids=[str(path.relative_to(ROOT).with_suffix("")) for path in MODULES]
)
def test_private_names_of_other_libraries_are_in_the_internals_modules(path):
    if path.stem.endswith("internals"):
        return
    uses = [f"line {line}: {use}" for line, use in private_uses(path)]
    assert not uses, f"{path.relative_to(ROOT)} uses private names: {uses}"


def test_the_search_finds_private_names():
    internals = ROOT / "models" / "keras_internals.py"
    found = {use for _, use in private_uses(internals)}
    assert {"layer._layers", "model._compile_config", "getattr(loss, '_fn_kwargs', {})"} <= found
    assert any("keras.src" in use for use in found)
