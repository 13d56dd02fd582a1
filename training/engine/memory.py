"""How much memory there is to use."""

from __future__ import annotations

from pathlib import Path

SHARE_OF_FREE = 0.5  # the rest is for what a training allocates besides
FREE_WHERE_UNKNOWN = 4 * 2**30  # bytes, where the system does not tell


def memory_budget_or_default(memory_budget: int | None) -> int:
    """The memory that may be used, in bytes.

    Args:
        memory_budget: what the user allows; None for half of what the system has free.

    Returns:
        Number of bytes.
    """
    if memory_budget is not None:
        return memory_budget
    return int(SHARE_OF_FREE * _free_memory())


def _free_memory() -> int:
    """Main memory that can be had without swapping; Linux counts what caches would give back."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return FREE_WHERE_UNKNOWN
