"""Loading of saved models with the layers and optimizers of this package."""

from __future__ import annotations

import importlib
from pathlib import Path

import keras

# The modules that register classes with Keras: importing them lets Keras find the classes.
_REGISTERING = (
    "architectures.optimizers",
    "layers.concrete_dropout",
    "layers.drop_block",
    "layers.drop_connect",
    "layers.maxout",
    "layers.position_embedding",
    "layers.runtime_rate",
    "layers.runtime_rate_attention",
    "layers.runtime_rate_cells",
    "layers.stochastic_depth",
)


def load_saved_model(path: str | Path, *, compile: bool = True) -> keras.Model:
    """Load a model like `keras.saving.load_model`, including this package's layers and optimizers.

    Args:
        path: a ``.keras`` file.
        compile: whether to compile the model as it was compiled before.

    Returns:
        The model.

    Raises:
        ValueError: the file does not contain a model, or it contains a class that neither Keras nor
            this package defines.

    Example:
        >>> import os, tempfile
        >>> from dropout_zoo.models import build_mlp, load_saved_model
        >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
        >>> build_mlp().save(path)
        >>> load_saved_model(path).name
        'mlp'
    """
    for module in _REGISTERING:
        importlib.import_module(f"dropout_zoo.models.{module}")
    return keras.saving.load_model(path, compile=compile, safe_mode=True)
