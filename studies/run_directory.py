"""The directory of a run: one run at a time, and every file is complete or absent."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import pandas as pd

from dropout_zoo.models.wording import first_few
from dropout_zoo.studies.csv_tables import write_csv
from dropout_zoo.studies.run_record import (
    ENDED_BY_BUDGET,
    MANIFEST,
    OUTCOME,
    SETTINGS,
    STATE,
    check_whole,
    differences,
    manifest_faults,
    manifest_of,
    read_outcome,
    read_settings,
    settings_record,
)
from dropout_zoo.studies.run_state import HOLDER, LOCK, RunState
from dropout_zoo.training.durable_files import UNFINISHED, make_folder, replacing, sync_folder

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

_SHOWN_DIFFERENCES = 4
"""Number of settings that are named where a run is resumed with others."""

_WRITTEN = ("arguments", "seeds", "settings", "training")
"""Parts of a description that hold what the user wrote; a change there makes others elsewhere."""


class RunDirectory:
    """A directory that one run holds while it is open as a context.

    Every run has its settings, written first, its outcome, a manifest of its files with their
    checksums, written last, and a subdirectory for what is needed until it is complete. A study
    that is run from Python returns its result and writes no outcome.

    Args:
        path: the directory; it is created if it does not exist.
        description: everything that determines the outcome. A run is resumed only with the same
            description.
        files: names of the other files that the run writes.
        state_files: patterns of the paths of the files that it writes into `state`; see `RunState`.
        resume: whether to continue the run in the directory, if there is one.
        overwrite: whether to remove the run in the directory. No other file is touched.

    Raises:
        ValueError: the run is to be both continued and removed, or the directory holds other files,
            is in use, was made with other settings, is damaged and cannot be continued, cannot be
            created, or is inside that of another run.
    """

    def __init__(
        self,
        path: Path,
        description: Mapping[str, Any],
        *,
        files: Sequence[str],
        state_files: Sequence[str] = (),
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        if resume and overwrite:
            raise ValueError(
                "expected resume=True (--resume) or overwrite=True (--overwrite), received both"
            )
        _check_name(path)
        _check_outside_runs(path)
        self.path = path
        self._files = (*files, SETTINGS, OUTCOME)
        # As it will be read back: JSON knows no tuples.
        self._description = json.loads(json.dumps(description))
        self._state = RunState(path / STATE, state_files)
        self._overwrite = overwrite
        self._damaged = False  # a file of a run that can still be continued
        found = _names_in(path)
        self._check_only_a_run(found, resume or overwrite)
        if SETTINGS in found:
            written = read_settings(path / SETTINGS)
            different = sorted(
                differences(written, self._description),
                key=lambda each: not each.startswith(_WRITTEN),
            )
            if resume and different:
                raise ValueError(
                    f"expected the settings of the run in {path}, received other settings: "
                    f"{first_few(different, _SHOWN_DIFFERENCES, '; ')}"
                    "; choose another directory (--out)"
                )
        ended = MANIFEST in found or (OUTCOME in found and STATE not in found)
        if ended and not self._overwrite:
            if self._state.has_results:  # all files are written again
                self._damaged = bool(manifest_faults(path))
            else:
                check_whole(path)
        self._lock: filelock.BaseFileLock | None = None
        self._created = self._discarded = False

    def __enter__(self) -> RunDirectory:
        self._created = not self.path.exists()
        try:
            make_folder(self.state)
            self._lock = _acquire_lock(self.state)
        except OSError as error:
            raise ValueError(
                f"expected a directory that can be created, received {self.path}: {error.strerror}"
            ) from error
        # In an order that leaves no tables of one run under the settings of another if it is
        # interrupted: the manifest, which says that a run is complete, goes first, and the
        # settings, which say which run it is, go last.
        if self._overwrite or not self.complete:
            self._remove(MANIFEST, OUTCOME)
        if self._overwrite or not (self.path / SETTINGS).exists():
            self._state.clear(keep_lock=True)
            sync_folder(self.state)
        if self._overwrite:
            self._remove(*(name for name in self._files if name != SETTINGS), SETTINGS)
        self._write_settings()
        return self

    def __exit__(self, *raised: object) -> None:
        done = self.complete or self._discarded
        if self._discarded:
            self._state.clear(keep_lock=True)  # without settings, the state belongs to no run
            self._remove(SETTINGS)
        if done:  # while the lock is held, so that no other run finds half of it
            self._state.clear(keep_lock=False)
        if self._lock is not None:
            self._lock.release()
        if done and sys.platform == "win32":  # which does not remove an open file
            with suppress(OSError):  # another run may have begun
                (self.state / HOLDER).unlink(missing_ok=True)
                (self.state / LOCK).unlink(missing_ok=True)
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
        """Whether the run is complete: its manifest is written last; an outcome may be provisional.

        Raises:
            ValueError: the outcome is damaged.
        """
        if self._damaged or not (self.path / MANIFEST).exists():
            return False
        return not read_outcome(self.path).get(ENDED_BY_BUDGET)

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as CSV or Parquet, depending on the ending of its name."""
        with self._replacing(name) as temporary:
            if name.endswith(".csv"):
                write_csv(table, temporary)
            else:
                table.to_parquet(temporary, index=False)

    def write_outcome(self, outcome: Mapping[str, Any]) -> None:
        """Write the outcome, when all other files are written, and the manifest of all."""
        self._write_settings()  # again, if somebody has removed them
        self.write_json(OUTCOME, outcome)
        self.write_json(MANIFEST, manifest_of(self.path, self._files))
        self._damaged = False

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
        with (
            # Where memory is short, Keras puts another file beside the one that it writes.
            tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=self.state) as folder,
            replacing(self.path / name, Path(folder)) as temporary,
        ):
            model.save(temporary)

    def write_with(self, name: str, write: Callable[[Path], object]) -> None:
        """Write a file of any kind.

        Args:
            name: its name.
            write: called with the path to write to.
        """
        with self._replacing(name) as temporary:
            write(temporary)

    def _check_only_a_run(self, found: Sequence[str], may_exist: bool) -> None:
        """Check that the directory holds nothing, or a run if there may be one."""
        own = (*self._files, MANIFEST, STATE)
        strange = [name for name in found if name not in own or self._is_folder(name)]
        if STATE in found and not strange:
            self._state.check()
        if SETTINGS not in found:  # written first: without it, nothing there belongs to a run
            started = STATE in found and not strange and self._state.just_started
            if STATE in found and not (strange or started):
                raise ValueError(
                    f"expected {SETTINGS} with the settings of the run in {self.path}, received "
                    "none, so that it cannot be continued; choose another directory (--out)"
                )
            strange = [name for name in found if not (name == STATE and started)]
        if strange or (found and not may_exist):
            raise ValueError(
                "expected a new or empty directory for the run, received "
                f"{self.path}, which contains "
                + (f"{strange[0]}; choose another directory (--out)" if strange else
                   "a run; resume=True (--resume) continues it, overwrite=True (--overwrite) "
                   "removes it")
            )  # fmt: skip

    def _write_settings(self) -> None:
        """Write the settings if they are not there."""
        if not (self.path / SETTINGS).exists():
            self.write_json(SETTINGS, settings_record(self._description))

    def _is_folder(self, name: str) -> bool:
        path = self.path / name
        return name != STATE and path.is_dir() and not path.is_symlink()

    def _remove(self, *names: str) -> None:
        for name in names:
            (self.path / name).unlink(missing_ok=True)
            sync_folder(self.path)

    @contextmanager
    def _replacing(self, name: str) -> Iterator[Path]:
        with replacing(self.path / name, self.state) as temporary:
            yield temporary


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
    make_folder(path.parent)
    number = 1
    while True:
        numbered = path.with_name(f"{path.name}-{number}")
        try:
            numbered.mkdir()  # finds and takes it in one step, so that nobody else gets it too
        except FileExistsError:
            number += 1
        else:
            sync_folder(numbered.parent)
            return numbered


def _names_in(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    except OSError as error:
        raise ValueError(
            f"expected a directory that can be read, received {path}: {error.strerror}"
        ) from None


def _check_name(path: Path) -> None:
    """Check that a name can be written into the files of a run."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"expected a directory whose name is UTF-8, received {os.fsencode(path)!r}; "
            "choose another directory (--out)"
        ) from None


def _check_outside_runs(path: Path) -> None:
    """Check that a directory is not inside that of a run, which holds nothing but its files."""
    for folder in path.resolve().parents:
        if _is_run(folder):
            raise ValueError(
                f"expected a directory outside other runs, received {path}, which is inside that "
                f"of the run in {folder}; choose another directory (--out)"
            )


def _is_run(folder: Path) -> bool:
    if not (folder / SETTINGS).is_file():
        return False
    try:
        read_settings(folder / SETTINGS)
    except ValueError:
        return False
    return True


def _acquire_lock(state: Path) -> filelock.BaseFileLock:
    """Lock a run; the lock of a process that has died is free."""
    holder = state / HOLDER
    lock = filelock.FileLock(state / LOCK, timeout=0, thread_local=False)
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
