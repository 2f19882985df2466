"""The rules of `auto`, by processor and file."""

from __future__ import annotations

import pytest

from tenuto.engine.local.cpu import ARM, X86, Cpu, from_cpuinfo
from tenuto.engine.local.gguf import Gguf, Tensor
from tenuto.engine.local.ir import IrModel
from tenuto.engine.local.preference import SMALL_BYTES, Preference, in_order, preferred
from tenuto.engine.local.runtime import TunedChoice
from tests.engine.local import test_cpu as recorded


def file(architecture: str = "qwen2", kind: str = "Q8_0", size: int = SMALL_BYTES) -> Gguf:
    return Gguf({"general.architecture": architecture}, (Tensor("a", kind, 0, size),))


LARGE = file()
SMALL = file(size=SMALL_BYTES - 1)
FOLDER = IrModel({"general.architecture": "mamba"}, (), frozenset())
MAC = Cpu(ARM, frozenset({"asimddp", "i8mm"}), "Apple M2", 4, "darwin")
INTEL_MAC = Cpu(X86, frozenset({"avx2", "avx512f"}), "Intel", 4, "darwin")

OPENVINO = {
    recorded.CASCADE_LAKE: "AVX-512 VNNI",
    recorded.SAPPHIRE_RAPIDS: "AMX",
    recorded.ALDER_LAKE: "AVX-VNNI",
}
LLAMA_CPP = {
    recorded.ZEN_3: "AVX2",
    recorded.SKYLAKE_SP: "AVX-512",
    recorded.SANDY_BRIDGE: "x86-64 without AVX2",
    "": "x86-64",
}
ON_ARM = {
    recorded.GRAVITON_3: "ARM with dot product and i8mm",
    recorded.RASPBERRY_PI_4: "ARM",
    "": "ARM",
}
ALL = [
    *(from_cpuinfo(text, X86, 2) for text in (*OPENVINO, *LLAMA_CPP)),
    *(from_cpuinfo(text, ARM, 2) for text in ON_ARM),
    *(MAC, INTEL_MAC, Cpu("riscv64"), Cpu("")),
]


@pytest.mark.parametrize(("text", "why"), OPENVINO.items())
def test_openvino_is_preferred_with_instructions_for_8_bit_products(text: str, why: str) -> None:
    assert preferred(LARGE, from_cpuinfo(text, X86, 2)) == Preference("openvino", why)


@pytest.mark.parametrize(("text", "why"), LLAMA_CPP.items())
def test_llama_cpp_is_preferred_without_them(text: str, why: str) -> None:
    assert preferred(LARGE, from_cpuinfo(text, X86, 2)) == Preference("llamacpp", why)


@pytest.mark.parametrize(("text", "why"), ON_ARM.items())
def test_llama_cpp_is_preferred_on_arm(text: str, why: str) -> None:
    assert preferred(LARGE, from_cpuinfo(text, ARM, 2)) == Preference("llamacpp", why)


@pytest.mark.parametrize("cpu", [MAC, INTEL_MAC])
def test_llama_cpp_is_preferred_on_macos(cpu: Cpu) -> None:
    assert preferred(LARGE, cpu) == Preference("llamacpp", "macOS")


@pytest.mark.parametrize("cpu", ALL)
def test_file_that_openvino_does_not_read_runs_on_llama_cpp_everywhere(cpu: Cpu) -> None:
    for unread in (file("gemma3"), file(kind="IQ2_S")):
        found = preferred(unread, cpu)
        assert found.runtime == "llamacpp"
        assert found.why.startswith("OpenVINO does not read ")


@pytest.mark.parametrize("cpu", ALL)
def test_folder_of_openvino_runs_on_openvino_everywhere(cpu: Cpu) -> None:
    assert in_order(FOLDER, cpu) == [Preference("openvino", "OpenVINO's format")]


@pytest.mark.parametrize("cpu", ALL)
def test_small_file_runs_on_llama_cpp_everywhere(cpu: Cpu) -> None:
    assert preferred(SMALL, cpu).runtime == "llamacpp"


def test_small_file_is_the_reason_where_the_processor_would_decide_otherwise() -> None:
    fast = from_cpuinfo(recorded.CASCADE_LAKE, X86, 2)
    assert preferred(SMALL, fast) == Preference("llamacpp", "small file")


@pytest.mark.parametrize("cpu", ALL)
def test_every_reader_of_the_format_is_in_the_order_once(cpu: Cpu) -> None:
    for tuned in (TunedChoice(), TunedChoice("openvino", 1, "tuned"), TunedChoice("gone", 1, "x")):
        names = [each.runtime for each in in_order(LARGE, cpu, tuned)]
        assert {"openvino", "llamacpp"} <= set(names)
        assert len(names) == len(set(names))


def test_tuned_runtime_precedes_the_rules_with_its_reason() -> None:
    cpu = from_cpuinfo(recorded.ZEN_3, X86, 2)
    first, second, *_ = in_order(LARGE, cpu, TunedChoice("openvino", 1, "tuned on 2026-11-26"))
    assert first == Preference("openvino", "tuned on 2026-11-26")
    assert second.why == ""


def test_tuned_runtime_that_does_not_read_the_format_is_ignored() -> None:
    cpu = from_cpuinfo(recorded.ZEN_3, X86, 2)
    tuned = TunedChoice("llamacpp", 1, "tuned")
    assert in_order(FOLDER, cpu, tuned) == [Preference("openvino", "OpenVINO's format")]
