"""The machine that is measured on."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Final

_CPUS: Final = Path("/proc/cpuinfo")
_STATISTICS: Final = Path("/proc/stat")
_LOOK_S: Final = 2.0
# Columns of the statistics that are no work: idle, and waiting for a disk.
_IDLE: Final = slice(3, 5)


def description(threads: int) -> str:
    """Processor, cores and versions, in one line."""
    model = platform.processor() or platform.machine()
    if _CPUS.exists():
        lines = _CPUS.read_text().splitlines()
        model = next((line for line in lines if line.startswith("model name")), model)
        model = model.rpartition(": ")[2]
    libraries = ("tenuto", "openvino-genai", "xllamacpp")
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    return f"{model}, {os.cpu_count()} cores, {threads} threads; {versions}"


def busy_cores() -> float:
    """How many cores are busy for a moment, while nothing is measured; NaN where unknown."""
    if not _STATISTICS.exists():
        return float("nan")
    before = _ticks()
    time.sleep(_LOOK_S)
    busy, idle = (after - then for after, then in zip(_ticks(), before, strict=True))
    return (os.cpu_count() or 1) * busy / (busy + idle)


def _ticks() -> tuple[int, int]:
    """Time that all cores were busy, and idle, since the machine started."""
    columns = [int(column) for column in _STATISTICS.read_text().split("\n")[0].split()[1:9]]
    idle = sum(columns[_IDLE])
    return sum(columns) - idle, idle
