"""Loading of saved models with the layers and optimizers of this package."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import keras

from dropout_zoo.models.keras_internals import limited_variables
from dropout_zoo.models.saved_file import stored_values
from dropout_zoo.models.wording import object_of, one_line

LONGEST_REASON = 400
"""Characters of what Keras says about a file."""

MAX_VALUES_PER_STORED = 10
SPARE_VALUES = 1_000_000
"""How many values a model may have for each in its file, and besides.

A compiled model that was saved before its training has those of the optimizer, which are up to a
few for each parameter, in addition to those in the file.
"""

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
        ValueError: the file contains no model; it contains a class that neither Keras nor this
            package defines; or it asks for far more memory or parameters than its weights hold. The
            message, one line, names the file.

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
    try:
        limit = SPARE_VALUES + MAX_VALUES_PER_STORED * stored_values(Path(path))
        model = _load_limited(path, compile, limit)
        if not isinstance(model, keras.Model):
            raise ValueError(f"expected a model in it, received {object_of(model)}")
    except Exception as error:  # the contents of the file may raise anything
        # Keras puts the configuration of all enclosing layers before the reason.
        reason = str(error).rpartition("Exception encountered: ")[2]
        reason = reason if type(error) is ValueError else f"{type(error).__name__}: {reason}"
        raise ValueError(
            one_line(
                f"expected a Keras model that loads in safe mode, received {path}: "
                f"{one_line(reason, LONGEST_REASON)}; save it again with model.save, or give a "
                "model with custom code as package.module:function"
            )
        ) from error
    return model


def _load_limited(path: str | Path, compile: bool, limit: int) -> Any:
    with limited_variables(limit) as count:
        try:
            return keras.saving.load_model(path, compile=compile, safe_mode=True)
        except Exception:
            if count.values > limit:
                raise ValueError(
                    f"expected at most {limit:,} parameters, by the weights in the file, received "
                    f"a configuration that asks for {count.values:,} or more"
                ) from None
            raise
