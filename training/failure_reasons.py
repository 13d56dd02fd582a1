"""Why something failed, in one line."""

from __future__ import annotations

import re

LONGEST = 300  # characters


def reason_of(error: BaseException) -> str:
    """Summarize an exception in one line, without the colors and listings around its message.

    Args:
        error: the exception.

    Returns:
        Its type and its message.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = text.partition("Arguments received by")[0].partition("\nExample:\n")[0]
    # TensorFlow lists the calls that created the operation, and appends its name in the graph.
    text = re.sub(r'Graph execution error:.*\n  File "[^\n]*\n', "", text, flags=re.DOTALL)
    text = text.partition("[[{{node")[0]
    text = " ".join(text.split()) or "no message"
    if len(text) > LONGEST:
        text = text[:LONGEST] + " ..."
    return f"{type(error).__name__}: {text}"
