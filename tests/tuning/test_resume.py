"""Nothing lost: searches that are killed, resumed, locked, or find their folder changed."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path

import h5py
import keras
import numpy as np
import pandas as pd
import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.models.graph.fingerprint import model_fingerprint
from dropout_zoo.studies import StudyResult
from dropout_zoo.studies.run_record import read_settings, settings_record
from dropout_zoo.training import Member, MemberTrainer, TrainSettings
from dropout_zoo.training.engine.journal import JournaledTrainer
from dropout_zoo.tuning import TuningResult, tune

QUICK = {"rates": [0.2, 0.5], "epochs": 1, "num_finalists": 1, "num_seeds": 2, "progress": False}


def model():
    return build_mlp(units=(8,), hidden_rates=(0.4,))


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / name).drop(columns="seconds")


def saved_weights(folder: Path) -> dict[str, np.ndarray]:
    """The arrays in best.keras, by path."""
    weights: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(folder / "best.keras") as archive:
        content = BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(
            lambda path, item: (
                weights.update({path: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return weights


def kill(kind: str, folder: Path, kills: int) -> list[str]:
    """Kill and resume runs until there were so many kills; the names of the folders of all."""
    ran = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).parents[1] / "killing.py"),
            kind,
            folder,
            str(kills),
            "1",
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    report = json.loads(ran.stdout.splitlines()[-1])
    assert report["kills"] >= kills
    runs = [f"run-{number}" for number in range(report["runs"])]
    for run in runs:
        # What a journal held was trained once. (A kill may come between journal and log.)
        trained = Counter((folder / f"{run}.log").read_text().splitlines())
        assert set(trained.values()) == {1}
        assert set(trained) <= set((folder / "reference.log").read_text().splitlines())
        assert not (folder / run / "state").exists()
    return runs


def kill_joint_searches_and_compare(folder: Path, kills: int) -> list[str]:
    return kill_searches_and_compare(folder, kills, "jointly")


def kill_searches_and_compare(folder: Path, kills: int, kind: str = "tune") -> list[str]:
    runs = kill(kind, folder, kills)
    expected = saved_weights(folder / "reference")
    for run in runs:
        for name in ("trials.csv", "finalists.csv"):
            pd.testing.assert_frame_equal(
                table(folder / run, name), table(folder / "reference", name), check_exact=True
            )
        outcomes = [
            json.loads((folder / which / "outcome.json").read_text())
            for which in (run, "reference")
        ]
        for name in ("best_rates", "best_hyperparameters", "sentence"):
            assert outcomes[0][name] == outcomes[1][name]
        found = saved_weights(folder / run)
        assert found.keys() == expected.keys()
        for path, values in expected.items():
            np.testing.assert_array_equal(found[path], values)
    return runs


def kill_sweeps_and_compare(folder: Path, kills: int) -> list[str]:
    runs = kill("sweep", folder, kills)
    for run in runs:
        found, expected = (
            StudyResult.from_parquet(folder / which / "study.parquet").data.drop(columns="seconds")
            for which in (run, "reference")
        )
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
        for name in ("settings.csv", "summary.txt"):
            assert (folder / run / name).read_bytes() == (folder / "reference" / name).read_bytes()
    return runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compare", "kills"),
    [
        (kill_searches_and_compare, 15),
        (kill_joint_searches_and_compare, 3),
        (kill_sweeps_and_compare, 8),
    ],
)
@pytest.mark.posix
def test_killed_at_any_moment_it_resumes_to_the_same_answer(tmp_path, compare, kills):
    assert compare(tmp_path, kills), "no run was compared"


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("compare", "kills"), [(kill_searches_and_compare, 1000), (kill_sweeps_and_compare, 200)]
)
@pytest.mark.posix
def test_killed_many_times_it_resumes_to_the_same_answer(tmp_path, compare, kills):
    assert len(compare(tmp_path, kills)) > 1, "runs that were compared"


@pytest.fixture(scope="module")
def complete(few_digits, tmp_path_factory):
    """The result of a run that is complete; tests change copies of its folder."""
    path = tmp_path_factory.mktemp("complete") / "run"
    return tune(model(), few_digits, **QUICK, directory=path)


@pytest.fixture
def run(complete, tmp_path):
    return Path(shutil.copytree(complete.directory, tmp_path / "run"))


@pytest.mark.slow
def test_resume_on_a_missing_or_empty_directory_starts_a_run(few_digits, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("missing", "empty"):
        result = tune(model(), few_digits, **QUICK, directory=tmp_path / name, resume=True)
        assert result.num_runs == 4 + 3 * 2 + 2 * 2


def test_resume_on_a_complete_run_returns_its_result(few_digits, complete, capsys):
    first = complete
    times = {path.name: path.stat().st_mtime_ns for path in first.directory.iterdir()}
    settings = QUICK | {"progress": True}
    again = tune(model(), few_digits, **settings, directory=first.directory, resume=True)
    assert "is complete" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in again.directory.iterdir()} == times
    assert again.outcome() == first.outcome()
    assert again.summary() == first.summary()
    pd.testing.assert_frame_equal(again.trials, first.trials, check_dtype=False)
    pd.testing.assert_frame_equal(again.curves, first.curves, check_dtype=False)
    x = few_digits.test[0]
    np.testing.assert_array_equal(
        again.best_model().predict(x, verbose=0), first.best_model().predict(x, verbose=0)
    )


def test_a_directory_without_a_complete_run_has_no_result(tmp_path):
    with pytest.raises(ValueError, match="expected the directory of a complete run"):
        TuningResult.load(tmp_path)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"epochs": 2}, "settings.epochs: 1 in that run, now 2"),
        ({"seed": 3}, "settings.seed: 0 in that run, now 3"),
        ({"rates": [0.3]}, "settings.rates"),
        ({"callbacks": lambda member: []}, "settings.callbacks: none in that run"),
    ],
)
def test_other_settings_are_listed_and_refused(few_digits, run, changed, named):
    before = (run / "search.json").read_bytes()
    with pytest.raises(ValueError, match="received other settings: settings") as refused:
        tune(model(), few_digits, **QUICK | changed, directory=run, resume=True)
    assert named in str(refused.value)
    assert "choose another directory (--out)" in str(refused.value)
    assert (run / "search.json").read_bytes() == before


def test_a_run_is_either_continued_or_removed(few_digits, run):
    before = sorted(run.rglob("*"))
    with pytest.raises(ValueError, match=r"expected resume=True or overwrite=True, received both"):
        tune(model(), few_digits, **QUICK, directory=run, resume=True, overwrite=True)
    assert sorted(run.rglob("*")) == before


def test_few_of_many_differences_are_named_in_one_line(few_digits, run):
    other = build_mlp(units=(8, 8, 8), hidden_rates=(0.4, 0.3, 0.3))
    with pytest.raises(ValueError, match="received other settings: ") as refused:
        tune(other, few_digits, **QUICK | {"epochs": 2, "seed": 3}, directory=run, resume=True)
    message = str(refused.value)
    first, second, *_ = message.partition("other settings: ")[2].split("; ")
    assert first == "settings.epochs: 1 in that run, now 2"
    assert second.startswith("settings.")
    assert "\n" not in message
    assert re.search(r" and \d+ more; choose another directory", message)
    assert message.count(" in that run, now ") == 4


def test_other_models_data_and_versions_are_refused(digits, few_digits, run):
    with pytest.raises(ValueError, match=r"model\.structure"):
        other = build_mlp(units=(8,), hidden_rates=(0.4,), activation="tanh")
        tune(other, few_digits, **QUICK, directory=run, resume=True)
    with pytest.raises(ValueError, match=r"data\.examples\.train: 150 in that run, now 1257"):
        tune(model(), digits, **QUICK, directory=run, resume=True)
    search = read_settings(run / "search.json")
    search["versions"]["keras"] = "3.0.0"
    (run / "search.json").write_text(json.dumps(settings_record(search)))
    with pytest.raises(ValueError, match=r'versions\.keras: "3\.0\.0" in that run'):
        tune(model(), few_digits, **QUICK, directory=run, resume=True)


@pytest.mark.slow
def test_overwrite_removes_the_run_and_nothing_else(few_digits, run):
    settings = QUICK | {"epochs": 2}
    result = tune(model(), few_digits, **settings, directory=run, overwrite=True)
    assert set(result.curves["epoch"]) == {1, 2}
    (run / "mine.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"mine\.txt"):
        tune(model(), few_digits, **QUICK, directory=run, overwrite=True)
    assert (run / "mine.txt").read_text() == "precious"
    assert (run / "best.keras").is_file()


@pytest.mark.slow
def test_a_torn_journal_loses_only_its_torn_record(few_digits, tmp_path):
    members = [Member([rate], seed=1) for rate in (0.1, 0.2, 0.3)]

    def trainer():
        return MemberTrainer(
            model(), few_digits, TrainSettings(epochs=1), directory=tmp_path / "weights", workers=1
        )

    journal = tmp_path / "journal.jsonl"
    first = JournaledTrainer(trainer(), journal).train(members)
    whole = journal.read_bytes()
    journal.write_bytes(whole[: len(whole) - 40])
    shutil.copytree(tmp_path / "weights", tmp_path / "kept")
    trained, restored = [], []
    resumed = JournaledTrainer(trainer(), journal, on_restored=restored.append)
    assert resumed.restored == 2
    again = resumed.train(members, trained.append)
    assert (len(trained), len(restored)) == (1, 2)
    for one, other in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(one.curves, other.curves)
        assert one.score == other.score
    # What was cut off stays in the file, and what came after it counts.
    assert JournaledTrainer(trainer(), journal).restored == 3


def test_the_structure_of_a_model_does_not_depend_on_its_names():
    assert model_fingerprint(model()) == model_fingerprint(model())
    others = [
        build_mlp(units=(9,), hidden_rates=(0.4,)),
        build_mlp(units=(8,), hidden_rates=(0.5,)),
        build_mlp(units=(8,), hidden_rates=(0.4,), optimizer="sgd"),
        build_mlp(units=(8,), hidden_rates=(0.4,), batch_norm="before_dropout"),
    ]
    assert len({model_fingerprint(other) for other in [model(), *others]}) == 5


@pytest.mark.parametrize("how", [{"overwrite": True}, {"resume": True}])
@pytest.mark.parametrize("name", ["state/notes.txt", "trials.csv", "best.keras", "search.json"])
def test_files_that_do_not_belong_to_a_run_are_left_alone(few_digits, tmp_path, name, how):
    own = tmp_path / "own" / name
    own.parent.mkdir(parents=True)
    own.write_text('{"mine": 1}')
    with pytest.raises(ValueError, match="expected"):
        tune(model(), few_digits, **QUICK, directory=tmp_path / "own", **how)
    assert own.read_text() == '{"mine": 1}'
    assert [path for path in (tmp_path / "own").rglob("*") if path.is_file()] == [own]


def test_a_damaged_settings_file_is_named(few_digits, run):
    (run / "search.json").write_text('{"settings": ')
    with pytest.raises(ValueError, match=r"settings of a run in .*search\.json"):
        tune(model(), few_digits, **QUICK, directory=run, resume=True)


@pytest.mark.parametrize("content", ['{"sentence": ', "", "[1, 2]", b"\xff"])
def test_a_damaged_outcome_is_named_and_left_alone(few_digits, run, content):
    content = content if isinstance(content, bytes) else content.encode()
    (run / "outcome.json").write_bytes(content)
    for read in (
        lambda: tune(model(), few_digits, **QUICK, directory=run, resume=True),
        lambda: TuningResult.load(run),
    ):
        with pytest.raises(ValueError, match=r"as it wrote them, received outcome\.json"):
            read()
    assert (run / "outcome.json").read_bytes() == content


@pytest.mark.slow
def test_weights_that_are_kept_are_part_of_the_search(few_digits, tmp_path):
    settings = QUICK | {"initial_weights": "keep", "directory": tmp_path / "run"}
    one = model()
    tune(one, few_digits, **settings)
    tune(one, few_digits, **settings, resume=True)
    other = keras.models.clone_model(one)
    other.compile(one.optimizer.__class__(), one.loss, metrics=["accuracy"])
    other.set_weights([array + 0.1 for array in one.get_weights()])
    with pytest.raises(ValueError, match=r"model\.weights"):
        tune(other, few_digits, **settings, resume=True)
