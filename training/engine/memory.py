"""How much memory an engine may use for the data."""

from __future__ import annotations

import psutil

SHARE_OF_FREE = 0.5  # training allocates the rest


def memory_budget_or_default(memory_budget: int | None) -> int:
    """Return the memory that the data may take.

    Args:
        memory_budget: number of bytes; None for half of the memory that is available without
            swapping.

    Returns:
        Number of bytes.
    """
    if memory_budget is not None:
        return memory_budget
    return int(SHARE_OF_FREE * psutil.virtual_memory().available)
