"""The directory of a run: one run at a time, and every file is complete or absent."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import pandas as pd

from dropout_zoo.studies.csv_tables import write_csv

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

SETTINGS = "search.json"
OUTCOME = "outcome.json"
STATE = "state"
ENDED_BY_BUDGET = "ended_by_budget"
"""Key of an outcome that is true if time ended the run, which can be resumed."""
_LOCK = "lock"
# Beside the lock, because some versions of filelock empty the lock file and Windows does not let
# other processes read it.
_HOLDER = "holder"


class RunDirectory:
    """A directory that one run holds while it is open as a context.

    Every run has its settings (`SETTINGS`, written first), its outcome (`OUTCOME`, written last)
    and a subdirectory for what is needed until it is complete (`STATE`).

    Args:
        path: the directory; it is created if it does not exist.
        description: everything that determines the outcome. A run is resumed only with the same
            description.
        files: names of the other files that the run writes.
        resume: whether to continue the run in the directory, if there is one.
        overwrite: whether to remove the run in the directory. No other file is touched.

    Raises:
        ValueError: the directory holds other files, is in use, was made with other settings, or
            cannot be created.
    """

    def __init__(
        self,
        path: Path,
        description: Mapping[str, Any],
        *,
        files: Sequence[str],
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.path = path
        self._files = (*files, SETTINGS, OUTCOME)
        # As it will be read back: JSON knows no tuples.
        self._description = json.loads(json.dumps(description))
        found = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
        strange = [name for name in found if name not in (*self._files, STATE)]
        if SETTINGS not in found:  # written first: without it, nothing there belongs to a run
            strange = [name for name in found if name != STATE or not _is_of_a_run(path / STATE)]
        if strange or (found and not resume and not overwrite):
            raise ValueError(
                f"expected a new or empty directory for the run, received {path}, which contains "
                + (f"{strange[0]}; choose another directory (--out)" if strange else
                   "a run; resume=True (--resume) continues it, overwrite=True (--overwrite) "
                   "removes it")
            )  # fmt: skip
        if SETTINGS in found:
            written = _read_settings(path / SETTINGS)
            differences = list(_differences(written, self._description))
            if resume and differences:
                raise ValueError(
                    f"expected the settings of the run in {path}, received other settings:\n  "
                    + "\n  ".join(differences)
                )
        self._overwrite = overwrite and not resume
        if OUTCOME in found and not self._overwrite:
            read_outcome(path)
        self._lock: filelock.BaseFileLock | None = None
        self._created = self._discarded = False

    def __enter__(self) -> RunDirectory:
        self._created = not self.path.exists()
        try:
            self.state.mkdir(parents=True, exist_ok=True)
            self._lock = _acquire_lock(self.state)
        except OSError as error:
            raise ValueError(
                f"expected a directory that can be created, received {self.path}: {error.strerror}"
            ) from error
        # In an order that leaves no tables of one run under the settings of another if it is
        # interrupted: the outcome, which says that a run is complete, goes first, and the
        # settings, which say which run it is, go last.
        if self._overwrite or not self.complete:
            (self.path / OUTCOME).unlink(missing_ok=True)
        if self._overwrite or not (self.path / SETTINGS).exists():
            self._clear_state()
        if self._overwrite:
            for name in sorted(self._files, key=lambda name: name == SETTINGS):
                (self.path / name).unlink(missing_ok=True)
        if not (self.path / SETTINGS).exists():
            self.write_json(SETTINGS, self._description)
        return self

    def __exit__(self, *raised: object) -> None:
        done = self.complete or self._discarded
        if self._discarded:
            (self.path / SETTINGS).unlink(missing_ok=True)
        if done:  # while the lock is held, so that no other run finds half of it
            shutil.rmtree(self.state, ignore_errors=True)
        if self._lock is not None:
            self._lock.release()
        if done and sys.platform == "win32":  # which does not remove an open file
            with suppress(OSError):  # another run may have begun
                (self.state / _HOLDER).unlink(missing_ok=True)
                (self.state / _LOCK).unlink(missing_ok=True)
                self.state.rmdir()
        if self._discarded and self._created:
            with suppress(OSError):  # something else may be there by now
                self.path.rmdir()

    def discard(self) -> None:
        """Remove the run when the context ends, because nothing of it has been done."""
        self._discarded = True

    @property
    def state(self) -> Path:
        """Directory for what is needed until the run is complete."""
        return self.path / STATE

    @property
    def complete(self) -> bool:
        """Whether the run is complete: its outcome is written last, and is not provisional."""
        return (self.path / OUTCOME).exists() and not read_outcome(self.path).get(ENDED_BY_BUDGET)

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as CSV or Parquet, depending on the ending of its name."""
        with self._replacing(name) as temporary:
            if name.endswith(".csv"):
                write_csv(table, temporary)
            else:
                table.to_parquet(temporary, index=False)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file."""
        with self._replacing(name) as temporary:
            temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")

    def write_figure(self, name: str, figure: Figure) -> None:
        """Write a figure as a PNG picture."""
        with self._replacing(name) as temporary:
            figure.savefig(temporary, dpi=150, bbox_inches="tight")

    def write_model(self, name: str, model: keras.Model) -> None:
        """Write a Keras model."""
        with self._replacing(name) as temporary:
            model.save(temporary)

    def write_with(self, name: str, write: Callable[[Path], object]) -> None:
        """Write a file of any kind.

        Args:
            name: its name.
            write: called with the path to write to.
        """
        with self._replacing(name) as temporary:
            write(temporary)

    def _clear_state(self) -> None:
        for entry in self.state.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name not in (_LOCK, _HOLDER):
                entry.unlink()

    @contextmanager
    def _replacing(self, name: str) -> Iterator[Path]:
        with _replacing(self.path / name, self.state) as temporary:
            yield temporary


@contextmanager
def claim_directory(directory: Path, name: str, description: Mapping[str, Any]) -> Iterator[None]:
    """Hold a directory for the training runs of one study, while open as a context.

    The directory is created if it does not exist. It may hold other files. The lock is that of a
    `RunDirectory`.

    Args:
        directory: the directory.
        name: name of the file that describes the study.
        description: everything that determines the results, as plain data.

    Raises:
        ValueError: the directory is in use, or holds training runs of a study with another
            description.
        OSError: the file cannot be written.
    """
    state = directory / STATE
    state.mkdir(parents=True, exist_ok=True)
    lock = _acquire_lock(state)
    try:
        path = directory / name
        text = json.dumps(description, indent=2, sort_keys=True)
        if not path.is_file():
            with _replacing(path, directory) as temporary:
                temporary.write_text(text)
        elif path.read_text() != text:
            raise ValueError(
                f"expected a directory of the same study, received {directory}, which holds the "
                "training runs of a study with other settings, data or versions; choose another "
                "directory"
            )
        yield
    finally:
        lock.release()


def unused_directory(path: Path) -> Path:
    """Create a numbered directory that no other attempt uses.

    The journal of an attempt names the files in the directories of that attempt, which therefore
    must not be written again.

    Args:
        path: the directory without its number.

    Returns:
        Its path with the lowest free number.

    Raises:
        OSError: it cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        numbered = path.with_name(f"{path.name}-{number}")
        try:
            numbered.mkdir()  # finds and takes it in one step, so that nobody else gets it too
        except FileExistsError:
            number += 1
        else:
            return numbered


@contextmanager
def _replacing(path: Path, directory: Path) -> Iterator[Path]:
    """Give a temporary file in a directory, which replaces `path` once it is complete."""
    temporary = None
    try:
        # The ending stays: some writers choose the format by it.
        handle, temporary = tempfile.mkstemp(dir=directory, suffix="".join(path.suffixes))
        os.close(handle)
        yield Path(temporary)
        with open(temporary, "rb+") as file:  # Windows only flushes files open for writing
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:  # a full disk does not say which file it was
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _is_of_a_run(state: Path) -> bool:
    """Whether a directory of that name was left by a run that had only just started."""
    held = any((state / name).exists() for name in (_LOCK, _HOLDER))
    return state.is_dir() and (held or not any(state.iterdir()))


def read_outcome(directory: Path) -> dict[str, Any]:
    """Read the outcome of a run.

    Args:
        directory: the directory of a run that has one.

    Returns:
        The outcome.

    Raises:
        ValueError: the file is damaged.
    """
    path = directory / OUTCOME
    try:
        outcome = json.loads(path.read_text())
        if not isinstance(outcome, dict):
            raise ValueError(f"expected an object, received a {type(outcome).__name__}")
    except ValueError as error:
        raise ValueError(
            f"expected the outcome of a run in {path}, received a damaged file: {error}; remove "
            "the run with overwrite=True (--overwrite), or choose another directory (--out)"
        ) from None
    return outcome


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(
            f"expected the settings of a run in {path}, received a damaged file: {error}"
        ) from None
    if not isinstance(settings, dict) or not {"data", "versions"} <= settings.keys():
        raise ValueError(
            f"expected the settings of a run in {path}, received something else; choose another "
            "directory (--out)"
        )
    return settings


def _acquire_lock(state: Path) -> filelock.BaseFileLock:
    """Lock a run; the lock of a process that has died is free."""
    holder = state / _HOLDER
    lock = filelock.FileLock(state / _LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        name = holder.read_text(errors="replace").strip() if holder.is_file() else ""
        raise ValueError(
            f"expected a directory that no other run is using, received {state.parent}, which is "
            f"in use by {name or 'another process'}"
        ) from None
    try:
        holder.write_text(f"process {os.getpid()} since {datetime.now():%Y-%m-%d %H:%M:%S}\n")
    except BaseException:
        lock.release()
        raise
    return lock


def _differences(there: Any, here: Any, path: str = "") -> Iterator[str]:
    """The differences between two descriptions, one line each."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(there.keys() | here.keys()):
            inner = f"{path}.{key}" if path else key
            yield from _differences(there.get(key), here.get(key), inner)
    elif there != here:
        yield f"{path}: {json.dumps(there)} in that run, now {json.dumps(here)}"
