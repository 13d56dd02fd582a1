"""Methods of training that the class of a model overrides."""

from __future__ import annotations

from collections.abc import Sequence

import keras

IN_STEPS = (
    "train_step", "test_step", "compute_loss", "compute_metrics", "reset_metrics",
    "get_metrics_result", "metrics",
)  # fmt: skip
"""What a step of training calls, or is."""

TEST_STEP = "test_step(self, data), which returns the loss of validation examples"
"""The method that a model lacks whose training step alone computes the loss, in messages."""


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


def computes_loss_in_training_only(model: keras.Model) -> bool:
    """Whether a model has a step of training of its own, and evaluates as `keras.Model` does."""
    if overridden_method(model, ["train_step"]) is None:
        return False
    return overridden_method(model, ["test_step", "compute_loss"]) is None


def check_has_call(model: keras.Model) -> None:
    """Check that a model can be called, as measuring its copies requires.

    Args:
        model: a model.

    Raises:
        ValueError: its class has no `call`; the message says what to add.
    """
    if overridden_method(model, ["call"]) is not None:
        return
    missing = "call(self, inputs)"
    if computes_loss_in_training_only(model):
        missing += f", and {TEST_STEP}"
    raise ValueError(
        f"expected a model that can be called, received {model.name!r}, whose class "
        f"{type(model).__name__} has no call method; add {missing}"
    )
