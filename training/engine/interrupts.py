"""Interrupts that are not lost.

Python ignores an exception that is raised while it collects garbage, a `KeyboardInterrupt` like any
other; libraries that clean up there make that likely enough to happen.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# No `threading.Event`: setting one takes a lock, which a second signal would wait for in vain.
_asked: list[int] = []


@contextmanager
def interruptible() -> Iterator[None]:
    """Have SIGINT and SIGTERM raise `KeyboardInterrupt`, and `check_interrupt` after them.

    What libraries make of a `KeyboardInterrupt` that they catch, such as a `SystemError`, leaves
    as one too. Works in the main thread, as signals do; the handlers from before come back at the
    end.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        _asked.append(number)
        raise KeyboardInterrupt

    def tell(ignored: sys.UnraisableHookArgs) -> None:
        if ignored.exc_type is not KeyboardInterrupt:  # which is not lost
            tell_before(ignored)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    tell_before, sys.unraisablehook = sys.unraisablehook, tell
    try:
        yield
    except Exception as error:
        if _asked:
            raise KeyboardInterrupt from error
        raise
    finally:
        sys.unraisablehook = tell_before
        for number, handler in before.items():
            signal.signal(number, handler)
        _asked.clear()


def check_interrupt() -> None:
    """Raise `KeyboardInterrupt` if one was asked for and did not get through.

    Raises:
        KeyboardInterrupt: a signal has come since `interruptible` began.
    """
    if _asked:
        raise KeyboardInterrupt
