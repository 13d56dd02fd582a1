"""Error messages say what was expected and what was received instead."""

import ast
import re

import pytest
from installed_layout import ROOT, package_folders

MODULES = sorted(path for folder in package_folders().values() for path in folder.rglob("*.py"))
MISSING_PACKAGE = re.compile(r" needs the package (\w+); run pip install \1")


def new_error(node):
    """The call that makes the error which a statement raises, or returns to be raised."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return node.exc
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
        return node.value if ast.unparse(node.value.func).endswith("Error") else None
    return None


def messages(path):
    """The messages of a module's errors, with their lines and the code of what they insert.

    Those that take their words from another error are left out, as are errors of failed runs.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        call = new_error(node)
        if call is None or ast.unparse(call.func) in ("OSError", "RuntimeError") or not call.args:
            continue
        message = call.args[0]
        parts = [part for part in ast.walk(message) if isinstance(part, ast.Constant)]
        words = "".join(part.value for part in parts if isinstance(part.value, str))
        first = message.values[0] if isinstance(message, ast.JoinedStr) else None
        wraps = isinstance(first, ast.FormattedValue) and ast.unparse(first.value) == "error"
        if re.search("[a-z]", words) and not wraps:
            yield node.lineno, ast.unparse(message)


@pytest.mark.parametrize(
    "path", MODULES, ids=[str(path.relative_to(ROOT).with_suffix("")) for path in MODULES]
)
def test_errors_say_what_was_expected_and_what_was_received(path):
    for line, message in messages(path):
        complete = re.search("expected.*received ", message, re.DOTALL)
        assert complete or MISSING_PACKAGE.search(message), f"line {line}: {message}"


def test_the_messages_are_found():
    found = [message for path in MODULES for _, message in messages(path)]
    assert len(found) > 250
    for words in (
        "expected no objective, received one",
        "expected a model that Keras can clone, received",  # of an error that is returned
        "expected a new or empty directory for the run, received",  # of two texts that are added
    ):
        assert any(words in message for message in found)
