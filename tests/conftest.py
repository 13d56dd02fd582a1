"""What tests share: a small real dataset, and the file of MNIST where there is one."""

import gc
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest

from dropout_zoo.training import Dataset, load_dataset, prepare_threads

if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
    prepare_threads()  # before any test makes a model; see test_loops.py


# Seconds allowed for tests of these kinds, unless a test sets a limit of its own.
LIMITS = {"nightly": 4 * 3600, "slow": 1200}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if os.name == "nt" and item.get_closest_marker("posix"):
            item.add_marker(pytest.mark.skip(reason="needs a POSIX system"))
        limits = [LIMITS[kind] for kind in LIMITS if item.get_closest_marker(kind)]
        if limits and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(max(limits)))


def pytest_collection_finish() -> None:
    # What the imports left, about a million objects, need not be searched for garbage again.
    gc.collect()
    gc.freeze()


# Keras draws seeds that are not given from Python's generator: each test and each fixture has the
# same ones, whatever ran before.
@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup() -> None:
    random.seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    random.seed(0)


@pytest.fixture
def interrupts_enabled() -> Iterator[None]:
    """Restore the default handler of SIGINT.

    A shell's background jobs ignore SIGINT, and child processes inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="session")
def few_digits(digits: Dataset) -> Dataset:
    """A hundred and fifty digits to train on: an epoch takes a moment, the last batch is short."""
    (x, y), validation, test = digits.train, digits.validation, digits.test
    keep = np.sort(np.random.default_rng(0).permutation(len(x))[:150])
    return Dataset.from_arrays(
        train=(x[keep], y[keep]),
        validation=(validation[0][:90], validation[1][:90]),
        test=(test[0][:90], test[1][:90]),
        source="digits",
    )


@pytest.fixture
def no_constant_folding() -> Iterator[None]:
    """TensorFlow folds the scale of plain dropout, a constant, into other constants beside it."""
    import tensorflow as tf

    before = tf.config.optimizer.get_experimental_options().get("constant_folding", True)
    tf.config.optimizer.set_experimental_options({"constant_folding": False})
    yield
    tf.config.optimizer.set_experimental_options({"constant_folding": before})


@pytest.fixture(scope="session")
def mnist_path() -> Path:
    """The file that DROPOUT_ZOO_MNIST names."""
    path = os.environ.get("DROPOUT_ZOO_MNIST")
    if not path:
        pytest.skip("needs MNIST: set DROPOUT_ZOO_MNIST to an mnist.npz in the layout of Keras")
    return Path(path)
