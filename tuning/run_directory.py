"""The folder of a run: one run at a time, every file whole or not there at all."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import pandas as pd

from dropout_zoo.tuning.csv_tables import write_csv

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

BEST_MODEL = "best.keras"
TRIALS = "trials.csv"
FINALISTS = "finalists.csv"
CURVES = "curves.parquet"
SETTINGS = "search.json"
OUTCOME = "outcome.json"
PLOT = "rates.png"
STATE = "state"
JOURNAL = "journal.jsonl"
_LOCK = "lock"
FILES = (BEST_MODEL, TRIALS, FINALISTS, CURVES, SETTINGS, OUTCOME, PLOT)


class RunFolder:
    """A folder that one run holds while it is open as a context.

    Args:
        path: the folder; made if it is missing.
        description: everything that decides the outcome; a run is resumed only under the same.
        resume: whether to go on with the run that is there, if there is one.
        overwrite: whether to remove the run that is there; no other file is touched.
        files: names of all files that the run writes, its settings and its outcome among them.

    Raises:
        ValueError: the folder holds something that must not be lost, is in use, was made with
            other settings, or cannot be made.
    """

    def __init__(
        self,
        path: Path,
        description: Mapping[str, Any],
        *,
        resume: bool = False,
        overwrite: bool = False,
        files: Sequence[str] = FILES,
    ) -> None:
        self.path = path
        self._files = files
        # As it will be read back: JSON knows no tuples.
        self._description = json.loads(json.dumps(description))
        found = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
        strange = [name for name in found if name not in (*files, STATE)]
        if SETTINGS not in found:  # written first: without it, nothing there is a run's
            strange = [name for name in found if name != STATE or not _is_of_a_run(path / STATE)]
        if strange or (found and not resume and not overwrite):
            raise ValueError(
                f"expected a new or empty folder for the run, received {path}, which holds "
                + (f"{strange[0]}; choose another with --out" if strange else
                   "a run; --resume goes on with it, --overwrite removes it")
            )  # fmt: skip
        if SETTINGS in found:
            written = _read_settings(path / SETTINGS)
            if resume:
                self._check_same(written)
        self._overwrite = overwrite and not resume
        self._lock: BinaryIO | None = None

    def __enter__(self) -> RunFolder:
        try:
            self.state.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.state / _LOCK)
        except OSError as error:
            raise ValueError(f"cannot make the folder {self.path}: {error.strerror}") from error
        # In an order that leaves no tables of one run under the settings of another if it is cut
        # off: what says that a run is complete goes first, what says which it is goes last.
        if self._overwrite:
            (self.path / OUTCOME).unlink(missing_ok=True)
        if self._overwrite or not (self.path / SETTINGS).exists():
            self._clear_state()
        if self._overwrite:
            for name in sorted(self._files, key=lambda name: name == SETTINGS):
                (self.path / name).unlink(missing_ok=True)
        if not (self.path / SETTINGS).exists():
            self.write_json(SETTINGS, self._description)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.complete:
            shutil.rmtree(self.state, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    @property
    def state(self) -> Path:
        """Folder for what is needed until the run is complete."""
        return self.path / STATE

    @property
    def complete(self) -> bool:
        """Whether the run has come to its end: the outcome is written last."""
        return (self.path / OUTCOME).exists()

    def fresh_state_folder(self, name: str) -> Path:
        """A folder in the state that no earlier attempt at this run has used.

        Args:
            name: what it begins with.

        Returns:
            Its path; it is not made yet.
        """
        number = 1
        while (self.state / f"{name}-{number}").exists():
            number += 1
        return self.state / f"{name}-{number}"

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as CSV or Parquet, by its name's ending."""
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
            write: writes it, given the path.
        """
        with self._replacing(name) as temporary:
            write(temporary)

    def _clear_state(self) -> None:
        for entry in self.state.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != _LOCK:
                entry.unlink()

    def _check_same(self, written: Mapping[str, Any]) -> None:
        differences = list(_differences(written, self._description))
        if differences:
            raise ValueError(
                f"expected the settings of the run in {self.path}, received others:\n  "
                + "\n  ".join(differences)
            )

    @contextmanager
    def _replacing(self, name: str) -> Iterator[Path]:
        """A temporary file that takes the place of a file of the run once it is complete."""
        temporary = None
        try:
            # The ending stays: writers go by it.
            handle, temporary = tempfile.mkstemp(dir=self.state, suffix=Path(name).suffix)
            os.close(handle)
            yield Path(temporary)
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, self.path / name)
        except OSError as error:  # a full disk does not say which file it was
            raise OSError(
                error.errno, error.strerror or str(error), str(self.path / name)
            ) from error
        finally:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)


def _is_of_a_run(state: Path) -> bool:
    """Whether a folder of that name is what a run left that had only begun."""
    return state.is_dir() and ((state / _LOCK).exists() or not any(state.iterdir()))


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"expected the settings of a run in {path}: {error}") from None
    if not isinstance(settings, dict) or not {"data", "versions"} <= settings.keys():
        raise ValueError(
            f"expected the settings of a run in {path}, which holds something else; choose another "
            "folder with --out"
        )
    return settings


def _locked(path: Path) -> BinaryIO:
    """The lock of a folder, held as long as the file is open; a dead process holds none."""
    file = open(path, "a+b")  # noqa: SIM115 - it stays open on purpose
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().decode(errors="replace").strip()
        file.close()
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise ValueError(
                f"expected a folder that no other run is using, received {path.parent.parent}, "
                f"in use by {holder or 'another process'}"
            ) from None
        raise
    file.truncate(0)
    file.write(f"process {os.getpid()} since {datetime.now():%Y-%m-%d %H:%M:%S}\n".encode())
    file.flush()
    return file


def _differences(there: Any, here: Any, path: str = "") -> Iterator[str]:
    """What differs between two descriptions, a line each."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(there.keys() | here.keys()):
            inner = f"{path}.{key}" if path else key
            yield from _differences(there.get(key), here.get(key), inner)
    elif there != here:
        yield f"{path}: {json.dumps(there)} there, {json.dumps(here)} here"
