"""Rules by which `auto` chooses a runtime. Measured: docs/decisions/0023."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tenuto.engine.local.cpu import ARM, Cpu
from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.runtime import NOT_TUNED, TunedChoice
from tenuto.engine.local.runtimes import runtimes

LLAMA_CPP: Final = "llamacpp"
OPENVINO: Final = "openvino"

SMALL_BYTES: Final = 64_000_000
"""Weights of fewer bytes load in llama.cpp before OpenVINO has started."""

# Instructions for products of 8 bits, which OpenVINO uses, and the shipped llama.cpp does not. All
# processors with AMX have AVX-512 VNNI.
_PRODUCTS: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


@dataclass(frozen=True, slots=True)
class Preference:
    """A runtime by name, and the reason in a few words; "" where it only replaces another."""

    runtime: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Rule:
    runtime: str
    # Returns the reason if the rule applies, or "".
    why: Callable[[Gguf, Cpu], str]


# The first rule that applies decides.
_RULES: Final = (
    _Rule(OPENVINO, lambda file, cpu: "OpenVINO's format" if file.format == "ir" else ""),
    _Rule(LLAMA_CPP, lambda file, cpu: _unread(file)),
    _Rule(LLAMA_CPP, lambda file, cpu: "macOS" if cpu.system == "darwin" else ""),
    _Rule(LLAMA_CPP, lambda file, cpu: "small file" if file.weight_bytes < SMALL_BYTES else ""),
    _Rule(LLAMA_CPP, lambda file, cpu: cpu.class_name if cpu.architecture == ARM else ""),
    _Rule(OPENVINO, lambda file, cpu: cpu.class_name if cpu.features & _PRODUCTS else ""),
    _Rule(LLAMA_CPP, lambda file, cpu: cpu.class_name),
)


def preferred(file: Gguf, cpu: Cpu) -> Preference:
    """Return the runtime for a file on a processor, installed or not."""
    found = ((rule.runtime, rule.why(file, cpu)) for rule in _RULES)
    return next(Preference(runtime, why) for runtime, why in found if why)


def in_order(file: Gguf, cpu: Cpu, tuned: TunedChoice = NOT_TUNED) -> list[Preference]:
    """Return the runtimes that read a file's format, installed or not, the preferred one first.

    A tuned choice precedes the rules.
    """
    readers = [name for name, kind in runtimes().items() if file.format in kind.formats]
    first = preferred(file, cpu)
    if tuned.runtime in readers:
        first = Preference(tuned.runtime, tuned.why)
    others = [Preference(name) for name in readers if name != first.runtime]
    return [first, *others] if first.runtime in readers else others


def _unread(file: Gguf) -> str:
    feature = runtimes()[OPENVINO].refusal(file)
    return f"OpenVINO does not read {feature}" if feature else ""
