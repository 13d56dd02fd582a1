"""Saved models that hold layers and optimizers of this zoo."""

from __future__ import annotations

import importlib
from pathlib import Path

import keras

# Keras finds a class that a file names once the module that registers it has been imported.
_REGISTERING = (
    "architectures.optimizers",
    "layers.concrete_dropout",
    "layers.drop_block",
    "layers.drop_connect",
    "layers.maxout",
    "layers.position_embedding",
    "layers.runtime_rate",
    "layers.stochastic_depth",
)


def load_saved_model(path: str | Path, *, compile: bool = True) -> keras.Model:
    """Load a model as `keras.saving.load_model` does, the zoo's own layers and optimizers known.

    Args:
        path: a ``.keras`` file.
        compile: whether to compile the model as it was compiled.

    Returns:
        What the file holds.

    Raises:
        ValueError: the file holds no model, or a class that neither Keras nor this zoo has.
    """
    for module in _REGISTERING:
        importlib.import_module(f"dropout_zoo.models.{module}")
    return keras.saving.load_model(path, compile=compile, safe_mode=True)
