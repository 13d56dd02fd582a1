"""Where the numbers of a training come from: versions and data, as plain data for records."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from dropout_zoo.training.dataset import Dataset


def versions() -> dict[str, str]:
    """Give the versions of what decides the numbers.

    Returns:
        Version by name of the package, with Python and the Keras backend.
    """
    packages = ("dropout-zoo", "keras", "keras-tuner", "numpy", keras.backend.backend())
    return {
        "python": platform.python_version(),
        "backend": keras.backend.backend(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """Say which data a training saw.

    Args:
        dataset: the data.

    Returns:
        Source, fingerprint, and number of examples of each part.
    """
    return {
        "source": dataset.source,
        "fingerprint": dataset.fingerprint(),
        "examples": {
            part: len(getattr(dataset, part)[0]) for part in ("train", "validation", "test")
        },
    }
