"""`dropout-zoo audit`: what it prints, for people and programs, and its exit status."""

import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers

from dropout_zoo.models import audit, dropout_sites
from dropout_zoo.models.auditing.formatters import SourceLocation, to_github, to_sarif
from dropout_zoo.models.auditing.report import AuditReport, Finding
from dropout_zoo.models.auditing.rules import RULES
from dropout_zoo.tuning.cli.main import main

OWN_MODELS = """
import keras
from keras import layers

def net(*inner):
    model = keras.Sequential([
        keras.Input((28, 28)), layers.Flatten(), layers.Dense(16, activation="relu"), *inner,
        layers.Dense(10, activation="softmax"),
    ], name="net")
    return model

def clean():
    return net(layers.Dropout(0.4))

def note():
    return net(layers.Dropout(0.1, name="low"))

def warning():
    return net(layers.Dropout(0.6, name="high"))

def error():
    return net(layers.Dropout(0.2, noise_shape=(1, 1), name="whole"))

def compiled():
    model = warning()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def breaks():
    raise ZeroDivisionError("by design")
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a module of models in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"own_{tmp_path.name}.py").write_text(OWN_MODELS)
    return tmp_path


@pytest.fixture
def own(here):
    return f"own_{here.name}"


def run(*arguments):
    return CliRunner().invoke(main, ["audit", *map(str, arguments)])


def net(rate=0.6, **settings):
    return keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(64, activation="relu"),
            layers.Dropout(rate, name="drop", **settings),
            layers.Dense(10, activation="softmax"),
        ],
        name="net",
    )


@pytest.mark.parametrize(
    ("function", "severity", "status"),
    [
        ("clean", "note", 0),
        ("note", "note", 1),
        ("note", None, 0),
        ("warning", "note", 1),
        ("warning", None, 1),
        ("warning", "error", 0),
        ("error", "error", 1),
    ],
)
def test_the_exit_status_depends_on_the_severity(own, function, severity, status):
    options = [] if severity is None else ["--severity", severity]
    answered = run(f"{own}:{function}", *options)
    assert answered.exit_code == status, answered.output


def test_a_registered_model_is_clean():
    answered = run("cnn")
    assert answered.exit_code == 0
    assert answered.stdout == "cnn: no findings\n"


def test_the_table_is_readable_and_fits_80_columns(own):
    answered = run(f"{own}:warning")
    assert max(map(len, answered.stdout.splitlines())) <= 80
    text = " ".join(answered.stdout.split())
    for words in ("net: 1 warning", "DZ202", "did you mean to keep 60%, with a rate of 0.4?",
                  "with_rates(model, {'high': 0.4})", "Srivastava"):  # fmt: skip
        assert words in text


def test_names_that_look_like_markup_are_shown_as_they_are(here):
    model = keras.Sequential([keras.Input((20,)), layers.Dense(64, "relu")])
    model.add(layers.Dropout(0.8, name="[red]drop[bold]"))
    model.add(layers.Dense(2))
    model.save(here / "model.keras")
    answered = run("model.keras")
    assert answered.exit_code == 1, answered.output
    assert "[red]drop[bold]" in answered.stdout


def test_findings_can_be_printed_as_json(own):
    for options in (["--json"], ["--format", "json"], ["--json", "--format", "json"]):
        answered = run(f"{own}:warning", *options)
        assert answered.exit_code == 1
        read = json.loads(answered.stdout)
        assert [finding["code"] for finding in read["findings"]] == ["DZ202"]
    assert run(f"{own}:warning", "--json", "--format", "sarif").exit_code == 2


def test_findings_can_be_printed_as_sarif(own, here):
    answered = run(f"{own}:error", "--format", "sarif")
    assert answered.exit_code == 1
    log = json.loads(answered.stdout)
    assert log["version"] == "2.1.0"
    (ran,) = log["runs"]
    driver = ran["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == list(RULES)
    (result,) = ran["results"]
    assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "DZ122"
    assert result["level"] == "error"
    (location,) = result["locations"]
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "net/whole"
    physical = location["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == f"{own}.py"
    line = OWN_MODELS.splitlines()[physical["region"]["startLine"] - 1]
    assert line == "def error():"
    clean = json.loads(run(f"{own}:clean", "--format", "sarif").stdout)
    assert clean["runs"][0]["results"] == []


def test_sarif_of_every_rule_follows_the_standard():
    findings = tuple(
        Finding(code, rule.severity, rule.title, "m", "w", "s", "f") for code, rule in RULES.items()
    )
    log = json.loads(to_sarif(AuditReport("net", findings, ("a limit",)), SourceLocation()))
    (ran,) = log["runs"]
    assert [result["ruleId"] for result in ran["results"]] == list(RULES)
    assert {result["level"] for result in ran["results"]} <= {"error", "warning", "note"}
    for rule in ran["tool"]["driver"]["rules"]:
        assert rule["name"].isalnum()
        assert rule["shortDescription"]["text"] and rule["fullDescription"]["text"]
    (noted,) = ran["invocations"][0]["toolExecutionNotifications"]
    assert noted["message"]["text"] == "a limit"


def test_findings_can_be_printed_as_github_annotations(own):
    answered = run(f"{own}:note", "--format", "github", "--severity", "note")
    assert answered.exit_code == 1
    (line,) = answered.stdout.splitlines()
    assert line.startswith(f"::notice file={own}.py,line=")
    assert ",title=DZ204 a rate outside the usual range::net: 'low'" in line
    assert run(f"{own}:clean", "--format", "github").stdout == ""


def test_github_annotations_escape_special_characters():
    finding = Finding("DZ101", "error", "a, b: c", "50%\nof it", "", "", "fix")
    text = to_github(AuditReport("net", (finding,)), SourceLocation("a,b.py", 3))
    assert text == (
        "::error file=a%2Cb.py,line=3,title=DZ101 a%2C b%3A c::net: 50%25%0Aof it%0AFix: fix"
    )


def test_rules_can_be_ignored_on_the_command_line_and_in_the_project(here, own):
    warning, note = f"{own}:warning", f"{own}:note"
    assert run(warning, "--ignore", "DZ202").exit_code == 0
    assert run(warning, "--ignore", "DZ101,DZ202").exit_code == 0
    assert run(warning, "--ignore", "DZ101", "--ignore", "DZ202").exit_code == 0
    assert run(warning, "--select", "DZ101,DZ102").exit_code == 0
    project = here / "pyproject.toml"
    project.write_text('[tool.dropout-zoo]\nignore = ["DZ202"]\nseverity = "note"\n')
    assert run(warning).exit_code == 0
    assert run(note).exit_code == 1
    assert run(note, "--severity", "warning").exit_code == 0
    assert run(note, "--ignore", "DZ204").exit_code == 0
    project.write_text('[tool.dropout-zoo]\nselect = ["DZ101"]\n')
    assert run(warning).exit_code == 0
    assert run(warning, "--select", "DZ202").exit_code == 1
    project.write_text("[tool.other]\nignore = 3\n")
    assert run(warning).exit_code == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.dropout-zoo", "expected TOML"),
        ('[tool.dropout-zoo]\nignored = ["DZ101"]', "expected settings (ignore, select, "),
        ('[tool.dropout-zoo]\nignore = "DZ101"', "a list of codes"),
        ('[tool.dropout-zoo]\nselect = [101]', "a list of codes"),
        ('[tool.dropout-zoo]\nignore = ["DZ999"]', "received 'DZ999'; the rules are DZ101"),
        ('[tool.dropout-zoo]\nseverity = "fatal"', "severity to be one of (note, warning, error"),
        ("tool = 3", "expected a table"),
        ("[tool]\ndropout-zoo = 3", "expected a table"),
    ],
)  # fmt: skip
def test_a_wrong_project_file_is_reported(here, own, text, words):
    (here / "pyproject.toml").write_text(text)
    answered = run(f"{own}:clean")
    assert answered.exit_code == 2, answered.output
    assert words in answered.stderr
    assert "pyproject.toml" in answered.stderr or "DZ999" in answered.stderr


def test_a_saved_model_is_audited(here):
    net().save(here / "model.keras")
    answered = run("model.keras", "--format", "github")
    assert answered.exit_code == 1
    assert answered.stdout.startswith("::warning file=model.keras,title=DZ202")


@keras.saving.register_keras_serializable("test_audit_cli")
def loss_of_my_own(y_true, y_pred):
    return keras.ops.mean(y_pred)


@pytest.mark.slow
def test_a_custom_loss_does_not_hide_the_graph(here):
    model = net()
    model.compile("adam", loss_of_my_own)
    model.save(here / "model.keras")
    program = (
        "from dropout_zoo.tuning.cli.main import main; main(['audit', 'model.keras', '--json'])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 1, ran.stderr
    assert json.loads(ran.stdout)["findings"][0]["code"] == "DZ202"


class Unknown(layers.Layer):
    def call(self, inputs):
        return inputs


def files(folder):
    net().save(folder / "whole.keras")
    content = (folder / "whole.keras").read_bytes()
    (folder / "half.keras").write_bytes(content[: len(content) // 2])
    (folder / "text.keras").write_text("no model at all")
    (folder / "empty.keras").write_bytes(b"")
    with zipfile.ZipFile(folder / "zip.keras", "w") as archive:
        archive.writestr("other.txt", "nothing")
    with zipfile.ZipFile(folder / "json.keras", "w") as archive:
        archive.writestr("config.json", '{"class_name": "system", "module": "os", "config": {}}')
        archive.writestr("metadata.json", "{}")
    inputs = keras.Input((4,))
    keras.Model(inputs, layers.Lambda(lambda x: x + 1)(inputs)).save(folder / "lambda.keras")
    model = keras.Sequential([keras.Input((4,)), Unknown(), layers.Dense(1)])
    model.save(folder / "unknown.keras")
    (folder / "model.h5").write_bytes(b"\x89HDF")
    (folder / "folder.keras").mkdir()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("half.keras", "half.keras"),
        ("text.keras", "text.keras"),
        ("empty.keras", "empty.keras"),
        ("zip.keras", "zip.keras"),
        ("json.keras", "json.keras"),
        ("lambda.keras", "Lambda"),
        ("unknown.keras", "Unknown"),
        ("model.h5", "expected a .keras file, received model.h5"),
        ("folder.keras", "which is not a file"),
        ("missing.keras", "which is not a file"),
    ],
)
def test_files_without_a_model_are_reported_in_one_line(here, name, words):
    files(here)
    answered = run(name)
    assert answered.exit_code == 2, answered.output
    assert words in answered.stderr
    assert "Traceback" not in answered.output
    told = [line for line in answered.stderr.splitlines() if line.startswith("Error")]
    assert len(told) == 1 and len(told[0]) < 700


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mpl"], "did you mean 'mlp'"),
        (["OWN:breaks"], "ZeroDivisionError: by design"),
        (["OWN:missing"], "has no function 'missing'"),
        (["OWN:clean", "--ignore", "DZ999"], "received 'DZ999'; the rules are DZ101"),
        (["OWN:clean", "--severity", "fatal"], "Invalid value for '--severity'"),
        (["OWN:clean", "--format", "xml"], "Invalid value for '--format'"),
        (["OWN:clean", "--data", "missing.npz"], "missing.npz: expected"),
        (["OWN:clean", "--data", "digits"], "expected a compiled model"),
        (["OWN:compiled", "--data", "digits", "--epochs", "0"], "epochs to be a whole number"),
        (["OWN:warning", "--fix", "out.h5"], "to name a .keras file"),
        (["OWN:warning", "--fix", "no/where.keras"], "expected --fix in an existing directory"),
        ([], "Missing argument"),
    ],
)
def test_wrong_use_is_reported_and_writes_nothing(here, own, arguments, words):
    before = sorted(path for path in here.rglob("*") if "__pycache__" not in path.parts)
    answered = run(*(argument.replace("OWN", own) for argument in arguments))
    assert answered.exit_code == 2, answered.output
    assert words in answered.stderr
    assert "Traceback" not in answered.output
    after = sorted(path for path in here.rglob("*") if "__pycache__" not in path.parts)
    assert after == before


def test_fix_writes_a_new_file_and_never_the_old_one(here):
    model = net()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.save(here / "old.keras")
    old = (here / "old.keras").read_bytes()
    answered = run("old.keras", "--fix", "old.keras")
    assert answered.exit_code == 2
    assert "which exists" in answered.stderr
    answered = run("old.keras", "--fix", "new.keras")
    assert answered.exit_code == 0, answered.output  # what remains is clean
    assert "Wrote new.keras with drop = 0.4" in answered.stderr
    assert (here / "old.keras").read_bytes() == old
    fixed = keras.saving.load_model(here / "new.keras")
    assert [site.rate for site in dropout_sites(fixed)] == [0.4]
    assert fixed.compiled and not audit(fixed)
    for one, other in zip(model.get_weights(), fixed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_fix_reports_what_it_cannot_fix(here):
    net(rate=0.2, noise_shape=(1, 1)).save(here / "old.keras")
    answered = run("old.keras", "--fix", "new.keras")
    assert answered.exit_code == 1
    assert "nothing was written" in answered.stderr
    assert not (here / "new.keras").exists()
    net(rate=0.6, noise_shape=(1, 1)).save(here / "both.keras")
    answered = run("both.keras", "--fix", "new.keras", "--json")
    assert answered.exit_code == 1  # the rate is mended, the mask is not
    json.loads(answered.stdout)
    left = audit(keras.saving.load_model(here / "new.keras"))
    assert [finding.code for finding in left] == ["DZ122"]


@pytest.fixture
def measured(here):
    """The options to measure briefly on a file of data."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (120, 28, 28)).astype("uint8")
    np.savez(here / "data.npz", x=x, y=np.arange(120) % 10)
    return ["--data", here / "data.npz", "--epochs", "1", "--num-seeds", "2"]


def test_the_model_is_also_measured_if_data_are_given(own, measured):
    answered = run(f"{own}:compiled", *measured, "--json")
    assert answered.exit_code == 1, answered.output
    read = json.loads(answered.stdout)
    assert "DZ202" in [finding["code"] for finding in read["findings"]]
    assert read["measurements"]["repeat"] == {"relative_difference": 0.0}


@pytest.mark.slow
def test_a_registered_model_is_built_for_the_data_that_it_is_measured_with(measured):
    answered = run("mlp", *measured)
    assert answered.exit_code == 0, answered.output
    assert max(map(len, answered.stdout.splitlines())) <= 80
    assert "variance_ratio" in answered.stdout
    assert "whether the model over- or underfits" in answered.stdout


def test_help_does_not_import_keras():
    program = (
        "import sys\nfrom dropout_zoo.tuning.cli.main import main\n"
        "try:\n    main(['audit', '--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'keras', 'tensorflow', 'pandas'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "MODEL_OR_FILE" in ran.stdout
    assert "default: digits" not in ran.stdout


def test_the_command_can_be_imported_by_itself():
    program = "import dropout_zoo.tuning.cli.audit"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_names_of_layers_do_not_reach_a_terminal_as_escapes(tmp_path):
    path = tmp_path / "red\x1b[31m.keras"
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dropout(0.9, name="drop\x1b[31m"), keras.layers.Dense(1)],
        name="model\x1b[31m",
    )
    model.save(path)
    for command in ("audit", "show"):
        answered = CliRunner().invoke(main, [command, str(path)])
        assert "[31m" in answered.output
        assert "\x1b" not in answered.output
    path.write_text("no model")
    answered = CliRunner().invoke(main, ["audit", str(path)])
    assert answered.exit_code == 2
    assert len(answered.stderr.splitlines()) == 1
    assert "red\\x1b[31m.keras" in answered.stderr
