"""Private names of another library are used in one module only, which has a test for each."""

import ast
import functools
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from installed_layout import ROOT, modules_on_disk

FOLDERS = ("models", "training", "studies", "tuning", "package", "benchmarks", "notebooks")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
NAMED_TUPLES = {"_replace", "_asdict", "_fields", "_make"}  # public, whatever their names say
BY_NAME = ("getattr", "hasattr", "setattr", "delattr")
INTERNALS = {
    "keras": "models/keras_internals",
    "tensorflow": "models/tensorflow_internals",
    "matplotlib": "studies/displays/matplotlib_internals",
    "keras_tuner": "tuning/keras_tuner_internals",
    "ray": "training/engine/cluster/ray_internals",
}
"""The module for the private names of each library, and the only ones that may use any."""
INTERNALS_FILES = {library: ROOT / f"{module}.py" for library, module in INTERNALS.items()}
INTERNALS_NAMES = {f"dropout_zoo.{module.replace('/', '.')}" for module in INTERNALS.values()}

LIBRARIES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"needs {name}"),
    )
    for name in INTERNALS
]


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


def constants(tree):
    """The strings that a module has names for."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }


def imported_parts(node):
    """The parts of the modules that an import statement names, and what it takes from them."""
    modules = [getattr(node, "module", None), *(alias.name for alias in node.names)]
    return [part for module in modules if module for part in module.split(".")]


def names_used(node, path):
    """The private names that a node of a module's tree uses of anything but its own classes."""
    if isinstance(node, ast.Attribute):
        holder = node.value
        if isinstance(holder, ast.Name) and holder.id in ("self", "cls"):
            return []
        inherited = isinstance(holder, ast.Call) and ast.unparse(holder) == "super()"
        ours = DEFINED_ANYWHERE if inherited else DEFINED[path]
        return [] if node.attr in ours else [node.attr]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [part for part in imported_parts(node) if part == "src" or is_private(part)]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in BY_NAME:
        name = node.args[1]
        if isinstance(name, ast.Name):
            return [constants(TREES[path]).get(name.id, "")]
        return [name.value] if isinstance(name, ast.Constant) else []
    if isinstance(node, ast.Call) and ast.unparse(node).startswith("vars("):
        return [keyword.arg for keyword in node.keywords if keyword.arg]
    return []


def private_uses(path):
    """Private names that a module uses of others, with the line and the code."""
    for node in ast.walk(TREES[path]):
        for name in names_used(node, path):
            if name == "src" or is_private(name):
                yield name, node.lineno, ast.unparse(node)


@pytest.mark.parametrize(
    "path", MODULES, ids=[str(path.relative_to(ROOT).with_suffix("")) for path in MODULES]
)
def test_private_names_of_other_libraries_are_in_the_internals_modules(path):
    if path in INTERNALS_FILES.values():
        return
    uses = [f"line {line}: {use}" for _, line, use in private_uses(path)]
    assert not uses, f"{path.relative_to(ROOT)} uses private names: {uses}"


def test_the_search_finds_private_names():
    found = {use for _, _, use in private_uses(INTERNALS_FILES["keras"])}
    assert {
        "layer._layers",
        "model._compile_config",
        "getattr(loss, '_fn_kwargs', {})",
        "hasattr(model, _NODES)",
        "from keras.src.utils import naming",
    } <= found


def test_there_is_one_internals_module_for_each_library():
    found = {path for path in MODULES if "internals" in path.stem}
    assert found == set(INTERNALS_FILES.values())


def private_names_in(library):
    """The private names in the module for a library: of objects, of modules and on `self`."""
    path = INTERNALS_FILES[library]
    module = importlib.import_module(f"dropout_zoo.{INTERNALS[library].replace('/', '.')}")
    classes = [
        kind
        for kind in vars(module).values()
        if inspect.isclass(kind) and kind.__module__ == module.__name__
    ]
    found = {name for name, _, _ in private_uses(path) if name != "src"}
    return found.union(*map(inherited_private_names, classes))


@functools.cache
def words_of(library):
    """The words in the source of a library."""
    folder = Path(importlib.util.find_spec(library).origin).parent
    sources = (file.read_text(encoding="utf-8") for file in folder.rglob("*.py"))
    return frozenset(word for source in sources for word in re.findall(r"\b_\w+", source))


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_internals_module_uses_private_names_of_its_library_alone(library):
    used = private_names_in(library)
    assert used, "the search found no private name"
    foreign = used - words_of(library)
    assert not foreign, f"{INTERNALS[library]}.py uses names that {library} lacks: {foreign}"
    for node in ast.walk(TREES[INTERNALS_FILES[library]]):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            parts = imported_parts(node)
            if "src" in parts or any(map(is_private, parts)):
                assert parts[0] == library, ast.unparse(node)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_test_of_an_internals_module_names_each_private_name(library):
    folder, _, module = INTERNALS[library].rpartition("/")
    text = (ROOT / "tests" / folder / f"test_{module}.py").read_text(encoding="utf-8")
    missing = {name for name in private_names_in(library) if not re.search(rf"\b{name}\b", text)}
    assert not missing, f"no test of {INTERNALS[library]}.py would name {missing}"


def test_the_internals_of_keras_do_not_import_tensorflow():
    for node in ast.walk(TREES[INTERNALS_FILES["keras"]]):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            assert "tensorflow" not in imported_parts(node), ast.unparse(node)


def test_the_internals_of_tensorflow_import_it_only_when_they_use_it():
    command = "import sys, dropout_zoo.models.tensorflow_internals; print(*sys.modules)"
    run = [sys.executable, "-c", command]
    loaded = subprocess.run(run, check=True, capture_output=True, text=True).stdout.split()
    assert not {"tensorflow", "keras"} & set(loaded)


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
        if name in INTERNALS_NAMES or name.endswith("__main__"):
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
