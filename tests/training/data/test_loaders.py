"""Named sets, files and folders: what they turn into, and what is refused."""

import io
import os
import pickle
import struct
import subprocess
import sys
import time
import warnings
import zipfile
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from dropout_zoo.models.wording import one_line
from dropout_zoo.training.data.dataset import DataError, split_arrays
from dropout_zoo.training.data.loaders import load_dataset

RNG = np.random.default_rng(0)
X = RNG.random((40, 3)).astype(np.float32)
Y = np.arange(40) % 2


def save_npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def save_images(root, modes=("L",), size=(6, 5), classes=("b", "ä"), number=8):
    """Noise images, `number` a class, cycling through `modes`."""
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(number):
            mode = modes[i % len(modes)]
            shape = size if mode in ("L", "I;16") else (*size, 3)
            high, kind = (65536, np.uint16) if mode == "I;16" else (256, np.uint8)
            pixels = RNG.integers(0, high, shape).astype(kind)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def save_csv(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def refused(message, source, **options):
    """Check that a source is refused in one line that names it, and give the line."""
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(source, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith(one_line(str(source)))
    return str(caught.value)


# Named sets


def test_digits_are_enlarged_linearly_and_keep_their_labels():
    dataset = load_dataset()
    assert dataset.source == "digits"
    original = load_digits()
    weights = np.array([np.interp(np.arange(28) * 7 / 27, np.arange(8), row) for row in np.eye(8)])
    enlarged = weights.T @ (original.images / 16) @ weights
    # The split depends on labels and seed alone, so that it says where each example went.
    order = split_arrays(np.arange(1797)[:, None], original.target, seed=0)
    for part, (index, labels) in zip(
        (dataset.train, dataset.validation, dataset.test), order, strict=True
    ):
        np.testing.assert_allclose(part[0], enlarged[index.ravel()], atol=1e-6)
        np.testing.assert_array_equal(part[1], labels)
        assert part[0].min() == 0
        assert part[0].max() == 1


def test_the_synthetic_table_can_be_learned_in_part():
    dataset = load_dataset("synthetic_table")
    assert dataset.num_classes == 5 and dataset.input_shape == (100,)
    assert [dataset.num_examples(part) for part in dataset.parts()] == [1050, 225, 225]
    linear = LogisticRegression(max_iter=1000).fit(*dataset.train)
    assert 0.4 < linear.score(*dataset.test) < linear.score(*dataset.train) < 0.9


def test_noisy_digits_are_the_scans_with_noise():
    dataset = load_dataset("noisy_digits")
    original = load_digits()
    order = split_arrays(np.arange(1797)[:, None], original.target, seed=0)
    noise = []
    for part, (index, labels) in zip(
        (dataset.train, dataset.validation, dataset.test), order, strict=True
    ):
        np.testing.assert_array_equal(part[1], labels)
        noise.append(part[0] - original.images[index.ravel()] / 16)
    every = np.concatenate(noise)
    assert every.mean() == pytest.approx(0, abs=0.01)
    assert every.std() == pytest.approx(0.4, abs=0.01)
    assert dataset.train[0].dtype == np.float32


def test_the_same_seed_gives_the_same_data():
    assert load_dataset(seed=3).fingerprint() == load_dataset(seed=3).fingerprint()
    assert load_dataset(seed=3).fingerprint() != load_dataset(seed=4).fingerprint()


@pytest.mark.slow
def test_sets_of_keras_name_the_alternatives_without_a_network(tmp_path):
    # Keras reads KERAS_HOME when it is imported; a proxy that refuses stands in for no network.
    program = (
        "from dropout_zoo.training.data.loaders import load_dataset\n"
        "for name in ('mnist', 'fashion_mnist', 'cifar10'):\n"
        "    try: load_dataset(name)\n"
        "    except ValueError as error: print('REFUSED', type(error).__name__, error)\n"
    )
    refusing = "http://127.0.0.1:9"
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {"http_proxy": refusing, "https_proxy": refusing, "no_proxy": ""}
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = [line for line in run.stdout.splitlines() if line.startswith("REFUSED")]
    assert len(lines) == 3, run.stderr
    for line, name in zip(lines, ("mnist", "fashion_mnist", "cifar10"), strict=True):
        assert line.startswith(f"REFUSED DataError {name}: expected a successful download")
        assert "offline, use digits, or a .npz" in line


def test_sets_of_keras_keep_their_test_part(monkeypatch):
    # The one stand-in of these tests: Keras accepts no other files than its own downloads.
    keras = pytest.importorskip("keras")
    images = RNG.integers(0, 256, (60, 8, 8, 3)).astype(np.uint8)
    labels = np.arange(60, dtype=np.uint8)[:, None] % 3
    parts = ((images, labels), (images[:9], labels[:9]))
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: parts)
    dataset = load_dataset("cifar10")
    assert dataset.source == "cifar10"
    np.testing.assert_array_equal(dataset.test[0], images[:9].astype(np.float32) / 255)
    assert "pixels scaled to [0, 1]" in dataset.describe()
    np.testing.assert_array_equal(dataset.test[1], labels[:9, 0])
    assert len(dataset.train[1]) + len(dataset.validation[1]) == 60


@pytest.mark.slow
def test_the_loader_needs_neither_keras_nor_tensorflow(tmp_path):
    save_npz(tmp_path / "a.npz", x=X, y=Y)
    save_csv(tmp_path / "a.csv", "a,t\n" + "1,0\n2,1\n" * 20)
    save_images(tmp_path / "images")
    program = (
        "import sys\n"
        "from dropout_zoo.training.data.loaders import load_dataset\n"
        "load_dataset('digits'); load_dataset('a.npz'); load_dataset('images')\n"
        "load_dataset('a.csv', target='t')\n"
        "loaded = {name.split('.')[0] for name in sys.modules} & {'keras', 'tensorflow'}\n"
        "assert not loaded, loaded\n"
    )
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


def test_unknown_sources_are_refused(tmp_path):
    refused(
        "expected digits, noisy_digits, topics, synthetic_table, mnist, .*received no such file",
        "nonsense",
    )
    refused("received no such file; did you mean 'digits'", "digit")
    refused("no such file", tmp_path / "missing.npz")
    refused("received a file ending in '.txt'", save_csv(tmp_path / "a.txt", "a"))
    os.mkfifo(tmp_path / "pipe.npz")
    refused("something that is not a regular file", tmp_path / "pipe.npz")
    refused("expected no target .*not a .csv or .parquet file, received 't'", "digits", target="t")
    refused(
        "expected no image_size .*not a directory of images, received 28", "digits", image_size=28
    )


@pytest.mark.parametrize(
    "options", [{"max_bytes": 0}, {"split": (0.5, 0.5, 0.5)}, {"task": "ranking"}, {"seed": -1}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r"expected .*received"):
        load_dataset("digits", **options)


# Array archives


def test_npz_in_the_layout_of_keras_keeps_its_test_part(tmp_path):
    path = save_npz(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X[:7], y_test=Y[:7], other=Y)
    dataset = load_dataset(path, split=(0.6, 0.2, 0.2))
    assert dataset.source == "a.npz"
    np.testing.assert_array_equal(dataset.test[0], X[:7])
    np.testing.assert_array_equal(dataset.test[1], Y[:7])
    assert len(dataset.validation[1]) == 10
    rest = np.concatenate([dataset.train[0], dataset.validation[0]])
    np.testing.assert_array_equal(np.sort(rest, axis=0), np.sort(X, axis=0))


def test_npz_with_a_validation_part_is_not_split(tmp_path):
    parts = {"x_train": X, "y_train": Y, "x_val": X[:5], "y_val": Y[:5]}
    dataset = load_dataset(save_npz(tmp_path / "a.npz", **parts))
    np.testing.assert_array_equal(dataset.train[0], X)
    np.testing.assert_array_equal(dataset.validation[0], X[:5])
    assert dataset.test is None
    parts |= {"x_test": X[:7], "y_test": Y[:7]}
    np.testing.assert_array_equal(
        load_dataset(save_npz(tmp_path / "b.npz", **parts)).test[0], X[:7]
    )


def test_a_split_of_two_fractions_makes_no_test_part(tmp_path):
    dataset = load_dataset("digits", split=(0.8, 0.2))
    assert [len(y) for _, y in dataset.parts().values()] == [1438, 359]
    assert dataset.test is None
    path = save_npz(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X[:7], y_test=Y[:7])
    assert len(load_dataset(path, split=(0.8, 0.2)).test[1]) == 7


def test_npz_without_a_test_part_is_split_in_three(tmp_path):
    dataset = load_dataset(save_npz(tmp_path / "a.npz", x=X, y=Y))
    assert [len(part[1]) for part in (dataset.train, dataset.validation, dataset.test)] == [
        28,
        6,
        6,
    ]


def test_npz_floats_are_a_regression_by_default(tmp_path):
    path = save_npz(tmp_path / "a.npz", x=X, y=Y.astype(float))
    assert load_dataset(path).task == "regression"
    assert load_dataset(path, task="classification").num_classes == 2


def test_npz_integers_are_kept_and_the_largest_gives_the_number_of_classes(tmp_path):
    dataset = load_dataset(save_npz(tmp_path / "a.npz", x=X, y=3 * Y))
    assert dataset.num_classes == 4
    assert dataset.class_counts()["test"] == [3, 0, 0, 3]


@pytest.mark.skipif("DROPOUT_ZOO_MNIST" not in os.environ, reason="DROPOUT_ZOO_MNIST is not set")
def test_mnist_can_be_read_from_a_file():
    dataset = load_dataset(os.environ["DROPOUT_ZOO_MNIST"])
    assert dataset.input_shape == (28, 28)
    assert len(dataset.train[1]) + len(dataset.validation[1]) == 60000
    assert dataset.class_counts()["test"] == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    assert dataset.train[0].max() == 1


NAN = np.where(np.arange(120).reshape(40, 3) == 13, np.nan, X)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": NAN, "y": Y}, "x: .*NaN .* example 4"),
        ({"x": np.full_like(X, np.inf), "y": Y}, "x: .*infinite"),
        ({"x": X, "y": np.where(Y, np.nan, X[:, 0])}, "y: .*NaN"),
        ({"x": X.astype(str), "y": Y}, "x: expected numbers, received numbers stored as strings"),
        ({"x": X, "y": Y.astype(str)}, "y: .*numbers stored as strings"),
        ({"x": X.astype(object), "y": Y}, "x: .*pickled Python objects"),
        ({"x": X, "y": Y.astype(object)}, "y: .*pickled Python objects"),
        ({"x": X, "y": Y[:-1]}, "y: expected one label for each of the 40 examples"),
        ({"x": X, "y": np.r_[Y[:-1], 2]}, "y: .*examples of class 2 .*received 1"),
        ({"x": X, "y": Y - 1}, "y: .*negative labels"),
        ({"x": X, "y": 0 * Y}, "y: .*single class"),
        ({"x": X, "y": Y * 10**12}, "y: .*received label 1000000000000"),
        ({"x": X[:0], "y": Y[:0]}, "x: .*empty array"),
        ({"a": X, "b": Y}, "expected arrays x_train, .* or x, y, received a, b"),
        ({"x_train": X, "y_train": Y}, "expected arrays .*received x_train, y_train"),
        (
            {"x_train": X, "y_train": Y, "x_val": X, "y_val": Y, "x_test": X},
            "expected x_test and y_test, or neither",
        ),
        ({}, "expected arrays .*received no arrays"),
        (
            {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1},
            "y_test: expected only labels that occur in training",
        ),
        (
            {"x_train": X, "y_train": Y, "x_test": X[:, :2], "y_test": Y},
            "x_test: expected examples of shape",
        ),
    ],
)
def test_bad_npz_is_refused(tmp_path, arrays, message):
    refused(message, save_npz(tmp_path / "bad.npz", **arrays))


def test_non_integer_labels_are_refused(tmp_path):
    path = save_npz(tmp_path / "a.npz", x=X, y=Y + 0.5)
    refused("y: expected integer labels, received 0.5", path, task="classification")


class Armed:
    """Unpickling it leaves a file behind."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


def test_pickles_are_never_loaded(tmp_path):
    trace = tmp_path / "trace"
    inside = np.empty(40, dtype=object)
    inside[:] = [Armed(trace)] * 40
    refused("pickled", save_npz(tmp_path / "inside.npz", x=X, y=inside))
    (tmp_path / "outside.npz").write_bytes(pickle.dumps(Armed(trace)))
    refused("received a pickle", tmp_path / "outside.npz")
    assert not trace.exists()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_archives_are_refused(tmp_path, save):
    path = tmp_path / "a.npz"
    save(path, x=X, y=Y)
    content = path.read_bytes()
    for length in (0, 1, 30, 200, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert refused("empty file|another kind|truncated", path)
    path.write_bytes(content[:150] + bytes(8) + content[158:])
    assert refused("truncated or damaged", path)


def save_header(path, text, members=("x.npy", "y.npy"), values=bytes(4000)):
    """An archive of arrays with a header of any text, as numpy.savez never writes it."""
    header = text.encode("latin-1") + b"\n"
    content = b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header + values
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, content)
    return path


SHAPE = "{'descr': '<f4', 'fortran_order': False, 'shape': %s}"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (SHAPE % "(10, 10", "x: .*intact array"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (10, 10),", "x: .*intact array"),
        ("{('descr',): '<f4', 3: 3, 'shape': (10,)}", "x: .*intact array"),
        (SHAPE % "(10.0, 2)", "x: .*intact array"),
        (SHAPE % "(True, 4)", "x: expected lengths"),
        (SHAPE % "(-10, -2)", "x: expected lengths"),
        (SHAPE % f"({2**64},)", "x: expected lengths"),
        (SHAPE % f"(0, {2**63})", "x: expected lengths"),
        (SHAPE % f"(0, {2**64})", "x: expected lengths"),
        ("{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000,)}", "x: expected lengths"),
    ],
)
def test_headers_that_numpy_does_not_write_are_refused(tmp_path, header, message):
    refused(message, save_header(tmp_path / "a.npz", header))


def test_strings_of_characters_that_do_not_exist_are_refused(tmp_path):
    strings = "{'descr': '<U4', 'fortran_order': False, 'shape': (10, 2)}"
    path = save_header(tmp_path / "a.npz", strings, values=b"\xff" * 320)
    refused("x: .*expected characters up to 0x10ffff", path)


def test_members_of_an_archive_that_are_no_arrays_are_not_taken_for_arrays(tmp_path):
    path = save_header(tmp_path / "a.npz", SHAPE % "(10, 10)", ("x", "y.npy"))
    refused("expected arrays .*received y;", path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the second y
        save_header(tmp_path / "b.npz", SHAPE % "(10, 10)", ("x.npy", "y.npy", "y.npy"))
    refused("expected one array named y, received 2", tmp_path / "b.npz")


def test_other_files_called_npz_are_refused(tmp_path):
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, X)
    assert refused("received one .npy array", tmp_path / "array.npz")
    assert refused("another kind", save_csv(tmp_path / "text.npz", "a,b"))


def test_archives_that_unpack_to_too_much_are_refused_before_unpacking(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((40, 10**5), dtype=np.uint8), y=Y)
    assert path.stat().st_size < 10**5
    refused("expected at most 1,000,000 bytes uncompressed", path, max_bytes=10**6)
    # Four bytes per value once it is a float.
    refused("x: expected at most 5,000,000 bytes", path, max_bytes=5 * 10**6)
    np.savez_compressed(path, x=np.zeros((40, 10**7), dtype=np.uint8), y=Y)
    refused("expected at most 500 times its size in the file", path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**7)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue())
        archive.writestr("y.npy", header.getvalue())
    refused("x: expected 10,000,000,000,000 bytes .*truncated", path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_of_a_compression_that_unpacks_without_bounds_are_refused(tmp_path, compression):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name in ("x.npy", "y.npy"):
            with archive.open(name, "w") as file:
                np.save(file, np.zeros((40, 10**4), np.uint8))
    refused("x: expected an array stored or deflated, as by numpy.savez", path)


def test_archives_that_declare_larger_members_than_the_file_are_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((40, 10**7), dtype=np.uint8), y=Y)
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\1\2")  # of x in the directory at the end
    content[entry + 20 : entry + 24] = struct.pack("<I", 50_000_000)
    path.write_bytes(content)
    refused(r"expected arrays of at most .* bytes, the size of the file, received 50,", path)


# Tables


def rows(line, number=60):
    return "".join(line(i) + "\n" for i in range(number))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_are_read_with_their_types(tmp_path, suffix):
    frame = pd.DataFrame({"a": range(60), "b": np.linspace(0, 1, 60), "group": [2, 5, 9] * 20})
    path = tmp_path / f"table{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    dataset = load_dataset(path, target="group")
    assert dataset.input_shape == (2,)
    assert dataset.class_names == ["2", "5", "9"]
    x, y = dataset.train
    np.testing.assert_array_equal(y, x[:, 0].astype(int) % 3)
    np.testing.assert_allclose(x[:, 1], x[:, 0] / 59, rtol=1e-6)
    assert load_dataset(path, target="b").task == "regression"
    assert load_dataset(path, target="a").task == "regression"
    assert load_dataset(path, target="group", task="regression").num_classes is None


def test_table_targets_may_be_text_booleans_or_categories(tmp_path):
    text = save_csv(tmp_path / "text.csv", "a,t\n" + rows(lambda i: f"{i},{'üöä'[i % 3]}"))
    assert load_dataset(text, target="t").class_names == ["ä", "ö", "ü"]
    flags = save_csv(tmp_path / "flags.csv", "a,t\n" + rows(lambda i: f"{i},{i % 2 == 0}"))
    assert load_dataset(flags, target="t").class_names == ["False", "True"]
    frame = pd.DataFrame({"a": range(60), "t": pd.Categorical([1, 7] * 30), "n": [0, 1] * 30})
    frame["n"] = frame["n"].astype("Int64")
    frame.to_parquet(tmp_path / "categories.parquet")
    categories = load_dataset(tmp_path / "categories.parquet", target="n")
    np.testing.assert_array_equal(np.unique(categories.train[0][:, 1]), [1, 7])
    named = load_dataset(tmp_path / "categories.parquet", target="t")
    assert named.class_names == ["1", "7"]


GOOD = rows(lambda i: f"{i},{i / 2},{i % 3}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("a,t\n", "expected rows below the header"),
        ("t\n0\n1\n", "expected columns besides the target 't'"),
        ("a,b,c\n" + GOOD, "one of the columns a, b, c, received 't'"),
        ("a,a,t\n" + GOOD, "column 'a': expected different names"),
        (",b,t\n" + GOOD, "column 1: expected a name"),
        ("a,b,t\n" + GOOD.replace("\n", ",1\n"), "as many fields"),
        ("a,b,t\n1,2,0\n1,2,3,4\n", "as many fields .*3, received 4 in row 2"),
        ("a,b,t\n" + GOOD.replace("\n", ",\n"), "as many fields .*3, received 4 in row 1"),
        ("a,b,t\n" + GOOD.replace("\n", ",\n", 1), "as many fields .*3, received 4 in row 1"),
        ("a,b,t,\n" + GOOD.replace("\n", ",\n"), "column 4: expected a name"),
        ('a,b,t\n1,2,0\n1,"2,0\n', "as many fields .*received 2 in row 2"),
        ('a,b,t\n1,2,0\n1,2,"0\n', "expected comma-separated values"),
        ("a,b,t\n" + GOOD + "5,6\n", "as many fields .*3, received 2 in row 61"),
        ("a,b,t\n" + GOOD + "5,6,\n", "column 't': expected a target in every row.* row 61"),
        ("a,t\n" + rows(lambda i: f"{i},{'x' * 2000 if i else 'y'}"), "labels of at most 1,000"),
        ("a,b,t\n" + GOOD + "1,inf,1\n", "column 'b': expected finite .* row 61"),
        ("a,b,t\n" + GOOD + "1,1e39,1\n", "column 'b': expected finite .* row 61"),
        (
            "a,b,t\n" + GOOD + "word,6,1\n",
            "column 'a': expected numbers, received 'word' in row 61",
        ),
        ("a,b,t\n" + GOOD + "1,6,3\n", "column 't': .*examples of class 3 .*received 1"),
        ("a,b,t\n" + GOOD + "1,6,-1\n", "column 't': .*negative labels"),
        ("a,t\n" + rows(lambda i: f"{i},1"), "column 't': .*single class"),
        ("a,t\n" + rows(lambda i: f"{i},x"), "column 't': .*single class"),
    ],
)
def test_bad_csv_is_refused(tmp_path, text, message):
    refused(message, save_csv(tmp_path / "bad.csv", text), target="t")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_of_very_many_columns_are_refused_by_the_header(tmp_path, suffix):
    path = tmp_path / f"wide{suffix}"
    names = [f"c{number}" for number in range(10_001)]
    if suffix == ".csv":
        save_csv(path, ",".join(names) + "\n")
    else:
        pq.write_table(pa.table({name: [1] for name in names}), path)
    refused("wide.*: expected at most 10,000 columns, received 10,001", path, target="c0")


def test_a_table_needs_a_target_a_size_and_an_encoding(tmp_path):
    path = save_csv(tmp_path / "a.csv", "a,b,t\n" + GOOD)
    refused(r"one of the columns a, b, t, received no target; .*--target", path)
    refused("expected at most 100 bytes", path, target="t", max_bytes=100)
    (tmp_path / "latin.csv").write_bytes("a,t\n1,ä\n".encode("latin-1"))
    refused("expected text in UTF-8", tmp_path / "latin.csv", target="t")


def test_bad_parquet_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"a": np.zeros(10**6), "t": np.zeros(10**6, dtype=int)}).to_parquet(path)
    assert path.stat().st_size < 10**5
    refused("expected at most 1,000,000 bytes", path, target="t", max_bytes=10**6)
    frame = pd.DataFrame({"a": range(40), "when": pd.Timestamp("2020"), "t": [0, 1] * 20})
    frame.to_parquet(path)
    refused("column 'when': expected numbers", path, target="t")
    refused("column 'when': expected labels or numbers", path, target="when")
    content = path.read_bytes()
    for length in (0, 3, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refused("received a damaged file or another format", path, target="t")


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["x" * 5_000_000] * 60),
        pa.array(["x" * 5_000_000] * 60).dictionary_encode(),
        pa.array([b"x" * 5_000_000] * 60),
        pa.array([[0] * 1_000_000] * 60),
        pa.array([{"a": 1}] * 60),
    ],
    ids=["strings", "categories", "bytes", "lists", "records"],
)
def test_a_small_parquet_file_is_refused_before_its_values_take_much_memory(tmp_path, values):
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"a": values, "t": [0, 1] * 30}), path, compression="zstd")
    del values
    assert path.stat().st_size < 20_000
    before = pa.default_memory_pool().max_memory()
    refused("column 'a': expected (at most 500 times|a number or a string)", path, target="t")
    refused("column 'a'", path, target="t", max_bytes=100_000_000)
    assert pa.default_memory_pool().max_memory() - before < 50_000_000


@pytest.mark.parametrize(
    "values",
    [
        pa.array(range(60), pa.time64("ns")),
        pa.array([2**62 // 86_400_000 * 86_400_000] * 60, pa.date64()),
        pa.array(range(60), pa.timestamp("ns", "Atlantis/Capital")),
    ],
    ids=["times", "far dates", "unknown zone"],
)
def test_a_column_of_times_that_pandas_cannot_read_is_named_and_can_be_left_out(tmp_path, values):
    path = tmp_path / "times.parquet"
    pq.write_table(pa.table({"a": range(60), "when": values, "t": [0, 1] * 30}), path)
    refused("column 'when': expected numbers or strings, .*leave it out", path, target="t")
    assert load_dataset(path, target="t", drop="when").input_shape == (1,)


def test_columns_with_lists_are_left_out_unread(tmp_path):
    table = pa.table({"a": [[1, 2]] * 60, "b": range(60), "t": [0, 1] * 30})
    pq.write_table(table, tmp_path / "a.parquet")
    refused(
        "column 'a': expected a number or a string .*--drop", tmp_path / "a.parquet", target="t"
    )
    dataset = load_dataset(tmp_path / "a.parquet", target="t", drop="a")
    assert dataset.input_shape == (1,)
    assert any("dropped" in note and "a" in note for note in dataset.columns)


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", None])
@pytest.mark.parametrize("kind", ["string", "large_string", "string_view"])
def test_strings_are_read_however_parquet_stores_them(tmp_path, encoding, kind):
    words = pa.array(["cat", "dog", None] * 20).cast(getattr(pa, kind)())
    table = pa.table({"a.b": words, "a": range(60), "t": [0, 1] * 30})
    how = {"use_dictionary": False, "column_encoding": {"a.b": encoding}} if encoding else {}
    pq.write_table(table, tmp_path / "a.parquet", **how)
    dataset = load_dataset(tmp_path / "a.parquet", target="t")
    assert any("a.b (2 levels" in note for note in dataset.columns)


def test_the_index_of_a_data_frame_is_no_column(tmp_path):
    frame = pd.DataFrame({"a": range(60), "t": [0, 1] * 30}, index=[f"row {i}" for i in range(60)])
    frame.to_parquet(tmp_path / "a.parquet")
    assert load_dataset(tmp_path / "a.parquet", target="t").input_shape == (1,)


@pytest.mark.slow
def test_parquet_without_pyarrow_is_reported(tmp_path):
    pd.DataFrame({"a": range(40), "t": [0, 1] * 20}).to_parquet(tmp_path / "a.parquet")
    program = (
        "import sys\n"
        # None makes the import fail as it does where the package is missing.
        "sys.modules['pyarrow'] = None\n"
        "from dropout_zoo.training.data.loaders import load_dataset\n"
        "try: load_dataset('a.parquet', target='t')\n"
        "except ValueError as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert run.stdout.startswith("a.parquet: a .parquet file needs the package pyarrow"), run.stderr
    assert "pip install pyarrow" in run.stdout


# Folders of images


@pytest.mark.parametrize(
    ("modes", "shape"),
    [
        (("L",), (6, 5)),
        (("I;16",), (6, 5)),
        (("RGB",), (6, 5, 3)),
        (("L", "RGB", "I;16"), (6, 5, 3)),
    ],
)
def test_images_are_read_with_their_classes(tmp_path, modes, shape):
    dataset = load_dataset(save_images(tmp_path / "set", modes))
    assert dataset.source == "set"
    assert dataset.input_shape == shape
    assert dataset.class_names == ["b", "ä"]
    assert [sum(counts) for counts in dataset.class_counts().values()] == [12, 2, 2]
    assert 0.9 < dataset.train[0].max() <= 1
    assert 0 <= dataset.train[0].min() < 0.1


def test_image_pixels_and_classes_are_those_of_the_files(tmp_path):
    root = save_images(tmp_path / "set", ("RGB",))
    dataset = load_dataset(root)
    expected = {}
    for file in root.glob("*/*.png"):
        pixels = np.asarray(Image.open(file)).astype(np.float32) / 255
        expected[pixels.tobytes()] = file.parent.name
    for x, y in (dataset.train, dataset.validation, dataset.test):
        for image, label in zip(x, y, strict=True):
            assert expected.pop(image.tobytes()) == dataset.class_names[label]
    assert not expected


@pytest.mark.parametrize(("image_size", "shape"), [(4, (4, 4)), ((3, 4), (3, 4))])
def test_images_of_different_sizes_need_a_size(tmp_path, image_size, shape):
    root = save_images(tmp_path / "set")
    Image.new("L", (9, 7), 255).save(root / "b" / "other.png")
    with pytest.raises(DataError, match=r"other.png: expected 6 x 5 pixels .*received 7 x 9"):
        load_dataset(root)
    dataset = load_dataset(root, image_size=image_size)
    assert dataset.input_shape == shape
    assert any(
        (image == 1).all()
        for part in (dataset.train, dataset.validation, dataset.test)
        for image in part[0]
    )


@pytest.mark.parametrize("image_size", [0, -1, (1, 2, 3), 2.5, True, "28"])
def test_image_sizes_out_of_range_are_refused(tmp_path, image_size):
    with pytest.raises(ValueError, match="expected image_size to be"):
        load_dataset(save_images(tmp_path / "set", number=1), image_size=image_size)


def add_empty_class(root):
    (root / "z").mkdir()


def add_nested_folder(root):
    (root / "b" / "nested").mkdir()


def add_image_beside(root):
    Image.new("L", (5, 6)).save(root / "x.png")


def add_text(root):
    (root / "b" / "x.png").write_text("no image")


def add_empty_file(root):
    (root / "b" / "x.jpg").touch()


def add_postscript(root):
    (root / "b" / "x.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 6\n")


def add_corrupt_jpeg(root):
    Image.fromarray(RNG.integers(0, 256, (6, 5, 3)).astype(np.uint8)).save(root / "b" / "x.jpg")
    content = (root / "b" / "x.jpg").read_bytes()
    (root / "b" / "x.jpg").write_bytes(content[: len(content) * 3 // 4])


def add_floats(root):
    Image.fromarray(np.ones((6, 5), dtype=np.float32)).save(root / "b" / "x.tif")


def add_link_out(root):
    Image.new("L", (5, 6)).save(root.parent / "secret.png")
    (root / "b" / "x.png").symlink_to(root.parent / "secret.png")


def add_linked_folder(root):
    save_images(root.parent / "elsewhere", classes=("c",))
    (root / "x").symlink_to(root.parent / "elsewhere" / "c")


def add_link_to_itself(root):
    (root / "b" / "x.png").symlink_to("x.png")


def add_broken_link(root):
    (root / "b" / "x.png").symlink_to("missing.png")


def add_pipe(root):
    os.mkfifo(root / "b" / "x.png")


def add_animation(root, suffix="gif"):
    frames = [Image.new("L", (5, 6), gray) for gray in (0, 100, 200)]
    frames[0].save(root / "b" / f"x.{suffix}", save_all=True, append_images=frames[1:])


def add_large_image(root):
    Image.new("1", (12000, 9000)).save(root / "b" / "x.png")


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (add_empty_class, "z: expected images .*received none"),
        (add_nested_folder, "nested: .*a directory inside that of a class"),
        (add_image_beside, "x.png: .*next to the subdirectories"),
        (add_text, "x.png: .*damaged"),
        (add_empty_file, "x.jpg: .*damaged"),
        (add_postscript, "x.png: .*damaged"),
        (add_corrupt_jpeg, "x.jpg: .*damaged"),
        (add_floats, "x.tif: expected an image of 8 or 16 bits"),
        pytest.param(add_link_out, "x.png: .*received a link out of it", marks=pytest.mark.posix),
        pytest.param(add_linked_folder, "x: .*received a link out of it", marks=pytest.mark.posix),
        pytest.param(add_link_to_itself, "loop", marks=pytest.mark.posix),
        pytest.param(add_broken_link, "x.png: .*not a regular file", marks=pytest.mark.posix),
        (add_pipe, "x.png: .*not a regular file"),
        (add_large_image, "x.png: .*bomb"),
        (add_animation, "x.gif: expected a still image, received several"),
        (partial(add_animation, suffix="png"), "x.png: expected a still image, received several"),
        (partial(add_animation, suffix="webp"), "x.webp: expected a still image, received several"),
        (partial(add_animation, suffix="tif"), "x.tif: expected a still image, received several"),
    ],
)
def test_bad_images_are_refused(tmp_path, add, message):
    root = save_images(tmp_path / "set")
    add(root)
    refused(message, root)


def test_a_tiff_file_of_many_pages_is_refused_by_the_first(tmp_path):
    root = save_images(tmp_path / "set")
    page = struct.pack("<H" + "HHII" * 4, 4, 256, 3, 1, 5, 257, 3, 1, 6, 262, 3, 1, 1, 273, 4, 1, 8)
    starts = [8 + number * (len(page) + 4) for number in range(20_000)]
    pages = b"".join(page + struct.pack("<I", start) for start in [*starts[1:], 0])
    (root / "b" / "x.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + pages)
    before = time.process_time()
    refused("x.tif: expected a still image, received several", root)
    assert time.process_time() - before < 1


def test_directories_without_two_classes_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    refused("expected one subdirectory of images per class", tmp_path / "empty")
    refused(r"single class \(one\)", save_images(tmp_path / "single", classes=("one",)))
    refused("examples of class b .*received 2", save_images(tmp_path / "few", number=2))
    refused("at most 100 bytes", save_images(tmp_path / "large"), max_bytes=100)


@pytest.mark.posix
def test_links_inside_the_directory_and_hidden_files_are_harmless(tmp_path):
    root = save_images(tmp_path / "set")
    (root / "b" / "again.png").symlink_to("1.png")
    (root / "b" / ".hidden").touch()
    (root / "README.txt").touch()
    assert sum(map(sum, load_dataset(root).class_counts().values())) == 17


def test_small_files_of_large_images_are_refused_before_they_are_decoded(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.new("L", (5000, 2000)).save(tmp_path / name / f"{number}.png")
    assert refused("expected at most 2,000 times its size in the file", tmp_path)
    dataset = load_dataset(tmp_path, image_size=8)
    assert dataset.input_shape == (8, 8)


def test_small_images_may_be_enlarged(tmp_path):
    root = save_images(tmp_path / "set", number=15)
    assert load_dataset(root, image_size=1500).input_shape[:2] == (1500, 1500)


def test_names_do_not_reach_a_terminal_as_escapes(tmp_path):
    red = "\x1b[31mred"
    root = save_images(tmp_path / red, classes=(red, "b"), number=2)
    assert "class \\x1b[31mred" in refused("received 2", root)
    path = save_csv(tmp_path / "a.csv", f"{red},t\n" + rows(lambda i: f"{i},1"))
    assert "columns \\x1b[31mred, t" in refused("received no target", path)


def test_messages_stay_on_one_line_whatever_the_names(tmp_path):
    root = save_images(tmp_path / "set", classes=("two\nlines", "b"), number=2)
    assert "\n" not in refused("received 2", root)
