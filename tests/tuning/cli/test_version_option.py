"""`dropout-zoo --version`, whose output bug reports contain."""

import importlib.metadata
import platform

import keras
import pytest
from click.testing import CliRunner

from dropout_zoo.tuning.cli.main import main
from dropout_zoo.tuning.cli.version import PACKAGES, keras_backend


def test_the_versions_of_python_keras_and_its_backend_are_printed():
    answered = CliRunner().invoke(main, ["--version"])
    assert answered.exit_code == 0, answered.output
    lines = answered.output.splitlines()
    assert lines[0] == f"dropout-zoo {importlib.metadata.version('dropout-zoo')}"
    assert lines[1] == f"python {platform.python_version()}"
    assert f"keras {keras.__version__} (backend: {keras.backend.backend()})" in lines
    assert len(lines) == len(PACKAGES) + 1


def test_packages_that_are_missing_are_reported(monkeypatch):
    def version(package):
        if package == "torch":
            raise importlib.metadata.PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert "torch not installed" in CliRunner().invoke(main, ["--version"]).output.splitlines()


@pytest.mark.parametrize(
    ("content", "variable", "expected"),
    [
        ('{"backend": "jax"}', "", "jax"),
        ('{"backend": "jax"}', "torch", "torch"),
        ('{"floatx": "float32"}', "", "tensorflow"),
        ("[]", "", "tensorflow"),
        ("not JSON", "", "tensorflow"),
        (None, "", "tensorflow"),
    ],
)
def test_the_backend_is_the_one_that_keras_will_use(
    tmp_path, monkeypatch, content, variable, expected
):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", variable)
    if content is not None:
        (tmp_path / "keras.json").write_text(content)
    assert keras_backend() == expected
