"""The memory for the data: half of what is free, within the limits of control groups."""

from pathlib import Path

import psutil
import pytest

from dropout_zoo.training.engine.memory import free_in_control_groups, memory_budget_or_default

MIB = 2**20


def file_system(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def test_the_limit_of_a_container_counts(tmp_path):
    root = file_system(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": str(512 * MIB),
            "sys/fs/cgroup/memory.high": "max",
            "sys/fs/cgroup/memory.current": str(200 * MIB),
            "sys/fs/cgroup/memory.stat": f"anon 1\ninactive_file {50 * MIB}\nfile 2",
        },
    )
    assert free_in_control_groups(root) == [(512 - 150) * MIB]


def test_limits_of_parent_groups_apply_too(tmp_path):
    above = "sys/fs/cgroup/system.slice"
    root = file_system(
        tmp_path,
        {
            "proc/self/cgroup": "0::/system.slice/job.scope",
            f"{above}/job.scope/memory.max": "max",
            f"{above}/job.scope/memory.high": str(300 * MIB),
            f"{above}/job.scope/memory.current": str(100 * MIB),
            f"{above}/memory.max": str(150 * MIB),
            f"{above}/memory.current": str(140 * MIB),
        },
    )
    assert free_in_control_groups(root) == [200 * MIB, 10 * MIB]


def test_the_limits_of_the_first_version_count(tmp_path):
    group = "sys/fs/cgroup/memory/docker/abc"
    root = file_system(
        tmp_path,
        {
            "proc/self/cgroup": "11:cpu,cpuacct:/docker/abc\n5:memory:/docker/abc\n0::/",
            f"{group}/memory.limit_in_bytes": str(100 * MIB),
            f"{group}/memory.usage_in_bytes": str(90 * MIB),
            f"{group}/memory.stat": f"inactive_file 1\ntotal_inactive_file {30 * MIB}",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",  # no limit
            "sys/fs/cgroup/memory/memory.usage_in_bytes": str(90 * MIB),
        },
    )
    left, unlimited = free_in_control_groups(root)
    assert left == 40 * MIB
    assert unlimited > 2**60


def test_the_path_of_the_host_leads_to_the_top_that_a_container_sees(tmp_path):
    root = file_system(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/docker/abc",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(100 * MIB),
            "sys/fs/cgroup/memory/memory.usage_in_bytes": str(120 * MIB),
        },
    )
    assert free_in_control_groups(root) == [0]


@pytest.mark.parametrize("content", ["", "0::/", "nonsense", "0::/../../etc\n5:memory"])
def test_without_limits_nothing_is_limited(tmp_path, content):
    assert free_in_control_groups(file_system(tmp_path, {"proc/self/cgroup": content})) == []
    assert free_in_control_groups(tmp_path / "other") == []


def test_the_budget_is_half_of_the_smallest_free_memory(monkeypatch):
    free = psutil.virtual_memory()._replace(available=1000 * MIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    module = "dropout_zoo.training.engine.memory.free_in_control_groups"
    monkeypatch.setattr(module, lambda: [300 * MIB, 400 * MIB])
    assert memory_budget_or_default(None) == 150 * MIB
    monkeypatch.setattr(module, list)
    assert memory_budget_or_default(None) == 500 * MIB
    assert memory_budget_or_default(7) == 7
