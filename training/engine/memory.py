"""How much memory an engine may use for the data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

SHARE_OF_FREE = 0.5  # training allocates the rest


def memory_budget_or_default(memory_budget: int | None) -> int:
    """Return the memory that the data may take.

    Args:
        memory_budget: number of bytes; None for half of the memory that is available without
            swapping, to this process's container too.

    Returns:
        Number of bytes.
    """
    if memory_budget is not None:
        return memory_budget
    available = min([psutil.virtual_memory().available, *free_in_control_groups()])
    return int(SHARE_OF_FREE * available)


def free_in_control_groups(root: Path = Path("/")) -> list[int]:
    """Return the memory that is left within the limits of Linux control groups.

    Containers and schedulers limit the memory of a process by its control group and those above.
    The rest of the system does not know these limits. What only caches files counts as free.

    Args:
        root: the root of the file system.

    Returns:
        Number of bytes for each limit; none where there are no limits.
    """
    return [
        max(0, limit - (used - cached))
        for group in _groups(root)
        for limits, usage, cache in (_VERSION_2, _VERSION_1)
        if (used := _number(group / usage)) is not None
        for cached in [_statistic(group / "memory.stat", cache)]
        for limit in map(_number, (group / name for name in limits))
        if limit is not None
    ]


# Names of the files with the limits and the usage, and of the cache in memory.stat.
_VERSION_2 = (("memory.max", "memory.high"), "memory.current", "inactive_file")
_VERSION_1 = (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file")


def _groups(root: Path) -> Iterator[Path]:
    """The directories of this process's control groups for memory, and of those above."""
    mounts = root / "sys" / "fs" / "cgroup"
    for line in _lines(root / "proc" / "self" / "cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            top = mounts
        elif "memory" in controllers.split(","):
            top = mounts / "memory"
        else:
            continue
        # In a container, the path may be that of the host, of which only the top is mounted.
        group = top / path.lstrip("/")
        while group != top and top in group.parents:
            yield group
            group = group.parent
        yield top


def _number(path: Path) -> int | None:
    """The number in a file; None without one, such as where it says that there is no limit."""
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() else None


def _statistic(path: Path, name: str) -> int:
    for line in _lines(path):
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return 0


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # there is no such group, or not on this system
        return []
