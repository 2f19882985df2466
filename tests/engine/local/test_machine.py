from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tenuto.engine.local import machine


def test_kv_budget_is_the_setting() -> None:
    assert machine.kv_budget(3) == 3 * 1024 * 1024


def test_the_kv_budget_is_part_of_memory_by_default() -> None:
    assert machine.kv_budget(None) > 64 * 1024 * 1024


GIB = 2**30


@pytest.mark.parametrize(
    ("limits", "memory"),
    [
        ({"memory.max": GIB}, GIB),
        ({"memory/memory.limit_in_bytes": GIB}, GIB),
        ({"a/b/memory.max": GIB}, GIB),
        ({"a/memory.max": GIB, "a/b/memory.max": 2 * GIB}, GIB),
        ({"other/memory.max": GIB}, None),
        ({"memory.max": "max"}, None),
        ({"memory/memory.limit_in_bytes": 2**63 - 4096}, None),
    ],
)
def test_smallest_memory_limit_is_used(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    limits: dict[str, int | str],
    memory: int | None,
) -> None:
    whole = machine.memory_bytes()
    in_cgroup(monkeypatch, tmp_path, "/a/b", limits)
    assert machine.memory_bytes() == (memory or whole)
    assert machine.kv_budget(None) == (memory or whole) // 4


def in_cgroup(
    monkeypatch: pytest.MonkeyPatch, folder: Path, own: str, limits: Mapping[str, int | str]
) -> None:
    """Put this process into a cgroup with these limits."""
    (folder / "own").write_text(f"0::{own}\n")
    monkeypatch.setattr(machine, "_OWN_CGROUP", folder / "own")
    monkeypatch.setattr(machine, "_CGROUPS", folder)
    for name, limit in limits.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{limit}\n")


def test_cores_are_between_one_and_the_threads() -> None:
    assert 1 <= machine.physical_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("limit", "cores"), [("150000 100000", 1), ("50000 100000", 1), ("200000 100000", 2)]
)
def test_cpu_quota_of_a_container_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, cores: int
) -> None:
    four_cores(monkeypatch, tmp_path)
    in_cgroup(monkeypatch, tmp_path, "/a", {"a/cpu.max": limit})
    assert machine.physical_cores() == cores


def test_two_threads_of_a_core_count_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    four_cores(monkeypatch, tmp_path)
    in_cgroup(monkeypatch, tmp_path, "/a", {"a/cpu.max": "max 100000"})
    assert machine.physical_cores() == 4


def four_cores(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A Linux machine of four cores with two threads each."""
    for cpu in range(8):
        topology = folder / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
    monkeypatch.setattr(machine, "_CPUS", folder)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
