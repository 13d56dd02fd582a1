"""Private functions of TensorFlow that `dropout_zoo.models` uses.

Each is tested in `tests/models/test_tensorflow_internals.py`, so that a version of TensorFlow that
changes one fails there with a clear message.
"""

from __future__ import annotations

from typing import Any

_CONCRETE_FUNCTIONS = "_list_all_concrete_functions"


def is_traceable(function: Any) -> bool:
    """Whether an object is a `tf.function`; its class has no public name."""
    return hasattr(function, _CONCRETE_FUNCTIONS)


def concrete_functions(function: Any) -> list[Any]:
    """The graphs that a `tf.function` has been traced to so far.

    The public `get_concrete_function` traces one more and does not list those that exist.
    """
    return list(getattr(function, _CONCRETE_FUNCTIONS)())
