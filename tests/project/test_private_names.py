"""Private names of other libraries are used in the `internals` modules only."""

import ast
import functools
import importlib
import inspect
import textwrap

import pytest
from installed_layout import ROOT, modules_on_disk

FOLDERS = ("models", "training", "studies", "tuning", "package", "benchmarks", "notebooks")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
NAMED_TUPLES = {"_replace", "_asdict", "_fields", "_make"}  # public, whatever their names say
BY_NAME = ("getattr", "hasattr", "setattr", "delattr")


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
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in BY_NAME:
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


@functools.cache
def names_on_self(kind):
    """The private names that the body of a class uses or defines on its own objects."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError):  # not written in Python
        return frozenset()
    found = {node.name for node in tree.body[0].body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in (
            "self",
            "cls",
            "super()",
        ):
            found.add(node.attr)
    return frozenset(filter(is_private, found))


def inherited_private_names(kind):
    """The private names on `self` that a class shares with a base class of another library."""
    bases = [base for base in kind.__mro__ if not base.__module__.startswith("dropout_zoo")]
    theirs = set().union(*(names_on_self(base) | set(vars(base)) for base in bases))
    return names_on_self(kind) & theirs


def test_private_names_that_classes_inherit_are_in_the_internals_modules():
    shared = {}
    for name in modules_on_disk():
        if name.endswith(("internals", "__main__")):
            continue
        try:
            module = importlib.import_module(name)
        except ImportError:  # an optional backend
            continue
        for kind in filter(inspect.isclass, vars(module).values()):
            if kind.__module__ == name and (names := inherited_private_names(kind)):
                shared[f"{name}.{kind.__name__}"] = names
    assert not shared, f"private names of base classes are used: {shared}"


def test_the_search_finds_private_names_that_are_inherited():
    from dropout_zoo.tuning import keras_tuner_internals

    found = inherited_private_names(keras_tuner_internals.SmallSpaceHyperbandOracle)
    assert {"_get_size", "_duplicate", "_random_trial"} <= found
    assert "_settings" not in found
