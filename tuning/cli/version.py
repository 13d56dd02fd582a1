"""The option `--version`: the versions that a bug report should name, without importing Keras."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from pathlib import Path

import click

PACKAGES = ("dropout-zoo", "keras", "keras-tuner", "tensorflow", "jax", "torch", "numpy")


def print_versions(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Print the versions and end the program, if the option is given."""
    if wanted and not context.resilient_parsing:
        click.echo(version_text())
        context.exit()


def version_text() -> str:
    """The versions of this package and of its main dependencies, one per line."""
    versions = {"dropout-zoo": "", "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    versions["keras"] += f" (backend: {keras_backend()})"
    return "\n".join(f"{package} {version}" for package, version in versions.items())


def keras_backend() -> str:
    """The backend that Keras will use: from the environment, otherwise from its settings file."""
    directory = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    try:
        settings = json.loads((directory / "keras.json").read_text(encoding="utf-8"))
        chosen = settings.get("backend", "")
    except (OSError, ValueError, AttributeError):  # none, or not one that Keras reads either
        chosen = ""
    return os.environ.get("KERAS_BACKEND") or chosen or "tensorflow"
