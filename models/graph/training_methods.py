"""Methods of training that the class of a model overrides."""

from __future__ import annotations

from collections.abc import Sequence

import keras

IN_STEPS = (
    "train_step", "test_step", "compute_loss", "compute_metrics", "reset_metrics",
    "get_metrics_result", "metrics",
)  # fmt: skip
"""What a step of training calls, or is."""


def overridden_method(model: keras.Model, names: Sequence[str]) -> str | None:
    """Return the first of some methods of `keras.Model` that a model overrides.

    Args:
        model: a model.
        names: names of methods and properties.

    Returns:
        Its name; None if there is none.
    """
    for name in names:
        if getattr(type(model), name) is not getattr(keras.Model, name):
            return name
    return None
