from __future__ import annotations

import pytest

from tenuto.engine.local.cpu import ARM, FEATURES, X86, Cpu, cpu, from_cpuinfo, from_sysctl

ZEN_3 = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC
flags\t\t: fpu sse sse2 ssse3 fma sse4_1 sse4_2 avx f16c bmi1 avx2 bmi2 sha_ni vaes
bugs\t\t: sysret_ss_attrs

processor\t: 1
model name\t: AMD EPYC
flags\t\t: fpu sse sse2 ssse3 fma sse4_1 sse4_2 avx f16c bmi1 avx2 bmi2 sha_ni vaes
"""
CASCADE_LAKE = """\
model name\t: Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz
flags\t\t: fpu sse4_2 fma avx f16c avx2 avx512f avx512dq avx512bw avx512vl avx512_vnni
"""
SKYLAKE_SP = """\
model name\t: Intel(R) Xeon(R) Platinum 8175M CPU @ 2.50GHz
flags\t\t: fpu sse4_2 fma avx f16c avx2 avx512f avx512dq avx512cd avx512bw avx512vl
"""
SAPPHIRE_RAPIDS = """\
model name\t: Intel(R) Xeon(R) Platinum 8488C
flags\t\t: fma avx2 avx512f avx512_vnni avx_vnni avx512_bf16 amx_bf16 amx_tile amx_int8
"""
ALDER_LAKE = """\
model name\t: 12th Gen Intel(R) Core(TM) i7-12700
flags\t\t: fpu sse4_2 fma avx f16c avx2 avx_vnni
"""
SANDY_BRIDGE = """\
model name\t: Intel(R) Core(TM) i5-2500K CPU @ 3.30GHz
flags\t\t: fpu sse4_1 sse4_2 avx
"""
GRAVITON_3 = """\
processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd aes crc32 atomics asimdhp asimdrdm dcpop asimddp sve i8mm bf16
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd40
"""
GRAVITON_2 = """\
Features\t: fp asimd aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0c
"""
RASPBERRY_PI_4 = """\
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU part\t: 0xd08
"""
UNEQUAL_CORES = """\
processor\t: 0
Features\t: fp asimd asimddp

processor\t: 1
Features\t: fp asimd asimddp i8mm
"""


@pytest.mark.parametrize(
    ("text", "architecture", "class_name", "model"),
    [
        (ZEN_3, X86, "AVX2", "AMD EPYC"),
        (CASCADE_LAKE, X86, "AVX-512 VNNI", "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz"),
        (SKYLAKE_SP, X86, "AVX-512", "Intel(R) Xeon(R) Platinum 8175M CPU @ 2.50GHz"),
        (SAPPHIRE_RAPIDS, X86, "AMX", "Intel(R) Xeon(R) Platinum 8488C"),
        (ALDER_LAKE, X86, "AVX-VNNI", "12th Gen Intel(R) Core(TM) i7-12700"),
        (
            SANDY_BRIDGE,
            X86,
            "x86-64 without AVX2",
            "Intel(R) Core(TM) i5-2500K CPU @ 3.30GHz",
        ),
        (GRAVITON_3, ARM, "ARM with dot product and i8mm", "ARM 0x41/0xd40"),
        (GRAVITON_2, ARM, "ARM with dot product", "ARM 0x41/0xd0c"),
        (RASPBERRY_PI_4, ARM, "ARM", "ARM 0x41/0xd08"),
        (UNEQUAL_CORES, ARM, "ARM with dot product", ""),
        ("", X86, "x86-64", ""),
        ("", "riscv64", "riscv64", ""),
        ("\0 : : \n:", "", "unknown", ""),
    ],
)
def test_class_and_model_are_read_from_cpuinfo(
    text: str, architecture: str, class_name: str, model: str
) -> None:
    found = from_cpuinfo(text, architecture, 4)
    assert (found.class_name, found.model, found.cores) == (class_name, model, 4)


def test_only_instruction_sets_that_matter_are_kept() -> None:
    assert from_cpuinfo(CASCADE_LAKE, X86, 2).features == {"avx2", "avx512f", "avx512_vnni"}


@pytest.mark.parametrize(
    ("values", "architecture", "class_name"),
    [
        (
            {"hw.optional.arm.FEAT_DotProd": "1", "hw.optional.arm.FEAT_I8MM": "1"},
            ARM,
            "ARM with dot product and i8mm",
        ),
        (
            {"hw.optional.arm.FEAT_DotProd": "1", "hw.optional.arm.FEAT_I8MM": "0"},
            ARM,
            "ARM with dot product",
        ),
        ({"hw.optional.avx2_0": "1", "hw.optional.avx512f": "0"}, X86, "AVX2"),
    ],
)
def test_class_is_read_from_sysctl(
    values: dict[str, str], architecture: str, class_name: str
) -> None:
    values |= {"machdep.cpu.brand_string": "Apple M2"}
    found = from_sysctl(lambda name: values.get(name, ""), architecture, 4)
    assert (found.class_name, found.model, found.system) == (class_name, "Apple M2", "darwin")


def test_processor_of_this_machine_is_described() -> None:
    found = cpu()
    assert isinstance(found, Cpu)
    assert found.cores >= 1
    assert found.features <= FEATURES
