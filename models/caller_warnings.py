"""Warnings about what the user's code does, which name its line."""

from __future__ import annotations

import inspect
import warnings

# This package, and what calls it between the user's line and the code that warns.
_PASSED_OVER = ("dropout_zoo", "keras", "keras_tuner", "contextlib")


def warn_caller(message: str) -> None:
    """Warn with the line at which the user's code calls this package.

    Args:
        message: the message.

    Warns:
        UserWarning: always.
    """
    # From Python 3.12 on, `skip_file_prefixes` does this.
    frame, level = inspect.currentframe(), 1
    while frame and frame.f_globals.get("__name__", "").split(".")[0] in _PASSED_OVER:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
