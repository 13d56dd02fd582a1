"""The one place that uses private names of Ray."""

from __future__ import annotations

from ray._private import worker


def silence_messages() -> None:
    """Keep Ray from printing that workers and nodes have ended, which is reported on its own.

    Ray prints such messages to the standard output, at any time until the process ends; there they
    would be mixed with the outcome that a command prints as JSON. There is no public option.
    """
    worker._worker_logs_enabled = False
