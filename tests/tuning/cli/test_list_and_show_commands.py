"""The commands `list` and `show`: what they print, on terminals of any kind, and their statuses."""

import json
import re
import xml.etree.ElementTree as ElementTree

import keras
import pytest
from click.testing import CliRunner

from dropout_zoo.models import build_mlp, diagram, list_models, model_entry
from dropout_zoo.tuning.cli.main import main


def run(*arguments, **environment):
    return CliRunner().invoke(main, [str(each) for each in arguments], env=environment)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of models in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"shown_{tmp_path.name}.py").write_text(
        """
import keras

class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="subclassed")
        self.drop, self.head = keras.layers.Dropout(0.5), keras.layers.Dense(2)

    def call(self, inputs, training=None):
        return self.head(self.drop(inputs, training=training))

def plain():
    return keras.Sequential([
        keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.45, name="mine"),
        keras.layers.Dense(2),
    ])

def deep():
    layers = []
    for _ in range(30):
        layers += [keras.layers.Dense(4, activation="relu"), keras.layers.Dropout(0.2)]
    return keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2)])
"""
    )
    return f"shown_{tmp_path.name}"


def test_list_shows_each_model_with_sites_rates_and_source():
    words = " ".join(run("list").output.split())
    for name in list_models():
        entry = model_entry(name)
        assert f"{name} " in words
        assert f"{entry.parameters:,}" in words
        for path, rate in list(entry.sites.items())[:1]:
            assert path in words
            assert f"{rate:.2f}" in words
    assert "hidden_1_dropout 0.50, hidden_2_dropout 0.30" in words
    assert "the documented Sequential MLP" in words


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_list_fits_the_terminal(columns):
    lines = run("list", COLUMNS=str(columns)).output.splitlines()
    assert max(map(len, lines)) <= columns


def test_list_takes_a_wildcard_and_prints_json():
    known = {entry["name"]: entry for entry in json.loads(run("list", "--json").output)}
    assert list(known) == list_models()
    mlp = known["mlp"]
    assert mlp["parameters"] == 109_386
    assert mlp["sites"] == {"hidden_1_dropout": 0.5, "hidden_2_dropout": 0.3}
    assert mlp["input_shape"] == [28, 28]
    assert all(entry["family"] and entry["source"] for entry in known.values())
    assert [entry["name"] for entry in json.loads(run("list", "c?n", "--json").output)] == ["cnn"]
    nothing = run("list", "no such*")
    assert nothing.exit_code == 0
    assert "No registered model matches 'no such*'; available: autoencoder" in nothing.output


def test_show_draws_sites_and_names_the_sources_of_the_guidance():
    answered = run("show", "mlp")
    assert answered.exit_code == 0
    drawn = diagram(build_mlp()).text()
    # Keras numbers the input.
    assert [line for line in drawn.splitlines() if "input_layer" not in line] == [
        line
        for line in answered.stdout.splitlines()[: len(drawn.splitlines())]
        if "input_layer" not in line
    ]
    assert "Guidance, hidden: Srivastava et al. 2014" in answered.stdout


def test_show_takes_functions_and_files(own, tmp_path):
    build_mlp().save("saved.keras")
    assert "hidden_1_dropout" in run("show", "saved.keras").output
    assert "rate 0.45, hidden, guidance 0.40-0.50" in run("show", f"{own}:plain").output
    listed = " ".join(run("show", f"{own}:Subclassed").output.split())
    assert "a subclassed model has no graph to read" in listed


def test_show_draws_repeated_layers_once_by_default(own):
    assert "30 times" in run("show", f"{own}:deep").output
    everything = run("show", f"{own}:deep", "--all-layers").output
    assert "times" not in everything
    assert everything.count("rate 0.20") == 30


@pytest.mark.parametrize("columns", [30, 80])
def test_show_fits_the_terminal(columns):
    answered = run("show", "mlp", COLUMNS=str(columns))
    assert max(map(len, answered.stdout.splitlines())) <= columns


def test_show_colors_a_terminal_only():
    plain = run("show", "mlp").output
    colored = run("show", "mlp", FORCE_COLOR="1", TERM="xterm-256color").output
    assert "\x1b[" not in plain
    assert "\x1b[35m" in colored
    assert re.sub(r"\x1b\[[\d;]*m", "", colored).split()[:6] == plain.split()[:6]


def test_show_works_in_a_pipe_that_supports_only_ascii():
    answered = CliRunner(charset="ascii").invoke(main, ["show", "mlp"])
    assert answered.exit_code == 0, answered.output
    assert b"# hidden_1_dropout" in answered.stdout_bytes
    assert answered.stdout_bytes.isascii()


def test_show_writes_a_picture_and_never_overwrites_one(tmp_path):
    picture = tmp_path / "mlp.svg"
    answered = run("show", "mlp", "--svg", picture)
    assert answered.exit_code == 0
    assert answered.stdout == ""
    assert f"Wrote {picture}." in answered.stderr.replace("\n", "")
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")
    picture.write_text("precious")
    refused = run("show", "mlp", "--svg", picture)
    assert refused.exit_code == 2
    assert "which exists; --overwrite replaces it" in refused.stderr
    assert picture.read_text() == "precious"
    assert run("show", "mlp", "--svg", picture, "--overwrite").exit_code == 0
    assert "hidden_1_dropout" in picture.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mpl"], "received 'mpl'; did you mean 'mlp'"),
        (["missing.keras"], "which is not a file"),
        (["mlp", "--svg", "mlp.png"], "expected --svg to name a .svg file, received mlp.png"),
        (["mlp", "--svg", "no/such/mlp.svg"], "expected --svg in an existing directory"),
        (["mlp", "--overwrite"], "expected --svg with --overwrite"),
        (["mlp", "--color"], "No such option"),
    ],
)
def test_wrong_use_of_show_is_reported_in_one_line(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    answered = run("show", *arguments)
    assert answered.exit_code == 2
    assert words in answered.stderr
    assert "Traceback" not in answered.output
    assert not list(tmp_path.iterdir())


@pytest.mark.posix
def test_show_reports_a_file_that_cannot_be_written(tmp_path):
    link = tmp_path / "link.svg"
    link.symlink_to("/dev/full")
    answered = run("show", "mlp", "--svg", link, "--overwrite")
    assert answered.exit_code == 1
    assert "No space left on device" in answered.stderr


def test_a_model_is_drawn_the_same_after_saving(tmp_path):
    model = build_mlp()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert diagram(loaded).text() == diagram(model).text()


def test_show_prints_the_card_of_trained_weights():
    shown = run("show", "mlp", "--weights")
    assert shown.exit_code == 0
    assert "Test error with dropout: " in shown.output and "Gain by dropout: " in shown.output
    for arguments, words in [
        (("vit", "--weights"), "expected a model with trained weights, received 'vit'"),
        (("mlpp", "--weights"), "did you mean 'mlp'"),
        (("mlp", "--weights", "--all-layers"), "expected --weights alone"),
    ]:
        refused = run("show", *arguments)
        assert refused.exit_code == 2 and words in refused.output
