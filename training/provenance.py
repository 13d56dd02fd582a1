"""Where the numbers of a training run come from: versions, model and data, as plain data."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from dropout_zoo.models.argument_validation import plain_values
from dropout_zoo.models.graph.fingerprint import model_fingerprint
from dropout_zoo.models.graph.model_graph import flat_layers, has_fixed_weights

if TYPE_CHECKING:
    from dropout_zoo.training.data.dataset import Dataset


def versions() -> dict[str, str]:
    """Return the versions of everything on which numbers depend.

    Returns:
        Versions by package, with Python and the Keras backend; for TensorFlow also the
        environment variable that selects oneDNN's kernels.
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


def processor_name() -> str:
    """Return the name of the processor, on which times and the last bits of numbers depend."""
    with suppress(OSError):  # Linux alone has this file, and there `platform` knows no name
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe_model(model: keras.Model, initial_weights: str) -> dict[str, Any]:
    """Describe a model for a record.

    Args:
        model: the model.
        initial_weights: as in `TrainSettings`.

    Returns:
        Name, number of parameters, and fingerprints of the structure and of the weights that every
        run starts from: all of them with ``"keep"``, otherwise those of frozen and adapted layers,
        if there are any.
    """
    described = {
        "name": model.name,
        "parameters": model.count_params(),
        "structure": model_fingerprint(model),
    }
    fixed = [layer for layer in flat_layers(model) if has_fixed_weights(layer)]
    weights = [array for layer in fixed for array in layer.get_weights()]
    if initial_weights == "keep":
        weights = model.get_weights()
    if weights:
        digest = hashlib.sha256()
        for array in weights:
            digest.update(np.ascontiguousarray(array).tobytes())
        described["weights"] = digest.hexdigest()[:16]
    return described


def as_json(value: Any) -> Any:
    """Convert NumPy's numbers and arrays, also inside mappings and sequences, for JSON."""
    if isinstance(value, Mapping):
        return {plain_values(key): as_json(each) for key, each in value.items()}
    value = plain_values(value)
    return [as_json(each) for each in value] if isinstance(value, list | tuple) else value


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """Describe a dataset for a record.

    Args:
        dataset: the data.

    Returns:
        Source, fingerprint, number of examples per part, and what the columns of a table were taken
        for.
    """
    columns = {"columns": list(dataset.columns)} if dataset.columns else {}
    return {
        "source": dataset.source,
        "fingerprint": dataset.fingerprint(),
        "examples": {name: dataset.num_examples(name) for name in dataset.parts()},
        **columns,
    }
