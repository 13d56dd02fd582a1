"""States that a call may change, set back after it: those that a process shares, and variables."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np

from dropout_zoo.models.keras_internals import global_seed_generator


@contextmanager
def random_states_restored() -> Iterator[None]:
    """Set the generators of Python, NumPy and Keras back to their states when the block ends."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    keras_state = keras.ops.convert_to_numpy(global_seed_generator().state)
    try:
        yield
    finally:
        global_seed_generator().state.assign(keras_state)
        random.setstate(python_state)
        np.random.set_state(numpy_state)


@contextmanager
def variables_restored(variables: Sequence[keras.Variable]) -> Iterator[None]:
    """Set variables, such as statistics and the states of seed generators, back at the end.

    Args:
        variables: the variables.

    Yields:
        Nothing.
    """
    before = [(variable, keras.ops.convert_to_numpy(variable)) for variable in variables]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)
