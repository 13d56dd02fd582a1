"""What a `tf.data.Dataset` costs over arrays: read into memory once, and streamed.

    python benchmarks/data_sources.py [--mnist mnist.npz] [--only NAME] [--repeat 3]

Trains the same members of a model on the same examples, given as arrays or as a source of batches.
Reading the source and tracing count; imports do not. Prints a table: seconds and CPU seconds, each
the smallest of the rounds, in which the contenders take turns, and the ratio to the arrays.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

from dropout_zoo.training import start_keras

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
start_keras()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from dropout_zoo.models import build_cnn, build_mlp  # noqa: E402
from dropout_zoo.training import Dataset, Member, as_dataset, train_members  # noqa: E402


class Work(NamedTuple):
    """Members to train: the model, examples, members, epochs and batch size."""

    name: str
    build: Callable[[], keras.Model]
    examples: int
    members: int
    epochs: int
    batch_size: int


WORKS = (
    Work("documented MLP", build_mlp, 25_600, 4, 5, 128),
    Work("documented CNN", build_cnn, 3_840, 2, 2, 128),
)
Arrays = tuple[np.ndarray, np.ndarray]


def main() -> None:
    """Run all contenders on all works and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", default=os.environ.get("DROPOUT_ZOO_MNIST"))
    parser.add_argument("--repeat", type=int, default=3, help="number of rounds")
    parser.add_argument("--only", default="", help="run only works whose names contain this")
    arguments = parser.parse_args()
    with np.load(arguments.mnist) as file:
        x, y = file["x_train"].astype("float32") / 255, file["y_train"].astype("int32")
    warnings.simplefilter("ignore")  # that streamed sources are trained by Model.fit
    print("| work | input | s | CPU s | ratio | ratio of CPU s |\n|---|---|---|---|---|---|")
    for work in WORKS:
        if arguments.only not in work.name:
            continue
        given = x[: work.examples], y[: work.examples]
        validation = x[-1_000:], y[-1_000:]
        rounds = [
            {name: seconds_of(work, contender, given, validation)
             for name, contender in CONTENDERS.items()}
            for _ in range(arguments.repeat)
        ]  # fmt: skip
        best = {name: np.min([each[name] for each in rounds], axis=0) for name in CONTENDERS}
        for name, seconds in best.items():
            base = best["Model.fit on arrays" if name == "tf.data, streamed" else "arrays"]
            wall, cpu = seconds / base
            print(
                f"| {work.name} | {name} | {seconds[0]:.1f} | {seconds[1]:.1f} | {wall:.2f} "
                f"| {cpu:.2f} |"
            )


def compiled(work: Work) -> keras.Model:
    """The model of a work, which takes labels as they are."""
    model = work.build()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def in_batches(work: Work, given: Arrays) -> tf.data.Dataset:
    """The examples as a source of batches, shuffled as one would for `Model.fit`."""
    source = tf.data.Dataset.from_tensor_slices(given)
    return source.shuffle(len(given[0]), seed=0).batch(work.batch_size).prefetch(tf.data.AUTOTUNE)


def in_memory(work: Work, given: Arrays, validation: Arrays) -> Dataset:
    """The source, which is read once."""
    return as_dataset(in_batches(work, given), validation_data=validation)


def streamed(work: Work, given: Arrays, validation: Arrays) -> Dataset:
    """The source, on which `Model.fit` trains."""
    return as_dataset(in_batches(work, given), validation_data=validation, max_bytes=0)


def arrays(work: Work, given: Arrays, validation: Arrays) -> Dataset:
    """The arrays themselves."""
    return as_dataset(*given, validation_data=validation)


def train(work: Work, data: Dataset) -> None:
    """Train the members."""
    members = [Member({}, seed) for seed in range(work.members)]
    train_members(compiled(work), members, data, epochs=work.epochs, batch_size=work.batch_size)


def fit(work: Work, given: Arrays, validation: Arrays) -> None:
    """Train and measure as streamed members are, by stock `Model.fit` on arrays."""
    sample = tuple(each[: len(validation[0])] for each in given)
    for _ in range(work.members):
        model = compiled(work)
        for _ in range(work.epochs):
            model.fit(*given, batch_size=work.batch_size, verbose=0)
            model.evaluate(*sample, batch_size=256, verbose=0)
            model.evaluate(*validation, batch_size=256, verbose=0)


CONTENDERS: dict[str, Callable[[Work, Arrays, Arrays], None]] = {
    "arrays": lambda work, *parts: train(work, arrays(work, *parts)),
    "tf.data, read once": lambda work, *parts: train(work, in_memory(work, *parts)),
    "Model.fit on arrays": fit,
    "tf.data, streamed": lambda work, *parts: train(work, streamed(work, *parts)),
}


def seconds_of(
    work: Work,
    contender: Callable[[Work, Arrays, Arrays], None],
    given: Arrays,
    validation: Arrays,
) -> tuple[float, float]:
    """Return the seconds that a contender takes, and its CPU seconds."""
    keras.utils.clear_session()
    started = time.perf_counter(), time.process_time()
    contender(work, given, validation)
    return time.perf_counter() - started[0], time.process_time() - started[1]


if __name__ == "__main__":
    main()
