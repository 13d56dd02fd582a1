"""Interrupts that do not get lost.

Python ignores exceptions that are raised during garbage collection, and a `KeyboardInterrupt` is
no exception to that. Libraries that clean up there make it happen now and then.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Not a `threading.Event`: setting it takes a lock, for which a second signal would wait forever.
_asked: list[int] = []


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `KeyboardInterrupt` on SIGINT and SIGTERM, and again in `check_interrupt`.

    Other exceptions into which libraries turn a `KeyboardInterrupt`, such as `SystemError`, leave
    the context as `KeyboardInterrupt`. For the main thread, as all signal handlers; the previous
    handlers are restored at the end.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        _asked.append(number)
        raise KeyboardInterrupt

    def report(ignored: sys.UnraisableHookArgs) -> None:
        if ignored.exc_type is not KeyboardInterrupt:  # `check_interrupt` raises that
            report_before(ignored)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    report_before, sys.unraisablehook = sys.unraisablehook, report
    try:
        yield
    except Exception as error:
        if _asked:
            raise KeyboardInterrupt from error
        raise
    finally:
        sys.unraisablehook = report_before
        for number, handler in before.items():
            signal.signal(number, handler)
        _asked.clear()


def check_interrupt() -> None:
    """Raise `KeyboardInterrupt` if a signal has come, whether or not it raised one then.

    Raises:
        KeyboardInterrupt: a signal has come since the context of `interruptible` was entered.
    """
    if _asked:
        raise KeyboardInterrupt
