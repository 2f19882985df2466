from __future__ import annotations

import os
from pathlib import Path

import pytest

from tenuto.engine.local.frames import Load
from tenuto.engine.local.runtime import machine


def test_the_kv_budget_is_what_the_parent_says() -> None:
    assert machine.kv_budget(Load("", 1, 1, 3, None)) == 3 * 1024 * 1024


def test_the_kv_budget_is_part_of_memory_by_default() -> None:
    assert machine.kv_budget(Load("", 1, 1, None, None)) > 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("version", "limit", "share"),
    [
        (0, "536870912\n", 2**29),
        (1, "536870912\n", 2**29),
        (0, "max\n", None),
        (1, str(2**63), None),
    ],
)
def test_a_containers_memory_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: int, limit: str, share: int | None
) -> None:
    limits = (tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes")
    monkeypatch.setattr(machine, "_CGROUP_MEMORY", limits)
    whole = machine.memory_bytes()
    limits[version].write_text(limit)
    assert machine.memory_bytes() == (share or whole)
    assert machine.kv_budget(Load("", 1, 1, None, None)) == (share or whole) // 4


def test_there_is_a_core_and_not_more_than_there_are_threads() -> None:
    assert 1 <= machine.physical_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("limit", "cores"), [("150000 100000", 1), ("50000 100000", 1), ("200000 100000", 2)]
)
def test_a_containers_share_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, cores: int
) -> None:
    four_cores(monkeypatch, tmp_path)
    (tmp_path / "cpu.max").write_text(limit)
    assert machine.physical_cores() == cores


def test_two_threads_of_a_core_count_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    four_cores(monkeypatch, tmp_path)
    (tmp_path / "cpu.max").write_text("max 100000")
    assert machine.physical_cores() == 4


def four_cores(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A Linux machine of four cores with two threads each."""
    for cpu in range(8):
        topology = folder / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
    monkeypatch.setattr(machine, "_CPUS", folder)
    monkeypatch.setattr(machine, "_CGROUP_LIMIT", folder / "cpu.max")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
