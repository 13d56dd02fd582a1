"""Nothing accepted: what is damaged in a run's folder is trained again, or refused by name."""

import json
import os
import re
import shutil
import stat
import warnings
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import Execution, rate_sweep, verify_run
from dropout_zoo.training.checksums import sealed
from dropout_zoo.training.engine.journal import JournaledTrainer
from dropout_zoo.training.journal_records import append_record, read_records, rewrite_records
from dropout_zoo.tuning import TuningResult, tune
from dropout_zoo.tuning.cli.main import main
from dropout_zoo.tuning.search import search_run

QUICK = {"rates": [0.2, 0.5], "epochs": 1, "num_finalists": 1, "num_seeds": 2, "progress": False}
RUNS = 4 + 3 * 2 + 2 * 2


def model():
    return build_mlp(units=(8,), hidden_rates=(0.4,))


def scores(result) -> pd.DataFrame:
    both = pd.concat([result.trials, result.finalists], ignore_index=True)
    return both.drop(columns="seconds")


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def complete(few_digits, tmp_path_factory):
    return tune(model(), few_digits, **QUICK, directory=tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def cut_off(few_digits, tmp_path_factory):
    """The folder of a run that was cut off after its last training run."""
    path = tmp_path_factory.mktemp("cut-off") / "run"

    def fail(result, folder):
        raise InterruptedError("cut off")

    with pytest.MonkeyPatch.context() as patched, pytest.raises(InterruptedError):
        patched.setattr(search_run, "_write", fail)
        tune(model(), few_digits, **QUICK, directory=path)
    return path


@pytest.fixture
def run(complete, tmp_path):
    return Path(shutil.copytree(complete.directory, tmp_path / "run"))


@pytest.fixture
def interrupted(cut_off, tmp_path):
    return Path(shutil.copytree(cut_off, tmp_path / "run"))


def weights(run: Path) -> list[Path]:
    return sorted(run.glob("state/weights-1/*.npz"), key=lambda path: int(path.stem))


def resume(few_digits, run):
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        result = tune(model(), few_digits, **QUICK, directory=run, resume=True)
    return result, [str(each.message) for each in issued]


def test_damaged_weights_are_trained_again_with_one_line(few_digits, complete, interrupted):
    files = weights(interrupted)
    assert len(files) == RUNS
    flip(files[0], files[0].stat().st_size // 2)  # a CRC error
    os.truncate(files[1], files[1].stat().st_size // 2)
    files[2].write_bytes(b"")
    files[3].unlink()
    faults = verify_run(interrupted)
    assert {fault.partition(": ")[0] for fault in faults} == {
        f"state/weights-1/{file.name}" for file in files[:4]
    }
    result, issued = resume(few_digits, interrupted)
    [line] = [each for each in issued if "will be trained again" in each]
    assert line.startswith(
        f"4 finished training runs in {interrupted / 'state'} cannot be restored"
    )
    assert f"weights-1/{files[0].name}: damaged: its checksum differs; " in line
    assert line.endswith("and 1 more")
    pd.testing.assert_frame_equal(scores(result), scores(complete))
    assert verify_run(interrupted) == []


def test_damaged_lines_of_the_journal_are_trained_again(few_digits, complete, interrupted):
    # What a killed run leaves behind of files that it was writing goes with the rest.
    for name in ("unfinished-1.csv", "unfinished-2/tmp3", "weights-1/unfinished-4.npz"):
        (interrupted / "state" / name).parent.mkdir(exist_ok=True)
        (interrupted / "state" / name).write_bytes(b"half")
    journal = interrupted / "state" / "journal.jsonl"
    content = journal.read_bytes()
    score = content.index(b'"score": ')
    flip(journal, score + len(b'"score": '))
    flip(journal, content.index(b'"key"', score) + 1)
    assert len(verify_run(interrupted)) == 2
    result, issued = resume(few_digits, interrupted)
    assert sum("At least 2 finished training runs" in each for each in issued) == 1
    pd.testing.assert_frame_equal(scores(result), scores(complete))
    assert not (interrupted / "state").exists()


def test_only_a_last_line_may_be_cut_short(few_digits, interrupted):
    journal = interrupted / "state" / "journal.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content + b'\n{"key": "half')
    assert verify_run(interrupted) == []
    for damaged in (content.replace(b"}\n", b"]\n", 1), b"[" * 100_000 + b"}\n" + content):
        journal.write_bytes(damaged)
        [fault] = verify_run(interrupted)
        assert re.fullmatch(r"state/journal\.jsonl, line \d: damaged", fault)
    journal.write_bytes(content.replace(b"\n", b"\r\n"))  # by an editor on Windows
    assert verify_run(interrupted) == []


def test_what_is_appended_after_a_line_that_was_cut_short_is_read(tmp_path):
    path = tmp_path / "journal.jsonl"
    for key in "ab":
        append_record(path, {"key": key}, None)
    path.write_bytes(path.read_bytes() + b'\n{"key": "c')
    found = read_records(path)
    assert found.is_cut and list(found.whole) == ["a", "b"] and not found.faults
    rewrite_records(path, found)
    append_record(path, {"key": "d"}, None)
    found = read_records(path)
    assert list(found.whole) == ["a", "b", "d"] and not (found.is_cut or found.faults)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ("deleted", f"missing: {RUNS} files of weights have no line in it"),
        ("emptied", f"damaged: {RUNS} files of weights have no line in it"),
        ("cut between lines", f"damaged: {RUNS - 2} files of weights have no line in it"),
    ],
)
def test_a_journal_without_the_lines_of_its_weights_is_named(
    few_digits, complete, interrupted, damage, fault
):
    journal = interrupted / "state" / "journal.jsonl"
    if damage == "deleted":
        journal.unlink()
    elif damage == "emptied":
        journal.write_bytes(b"")
    else:
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:4]))
    assert verify_run(interrupted) == [f"state/journal.jsonl: {fault}"]
    result, issued = resume(few_digits, interrupted)
    [line] = [each for each in issued if "will be trained again" in each]
    assert line.endswith(f": journal.jsonl: {fault}")
    assert line.startswith(f"At least {fault.split()[1]} finished training runs in")
    pd.testing.assert_frame_equal(scores(result), scores(complete))


def test_weights_that_a_kill_left_without_their_line_are_no_damage(interrupted):
    for attempt in range(1, 4):  # each time the run is resumed, there may be one more
        left = interrupted / "state" / f"weights-{attempt}" / "900000.npz"
        left.parent.mkdir(exist_ok=True)
        left.write_bytes(b"weights")
        assert verify_run(interrupted) == []
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            JournaledTrainer(None, interrupted / "state" / "journal.jsonl")


def test_damage_that_covers_two_lines_is_not_counted_as_one(interrupted):
    journal = interrupted / "state" / "journal.jsonl"
    content = journal.read_bytes()
    end = content.index(b"\n", 10)
    journal.write_bytes(content[: end - 10] + b"x" * 20 + content[end + 10 :])
    [fault] = verify_run(interrupted)
    assert re.fullmatch(r"state/journal\.jsonl, line \d: damaged", fault)
    with pytest.warns(UserWarning, match="At least 1 finished training run in .* cannot be rest"):
        JournaledTrainer(None, journal)


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_a_run_without_its_settings_is_refused_with_all_that_it_has(few_digits, interrupted, how):
    (interrupted / "search.json").unlink()
    before = sorted(interrupted.rglob("*"))
    with pytest.raises(ValueError, match=r"expected search\.json with the settings of the run"):
        tune(model(), few_digits, **QUICK, directory=interrupted, **{how: True})
    assert sorted(interrupted.rglob("*")) == before


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_a_copy_of_the_weights_is_left_alone(few_digits, interrupted, how):
    copied = interrupted / "state" / "weights-1-backup"
    shutil.copytree(interrupted / "state" / "weights-1", copied)
    with pytest.raises(ValueError, match=r"received .*weights-1-backup"):
        tune(model(), few_digits, **QUICK, directory=interrupted, **{how: True})
    assert len(list(copied.iterdir())) == RUNS


def test_a_directory_with_the_name_of_a_result_is_refused_before_anything_is_lost(few_digits, run):
    (run / "trials.csv").unlink()
    (run / "trials.csv").mkdir()
    before = sorted(run.rglob("*"))
    with pytest.raises(ValueError, match=r"which contains trials\.csv"):
        tune(model(), few_digits, **QUICK, directory=run, overwrite=True)
    assert sorted(run.rglob("*")) == before


def test_a_missing_or_foreign_manifest_is_a_fault(few_digits, run):
    shutil.copy(run / "search.json", run / "manifest.json")
    assert verify_run(run) == ["manifest.json: damaged"]
    (run / "manifest.json").unlink()
    assert verify_run(run) == ["manifest.json: missing"]
    before = {path: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(ValueError, match=r"received manifest\.json: missing"):
        tune(model(), few_digits, **QUICK, directory=run, resume=True)
    assert {path: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize(
    "files",
    [
        {"trials.csv": 5},
        {"trials.csv": {}},
        {"../secret.txt": {"size": 1, "sha256": "0"}},
        {"/etc/hostname": {"size": 1, "sha256": "0"}},
    ],
)
def test_a_manifest_of_other_content_is_damaged(run, files):
    (run / "manifest.json").write_text(json.dumps(sealed({"files": files})))
    assert verify_run(run) == ["manifest.json: damaged"]


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"key": "a"},
        {"key": ["a"], "checkpoint": None},
        {"key": "a", "checkpoint": "1.npz"},
        {"key": "a", "checkpoint": {"path": 1, "size": 1, "sha256": "0"}},
        {"set_aside": 3},
    ],
)
def test_a_line_of_the_journal_with_other_content_is_damaged(interrupted, line):
    journal = interrupted / "state" / "journal.jsonl"
    with open(journal, "a") as file:
        file.write(json.dumps(sealed(line)) + "\n")
    number = len(journal.read_bytes().splitlines())
    assert verify_run(interrupted) == [f"state/journal.jsonl, line {number}: damaged"]


@pytest.mark.parametrize("inside", ["inner", "inner/deeper", "state", "state/weights-9"])
def test_a_run_inside_the_directory_of_another_is_refused(few_digits, run, inside):
    """It would be refused afterwards: the other could be neither resumed nor removed."""
    with pytest.raises(ValueError, match=r"expected a directory outside other runs, received .*"):
        tune(model(), few_digits, **QUICK, directory=run / inside)
    assert not (run / inside.partition("/")[0]).exists()


@pytest.mark.posix
def test_a_pipe_in_place_of_the_settings_is_not_waited_for(few_digits, run):
    (run / "search.json").unlink()
    os.mkfifo(run / "search.json")
    with pytest.raises(ValueError, match="it is not a file"):
        tune(model(), few_digits, **QUICK, directory=run, overwrite=True)
    assert "search.json: missing" in verify_run(run)


@pytest.mark.slow
def test_damage_that_was_repaired_is_not_told_again(few_digits, interrupted, monkeypatch):
    weights(interrupted)[0].write_bytes(b"")
    journal = interrupted / "state" / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-6]))
    monkeypatch.setattr(search_run, "_write", lambda result, folder: None)
    _, issued = resume(few_digits, interrupted)
    assert any("will be trained again" in each for each in issued)
    assert (interrupted / "state" / "journal.jsonl").is_file()
    assert verify_run(interrupted) == []
    _, issued = resume(few_digits, interrupted)
    assert not any("will be trained again" in each for each in issued)


@pytest.mark.parametrize(
    "name",
    ["best.keras", "trials.csv", "finalists.csv", "curves.parquet", "race.parquet", "rates.png"],
)
@pytest.mark.parametrize("damage", ["flipped", "cut", "deleted"])
def test_a_damaged_file_of_a_complete_run_is_refused_by_name(few_digits, run, name, damage):
    file = run / name
    if damage == "deleted":
        file.unlink()
    elif damage == "cut":
        os.truncate(file, file.stat().st_size - 10)
    else:
        flip(file, file.stat().st_size // 2)
    [fault] = verify_run(run)
    assert fault.startswith(f"{name}: ")
    with pytest.raises(ValueError, match=f"as it wrote them, received {name}: "):
        tune(model(), few_digits, **QUICK, directory=run, resume=True)
    if name != "rates.png":
        with pytest.raises(ValueError, match=f"received {name}: "):
            TuningResult.load(run)


@pytest.mark.parametrize("name", ["search.json", "manifest.json"])
def test_damaged_records_of_a_run_are_named(few_digits, run, name):
    for place in range(5, (run / name).stat().st_size, 97):
        flip(run / name, place)
        assert [fault.partition(":")[0] for fault in verify_run(run)] == [name]
        with pytest.raises(ValueError, match=name):
            tune(model(), few_digits, **QUICK, directory=run, resume=True)
        flip(run / name, place)
    assert verify_run(run) == []


@pytest.mark.parametrize("removed", [1, 3, 10])
def test_a_whole_run_that_was_killed_as_it_removed_its_state_is_whole(
    few_digits, complete, cut_off, run, monkeypatch, removed
):
    shutil.copytree(cut_off / "state", run / "state")
    unlink, left = Path.unlink, iter(range(removed))

    def killed(path, **settings):
        if next(left, None) is None:
            raise KeyboardInterrupt
        unlink(path, **settings)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "unlink", killed)
        resume(few_digits, run)
    assert (run / "state").exists()
    assert verify_run(run) == []
    result, issued = resume(few_digits, run)
    assert not any("trained again" in each for each in issued)
    assert not (run / "state").exists()
    pd.testing.assert_frame_equal(scores(result), scores(complete))


def test_verify_says_what_is_wrong_in_its_exit_status(run, tmp_path):
    def verify(path):
        return CliRunner().invoke(main, ["verify", str(path)])

    whole = verify(run)
    assert (whole.exit_code, whole.stdout) == (0, f"{run}: nothing is missing or damaged.\n")
    (run / "best.keras").unlink()
    os.truncate(run / "trials.csv", 10)
    size = json.loads((run / "manifest.json").read_text())["files"]["trials.csv"]["size"]
    damaged = verify(run)
    assert damaged.exit_code == 1
    assert damaged.stdout.splitlines() == [
        "best.keras: missing",
        f"trials.csv: damaged: expected {size} bytes, received 10",
    ]
    for path in (tmp_path, tmp_path / "missing", run / "trials.csv"):
        refused = verify(path)
        assert refused.exit_code == 2
        assert "expected the directory of a run" in refused.stderr


def test_a_run_of_another_version_is_refused_with_the_reason(few_digits, run):
    settings = json.loads((run / "search.json").read_text())
    before = {name: value for name, value in settings.items() if name not in ("format", "sha256")}
    (run / "search.json").write_text(json.dumps(before))
    (run / "manifest.json").unlink()
    for how in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(ValueError, match="another version of dropout-zoo") as refused:
            tune(model(), few_digits, **QUICK, directory=run, **how)
        assert "\n" not in str(refused.value)
    assert json.loads((run / "search.json").read_text()) == before
    for read in (verify_run, TuningResult.load):
        with pytest.raises(ValueError, match="another version of dropout-zoo"):
            read(run)


def test_the_settings_of_another_program_are_not_replaced(few_digits, tmp_path):
    own = tmp_path / "own" / "search.json"
    own.parent.mkdir()
    own.write_text('{"data": {}, "versions": {}, "settings": {}}')
    for how in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(ValueError, match="not of a run"):
            tune(model(), few_digits, **QUICK, directory=own.parent, **how)
    assert own.read_text() == '{"data": {}, "versions": {}, "settings": {}}'


@pytest.mark.parametrize("how", [{"resume": True}, {"overwrite": True}])
@pytest.mark.parametrize(
    "name",
    ["mine.txt", "weights-1/mine.txt", "weights-1/deep/er/1.npz", "oracle/mine.npz", "journal.txt"],
)
def test_foreign_files_in_the_state_are_left_alone(few_digits, interrupted, name, how):
    mine = interrupted / "state" / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("precious")
    before = sorted(interrupted.rglob("*"))
    with pytest.raises(ValueError, match="expected only files of the run in"):
        tune(model(), few_digits, **QUICK, directory=interrupted, **how)
    assert mine.read_text() == "precious"
    assert sorted(interrupted.rglob("*")) == before


@pytest.mark.slow
def test_a_foreign_file_that_appears_during_a_run_outlives_it(few_digits, tmp_path):
    directory = tmp_path / "run"

    def callbacks(member):
        (directory / "state" / "mine.txt").write_text("precious")
        return []

    result = tune(model(), few_digits, **QUICK, callbacks=callbacks, directory=directory)
    assert [path.name for path in (directory / "state").iterdir()] == ["mine.txt"]
    assert verify_run(directory) == []
    assert TuningResult.load(directory).sentence == result.sentence


@pytest.mark.posix
@pytest.mark.parametrize("how", [{"resume": True}, {"overwrite": True}])
@pytest.mark.parametrize("link", ["state", "state/weights-1", "state/journal.jsonl"])
def test_nothing_is_removed_through_links(few_digits, interrupted, tmp_path, link, how):
    elsewhere = tmp_path / "elsewhere"
    shutil.move(interrupted / link, elsewhere)
    (interrupted / link).symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    with pytest.raises(ValueError, match="received"):
        tune(model(), few_digits, **QUICK, directory=interrupted, **how)
    assert (interrupted / link).is_symlink()
    assert elsewhere.exists()
    assert sorted(elsewhere.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.posix
def test_files_have_the_permissions_that_the_umask_allows(few_digits, tmp_path):
    before = os.umask(0o077)
    try:
        tune(model(), few_digits, **QUICK, directory=tmp_path / "run")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "run").iterdir()}
    assert len(modes) == 9
    assert set(modes.values()) == {0o600}


@pytest.mark.slow
def test_the_runs_of_a_study_are_checked_too(few_digits, tmp_path):
    def sweep():
        return rate_sweep(
            model(), few_digits, rates=[0.5], epochs=1, num_seeds=2,
            execution=Execution(directory=tmp_path / "study"),
        )  # fmt: skip

    first = sweep()
    file = next((tmp_path / "study").glob("state/weights-*/*.npz"))
    flip(file, 300)
    assert [fault for fault in verify_run(tmp_path / "study") if file.name in fault]
    with pytest.warns(UserWarning, match="1 finished training run in .* will be trained again"):
        again = sweep()
    pd.testing.assert_frame_equal(
        first.data.drop(columns="seconds"), again.data.drop(columns="seconds")
    )
    settings = tmp_path / "study" / "search.json"
    flip(settings, settings.stat().st_size // 2)
    with pytest.raises(ValueError, match=r"search\.json"):
        sweep()


@pytest.mark.slow
def test_the_seconds_of_a_resumed_run_are_those_of_all_attempts(few_digits, interrupted):
    journal = interrupted / "state" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_bytes().splitlines() if line]
    earlier = sum(line["elapsed"] for line in lines)
    result, _ = resume(few_digits, interrupted)
    assert result.search_seconds + result.race_seconds > earlier
    assert result.race_seconds > sum(line["elapsed"] for line in lines[-4:])
