"""Bad input by the thousand: each is reported in a few lines, with status 2; nothing is written."""

import io
import pickle
import zipfile
from pathlib import Path
from types import FunctionType

import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dropout_zoo.models import list_models
from dropout_zoo.training import DataError, Dataset, TrainSettings, load_dataset
from dropout_zoo.tuning import tune
from dropout_zoo.tuning.cli.main import main
from dropout_zoo.tuning.search.search import Search, TuningSettings

LONGEST_MESSAGE = 6  # lines
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def many(test, count, *strategies):
    """The same test on many more examples, for the slow run."""
    inner = test.hypothesis.inner_test
    fresh = FunctionType(inner.__code__, inner.__globals__, inner.__name__)  # without its settings
    thorough = settings(max_examples=count, deadline=None, suppress_health_check=CHECKS)
    return pytest.mark.slow(given(*strategies)(thorough(fresh)))


class Touch:
    """Unpickling this makes a file: code from a data file has run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(arguments):
    """Run a command line that is wrong, and check how it is answered."""
    answered = CliRunner().invoke(main, arguments)
    assert answered.exit_code == 2, (arguments, answered.output)
    assert "Traceback" not in answered.output
    message = [line for line in answered.stderr.splitlines() if "Starting" not in line]
    assert 1 <= len(message) <= LONGEST_MESSAGE, answered.stderr
    return answered.stderr


# Hypothesis also draws words that stand in the project's own source, names of models among them.
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
not_whole = st.one_of(
    st.floats(allow_nan=True).map(str),
    words.filter(lambda text: not text.strip().lstrip("+-").replace("_", "").isdigit()),
)
# What each option is given, none of it right.
WRONG = {
    "--epochs": st.one_of(not_whole, st.integers(max_value=0).map(str)),
    "--batch-size": st.one_of(not_whole, st.integers(max_value=0).map(str)),
    "--max-trials": st.one_of(not_whole, st.integers(max_value=0).map(str)),
    "--patience": st.one_of(not_whole, st.integers(max_value=0).map(str)),
    "--num-finalists": st.one_of(not_whole, st.integers(max_value=0).map(str)),
    "--num-seeds": st.one_of(not_whole, st.integers(max_value=0).map(str)),
    "--seed": st.one_of(not_whole, st.integers(max_value=-1).map(str)),
    "--oracle": words.filter(lambda w: w not in ("grid", "random", "bayesian", "hyperband")),
    "--initial-weights": words.filter(lambda w: w not in ("fresh", "keep")),
    "--task": words.filter(lambda w: w not in ("classification", "regression")),
    "--rates": st.one_of(
        words.filter(lambda w: not any(c.isdigit() for c in w) and "nan" not in w.lower()),
        st.floats(min_value=1).map(str),
        st.floats(max_value=-1e-9).map(str),
        st.just("nan"),
        st.just("0.2,,0.5"),
    ),
    "--split": st.one_of(
        words.filter(lambda w: "," not in w),
        st.just("0.5,0.6"),
        st.just("0.5,0.5,0.5"),
        st.just("1,0,0"),
    ),
    "--placements": words.filter(lambda w: "input" not in w and "hidden" not in w),
    "--objective": words.map(lambda w: "val_x" + w.replace(":", "")),
    "--data": words.map(lambda w: f"no-such-{w.replace('/', '-')}"),
    "--image-size": words,
    "--target": words,
}
NOT_OPTIONS = words.map(lambda w: "--z" + w.replace("=", ""))


@given(st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=CHECKS)
def test_wrong_options_are_reported(here, data):
    option = data.draw(st.sampled_from(sorted(WRONG)))
    value = data.draw(WRONG[option])
    told(["tune", f"{option}={value}", "--out", "run"])
    assert list(here.iterdir()) == []


test_many_wrong_options_are_reported = many(test_wrong_options_are_reported, 200, st.data())


@given(NOT_OPTIONS)
@settings(max_examples=25, deadline=None, suppress_health_check=CHECKS)
def test_unknown_options_are_reported(here, option):
    assert "No such option" in told(["tune", option])
    assert list(here.iterdir()) == []


test_many_unknown_options_are_reported = many(test_unknown_options_are_reported, 100, NOT_OPTIONS)


MODELS = list_models()
NOT_MODELS = words.filter(lambda w: w.strip() not in MODELS and not w.startswith("-"))


@given(NOT_MODELS)
@settings(max_examples=8, deadline=None, suppress_health_check=CHECKS)
def test_unknown_models_are_reported(here, name):
    told(["tune", name, "--out", "run"])
    told(["tune", f"{name}:build", "--out", "run"])
    assert list(here.iterdir()) == []


test_many_unknown_models_are_reported = many(test_unknown_models_are_reported, 60, NOT_MODELS)


numbers = st.one_of(
    st.none(), st.booleans(), st.integers(max_value=0), st.floats(), st.text(max_size=3)
)


whole_settings = st.sampled_from(
    ["epochs", "batch_size", "max_trials", "patience", "num_finalists", "num_seeds"]
)


@given(whole_settings, numbers)
@settings(max_examples=40, deadline=None, suppress_health_check=CHECKS)
def test_settings_of_the_wrong_type_are_reported(few_digits, name, value):
    if value is None and name in ("max_trials", "patience"):
        return  # None means that there is no limit
    with pytest.raises(ValueError, match=f"expected {name} to be a whole number"):
        if name in ("epochs", "batch_size", "patience"):
            settings = TuningSettings(training=TrainSettings(**{name: value}))
        else:
            settings = TuningSettings(**{name: value})
        Search("mlp", few_digits, settings).trainer(None)


test_many_settings_of_the_wrong_type_are_reported = many(
    test_settings_of_the_wrong_type_are_reported, 250, whole_settings, numbers
)


def load_damaged(path: Path) -> Dataset | str:
    """Either a dataset comes of it, or a line says what is wrong."""
    target = None if path.suffix == ".npz" else "label"
    try:
        loaded = load_dataset(path, target=target, max_bytes=10_000_000)
    except DataError as error:
        assert len(str(error).splitlines()) == 1
        assert path.name in str(error)
        return str(error)
    assert isinstance(loaded, Dataset)
    assert np.isfinite(loaded.train[0]).all()
    return loaded


shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
kinds = st.sampled_from(["f4", "f8", "i4", "u1", "bool", "U3", "S3", "c8", "M8[s]", "O"])


archives = st.dictionaries(
    st.sampled_from(["x", "y", "x_train", "y_train", "x_test", "y_test", "z"]),
    st.tuples(shapes, kinds),
    max_size=5,
)


@given(archives)
@settings(max_examples=60, deadline=None, suppress_health_check=CHECKS)
def test_archives_of_odd_arrays_are_reported_or_harmless(here, arrays):
    path = here / "odd.npz"
    np.savez(path, **{name: np.zeros(shape, kind) for name, (shape, kind) in arrays.items()})
    assert load_damaged(path)
    path.unlink()


test_many_archives_of_odd_arrays_are_reported_or_harmless = many(
    test_archives_of_odd_arrays_are_reported_or_harmless, 250, archives
)


def test_no_code_in_a_data_file_is_run(here):
    mark = here / "mark"
    array = np.empty(40, object)
    array[:] = [Touch(mark)] * 40
    np.savez(here / "pickled.npz", x=array, y=np.arange(40) % 2)
    (here / "plain.npz").write_bytes(pickle.dumps(Touch(mark)))
    (here / "frame.csv").write_bytes(pickle.dumps(Touch(mark)))
    (here / "frame.parquet").write_bytes(pickle.dumps(Touch(mark)))
    for name in ("pickled.npz", "plain.npz", "frame.csv", "frame.parquet"):
        target = [] if name.endswith("npz") else ["--target", "label"]
        assert name in told(["tune", "--data", name, *target, "--out", "run"])
    assert not mark.exists()


def test_archives_that_unpack_to_too_much_are_refused_unopened(here):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 33,)}
    )
    with zipfile.ZipFile(here / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(50_000_000))
        archive.writestr("y.npy", header.getvalue())
    with pytest.raises(DataError, match=r"bomb\.npz"):
        load_dataset(here / "bomb.npz", max_bytes=1_000_000)
    assert "bomb.npz" in told(["tune", "--data", "bomb.npz", "--out", "run"])


@pytest.mark.posix
def test_links_out_of_an_image_directory_are_refused(here):
    from PIL import Image

    outside = here / "outside.png"
    Image.new("L", (8, 8)).save(outside)
    for label in ("cat", "dog"):
        (here / "images" / label).mkdir(parents=True)
        for number in range(10):
            Image.new("L", (8, 8), number).save(here / "images" / label / f"{number}.png")
    load_dataset(here / "images")
    (here / "images" / "cat" / "link.png").symlink_to(outside)
    assert "link" in told(["tune", "--data", "images", "--out", "run"])


def test_text_in_a_data_frame_for_a_model_that_looks_it_up_is_refused_with_what_to_pass():
    texts = ["good film", "bad plot"] * 20
    lookup = keras.layers.TextVectorization(output_sequence_length=2)
    lookup.adapt(texts)
    model = keras.Sequential(
        [
            keras.Input((1,), dtype="string"),
            lookup,
            keras.layers.Embedding(6, 2),
            keras.layers.Dropout(0.2),
            keras.layers.Flatten(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    with pytest.raises(ValueError, match=r"pass dict\(frame\), or the only .*") as caught:
        tune(model, pd.DataFrame({"text": texts}), np.arange(40) % 2, rates=[0.2])
    assert "best.keras" not in str(caught.value)


def test_a_layer_with_a_state_between_batches_is_refused_by_name():
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(8, 7, 5)),
            keras.layers.LSTM(4, stateful=True, dropout=0.2, name="memory"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    x = np.zeros((40, 7, 5), "float32")
    with pytest.raises(ValueError, match=r"'memory' \(LSTM\) with stateful=True.*leave stateful"):
        tune(model, x, np.linspace(0, 1, 40), batch_size=8, rates=[0.2])
