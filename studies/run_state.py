"""The files that a run needs until it is complete: only those that it writes are ever removed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from dropout_zoo.training.durable_files import UNFINISHED

LOCK = "lock"
# Beside the lock, because some versions of filelock empty the lock file and Windows does not let
# other processes read it.
HOLDER = "holder"


class RunState:
    """The directory of what a run needs until it is complete.

    Links in it, and the directory itself if it is one, belong to someone else: they are neither
    followed nor removed.

    Args:
        path: the directory.
        names: patterns of the paths of the files that the run writes there, with slashes. A star
            stands for any part of a name, and ``#`` for a number.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        own = (LOCK, HOLDER, f"{UNFINISHED}*/*", *names)
        folders = {"/".join(name.split("/")[:-1]) for name in own}
        unfinished = (f"{folder}/{UNFINISHED}*".lstrip("/") for folder in folders)
        self._patterns = [
            [re.compile(_as_expression(part)) for part in pattern.split("/")]
            for pattern in (*own, *unfinished)
        ]

    def check_is_own(self) -> None:
        """Check that the directory, if there is one, is a real directory and not a link.

        Raises:
            ValueError: it is a link, or not a directory.
        """
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_dir()):
            raise ValueError(
                f"expected a directory of the run in {self.path}, received a link or a file; "
                "choose another directory (--out)"
            )

    def check(self) -> None:
        """Check that the directory holds nothing but files of a run.

        Raises:
            ValueError: it holds something else, or is a link.
        """
        self.check_is_own()
        foreign = next(self._foreign(self.path, ()), None)
        if foreign is not None:
            raise ValueError(
                f"expected only files of the run in {self.path}, received {foreign}; move it "
                "elsewhere, or choose another directory (--out)"
            )

    @property
    def just_started(self) -> bool:
        """Whether a run that had only just started has left it: nothing in it needs settings."""
        names = [entry.name for entry in self.path.iterdir()]
        return all(name in (LOCK, HOLDER) or name.startswith(UNFINISHED) for name in names)

    @property
    def has_results(self) -> bool:
        """Whether there is more in it than a lock."""
        if not self.path.is_dir():
            return False
        return any(entry.name not in (LOCK, HOLDER) for entry in self.path.iterdir())

    def clear(self, *, keep_lock: bool) -> None:
        """Remove the files of the run, and the directories that are then empty.

        Args:
            keep_lock: whether the lock, and with it the directory, stays.
        """
        if not self.path.is_symlink() and self.path.is_dir():
            self._clear(self.path, (), keep_lock)

    def _clear(self, folder: Path, above: tuple[str, ...], keep_lock: bool) -> None:
        for entry in sorted(folder.iterdir()):
            parts = (*above, entry.name)
            if self._is_folder(entry, parts):
                self._clear(entry, parts, keep_lock=False)
            elif self._is_file(entry, parts) and not (keep_lock and parts in ((LOCK,), (HOLDER,))):
                with suppress(OSError):  # on Windows, a file that is open
                    entry.unlink()
        if not keep_lock:
            with suppress(OSError):  # something else is there
                folder.rmdir()

    def _foreign(self, folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
        """What the run has not written."""
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            parts = (*above, entry.name)
            if self._is_folder(entry, parts):
                yield from self._foreign(entry, parts)
            elif not self._is_file(entry, parts):
                yield entry

    def _is_folder(self, entry: Path, parts: tuple[str, ...]) -> bool:
        return entry.is_dir() and not entry.is_symlink() and self._matches(parts, whole=False)

    def _is_file(self, entry: Path, parts: tuple[str, ...]) -> bool:
        return entry.is_file() and not entry.is_symlink() and self._matches(parts, whole=True)

    def _matches(self, parts: tuple[str, ...], *, whole: bool) -> bool:
        return any(
            (len(pattern) == len(parts) if whole else len(pattern) > len(parts))
            and all(
                expression.fullmatch(part) for expression, part in zip(pattern, parts, strict=False)
            )
            for pattern in self._patterns
        )


def _as_expression(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\#", "[0-9]+")
