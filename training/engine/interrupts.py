"""Ends training between two steps: interrupts that cannot get lost, and a time limit.

Python ignores exceptions that are raised during garbage collection, including `KeyboardInterrupt`;
libraries that clean up there make this happen occasionally.
"""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from types import FrameType

# Not a `threading.Event`: setting it takes a lock, for which a second signal would wait forever.
_asked: list[int] = []
_held: ContextVar[bool] = ContextVar("held", default=False)

_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)  # of `monotonic`


class OutOfTimeError(BaseException):
    """Raised by `check_interrupt` when a `TimeLimit` has passed.

    Like `KeyboardInterrupt`, it does not derive from `Exception`, so that handlers of a model's own
    errors do not catch it.
    """


class TimeLimit:
    """A context in which `check_interrupt` raises once a time has passed, in the same thread.

    Training ends as after an interrupt: runs that have finished are kept, the others are lost.
    Within another time limit, the earlier deadline counts.

    Args:
        seconds: the time, which counts from the creation of the object.

    Attributes:
        deadline: when it ends, on the clock `time.monotonic`.

    Example:
        >>> limit = TimeLimit(0.0)
        >>> check_interrupt()
        >>> with limit:
        ...     try:
        ...         check_interrupt()
        ...     except OutOfTimeError:
        ...         print("out of time")
        out of time
    """

    def __init__(self, seconds: float) -> None:
        self.deadline = monotonic() + seconds

    def __enter__(self) -> TimeLimit:
        self._token = _deadline.set(min(self.deadline, _deadline.get()))
        return self

    def __exit__(self, *raised: object) -> None:
        _deadline.reset(self._token)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `KeyboardInterrupt` on SIGINT and SIGTERM, and again in `check_interrupt`.

    Other exceptions into which libraries turn a `KeyboardInterrupt`, such as `SystemError`, leave
    the context as `KeyboardInterrupt`. A signal that is ignored, as SIGINT is in the background
    jobs of a script, stays ignored. Use it in the main thread, like all signal handlers; the
    previous handlers are restored at the end.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        _asked.append(number)
        if not _held.get():
            raise KeyboardInterrupt

    def report(ignored: sys.UnraisableHookArgs) -> None:
        if ignored.exc_type is not KeyboardInterrupt:  # `check_interrupt` raises that
            report_before(ignored)

    handled = [each for each in (signal.SIGINT, signal.SIGTERM) if not _is_ignored(each)]
    before = {number: signal.signal(number, handle) for number in handled}
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


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Raise `KeyboardInterrupt` only at the end of the context, within that of `interruptible`.

    For imports, in which an exception may get lost or abort the process.
    """
    token = _held.set(True)
    try:
        yield
    finally:
        _held.reset(token)
        if _asked:
            raise KeyboardInterrupt


def _is_ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def check_interrupt() -> None:
    """Raise `KeyboardInterrupt` if a signal has arrived, even if its exception was lost.

    Raises:
        KeyboardInterrupt: a signal has arrived since the context of `interruptible` was entered.
        OutOfTimeError: the time of a `TimeLimit` has passed.
    """
    if _asked:
        raise KeyboardInterrupt
    if monotonic() >= _deadline.get():
        raise OutOfTimeError
