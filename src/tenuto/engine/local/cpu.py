"""The machine's processor, and the instruction sets that decide how fast a runtime is."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tenuto.engine.local.machine import physical_cores, sysctl

X86: Final = "x86_64"
ARM: Final = "aarch64"

_CPUINFO: Final = Path("/proc/cpuinfo")
_ARCHITECTURES: Final = {"x86_64": X86, "amd64": X86, "aarch64": ARM, "arm64": ARM}

# Instruction sets of matrix products in 8 bits, in Linux's words, the fastest first.
_X86_CLASSES: Final = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
}
_ARM_FEATURES: Final = {"asimddp": "dot product", "i8mm": "i8mm"}

# The same in macOS' words.
_SYSCTLS: Final = {
    "hw.optional.avx2_0": "avx2",
    "hw.optional.avx512f": "avx512f",
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
}

FEATURES: Final = frozenset({*_X86_CLASSES, *_ARM_FEATURES})
"""The instruction sets that `Cpu.features` may hold, as Linux names them."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """A processor.

    Attributes:
        architecture: `x86_64` or `aarch64`; another as the system names it; "" if unknown.
        features: Which of `FEATURES` all of its cores have. Empty if unknown.
        model: The manufacturer's name; "" if unknown.
        cores: Cores for this process, 1 or more; threads of one core count once.
        system: `linux` or `darwin`, as in `sys.platform`.
    """

    architecture: str
    features: frozenset[str] = frozenset()
    model: str = ""
    cores: int = 1
    system: str = "linux"

    @property
    def class_name(self) -> str:
        """The class of processors for people, such as `AVX2` or `ARM with dot product`."""
        if self.architecture == X86:
            found = (name for flag, name in _X86_CLASSES.items() if flag in self.features)
            return next(found, "x86-64 without AVX2" if self.features or self.model else "x86-64")
        if self.architecture == ARM:
            found = (name for flag, name in _ARM_FEATURES.items() if flag in self.features)
            return " with ".join(filter(None, ("ARM", " and ".join(found))))
        return self.architecture or "unknown"


@cache
def cpu() -> Cpu:
    """Return the processor of this machine. Never raises."""
    machine = os.uname().machine.lower()
    architecture = _ARCHITECTURES.get(machine, machine)
    cores = physical_cores()
    if sys.platform == "darwin":
        return from_sysctl(_sysctl, architecture, cores)
    text = ""
    with contextlib.suppress(OSError):
        text = _CPUINFO.read_text("utf-8", "replace")
    return from_cpuinfo(text, architecture, cores)


def from_cpuinfo(text: str, architecture: str, cores: int) -> Cpu:
    """Parse Linux's `/proc/cpuinfo`, which has a paragraph for each thread."""
    features: frozenset[str] | None = None
    names: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key in ("flags", "Features"):
            # Cores may differ, and a process may move from one to another.
            known = _known(value.split())
            features = known if features is None else features & known
        else:
            names.setdefault(key, value)
    model = names.get("model name", "")
    if not model and "CPU part" in names:
        # Linux does not know the names of ARM's cores.
        model = f"ARM {names.get('CPU implementer', '?')}/{names['CPU part']}"
    return Cpu(architecture, features or frozenset(), model, cores)


def from_sysctl(read: Callable[[str], str], architecture: str, cores: int) -> Cpu:
    """Return macOS' description; `read` returns the value of a name, "" if it has none."""
    features = _known(feature for name, feature in _SYSCTLS.items() if read(name) == "1")
    return Cpu(architecture, features, read("machdep.cpu.brand_string"), cores, "darwin")


def _known(names: Iterable[str]) -> frozenset[str]:
    return FEATURES.intersection(names)


def _sysctl(name: str) -> str:
    """Return a number or a text of macOS' `sysctl`; "" for an unknown name."""
    data = sysctl(name)
    if name.startswith("machdep."):
        return data.rstrip(b"\0").decode("utf-8", "replace")
    return str(int.from_bytes(data, sys.byteorder)) if data else ""
