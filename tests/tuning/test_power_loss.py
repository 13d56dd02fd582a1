"""Power that fails at any moment: whatever is on the disk then, the run is resumed from it.

What a run does to its files is traced, with what is sure to be on the disk after each step: the
content of a file when it was last synced, and the names in a folder when that was. The disk of each
moment is made again, in three ways, and the run is resumed on it.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import Execution, rate_sweep, verify_run
from dropout_zoo.tuning import tune

pytestmark = pytest.mark.posix

Disk = dict[str, bytes | None]
"""What is on a disk: the content of each file by its path, and None for each folder."""

STEPS = ("fsync", "replace", "mkdir", "rmdir", "unlink")


@dataclass
class Tracer:
    """Traces what happens to the files in a folder.

    Attributes:
        root: the folder.
        disks: the disks that there may have been, without repetitions.
        synced: those of them with nothing but what was synced.
    """

    root: Path
    disks: list[Disk] = field(default_factory=list)
    synced: list[Disk] = field(default_factory=list)

    def __post_init__(self):
        self._content: dict[int, bytes] = {}  # that was synced, by the number of a file
        self._names: dict[int, dict[str, int]] = {}  # that were synced, by the number of a folder
        self._held: dict[int, int] = {}  # open files, whose numbers no other file can get
        self._lock = threading.RLock()
        self._hold()
        for handle in (os.open(self.root, os.O_RDONLY), *self._held.values()):
            self._sync(handle)  # what is there before is on the disk

    @contextmanager
    def tracing(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patched:
            for name in STEPS:
                patched.setattr(os, name, self._traced(name, getattr(os, name)))
            yield

    def _traced(self, name, step):
        def traced(*args, **kwargs):
            with self._lock:
                self._hold()
                self._add_disks()  # of the moment before, with all that was written since the last
                result = step(*args, **kwargs)
                if name == "fsync":
                    self._sync(args[0])
                self._hold()
                self._add_disks()
                return result

        return traced

    def _hold(self):
        for path in self.root.rglob("*"):
            number = path.stat().st_ino
            if number not in self._held:
                self._held[number] = os.open(path, os.O_RDONLY)

    def _sync(self, handle):
        about = os.fstat(handle)
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if path != self.root and self.root not in path.parents:
            return
        if path.is_dir():
            self._names[about.st_ino] = {each.name: each.stat().st_ino for each in path.iterdir()}
        else:
            self._content[about.st_ino] = path.read_bytes()

    def _add_disks(self):
        now = {
            path.relative_to(self.root).as_posix(): None if path.is_dir() else path.read_bytes()
            for path in sorted(self.root.rglob("*"))
        }
        # All of it; all names, but only the content that was synced; only what was synced.
        named = {
            path: content
            if content is None
            else self._content.get((self.root / path).stat().st_ino, b"")
            for path, content in now.items()
        }
        synced = dict(self._synced(self.root.stat().st_ino, ""))
        if synced not in self.synced:
            self.synced.append(synced)
        for disk in (now, named, synced):
            if disk not in self.disks:
                self.disks.append(disk)

    def _synced(self, folder: int, above: str) -> Iterator[tuple[str, bytes | None]]:
        for name, number in sorted(self._names.get(folder, {}).items()):
            path = f"{above}{name}"
            if os.path.isdir(f"/proc/self/fd/{self._held[number]}"):
                yield path, None
                yield from self._synced(number, f"{path}/")
            else:
                yield path, self._content.get(number, b"")


def write(disk: Disk, root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for path, content in disk.items():
        if content is None:
            (root / path).mkdir(parents=True)
        else:
            (root / path).write_bytes(content)


def traced(root: Path, run) -> Tracer:
    root.mkdir()
    tracer = Tracer(root)
    with tracer.tracing():
        run(root)
    return tracer


@pytest.mark.parametrize(
    "every", [pytest.param(4, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.nightly)]
)
@pytest.mark.filterwarnings("ignore:.* will be trained again")
def test_a_study_is_resumed_after_any_power_failure(few_digits, tmp_path, every):
    def sweep(root):
        return rate_sweep(
            build_mlp(units=(4,), hidden_rates=(0.4,)), few_digits, rates=[0.5], epochs=1,
            num_seeds=1, execution=Execution(directory=root / "study", workers=1),
        ).data.drop(columns="seconds")  # fmt: skip

    expected = sweep(tmp_path)
    disks = traced(tmp_path / "traced", sweep).disks
    assert len(disks) > 20
    kept = set()
    for disk in disks[::-every]:
        write(disk, tmp_path / "disk")
        journal = disk.get("study/state/runs-0.jsonl") or b""
        kept.add(journal.count(b'"key"'))
        pd.testing.assert_frame_equal(sweep(tmp_path / "disk"), expected)
    assert kept == {0, 1, 2}


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore:.* will be trained again")
def test_a_search_is_resumed_after_any_power_failure(few_digits, tmp_path):
    def search(root, **how):
        result = tune(
            build_mlp(units=(4,), hidden_rates=(0.4,)), few_digits, rates=[0.2, 0.5], epochs=1,
            num_finalists=1, num_seeds=2, progress=False, directory=root / "run", **how,
        )  # fmt: skip
        both = pd.concat([result.trials, result.finalists], ignore_index=True)
        return result.sentence, both.drop(columns="seconds")

    sentence, runs = search(tmp_path)
    disks = traced(tmp_path / "traced", search).disks
    assert len(disks) > 100
    # And at each moment at which a run is overwritten.
    write(disks[-1], tmp_path / "again")
    tracer = Tracer(tmp_path / "again")
    with tracer.tracing():
        search(tmp_path / "again", overwrite=True)
    for disk in disks + [each for each in tracer.disks if each not in disks]:
        write(disk, tmp_path / "disk")
        found, found_runs = search(tmp_path / "disk", resume=True)
        assert found == sentence
        pd.testing.assert_frame_equal(found_runs, runs, check_dtype=False)
        assert verify_run(tmp_path / "disk" / "run") == []
        assert not (tmp_path / "disk" / "run" / "state").exists()


@pytest.mark.slow
def test_what_is_named_is_on_the_disk_before_its_name(few_digits, tmp_path):
    """Of a journal that is on the disk, so are the weights; of a manifest, the files."""

    def search(root):
        tune(
            build_mlp(units=(4,), hidden_rates=(0.4,)), few_digits, rates=[0.2, 0.5], epochs=1,
            num_finalists=1, num_seeds=2, progress=False, directory=root / "run",
        )  # fmt: skip

    complete, journals = 0, set()
    for disk in traced(tmp_path / "traced", search).synced:
        if "run/search.json" not in disk:
            continue
        write(disk, tmp_path / "disk")
        faults = verify_run(tmp_path / "disk" / "run")
        assert faults == []
        complete += "run/manifest.json" in disk
        journals.add((disk.get("run/state/journal.jsonl") or b"").count(b'"key"'))
    assert complete
    assert journals == set(range(15))
