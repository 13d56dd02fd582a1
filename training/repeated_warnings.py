"""Warnings that several trainings of one run would repeat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dropout_zoo.models.caller_warnings import warn_caller

_TOLD: ContextVar[set[str] | None] = ContextVar("told", default=None)


@contextmanager
def each_warning_once() -> Iterator[None]:
    """Give each warning of `warn_once` once until the block, or the decorated function, ends.

    Python itself tells warnings apart by the line of code that they are attributed to, so that it
    repeats those of the phases of a search.
    """
    if _TOLD.get() is not None:  # the run around this one tells
        yield
        return
    token = _TOLD.set(set())
    try:
        yield
    finally:
        _TOLD.reset(token)


def warn_once(message: str) -> None:
    """Warn, unless the run has given the same warning before.

    Args:
        message: the message.
    """
    told = _TOLD.get()
    if told is not None:
        if message in told:
            return
        told.add(message)
    warn_caller(message)
