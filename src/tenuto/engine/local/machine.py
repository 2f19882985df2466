"""Memory and cores of the machine, or of its container."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CPUS: Final = Path("/sys/devices/system/cpu")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUP: Final = Path("/proc/self/cgroup")


def kv_budget(kv_cache_mib: int | None) -> int:
    """Return the limit of the KV cache in bytes: as set, or a quarter of the memory."""
    if kv_cache_mib is not None:
        return kv_cache_mib * 1024 * 1024
    return memory_bytes() // 4


def memory_bytes() -> int:
    """Return the memory of the machine, or of its container if that is less, in bytes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # The second file is that of cgroups version 1.
    for limit in (*_limits("memory.max"), *_limits("memory/memory.limit_in_bytes")):
        # "max" or a huge number means no limit.
        with contextlib.suppress(ValueError):
            memory = min(memory, int(limit))
    return memory


def physical_cores() -> int:
    """Return the number of cores for this process; threads of one core count once."""
    if sys.platform == "darwin":
        # Without the efficiency cores of Apple's chips, which would slow down the fast ones.
        return sysctl_number("hw.perflevel0.physicalcpu") or sysctl_number("hw.physicalcpu") or 1
    cores = os.cpu_count() or 1
    if sys.platform == "linux":
        mine = os.sched_getaffinity(0)
        with contextlib.suppress(OSError):
            topology = "topology/thread_siblings_list"
            cores = len({(_CPUS / f"cpu{cpu}" / topology).read_text() for cpu in mine})
        cores = min(cores, len(mine))
        for limit in _limits("cpu.max"):
            # Quota and period in microseconds; "max 100000" means no limit.
            with contextlib.suppress(ValueError):
                quota, period = map(int, limit.split())
                cores = min(cores, max(1, quota // period))
    return cores


def _limits(name: str) -> Iterator[str]:
    """Yield the contents of a file in the cgroup of this process and in its ancestors."""
    own = "/"
    with contextlib.suppress(OSError):
        # Version 2 has one line, `0::/path`; in a container, the path starts at its root.
        own = _OWN_CGROUP.read_text().rpartition("::")[2].strip()
    group = _CGROUPS / own.lstrip("/")
    for folder in (group, *group.parents):
        if folder.is_relative_to(_CGROUPS):
            with contextlib.suppress(OSError):
                yield (folder / name).read_text()


def sysctl(name: str) -> bytes:
    """Return the bytes of a value of macOS' `sysctl`; none for an unknown name."""
    data = ctypes.create_string_buffer(256)
    size = ctypes.c_size_t(len(data))
    failed = ctypes.CDLL(None).sysctlbyname(
        name.encode(), data, ctypes.byref(size), None, ctypes.c_size_t(0)
    )
    return b"" if failed else data.raw[: size.value]


def sysctl_number(name: str) -> int:
    """Return a whole number of macOS' `sysctl`; 0 for an unknown name."""
    return int.from_bytes(sysctl(name), sys.byteorder)
