"""What is installed: every package is listed, and every module of the wheel can be imported."""

import importlib.util
import shutil
import subprocess
import sys
import zipfile

import pytest
from installed_layout import ROOT, modules_on_disk, package_folders, packages_on_disk, settings

# What the modules of optional backends import, by a part of their names.
NEEDS = {"jax": "jax", "torch": "torch", "cluster": "ray", "sent": "cloudpickle"}

IMPORT_EACH = """
import importlib, sys
target, *names = sys.argv[1:]
sys.path.insert(0, target)
for name in names:
    file = importlib.import_module(name).__file__
    assert file.startswith(target), f"{name} was imported from {file}"
"""


def test_packages_in_pyproject_are_the_folders_with_an_init_file():
    assert sorted(settings()["tool"]["setuptools"]["packages"]) == packages_on_disk()


def importable(module):
    missing = {part for part, needed in NEEDS.items() if importlib.util.find_spec(needed) is None}
    return not any(word in missing for part in module.split(".") for word in part.split("_"))


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_each_can_be_imported(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    source = tmp_path / "source"
    for folder in package_folders().values():
        shutil.copytree(folder, source / folder.relative_to(ROOT))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)

    def pip(*arguments):
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "wheels", "./source")
    (wheel,) = (tmp_path / "wheels").iterdir()
    files = set(zipfile.ZipFile(wheel).namelist())
    modules = modules_on_disk()
    for name in modules:
        path = name.replace(".", "/")
        assert files & {f"{path}.py", f"{path}/__init__.py"}, f"{name} is not in the wheel"
    weights = {file.relative_to(ROOT) for file in (ROOT / "models" / "weights").glob("*/*")}
    assert weights and {f"dropout_zoo/{name}" for name in weights} <= files
    results = [file.name for file in (ROOT / "studies" / "claims" / "results").iterdir()]
    assert {f"dropout_zoo/studies/claims/results/{name}" for name in results} <= files
    for name in package_folders():
        assert f"{name.replace('.', '/')}/__init__.pyi" in files
        assert f"{name.replace('.', '/')}/py.typed" in files

    target = tmp_path / "target"
    pip("install", "--no-deps", "--target", str(target), str(wheel))
    names = [name for name in modules if importable(name) and not name.endswith("__main__")]
    ran = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH, str(target), *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_lowest_versions_are_those_that_pyproject_allows():
    allowed = [
        requirement.split(",")[0].replace(">=", "==")
        for requirement in settings()["project"]["dependencies"]
    ]
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == allowed
