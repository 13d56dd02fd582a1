"""The file of a journal: one record per line, each with a checksum of itself and of its weights."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dropout_zoo.training.checksums import file_checksum, file_fault, sealed, unsealed
from dropout_zoo.training.durable_files import append_line, replacing


@dataclass
class JournalRecords:
    """What a journal holds.

    Attributes:
        whole: the records that are as they were written, with their weights, by key.
        faults: one line per record that is not, with its place in the file.
        is_cut: whether the last line was cut short, by a process that was killed as it wrote.
    """

    whole: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    is_cut: bool = False


def append_record(path: Path, record: Mapping[str, Any], checkpoint: Path | None) -> dict[str, Any]:
    """Append a record to a journal.

    Args:
        path: the journal; created if missing.
        record: the record, with a ``key``.
        checkpoint: file with the weights that belong to it, in a directory beside the journal,
            which is on disk already.

    Returns:
        The record, with path and checksum of the ``checkpoint``.

    Raises:
        OSError: the journal cannot be written, or the weights cannot be read.
    """
    weights = None
    if checkpoint is not None:
        relative = Path(os.path.relpath(checkpoint, path.parent))
        weights = {"path": relative.as_posix(), **file_checksum(checkpoint)}
    written = {**record, "checkpoint": weights}
    append_line(path, json.dumps(sealed(written)))
    return written


def read_records(path: Path) -> JournalRecords:
    """Read a journal.

    A last line that was cut short is the record of a run that had not finished, and no fault.

    Args:
        path: the journal.

    Returns:
        Its records; none if there is no such file.

    Raises:
        OSError: it cannot be read.
    """
    content = path.read_bytes() if path.is_file() else b""
    journal = JournalRecords(is_cut=not content.rstrip().endswith(b"}") and bool(content.strip()))
    for number, record in _lines(content):
        place = f"{path.name}, line {number}"
        if record is None:
            journal.faults.append(f"{place}: damaged")
            continue
        weights = record["checkpoint"]
        fault = weights and file_fault(
            path.parent / weights["path"], {name: weights[name] for name in ("size", "sha256")}
        )
        if fault:
            journal.faults.append(f"{weights['path']}: {fault}")
        else:
            journal.whole[record["key"]] = record
    return journal


def rewrite_records(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Replace a journal by one that holds only some of its records.

    Args:
        path: the journal.
        records: the records, as `read_records` returned them.

    Raises:
        OSError: the journal cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(sealed(each)) + "\n" for each in records))


def recorded_seconds(path: Path) -> float:
    """Return how long the runs of a journal took on the clock, over all attempts.

    Args:
        path: the journal.

    Returns:
        Seconds; 0 if there is no such file.
    """
    content = path.read_bytes() if path.is_file() else b""
    return sum((float(record["elapsed"]) for _, record in _lines(content) if record), start=0.0)


def _lines(content: bytes) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """The records of a journal with the numbers of their lines; None for a damaged one.

    Empty lines, and a last one that was cut short, are left out.
    """
    lines = [
        (number, line) for number, line in enumerate(content.split(b"\n"), start=1) if line.strip()
    ]
    for number, line in lines:
        if number == lines[-1][0] and not line.rstrip().endswith(b"}"):
            return
        try:
            yield number, unsealed(json.loads(line))
        except (ValueError, RecursionError):
            yield number, None
