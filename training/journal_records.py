"""The file of a journal: one record per line, each with a checksum of itself and of its weights.

Weights are written before their line. A process that is killed in between leaves a file of weights
without a line; more of them show that lines have been lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dropout_zoo.models.wording import count_of
from dropout_zoo.training.checksums import (
    file_checksum,
    file_fault,
    is_checksum,
    sealed,
    unsealed,
)
from dropout_zoo.training.durable_files import UNFINISHED, append_line, replacing

_JOURNAL, _RUNS, _WEIGHTS = "journal", "runs", "weights"
_SET_ASIDE = "set_aside"  # key of a line that names weights whose lines are known to be missing


@dataclass
class JournalRecords:
    """What a journal holds.

    Attributes:
        whole: the records that are as they were written, with their weights, by key.
        faults: one line per fault: a record that is not, with its place in the file, or lines that
            are missing.
        num_lost: number of training runs that the faults concern, as far as it is known.
        lacks_lines: whether lines are damaged or missing, so that more runs may be lost: damage may
            cover several lines, and training runs that failed have no weights.
        is_cut: whether the last line was cut short, by a process that was killed as it wrote.
        unlisted: paths of the weights that have no whole line, relative to the folder of the
            journal; without those that were set aside by `rewrite_records`.
        set_aside: those paths.
    """

    whole: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    num_lost: int = 0
    lacks_lines: bool = False
    is_cut: bool = False
    unlisted: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)


def weights_folder(journal: Path) -> Path:
    """Return where the weights of a journal are.

    Args:
        journal: a path that ends in ``journal.jsonl`` or ``runs-NAME.jsonl``.

    Returns:
        The path of their folder, without the number of the attempt.
    """
    kind, dash, name = journal.stem.partition("-")
    assert kind in (_JOURNAL, _RUNS)
    return journal.with_name(f"{_WEIGHTS}{dash}{name}")


def journals_in(folder: Path) -> list[Path]:
    """Find the journals in a folder and those below it, also those that only have weights left.

    Args:
        folder: the folder.

    Returns:
        Their paths, of which some may not exist.
    """
    found = set(folder.glob("**/*.jsonl"))
    for weights in folder.glob(f"**/{_WEIGHTS}-*/"):
        name = weights.name.removeprefix(_WEIGHTS).rpartition("-")[0]
        found.add(weights.with_name(f"{_RUNS if name else _JOURNAL}{name}.jsonl"))
    return sorted(found)


def append_record(path: Path, record: Mapping[str, Any], checkpoint: Path | None) -> None:
    """Append a record to a journal.

    Args:
        path: the journal; created if missing.
        record: the record, with a ``key``.
        checkpoint: file with the weights that belong to it, in a directory beside the journal,
            which is on disk already.

    Raises:
        OSError: the journal cannot be written, or the weights cannot be read.
    """
    weights = None
    if checkpoint is not None:
        relative = Path(os.path.relpath(checkpoint, path.parent))
        weights = {"path": relative.as_posix(), **file_checksum(checkpoint)}
    append_line(path, json.dumps(sealed({**record, "checkpoint": weights})))


def read_records(path: Path) -> JournalRecords:
    """Read a journal.

    A last line that was cut short is the record of a run that had not finished, and no fault.
    Neither are weights without a line, unless there are more than a killed process leaves.

    Args:
        path: the journal.

    Returns:
        Its records; none if there is no such file.

    Raises:
        OSError: it cannot be read.
    """
    weights = _weights_of(path)  # listed first: a run that is under way adds weights before lines
    content = path.read_bytes() if path.is_file() else b""
    journal = JournalRecords(is_cut=not content.rstrip().endswith(b"}") and bool(content.strip()))
    listed: set[str] = set()
    damaged_lines = 0
    for number, record in _lines(content):
        if record is None:
            damaged_lines += 1
            journal.faults.append(f"{path.name}, line {number}: damaged")
        elif _SET_ASIDE in record:
            journal.set_aside += record[_SET_ASIDE]
        else:
            listed.add(_add_record(journal, record, path.parent))
    journal.num_lost = len(journal.faults)
    journal.lacks_lines = damaged_lines > 0
    journal.unlisted = sorted(weights - listed - set(journal.set_aside))
    missing = len(journal.unlisted) - damaged_lines
    if missing > 1:  # one may be of a process that was killed before it wrote the line
        state = "damaged" if path.is_file() else "missing"
        files = count_of(missing, "file")
        journal.faults.append(f"{path.name}: {state}: {files} of weights have no line in it")
        journal.num_lost += missing
        journal.lacks_lines = True
    return journal


def _add_record(journal: JournalRecords, record: dict[str, Any], folder: Path) -> str:
    """Add a record that is whole if its weights are, and return their path."""
    weights = record["checkpoint"]
    if weights is None:
        journal.whole[record["key"]] = record
        return ""
    path: str = weights["path"]
    fault = file_fault(folder / path, {name: weights[name] for name in ("size", "sha256")})
    if fault:
        journal.faults.append(f"{path}: {fault}")
    else:
        journal.whole[record["key"]] = record
    return path


def _weights_of(journal: Path) -> set[str]:
    """Paths of the weights of a journal, relative to its folder."""
    attempts = weights_folder(journal)
    folders = (
        folder
        for folder in journal.parent.glob(f"{attempts.name}-*")
        if folder.name.removeprefix(f"{attempts.name}-").isdigit()
    )
    return {
        path.relative_to(journal.parent).as_posix()
        for folder in folders
        for path in folder.glob("**/*.npz")
        if not path.name.startswith(UNFINISHED)
    }


def rewrite_records(path: Path, journal: JournalRecords) -> None:
    """Replace a journal by one with its whole records.

    Other weights are set aside: their training runs will be trained again.

    Args:
        path: the journal.
        journal: what `read_records` returned.

    Raises:
        OSError: the journal cannot be written.
    """
    named = {each["checkpoint"]["path"] for each in journal.whole.values() if each["checkpoint"]}
    set_aside = sorted(_weights_of(path) - named)
    lines = [*journal.whole.values(), *([{_SET_ASIDE: set_aside}] if set_aside else [])]
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(sealed(each)) + "\n" for each in lines))


def recorded_seconds(path: Path) -> float:
    """Return how long the runs of a journal took on the clock, over all attempts.

    Args:
        path: the journal.

    Returns:
        Seconds; 0 if there is no such file.
    """
    content = path.read_bytes() if path.is_file() else b""
    records = (record for _, record in _lines(content) if record and _SET_ASIDE not in record)
    return sum((float(record["elapsed"]) for record in records), start=0.0)


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
            record = unsealed(json.loads(line))
        except (ValueError, RecursionError):
            record = None
        yield number, record if record and _is_known(record) else None


def _is_known(record: dict[str, Any]) -> bool:
    """Whether a line is one that this version writes."""
    if _SET_ASIDE in record:
        return isinstance(record[_SET_ASIDE], list)
    weights = record.get("checkpoint", "")
    return isinstance(record.get("key"), str) and (
        weights is None or (is_checksum(weights) and isinstance(weights.get("path"), str))
    )
