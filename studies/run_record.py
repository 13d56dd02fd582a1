"""What the directory of a run says about itself: settings, outcome, and a manifest of its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dropout_zoo.models.wording import object_of
from dropout_zoo.training.checksums import (
    file_checksum,
    file_fault,
    is_checksum,
    sealed,
    unsealed,
)

SETTINGS = "search.json"
OUTCOME = "outcome.json"
MANIFEST = "manifest.json"
STATE = "state"
ENDED_BY_BUDGET = "ended_by_budget"
"""Key of an outcome that is true if time ended the run, which can be resumed."""
_FORMAT = "format"
_FORMAT_VERSION = 2  # of the directory; a later version of the package may write another


class DamagedFileError(ValueError):
    """A file of a run cannot be read, or differs from what the run wrote."""


def settings_record(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a run as its settings file holds it.

    Args:
        description: everything that determines the outcome.

    Returns:
        The description with the version of the format and a checksum.
    """
    return sealed({**description, _FORMAT: _FORMAT_VERSION})


def read_settings(path: Path) -> dict[str, Any]:
    """Read the description of a run.

    Args:
        path: the file.

    Returns:
        The description that `settings_record` was given.

    Raises:
        DamagedFileError: the file is damaged.
        ValueError: it is not of a run that this version can use.
    """
    content = _read_json(path, "settings of a run")
    if not isinstance(content, dict) or content.get(_FORMAT) != _FORMAT_VERSION:
        raise ValueError(
            f"expected the settings of a run in {path}, received a file that is not of a run or "
            "was written by another version of dropout-zoo; choose another directory (--out)"
        )
    record = unsealed(content)
    if record is None:
        raise _damaged(path, "settings of a run", "its checksum differs")
    del record[_FORMAT]
    return record


def read_outcome(directory: Path) -> dict[str, Any]:
    """Read the outcome of a run.

    Args:
        directory: the directory of a run that has one.

    Returns:
        The outcome.

    Raises:
        DamagedFileError: the file is damaged.
    """
    path = directory / OUTCOME
    outcome = _read_json(path, "outcome of a run")
    if not isinstance(outcome, dict):
        raise _damaged(
            path, "outcome of a run", f"expected an object, received {object_of(outcome)}"
        )
    return outcome


def manifest_of(directory: Path, names: Sequence[str]) -> dict[str, Any]:
    """Return the manifest of the files that a run has written.

    Args:
        directory: the directory of the run.
        names: names of the files that a run writes, of which some may be missing.

    Returns:
        Size and checksum of each file, with a checksum of the manifest.
    """
    present = [name for name in sorted(names) if (directory / name).is_file()]
    return sealed({"files": {name: file_checksum(directory / name) for name in present}})


def manifest_faults(directory: Path, names: Sequence[str] | None = None) -> list[str]:
    """Compare the files of a run with its manifest.

    Args:
        directory: the directory of a run that has a manifest.
        names: the files to compare, as far as the run wrote them; None for all.

    Returns:
        One line per file that is missing or damaged; the manifest may be one of them.
    """
    if not (directory / MANIFEST).exists():
        return [f"{MANIFEST}: missing"]
    try:
        content = unsealed(_read_json(directory / MANIFEST, "manifest of a run"))
    except DamagedFileError:
        content = None
    listed = content.get("files") if content else None
    if not isinstance(listed, dict) or not all(
        Path(name).name == name and is_checksum(of) for name, of in listed.items()
    ):
        return [f"{MANIFEST}: damaged"]
    files = {name: of for name, of in listed.items() if names is None or name in names}
    faults = {name: file_fault(directory / name, expected) for name, expected in files.items()}
    return [f"{name}: {fault}" for name, fault in faults.items() if fault]


def check_whole(directory: Path, names: Sequence[str] | None = None) -> None:
    """Check that the files of a run are as it wrote them.

    Args:
        directory: as in `manifest_faults`, like `names`.
        names: the files to check.

    Raises:
        DamagedFileError: a file is missing or damaged.
    """
    faults = manifest_faults(directory, names)
    if faults:
        raise DamagedFileError(
            f"expected the files of the run in {directory} as it wrote them, received "
            f"{'; '.join(faults)}; remove the run with overwrite=True (--overwrite), or choose "
            "another directory (--out)"
        )


def differences(there: Any, here: Any, path: str = "") -> Iterator[str]:
    """Compare two descriptions.

    Args:
        there: the description of the run that is there.
        here: the description of the run that is to be.
        path: the place that is compared, in messages.

    Yields:
        One line per difference.
    """
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(there.keys() | here.keys()):
            inner = f"{path}.{key}" if path else key
            yield from differences(there.get(key), here.get(key), inner)
    elif there != here:
        yield f"{path}: {_shown(there)} in that run, now {_shown(here)}"


def _shown(value: Any) -> str:
    return "none" if value is None else json.dumps(value)


def _read_json(path: Path, what: str) -> Any:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise _damaged(path, what, "it is not a file")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _damaged(path, what, f"it cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise _damaged(path, what, str(error)) from None


def _damaged(path: Path, what: str, reason: str) -> DamagedFileError:
    return DamagedFileError(
        f"expected the {what} in {path}, received a damaged file: {reason}; choose another "
        "directory (--out)"
    )
