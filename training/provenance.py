"""Where the numbers of a training come from: versions and data, as plain data for records."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from dropout_zoo.models.argument_validation import plain_values
from dropout_zoo.models.graph.fingerprint import model_fingerprint

if TYPE_CHECKING:
    from dropout_zoo.training.data.dataset import Dataset


def versions() -> dict[str, str]:
    """Give the versions of what decides the numbers.

    Returns:
        Version by name of the package, with Python and the Keras backend; of TensorFlow also the
        variable that decides whether its kernels are oneDNN's.
    """
    packages = ("dropout-zoo", "keras", "keras-tuner", "numpy", keras.backend.backend())
    kernels = "TF_ENABLE_ONEDNN_OPTS"
    return {
        "python": platform.python_version(),
        "backend": keras.backend.backend(),
        **{package: importlib.metadata.version(package) for package in packages},
        **(
            {kernels: os.environ.get(kernels, "default")}
            if keras.backend.backend() == "tensorflow"
            else {}
        ),
    }


def describe_model(model: keras.Model, initial_weights: str) -> dict[str, Any]:
    """Say which model was trained.

    Args:
        model: the model.
        initial_weights: ``"fresh"``, or ``"keep"`` where its own weights decide too.

    Returns:
        Name, number of parameters, and fingerprints of structure and, if they decide, weights.
    """
    described = {
        "name": model.name,
        "parameters": model.count_params(),
        "structure": model_fingerprint(model),
    }
    if initial_weights == "keep":
        digest = hashlib.sha256()
        for array in model.get_weights():
            digest.update(np.ascontiguousarray(array).tobytes())
        described["weights"] = digest.hexdigest()[:16]
    return described


def as_json(value: Any) -> Any:
    """NumPy's numbers and arrays as what JSON can hold, in dictionaries and sequences too."""
    if isinstance(value, Mapping):
        return {plain_values(key): as_json(each) for key, each in value.items()}
    value = plain_values(value)
    return [as_json(each) for each in value] if isinstance(value, list | tuple) else value


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
