"""Files that outlast a crash or a power failure: complete or absent, and on disk in order.

What is renamed or appended is on disk when a function returns, and so is its name in its directory.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

UNFINISHED = "unfinished-"
"""What the names of files begin with while they are written."""


@contextmanager
def replacing(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """Give a temporary file, which replaces `path` once it is complete and on disk.

    Args:
        path: the file to write.
        folder: where the temporary file is; None for the folder of `path`.

    Yields:
        The temporary file, which exists and is empty.

    Raises:
        OSError: the file cannot be written. The error names `path`.
    """
    # The ending stays: some writers choose the format by it.
    name = f"{UNFINISHED}{secrets.token_hex(4)}{''.join(path.suffixes)}"
    temporary = (folder or path.parent) / name
    try:
        with naming_errors(path):
            # With the permissions that the umask allows, as any new file.
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield temporary
            with open(temporary, "rb+") as file:  # Windows only flushes files open for writing
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
    finally:
        with suppress(OSError):  # what raised already names the file
            temporary.unlink()


def append_line(path: Path, line: str) -> None:
    """Append a line to a file, which is created if it is missing.

    A line that a crash cuts short does not run into the next one.

    Args:
        path: the file.
        line: the line, without its end.

    Raises:
        OSError: the file cannot be written. The error names it.
    """
    created = not path.exists()
    with naming_errors(path):
        with open(path, "ab") as file:
            file.write(b"\n" + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if created:
            sync_folder(path.parent)


@contextmanager
def naming_errors(path: Path) -> Iterator[None]:
    """Add the file's name to errors raised while writing it; that of a full disk has none.

    Args:
        path: the file.

    Raises:
        OSError: the error, with the name.
    """
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def make_folder(path: Path) -> None:
    """Create a directory and those above it, if they do not exist.

    Args:
        path: the directory.

    Raises:
        OSError: it cannot be created; then those above it are not left behind.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
        raise
    for folder in reversed(missing):
        sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Wait until the names in a directory are on disk.

    Args:
        path: the directory.

    Raises:
        OSError: it cannot be read.
    """
    if sys.platform == "win32":  # which does not open folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
