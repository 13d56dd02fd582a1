"""Warnings that several trainings of one run would repeat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dropout_zoo.models.caller_warnings import warn_caller

_ISSUED: ContextVar[set[str] | None] = ContextVar("issued", default=None)


@contextmanager
def each_warning_once() -> Iterator[None]:
    """Give each warning of `warn_once` once until the block, or the decorated function, ends.

    Python itself tells warnings apart by the line of code that they are attributed to, so that it
    repeats those of the phases of a search.
    """
    if _ISSUED.get() is not None:  # the enclosing run keeps track
        yield
        return
    token = _ISSUED.set(set())
    try:
        yield
    finally:
        _ISSUED.reset(token)


def warn_once(message: str) -> None:
    """Warn, unless the run has given the same warning before.

    Args:
        message: the message.
    """
    issued = _ISSUED.get()
    if issued is not None:
        if message in issued:
            return
        issued.add(message)
    warn_caller(message)
