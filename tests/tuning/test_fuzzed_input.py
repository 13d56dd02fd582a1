"""Damaged files and odd command lines: each loads, or is refused in a line that names the file.

Each input follows from a number, which a failure names. No input may take 20 s or 1 GB of memory.
"""

import shutil
import sys
import time
import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from damage import (
    ODD_TEXT,
    damaged,
    generator,
    one_of,
    with_damaged_member,
    with_odd_config,
    with_odd_header,
    with_odd_text,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from dropout_zoo.models import audit, build_mlp, diagram
from dropout_zoo.training import DataError, Dataset, as_dataset, load_dataset
from dropout_zoo.tuning.cli.main import main
from dropout_zoo.tuning.cli.model_argument import ModelArgument

LONGEST, LARGEST = 20, 10**9  # seconds, bytes
# 500 inputs in the default run, 5,000 in the slow one, 50,000 at night.
SHARES = {"npz": 140, "csv": 110, "parquet": 110, "images": 60, "keras": 20, "commands": 60}
TIMES = [
    pytest.param(1, id="500"),
    pytest.param(10, id="5000", marks=pytest.mark.slow),
    pytest.param(100, id="50000", marks=pytest.mark.nightly),
]


def peak_memory():
    resource = pytest.importorskip("resource")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def check_message(error, name):
    message = str(error)
    assert message.isprintable()
    assert len(message) <= 2000
    assert name in message
    assert "expected" in message


def try_all(kind, times, attempt):
    """Try the inputs of a kind, and count what comes of them."""
    before, counts = peak_memory(), Counter()
    for number in range(SHARES[kind] * times):
        started = time.monotonic()
        try:
            counts[attempt(generator([number, sorted(SHARES).index(kind)]))] += 1
        except Exception as error:
            raise AssertionError(
                f"{kind}: input {number}: {type(error).__name__}: {error}"
            ) from error
        assert time.monotonic() - started < LONGEST, f"{kind}: input {number}"
    assert peak_memory() - before < LARGEST
    print(f"{kind}: {dict(counts)}")
    return counts


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Files that are right, to be damaged: their bytes by name."""
    folder = tmp_path_factory.mktemp("good")
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (60, 4, 4)).astype("uint8"), np.arange(60) % 3
    np.savez(folder / "data.npz", x=x, y=y)
    np.savez_compressed(folder / "packed.npz", x_train=x / 7, y_train=y, x_test=x / 7, y_test=y)
    np.savez(folder / "names.npz", x=x.astype(str).reshape(60, 16), y=np.array(list("abc") * 20))
    frame = pd.DataFrame(
        {
            "a": rng.random(60).round(3),
            "b": np.arange(60) % 5,
            "job": ["cook", "nurse", None] * 20,
            "flag": [True, False] * 30,
            "label": ["x", "y"] * 30,
        }
    )
    frame.to_csv(folder / "data.csv", index=False)
    frame.to_parquet(folder / "data.parquet")
    frame.astype({"job": "category"}).to_parquet(folder / "plain.parquet", compression=None)
    Image.fromarray(x[0]).save(folder / "a.png")
    Image.fromarray(x[0]).save(folder / "b.jpg")
    Image.fromarray(x[0]).save(folder / "c.gif", save_all=True)
    Image.fromarray(x[0]).save(folder / "d.tif", compression="tiff_deflate")
    Image.fromarray(x[0]).save(folder / "e.bmp")
    Image.fromarray(np.stack([x[0]] * 3, -1)).save(folder / "f.webp")
    build_mlp(units=(4,), hidden_rates=(0.5,)).save(folder / "model.keras")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def choose(good, rng, *suffixes):
    names = sorted(name for name in good if name.endswith(suffixes))
    return names[rng.integers(len(names))]


def load(path, name, **options):
    """Load data as the commands do: a dataset comes of it, or a line that names the file."""
    try:
        loaded = load_dataset(path, **options)
    except DataError as error:
        check_message(error, name)
        return "refused"
    assert loaded.train[0].dtype == object or np.isfinite(loaded.train[0]).all()
    loaded.describe()
    return "loaded"


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("npz", one_of(damaged, with_odd_header, with_damaged_member)),
        ("csv", one_of(damaged, with_odd_text)),
        ("parquet", damaged),
    ],
)
def test_damaged_files_of_data_load_or_are_refused(good, tmp_path, kind, damage, times):
    def attempt(rng):
        name = choose(good, rng, kind)
        (tmp_path / name).write_bytes(damage(good[name], rng))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Duplicate name")  # zipfile, of damaged directories
            return load(tmp_path / name, name, target=None if kind == "npz" else "label")

    counts = try_all(kind, times, attempt)
    assert counts["refused"] > counts["loaded"] / 10


@pytest.mark.parametrize("times", TIMES)
def test_damaged_images_load_or_are_refused(good, tmp_path, times):
    folder = tmp_path / "images"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(8):
            (folder / label / f"{number}.png").write_bytes(good["a.png"])

    def attempt(rng):
        name = choose(good, rng, ".png", ".jpg", ".gif", ".tif", ".bmp", ".webp")
        path = folder / "cat" / f"damaged_{name}"
        path.write_bytes(damaged(good[name], rng))
        try:
            return load(folder, "images", image_size=[None, 4][rng.integers(2)])
        finally:
            path.unlink()

    assert try_all("images", times, attempt)["refused"]


@pytest.mark.parametrize("times", TIMES)
def test_damaged_model_files_load_or_are_refused(good, tmp_path, times):
    damage = one_of(damaged, with_damaged_member, with_odd_config, with_odd_config)

    def attempt(rng):
        path = tmp_path / "model.keras"
        path.write_bytes(damage(good["model.keras"], rng))
        try:
            model, _ = ModelArgument(str(path)).find()
        except ValueError as error:
            check_message(error, "model.keras")
            return "refused"
        audit(model)
        diagram(model)
        return "loaded"

    assert try_all("keras", times, attempt)["refused"]


COMMANDS = (
    ("tune",), ("sweep", "rate"), ("sweep", "data-size"), ("sweep", "capacity"), ("sweep",),
    ("audit",), ("verify",), ("show",), ("list",), ("--version",), ("-h",), ("tun",), ("",),
)  # fmt: skip
OPTIONS = (
    "--data", "--target", "--drop", "--text", "--image-size", "--task", "--split", "--oracle",
    "--rates", "--placements", "--max-trials", "--epochs", "--batch-size", "--learning-rate",
    "--patience", "--seed", "--num-seeds", "--budget", "--resume", "--overwrite", "--json",
    "--dry-run", "--ignore", "--select", "--severity", "--format", "--all-layers", "--sizes",
    "--no",
)  # fmt: skip


@pytest.mark.parametrize("times", TIMES)
def test_odd_command_lines_are_answered(good, tmp_path, monkeypatch, times):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_bytes(good["data.csv"])
    words = [*ODD_TEXT, "data.csv", "mlp", "missing.npz", "a:b", "label", "0.2,0.5", "3"]
    words = [word for word in words if "\0" not in word]  # no system passes on what follows

    def attempt(rng):
        line = list(COMMANDS[rng.integers(len(COMMANDS))])
        for _ in range(rng.integers(0, 5)):
            pool = OPTIONS if rng.random() < 0.5 else words
            line.append(str(pool[rng.integers(len(pool))]))
        if line[0] in ("tune", "sweep", "audit"):
            # Whatever the rest means, there are no data to train on.
            line.append("--data=no-such-file\x1b[31m.csv")
        answered = CliRunner().invoke(main, line)
        assert answered.exception is None or isinstance(answered.exception, SystemExit), line
        assert answered.exit_code in (0, 1, 2), line
        assert "Traceback" not in answered.output
        assert "\x1b" not in answered.output, line
        assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv"], line
        if answered.exit_code == 2:
            assert answered.stderr.strip(), line
            return "refused"
        return "answered"

    assert try_all("commands", times, attempt)["refused"]
    shutil.rmtree(tmp_path, ignore_errors=True)


kinds = st.sampled_from(["f4", "f8", "i4", "u1", "bool", "U3", "S3", "c8", "M8[s]", "O"])
any_array = arrays(kinds, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
several = st.dictionaries(st.text(max_size=3), any_array, max_size=3)
any_input = st.one_of(any_array, several, st.lists(any_array, max_size=3))
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def check_arrays(x, y):
    try:
        data = as_dataset(x, y)
    except (DataError, ValueError, TypeError) as error:
        assert "expected" in str(error), repr(error)
        assert str(error).isprintable()
        return
    assert isinstance(data, Dataset)


@given(any_input, any_input)
@settings(max_examples=60, deadline=None, suppress_health_check=CHECKS, derandomize=True)
def test_odd_arrays_and_dicts_are_used_or_refused(x, y):
    check_arrays(x, y)


@pytest.mark.slow
@given(any_input, any_input)
@settings(max_examples=400, deadline=None, suppress_health_check=CHECKS)
def test_many_odd_arrays_and_dicts_are_used_or_refused(x, y):
    check_arrays(x, y)


numbers = arrays(
    st.sampled_from(["f4", "i4", "u1", "bool"]), array_shapes(min_dims=1, max_dims=3, max_side=5)
)


@given(st.lists(st.tuples(numbers, numbers), max_size=3), st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=CHECKS, derandomize=True)
def test_odd_sources_of_batches_are_used_or_refused(batches, named):
    import tensorflow as tf

    given = [({"a": x} if named else x, y) for x, y in batches]
    check_arrays((each for each in given), None)
    if given:
        x, y = given[0]
        count = min(len(batches[0][0]), len(batches[0][1]))
        sliced = {"a": x["a"][:count]} if named else x[:count]
        check_arrays(tf.data.Dataset.from_tensor_slices((sliced, y[:count])).batch(2), None)
