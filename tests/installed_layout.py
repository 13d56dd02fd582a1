"""The project's folders laid out as a wheel installs them, for tests of what is installed."""

import shutil
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def settings() -> dict:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def package_folders() -> dict[str, Path]:
    """The four packages and the one above them, each with its folder."""
    folders = settings()["tool"]["setuptools"]["package-dir"]
    return {name: ROOT / folder for name, folder in sorted(folders.items())}


def lay_out(target: Path) -> Path:
    """Copy the packages below `target` as an installation has them."""
    for name, folder in package_folders().items():
        shutil.copytree(
            folder,
            target.joinpath(*name.split(".")),
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
    return target


def packages_on_disk() -> list[str]:
    """Every folder with an `__init__.py`, by the name under which it is imported."""
    found = []
    for name, folder in package_folders().items():
        for file in folder.rglob("__init__.py"):
            found.append(".".join([name, *file.parent.relative_to(folder).parts]))
    return sorted(found)


def modules_on_disk() -> list[str]:
    """Every module of the project, by the name under which it is imported."""
    found = []
    for name, folder in package_folders().items():
        for file in folder.rglob("*.py"):
            parts = file.relative_to(folder).with_suffix("").parts
            found.append(".".join([name, *(part for part in parts if part != "__init__")]))
    return sorted(found)
