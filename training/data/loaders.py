"""Loads named datasets, files and directories."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dropout_zoo.models.argument_validation import check_count, did_you_mean
from dropout_zoo.training.data.array_checks import DataError, RawExamples, RawPart
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.partition import partition
from dropout_zoo.training.data.readers.csv_reader import read_csv
from dropout_zoo.training.data.readers.image_folder import read_image_folder
from dropout_zoo.training.data.readers.npz_reader import read_npz
from dropout_zoo.training.data.readers.parquet_reader import read_parquet
from dropout_zoo.training.data.sources.batches import MAX_BYTES
from dropout_zoo.training.data.synthetic_text import make_topics
from dropout_zoo.training.data.tables.columns import ColumnOptions, table_part
from dropout_zoo.training.defaults import SPLIT, Task

KERAS_SETS = ("mnist", "fashion_mnist", "cifar10")
NAMED_SETS = ("digits", "noisy_digits", "topics", "synthetic_table", *KERAS_SETS)
TABLES = (".csv", ".parquet")
PATHS = "a .npz, .csv or .parquet file, or a directory of images with one subdirectory per class"
DOWNLOAD_TIMEOUT = 20.0

NOISE = 0.4
"""Standard deviation of the noise in `noisy_digits`, whose pixels are in [0, 1] without it."""


def load_dataset(
    source: str | Path = "digits",
    *,
    target: str | None = None,
    drop: str | Sequence[str] = (),
    text: str | Sequence[str] = (),
    image_size: int | Sequence[int] | None = None,
    task: Task | None = None,
    seed: int = 0,
    split: Sequence[float] = SPLIT,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Load a named dataset, a file or a directory of images, and split it.

    If the source has a test set, it is used as such, and the rest is split into training and
    validation set in their proportion in `split`. A `.npz` with a validation set is not split, and
    has a test set only if the file does. Images and the `uint8` inputs of a `.npz` are scaled to
    [0, 1], which `Dataset.describe` says, unlike arrays that are given in Python; all other numbers
    are converted to float32 without scaling.

    If `task` is None, strings, booleans and categories are classes, and floats are targets of a
    regression. Integers are class numbers from 0 in a `.npz`. In a table, integers are classes if
    there are at most 100 distinct values, fewer than half the number of rows; they are then
    numbered in sorted order and become the class names.

    Args:
        source: `digits` (embedded; scans resized to 28 x 28), `noisy_digits` (the same scans in
            their own 8 x 8 pixels with noise added, so that networks overfit and dropout matters),
            `topics` (generated sequences of 32 tokens; see `make_topics`), `synthetic_table` (1,500
            generated rows of 100 features, 60 of which say nothing about the five classes),
            `mnist`, `fashion_mnist` or `cifar10` (downloaded by Keras), or the path of a `.npz`
            (`x_train`, `y_train` and `x_val`, `y_val`, `x_test`, `y_test`, or one of these two
            sets; or `x`, `y`), a `.csv`, a `.parquet`, or a directory of images with one
            subdirectory per class.
        target: target column of a table.
        drop: columns of a table that are left out, one name or several.
        text: columns of a table that hold free text; the features are the words that occur in it.
        image_size: ``(height, width)`` in pixels, or one number for both, to resize the images of
            a directory.
        task: ``"classification"`` or ``"regression"``; None infers it. ``"reconstruction"`` uses
            the inputs as targets, and the labels only to stratify the split.
        seed: seed of the split, from 0 to 2**32 - 1.
        split: fractions of training, validation and test set, larger than 0, with sum 1; two
            fractions for a training and a validation set only.
        max_bytes: largest size of the data, uncompressed, in bytes.

    Returns:
        The data in three parts, or in two if there is no test set; stratified by class.

    Raises:
        DataError: the data are missing, damaged, too large or not usable.
        ValueError: an option is out of range.

    Example:
        >>> from dropout_zoo.training import load_dataset
        >>> data = load_dataset("digits")
        >>> print(data.describe().splitlines()[0])
        digits: classification, 10 classes, input (28, 28)
        >>> len(data.train[1]), len(data.validation[1]), len(data.test[1])
        (1257, 270, 270)
    """
    examples = read_examples(
        source,
        options=ColumnOptions.of(target, drop, text),
        image_size=image_size,
        max_bytes=max_bytes,
    )
    return partition(examples, split=split, seed=seed, task=task, source=name_of(source))


def names_table(source: str | Path) -> bool:
    """Return whether a source is a table, by its name."""
    return source not in NAMED_SETS and Path(source).suffix.lower() in TABLES


def name_of(source: str | Path) -> str:
    """Return the name of a source in reports: that of the named dataset, or of the file."""
    return str(source) if source in NAMED_SETS else Path(source).name


def read_examples(
    source: str | Path,
    *,
    options: ColumnOptions,
    image_size: int | Sequence[int] | None = None,
    max_bytes: int = MAX_BYTES,
) -> RawExamples:
    """Read a source without splitting it; the arguments are those of `load_dataset`."""
    check_count(max_bytes, "max_bytes")
    path = Path(source)
    try:
        is_folder = source not in NAMED_SETS and path.is_dir()
        is_file = path.is_file()
    except OSError as error:  # such as a name that is too long
        raise DataError(
            f"{source}: expected {', '.join(NAMED_SETS)}, or {PATHS}; received a path that cannot "
            f"be used: {error.strerror}"
        ) from None
    _check_options(source, options, image_size, is_folder=is_folder)
    if source in ("digits", "noisy_digits"):
        return _read_digits(str(source))
    if source == "topics":
        tokens, topics = make_topics()
        return RawExamples((RawPart("topics: tokens", tokens, "topics: labels", topics),))
    if source == "synthetic_table":
        return _make_table(str(source))
    if source in NAMED_SETS:
        return _download(str(source))
    if is_folder:
        return read_image_folder(path, image_size=image_size, max_bytes=max_bytes)
    if not is_file:
        fault = "something that is not a regular file" if path.exists() else "no such file"
        raise DataError(
            f"{source}: expected {', '.join(NAMED_SETS)}, or {PATHS}; received {fault}"
            f"{did_you_mean(str(source), NAMED_SETS)}"
        )
    if names_table(source):
        return _read_table(path, options, max_bytes)
    if path.suffix.lower() == ".npz":
        return read_npz(path, max_bytes=max_bytes)
    raise DataError(f"{source}: expected {PATHS}; received a file ending in {path.suffix!r}")


def _read_table(path: Path, options: ColumnOptions, max_bytes: int) -> RawExamples:
    """Read a table as one part; integer targets name classes, so that gaps between them close."""
    if path.suffix.lower() == ".csv":
        frame = read_csv(path, max_bytes=max_bytes)
    else:
        unread = [name for name in options.drop if name != options.target]
        frame = read_parquet(path, drop=unread, max_bytes=max_bytes)
    part, task, columns = table_part(str(path), frame, options)
    return RawExamples((part,), numbered=False, task=task, columns=columns)


def _check_options(
    source: str | Path,
    options: ColumnOptions,
    image_size: int | Sequence[int] | None,
    *,
    is_folder: bool,
) -> None:
    if options.given() and not names_table(source):
        option = options.given()[0]
        raise DataError(
            f"{source}: expected no {option} (--{option}) for data that are not a .csv or .parquet "
            f"file, received {getattr(options, option)!r}"
        )
    if image_size is not None and not is_folder:
        raise DataError(
            f"{source}: expected no image_size (--image-size) for data that are not a directory of "
            f"images, received {image_size!r}"
        )


def _read_digits(name: str) -> RawExamples:
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = digits.images.astype(np.float32) / 16
    if name == "noisy_digits":
        noise = np.random.default_rng(0).normal(scale=NOISE, size=x.shape)
        x = x + noise.astype(np.float32)
    else:
        x = np.clip(zoom(x, (1, 3.5, 3.5), order=1), 0, 1)
    return RawExamples((RawPart(f"{name}: images", x, f"{name}: labels", digits.target),))


def _make_table(name: str) -> RawExamples:
    from sklearn.datasets import make_classification

    x, classes = make_classification(
        n_samples=1500,
        n_features=100,
        n_informative=20,
        n_redundant=20,
        n_classes=5,
        class_sep=1.5,
        flip_y=0.02,
        random_state=0,
    )
    return RawExamples((RawPart(f"{name}: features", x, f"{name}: classes", classes),))


def _download(name: str) -> RawExamples:
    # Imported here because it takes seconds, and only these sets need it.
    import keras

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:
        # Keras raises a plain Exception if the download fails.
        raise DataError(
            f"{name}: expected a successful download, received {error}; offline, use digits, or "
            f"{PATHS}"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    return RawExamples(
        (
            RawPart(f"{name}: x_train", train[0], f"{name}: y_train", train[1]),
            RawPart(f"{name}: x_test", test[0], f"{name}: y_test", test[1]),
        ),
        pixels=True,
    )
