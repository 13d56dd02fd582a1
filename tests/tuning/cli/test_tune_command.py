"""The command line: what it answers, and its exit status."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from time_limits import after, time_ends

from dropout_zoo.models import build_mlp, saving
from dropout_zoo.training import load_dataset, table_inputs
from dropout_zoo.tuning.cli.main import main

QUICK = ["--rates", "0.2,0.5", "--epochs", "1", "--num-finalists", "1", "--num-seeds", "2"]
OWN_MODELS = """
import keras

def small():
    model = keras.Sequential([
        keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(8, activation="relu"),
        keras.layers.Dropout(0.3, name="drop"), keras.layers.Dense(10, activation="softmax"),
    ], name="small")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def years():
    model = keras.Sequential([
        keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dropout(0.3),
        keras.layers.Dense(1),
    ])
    model.compile("adam", "mse")
    return model

def raw():
    return keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])

def nothing():
    return None

def wants(width):
    return small()

def breaks():
    raise ZeroDivisionError("by design")

def two_classes():
    model = keras.Sequential([
        keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dropout(0.3),
        keras.layers.Dense(2, activation="softmax"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model

def no_dropout():
    model = keras.Sequential([
        keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")
    ])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model

def eager():
    model = small()
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    return model

value = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a module of models in it."""
    monkeypatch.chdir(tmp_path)
    # A name of its own each time, because imported modules stay.
    (tmp_path / f"own_{tmp_path.name}.py").write_text(OWN_MODELS)
    return tmp_path


@pytest.fixture
def own(here):
    return f"own_{here.name}"


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def data_file(path: Path, examples=80) -> Path:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (examples, 28, 28)).astype("uint8")
    np.savez(path, x=x, y=np.arange(examples) % 10)
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["tune", "--help"],
        ["sweep", "--help"],
        ["sweep", "rate", "--help"],
        ["--version"],
    ],
)
def test_help_and_lists_do_not_import_keras(arguments):
    program = (
        "import sys\nfrom dropout_zoo.tuning.cli.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "slow = {'keras', 'tensorflow', 'keras_tuner', 'pandas', 'matplotlib'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


def test_tune_prints_an_answer_and_writes_a_directory(here):
    data = data_file(here / "data.npz")
    answered = run("tune", "mlp", "--data", data, *QUICK, "--out", here / "run")
    assert answered.exit_code == 0, answered.output
    assert "on the test set" in answered.output
    assert "training runs, best val_loss" in answered.stderr
    assert (here / "run" / "best.keras").is_file()


@pytest.mark.slow
def test_tune_takes_a_custom_function_and_prints_json(here, own):
    data = data_file(here / "data.npz")
    answered = run("tune", f"{own}:small", "--data", data, *QUICK, "--json")
    assert answered.exit_code == 0, answered.output
    outcome = json.loads(answered.stdout)
    assert set(outcome["best_rates"]) == {"drop"}
    assert outcome["sentence"]
    assert outcome["num_runs"] == 4 + 3 * 2 + 2 * 2
    assert outcome["search_seconds"] > 0
    assert outcome["race_seconds"] > 0
    assert {"no dropout"} < {row["setting"] for row in outcome["settings"]}
    folder = Path(outcome["directory"])
    assert folder.parent.name == "runs"
    assert folder.name.startswith("small-data-")
    assert json.loads((folder / "outcome.json").read_text()) == outcome


@pytest.mark.slow
def test_tune_takes_a_saved_model_and_data_without_a_test_set(here):
    build_mlp(units=(4,), hidden_rates=0.3).save(here / "own.keras")
    data = data_file(here / "data.npz")
    few = ["--rates", "0.2", "--num-seeds", "1", "--split", "0.7,0.3"]
    answered = run("tune", "own.keras", "--data", data, *QUICK, *few, "--json")
    assert answered.exit_code == 0, answered.output
    outcome = json.loads(answered.stdout)
    assert set(outcome["best_rates"]) == {"hidden_1_dropout"}
    assert outcome["test"] == {}


@pytest.mark.filterwarnings("default:Skipping variable loading")  # Keras swallows it as an error
def test_a_model_saved_before_any_training_is_loaded_without_a_warning(here):
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.save(here / "own.keras")
    answered = run("tune", "own.keras", "--out", "run", "--objective", "val_nothing:max", "--yes")
    assert "expected the objective to be one of" in answered.stderr
    assert "Warning" not in answered.stderr


@pytest.mark.parametrize("model", ["own.keras", "function"])
def test_the_loss_of_a_model_says_that_whole_numbers_are_quantities(here, own, model):
    rng = np.random.default_rng(0)
    np.savez("data.npz", x=rng.normal(size=(80, 28, 28)), y=rng.integers(18, 90, 80))
    net = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(1),
        ]
    )
    net.compile("adam", "mse")
    net.save("own.keras")
    model = model if model == "own.keras" else f"{own}:years"
    settings = ["--objective", "val_nothing:max", "--yes", "--out", "run"]
    answered = run("tune", model, "--data", "data.npz", *settings)
    # The last check before a search: model, labels and task fit together.
    assert "expected the objective to be one of" in answered.stderr, answered.stderr
    refused = run("tune", model, "--data", "data.npz", *settings, "--task", "classification")
    assert "expected class numbers from 0 to classes - 1" in refused.stderr


def test_the_file_of_a_model_is_read_once(here, monkeypatch):
    np.savez("data.npz", x=np.zeros((40, 4), "float32"), y=np.arange(40) % 4)
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.2), keras.layers.Dense(1)])
    net.compile("adam", "mse")
    net.save("own.keras")
    load = Mock(wraps=saving.load_saved_model)
    monkeypatch.setattr(saving, "load_saved_model", load)
    # The last check before a search.
    answered = run("tune", "own.keras", "--data", "data.npz", "--objective", "val_nothing:max")
    assert "expected the objective to be one of" in answered.stderr, answered.stderr
    assert load.call_count == 1


@pytest.mark.slow
def test_the_columns_of_a_table_are_passed_unchanged(here):
    irises = load_iris(as_frame=True)
    columns = irises.data * [1, 1000, 1, 0.001]  # in units of their own
    species = irises.target_names[irises.target]
    columns.assign(species=species).to_csv("iris.csv", index=False)
    table = ["tabular_mlp", "--data", "iris.csv", "--target", "species"]
    few = ["--max-trials", "2", "--epochs", "60", "--num-seeds", "2", "--out", "run"]
    answered = run("tune", *table, "--oracle", "bayesian", *few, "--json")
    assert answered.exit_code == 0, answered.output
    # Of the 22 test rows of this split, logistic regression mistakes one as well.
    assert json.loads(answered.stdout)["test"]["accuracy"] > 0.93
    best = keras.models.load_model("run/best.keras", safe_mode=True)
    predicted = best.predict(columns.to_numpy("float32"), verbose=0).argmax(axis=1)
    assert (predicted == irises.target).mean() > 0.93
    x, _ = load_dataset("iris.csv", target="species", seed=0).train
    mean = best.get_layer("normalization").adapt_mean
    np.testing.assert_allclose(mean, x.mean(0, dtype="float64"), rtol=1e-6)
    quick = ["--epochs", "1", "--num-seeds", "1"]
    for kind, varied in {"rate": ["--rates", "0.5"], "capacity": ["--units", "8"]}.items():
        swept = run("sweep", kind, *table, *varied, *quick)
        assert swept.exit_code == 0, swept.output
    audited = run("audit", *table, *quick)
    assert audited.exit_code == 0, audited.output


PEOPLE = ["--data", "people.csv", "--target", "income", "--drop", "id", "--text", "comment"]
PREDICT_WITH_KERAS_ALONE = """
import json, sys
import keras, numpy as np

best = keras.saving.load_model("run/best.keras")
columns, labels = json.load(open("test.json"))
columns = {name: np.array(values, object if isinstance(values[0], str) else "float32")
           for name, values in columns.items()}
print(json.dumps(best.evaluate(columns, np.eye(2)[labels], verbose=0, return_dict=True)))
assert not [name for name in sys.modules if name.startswith("dropout_zoo.")]
"""


def people(number=300):
    """A table of strings, text and numbers, with values missing."""
    rng = np.random.default_rng(0)
    job = rng.choice(["nurse", "teacher", "farmer"], number)
    age = np.where(rng.random(number) < 0.1, np.nan, rng.integers(18, 70, number))
    happy = rng.random(number) < 0.5
    rich = (job == "nurse") + 0.05 * (np.nan_to_num(age, nan=44) - 44) + 2 * happy > 1.4
    words = np.where(happy, "great work", "dull days")
    comment = [f"{each}, number {n}" for n, each in enumerate(words)]
    job = np.where(rng.random(number) < 0.1, "", job)
    return pd.DataFrame(
        {
            "id": [f"p{n}" for n in range(number)], "age": age, "job": job, "comment": comment,
            "income": np.where(rich, "high", "low"),
        }
    )  # fmt: skip


@pytest.mark.slow
def test_a_table_with_strings_gives_a_model_that_predicts_from_raw_columns(here):
    table = people()
    table.to_csv("people.csv", index=False)
    few = ["--rates", "0.3", "--max-trials", "1", "--epochs", "10", "--num-seeds", "1"]
    answered = run("tune", *PEOPLE, *few, "--num-finalists", "1", "--out", "run", "--json")
    assert answered.exit_code == 0, answered.output
    assert "  text       comment (" in answered.stderr
    reported = json.loads(answered.stdout)["test"]
    assert reported["accuracy"] > 0.8
    test = train_test_split(table, test_size=45, random_state=0, stratify=table["income"] == "low")[
        1
    ]
    columns = table_inputs(keras.saving.load_model("run/best.keras"), test)
    values = {name: each.tolist() for name, each in columns.items()}
    labels = (test["income"] == "low").astype(int).tolist()
    Path("test.json").write_text(json.dumps([values, labels]))
    command = [sys.executable, "-c", PREDICT_WITH_KERAS_ALONE]
    alone = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert alone.returncode == 0, alone.stderr
    assert json.loads(alone.stdout.splitlines()[-1]) == pytest.approx(reported, rel=1e-5)
    again = run("tune", "run/best.keras", *PEOPLE, *few, "--num-finalists", "1", "--out", "again")
    assert again.exit_code == 0, again.output
    assert table_inputs(keras.saving.load_model("again/best.keras"), test).keys() == columns.keys()
    audited = run("audit", "run/best.keras", *PEOPLE, "--epochs", "1", "--num-seeds", "1", "--json")
    assert audited.exit_code == 0, audited.output
    assert json.loads(audited.stdout)["measurements"]["repeat"]["relative_difference"] == 0
    swept = run("sweep", "rate", "run/best.keras", *PEOPLE, "--rates", "0.5", "--epochs", "1",
                "--num-seeds", "1")  # fmt: skip
    assert swept.exit_code == 0, swept.output


@pytest.mark.nightly
def test_every_command_encodes_tables(here):
    people().to_csv("people.csv", index=False)
    few = ["--epochs", "1", "--num-seeds"]
    assert run("tune", *PEOPLE, "--rates", "0.3", *few, "10").exit_code == 0  # on several splits
    assert run("sweep", "rate", *PEOPLE, *few, "1").exit_code == 0
    assert run("audit", "tabular_mlp", *PEOPLE, *few, "1").exit_code == 0


def test_columns_that_a_table_does_not_have_are_reported_in_one_line(here):
    people(60).to_csv("people.csv", index=False)
    for options, words in {
        ("--target", "incme"): "did you mean 'income'?",
        ("--target", "income", "--drop", "ID"): "did you mean 'id'?",
        ("--target", "income"): "leave it out with drop (--drop id)",
        ("--target", "income", "--drop", "id"): "name it in text (--text comment)",
    }.items():
        answered = run("tune", "--data", "people.csv", *options, "--out", "run")
        assert answered.exit_code == 2
        assert words in answered.stderr
        assert len(answered.stderr.splitlines()) == 1
    assert not Path("run").exists()


@pytest.mark.slow
def test_sweep_takes_a_saved_model(here):
    build_mlp(units=(4,), hidden_rates=0.3).save(here / "own.keras")
    data = data_file(here / "data.npz")
    quick = ["--rates", "0.5", "--epochs", "1", "--num-seeds", "1"]
    answered = run("sweep", "rate", "own.keras", "--data", data, *quick, "--json")
    assert answered.exit_code == 0, answered.output
    assert [folder.name[:14] for folder in here.glob("runs/rate-*")] == ["rate-own-data-"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default:Model.fit trains the members")
def test_a_model_that_the_engine_cannot_train_is_reported_in_one_line(here, own):
    data = data_file(here / "data.npz")
    answered = run("tune", f"{own}:eager", "--data", data, *QUICK, "--rates", "0.2")
    assert answered.exit_code == 0, answered.output
    told = [line for line in answered.stderr.splitlines() if "Model.fit trains" in line]
    assert len(told) == 1
    assert told[0].startswith("Warning: Model.fit trains the members, one after another, because")


@pytest.mark.slow
def test_dry_run_writes_nothing(here):
    before = sorted(here.rglob("*"))
    answered = run("tune", "--dry-run", "--epochs", "2")
    assert answered.exit_code == 0, answered.output
    said = " ".join(answered.output.split())
    assert "16 trials, then 1 finalist against no dropout on up to 40 seeds: at most " in said
    assert "input_dropout" in answered.output
    assert "there would be 64 settings" in answered.output
    answered = run("tune", "--dry-run", "--epochs", "2", "--budget", "90m", "--json")
    planned = json.loads(answered.stdout)
    assert planned["budget_seconds"] == 5400
    assert planned["num_runs"] == 16 + 2 + 4 + 3 * 2 + 2 * 40
    assert 0 < planned["estimated_seconds"] <= planned["longest_seconds"]
    assert planned["data"]["source"] == "noisy_digits"
    assert planned["settings"]["learning_rate"] == 0.002
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mpl"], "received 'mpl'; did you mean 'mlp'"),
        (["--rates", "0.2;0.5"], "'--rates': expected numbers separated by commas"),
        (["--rates", "20,50"], "for 20% write 0.2"),
        (["--rates", "50"], "for 50% write 0.5"),
        (["--epochs", "0"], "epochs to be a whole number of at least 1"),
        (["--batch-size", "-1"], "batch_size to be a whole number"),
        (["--learning-rate", "0"], "learning_rate to be a number above 0"),
        (["--max-trials", "0"], "trials to be a whole number"),
        (
            ["--max-trials", "9", "--oracle", "hyperband"],
            "expected max_trials with another oracle",
        ),
        (["--num-seeds", "0"], "seeds to be a whole number"),
        (["--seed", "-1"], "received -1"),
        (["--budget", "soon"], "expected a budget such as '10m'"),
        (["--objective", "val_happiness"], "whose direction is known"),
        (["--objective", "val_recall"], "objective to be one of"),
        (["--objective", "val_acuracy"], "did you mean 'val_accuracy'?"),
        (["--objective", "val_acc"], "received 'val_acc'; did you mean 'val_accuracy'?"),
        (["--objective", "accuracy"], "'val_', such as 'val_loss', received 'accuracy'"),
        (["--objective", "auc"], "'val_', such as 'val_loss', received 'auc'"),
        (["--objective", "val_auc"], "to be one of val_accuracy, val_loss, received 'val_auc'"),
        (["--placements", "kitchen"], "received 'kitchen'"),
        (["--placements", "hiden"], "received 'hiden'; did you mean 'hidden'?"),
        (["--placements", "convolutional"], "hidden_1_dropout (hidden)"),
        (["--oracle", "delphi"], "Invalid value for '--oracle'"),
        (["--nonsense"], "No such option"),
        (["--data", "missing.npz"], "missing.npz: expected"),
        (["--data", "folder.csv", "--target", "y"], "folder.csv"),
        (["--split", "0.5,0.5,0.5"], "add up to 1"),
        (["--split", "1"], "expected split to be three fractions"),
        (["--image-size", "big"], "'--image-size': expected numbers"),
        (["--image-size", "inf"], "'--image-size': expected integers"),
        (["os:path"], "has no function 'path'"),
        (["no_such_module:f"], "No module named 'no_such_module'"),
        (["none.keras"], "none.keras, which is not a file"),
        (["raw.keras"], "raw.keras (as loaded) without an optimizer and a loss"),
        (["text.keras"], "that loads in safe mode, received text.keras"),
        (["OWN:missing"], "has no function 'missing'"),
        (["OWN:value"], "has no function 'value'"),
        (["OWN:raw"], "without an optimizer"),
        (["OWN:nothing"], "received NoneType"),
        (["OWN:wants"], "without required arguments"),
        (["OWN:breaks"], "ZeroDivisionError: by design"),
        (["OWN:two_classes"], "expected 10 output units"),
        (["OWN:no_dropout"], "without any; add a layer such as keras.layers.Dropout(0.2)"),
    ],
)
def test_wrong_use_is_reported_in_one_line_and_writes_nothing(here, own, arguments, words):
    if arguments == ["raw.keras"]:
        keras.Sequential([keras.Input((28, 28)), keras.layers.Dropout(0.5)]).save(
            here / "raw.keras"
        )
    (here / "text.keras").write_text("no model")
    before = sorted(path for path in here.rglob("*") if "__pycache__" not in path.parts)
    arguments = [argument.replace("OWN", own) for argument in arguments]
    answered = run("tune", *arguments, "--out", here / "run")
    assert answered.exit_code == 2, answered.output
    assert words in answered.stderr
    assert "Traceback" not in answered.output
    after = sorted(path for path in here.rglob("*") if "__pycache__" not in path.parts)
    assert after == before


def test_bad_data_are_reported_in_one_line(here):
    (here / "bad.npz").write_bytes(b"PK\x03\x04 this is no archive")
    rng = np.random.default_rng(0)
    np.savez(here / "nan.npz", x=np.full((40, 28, 28), np.nan, "float32"), y=np.arange(40) % 2)
    np.savez(here / "few.npz", x=rng.random((40, 28, 28)), y=np.array([0] * 39 + [1]))
    for name in ("bad.npz", "nan.npz", "few.npz"):
        answered = run("tune", "--data", here / name, "--out", here / "run")
        assert answered.exit_code == 2
        assert name in answered.stderr
        assert len([line for line in answered.stderr.splitlines() if "Starting" not in line]) == 1
    assert not (here / "run").exists()


def test_a_directory_that_cannot_be_created_is_reported(here):
    (here / "file").write_text("in the way")
    data = data_file(here / "data.npz")
    answered = run("tune", "--data", data, *QUICK, "--out", here / "file" / "run")
    assert answered.exit_code == 2
    assert "expected a directory that can be created, received" in answered.stderr


@pytest.mark.filterwarnings("default:Model.fit trains the members")
def test_the_exit_status_is_1_if_every_run_fails(here):
    (here / f"fails_{here.name}.py").write_text(
        OWN_MODELS
        + """
class Fails(keras.layers.Layer):
    def call(self, inputs, training=False):
        if training:
            raise MemoryError("too large")
        return inputs

def fails():
    model = keras.Sequential([
        keras.Input((28, 28)), keras.layers.Flatten(), Fails(), keras.layers.Dropout(0.3),
        keras.layers.Dense(10, activation="softmax"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model
"""
    )
    data = data_file(here / "data.npz")
    answered = run("tune", f"fails_{here.name}:fails", "--data", data, *QUICK)
    assert answered.exit_code == 1
    assert "too large" in answered.stderr
    assert "Traceback" not in answered.output


def test_the_exit_status_is_1_if_nothing_finishes_within_the_budget(here):
    data = data_file(here / "data.npz")
    answered = run("tune", "--data", data, *QUICK, "--budget", "0.1", "--out", here / "run")
    assert "of at most 1 epoch, within a budget of 0.1 s." in answered.stderr
    assert answered.exit_code == 1
    assert "resume it with a larger budget, or allow fewer epochs" in answered.stderr
    assert "Traceback" not in answered.output


@pytest.mark.slow
def test_a_search_ended_by_its_budget_says_how_to_continue(here):
    data = data_file(here / "data.npz")
    with time_ends(after(3)):
        answered = run("tune", "--data", data, *QUICK, "--budget", "10m", "--out", here / "run")
    assert answered.exit_code == 0, answered.output
    assert "Out of time: the budget of 10 min ended after " in answered.stdout
    assert f"run the same command with --resume --out {here / 'run'}" in answered.stderr


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.nightly),
    ],
)
@pytest.mark.posix
@pytest.mark.usefixtures("interrupts_enabled")
def test_an_interrupt_ends_it_with_exit_status_130(here, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "dropout_zoo.tuning", "tune", "--epochs", "500"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=here,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        # The folder is made when training begins.
        deadline = time.monotonic() + 120
        while not list(here.glob("runs/*/search.json")) and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.2)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, error
    assert "Interrupted" in error
    assert "Traceback" not in error


def test_an_autoencoder_with_labels_is_told_how_to_reconstruct(here):
    answered = run("tune", "autoencoder", "--data", "digits", "--out", here / "run")
    assert answered.exit_code == 2
    message = " ".join(answered.stderr.split())
    assert "received 784; change the last layer, or use other data, or set the task to" in message
