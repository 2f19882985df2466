"""Damaged model files are refused before a runtime sees them. The files here are built by hand."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto.engine.local import gguf
from tenuto.engine.local.gguf import Gguf, ModelFileError, Tensor
from tenuto.engine.local.tensor_types import TENSOR_TYPES, TensorType

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)


def number(value: int, size: int = 8) -> bytes:
    return value.to_bytes(size, "little")


def string(text: bytes) -> bytes:
    return number(len(text)) + text


def pair(key: str, kind: int, value: bytes) -> bytes:
    return string(key.encode()) + number(kind, 4) + value


def array(kind: int, *items: bytes) -> bytes:
    return number(kind, 4) + number(len(items)) + b"".join(items)


def tensor(name: str, shape: Sequence[int], kind: int, offset: int) -> bytes:
    dimensions = number(len(shape), 4) + b"".join(map(number, shape))
    return string(name.encode()) + dimensions + number(kind, 4) + number(offset)


ARCHITECTURE = pair("general.architecture", STRING, string(b"llama"))


@dataclass
class File:
    """A GGUF file in the making. As it stands it is the smallest that is sound."""

    magic: bytes = b"GGUF"
    version: int = 3
    pairs: list[bytes] = field(default_factory=lambda: [ARCHITECTURE])
    tensors: list[bytes] = field(default_factory=lambda: [tensor("a", [4], 0, 0)])
    data: bytes = bytes(16)
    alignment: int = 32

    def __bytes__(self) -> bytes:
        counts = number(len(self.tensors)) + number(len(self.pairs))
        head = self.magic + number(self.version, 4) + counts
        head += b"".join(self.pairs) + b"".join(self.tensors)
        return head + bytes(-len(head) % self.alignment) + self.data


# One of everything: each metadata type, nested arrays, several tensors.
WHOLE = bytes(
    File(
        pairs=[
            ARCHITECTURE,
            pair("general.alignment", U32, number(64, 4)),
            pair("llama.block_count", U32, number(2, 4)),
            pair("u8", U8, number(255, 1)),
            pair("i8", I8, struct.pack("<b", -1)),
            pair("u16", U16, number(65535, 2)),
            pair("i16", I16, struct.pack("<h", -2)),
            pair("i32", I32, struct.pack("<i", -3)),
            pair("f32", F32, struct.pack("<f", 0.5)),
            pair("bool", BOOL, b"\x01"),
            pair("u64", U64, number(2**64 - 1)),
            pair("i64", I64, struct.pack("<q", -4)),
            pair("f64", F64, struct.pack("<d", 0.1)),
            pair("strings", ARRAY, array(STRING, string(b"<s>"), string(b"\xe2\x82"))),
            pair("numbers", ARRAY, array(I32, *(struct.pack("<i", n) for n in (1, -1)))),
            pair("nested", ARRAY, array(ARRAY, array(U8, b"\x01"), array(BOOL, b"\x00"))),
            pair("empty", ARRAY, array(STRING)),
        ],
        tensors=[
            tensor("token_embd.weight", [32, 2], 8, 0),
            tensor("output_norm.weight", [4], 0, 128),
            tensor("blk.0.ffn.weight", [2, 2, 2, 1], 1, 192),
        ],
        data=bytes(192 + 16),
        alignment=64,
    )
)


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of the file that a test reads."""
    return tmp_path_factory.mktemp("gguf") / "model.gguf"


def read(path: Path, file: File | bytes) -> Gguf:
    path.write_bytes(bytes(file))
    return gguf.read(path)


def refusal(path: Path, file: File | bytes) -> str:
    with pytest.raises(ModelFileError) as raised:
        read(path, file)
    return str(raised.value)


@pytest.mark.parametrize("version", [2, 3])
def test_smallest_valid_file_is_read(path: Path, version: int) -> None:
    file = read(path, File(version=version))

    assert file.architecture == "llama"
    assert file.tensor_types == {"F32"}


def test_every_type_of_metadata_is_read(path: Path) -> None:
    file = read(path, WHOLE)

    assert file.metadata == {
        "general.architecture": "llama",
        "general.alignment": 64,
        "llama.block_count": 2,
        "u8": 255,
        "i8": -1,
        "u16": 65535,
        "i16": -2,
        "i32": -3,
        "f32": 0.5,
        "bool": True,
        "u64": 2**64 - 1,
        "i64": -4,
        "f64": 0.1,
        "strings": ["<s>", b"\xe2\x82".decode("utf-8", "surrogateescape")],
        "numbers": [1, -1],
        "nested": [[1], [False]],
        "empty": [],
    }
    assert file.tensor_types == {"F16", "F32", "Q8_0"}


def test_tensor_offsets_are_those_in_the_file(path: Path) -> None:
    file = read(path, WHOLE)

    start = len(WHOLE) - (192 + 16)
    assert file.tensors == (
        Tensor("token_embd.weight", "Q8_0", start, 68),
        Tensor("output_norm.weight", "F32", start + 128, 16),
        Tensor("blk.0.ffn.weight", "F16", start + 192, 16),
    )


def test_file_truncated_anywhere_is_rejected(path: Path) -> None:
    for end in range(len(WHOLE)):
        refusal(path, WHOLE[:end])


@settings(deadline=timedelta(seconds=2), max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4),
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 63)), max_size=2),
)
def test_damaged_file_is_rejected_or_read_quickly(
    path: Path, bytes_set: list[tuple[int, int]], bits_flipped: list[tuple[int, int]]
) -> None:
    data = bytearray(WHOLE)
    for at, value in bytes_set:
        data[at] = value
    for at, bit in bits_flipped:
        data[min(at + bit // 8, len(data) - 1)] ^= 1 << bit % 8

    check(path, bytes(data))


@settings(deadline=timedelta(seconds=2))
@given(st.integers(0, len(WHOLE)), st.integers(0, 40), st.binary(max_size=40))
def test_file_with_lost_or_added_bytes_is_rejected_or_read_quickly(
    path: Path, at: int, lost: int, added: bytes
) -> None:
    check(path, WHOLE[:at] + added + WHOLE[at + lost :])


def check(path: Path, data: bytes) -> None:
    with contextlib.suppress(ModelFileError):
        file = read(path, data)
        assert file.tensor_types
        assert file.hyperparameter("block_count") > 0


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "does not begin with GGUF"),
        (b"GGU", "does not begin with GGUF"),
        (File(magic=b"GGML"), "does not begin with GGUF"),
        (File(magic=b"FUGG"), "does not begin with GGUF"),
        (File(version=0), "version 0 is not supported"),
        (File(version=1), "version 1 is not supported"),
        (File(version=4), "version 4 is not supported"),
        # A file for machines that store the most significant byte first.
        (
            File(version=0x03000000),
            "the file is big-endian, and only little-endian files can be run",
        ),
        (File(pairs=[]), "general.architecture is missing"),
        (
            File(pairs=[pair("general.architecture", U32, number(1, 4))]),
            "general.architecture is missing",
        ),
        (File(tensors=[]), "no tensors"),
        (File(pairs=[ARCHITECTURE, pair("x", 13, b"")]), "metadata type 13"),
        (File(pairs=[ARCHITECTURE, pair("x", ARRAY, array(13, b""))]), "metadata type 13"),
    ],
)
def test_file_of_another_format_is_rejected_with_the_reason(
    path: Path, file: File | bytes, reason: str
) -> None:
    assert reason in refusal(path, file)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (tensor("a", [], 0, 0), "has 0 dimensions"),
        (tensor("a", [1, 1, 1, 1, 1], 0, 0), "has 5 dimensions"),
        (tensor("a", [4], 4, 0), "has the unknown type 4: Q4_2, which llama.cpp has removed"),
        (tensor("a", [32], 31, 0), "Q4_0_4_4, which llama.cpp has removed; choose Q4_0, which"),
        (tensor("a", [32], 40, 0), "of type NVFP4 has rows that are not a multiple of 64"),
        (tensor("a", [32], 42, 0), "unknown type 42: the file is damaged, or newer than this"),
        (tensor("a", [4], 2**32 - 1, 0), "has the unknown type 4294967295"),
        (tensor("a", [33], 8, 0), "rows that are not a multiple of 32"),
        (tensor("a", [32, 3], 12, 0), "rows that are not a multiple of 256"),
        (tensor("a", [4], 0, 1), "not aligned"),
        (tensor("a", [4], 0, 16), "not aligned"),
        (tensor("a", [4], 0, 32), "truncated"),
        (tensor("a", [5], 0, 0), "truncated"),
        (tensor("a", [32], 8, 0), "truncated"),
        (tensor("a", [4, 2], 0, 0), "truncated"),
        (tensor("a", [2**63, 2**63], 0, 0), "truncated"),
        (tensor("a", [4], 0, 2**63), "truncated"),
    ],
)
def test_tensor_with_an_invalid_offset_is_rejected(path: Path, broken: bytes, reason: str) -> None:
    assert reason in refusal(path, File(tensors=[tensor("sound", [4], 0, 0), broken]))


@pytest.mark.parametrize("shape", [[4], [2, 2], [1, 2, 2], [4, 1, 1, 1]])
def test_a_tensor_that_just_fits_is_accepted(path: Path, shape: list[int]) -> None:
    assert read(path, File(tensors=[tensor("a", shape, 0, 0)])).tensor_types == {"F32"}


@pytest.mark.parametrize(
    "alignment",
    [
        pair("general.alignment", U32, number(0, 4)),
        pair("general.alignment", U32, number(24, 4)),
        pair("general.alignment", I32, struct.pack("<i", -32)),
        pair("general.alignment", F32, struct.pack("<f", 32)),
        pair("general.alignment", STRING, string(b"32")),
    ],
)
def test_alignment_that_is_not_a_power_of_two_is_rejected(path: Path, alignment: bytes) -> None:
    assert "must be a power of two" in refusal(path, File(pairs=[ARCHITECTURE, alignment]))


def test_alignment_of_the_file_is_applied(path: Path) -> None:
    aligned = [ARCHITECTURE, pair("general.alignment", U32, number(8, 4))]
    tensors = [tensor("a", [2], 0, 8)]

    assert read(path, File(pairs=aligned, tensors=tensors, alignment=8)).tensor_types == {"F32"}
    assert "not aligned" in refusal(path, File(tensors=tensors))


@pytest.mark.parametrize(
    "lie",
    [
        b"GGUF" + number(3, 4) + number(2**63) + number(1),
        b"GGUF" + number(3, 4) + number(1) + number(2**63),
        b"GGUF" + number(3, 4) + number(1) + number(1) + number(2**63),
        bytes(File(pairs=[pair("x", STRING, number(2**62))])),
        bytes(File(pairs=[pair("x", ARRAY, number(U64, 4) + number(2**61))])),
        bytes(File(pairs=[pair("x", ARRAY, number(STRING, 4) + number(2**61))])),
        bytes(File(pairs=[pair("x", ARRAY, number(ARRAY, 4) + number(2**61))])),
    ],
)
def test_impossible_count_is_rejected_before_allocation(path: Path, lie: bytes) -> None:
    assert "damaged" in (reason := refusal(path, lie)) or "truncated" in reason


def test_deeply_nested_arrays_are_rejected(path: Path) -> None:
    value = array(U8)
    for _ in range(500):
        value = array(ARRAY, value)

    assert "damaged" in refusal(path, File(pairs=[ARCHITECTURE, pair("x", ARRAY, value)]))


def test_message_has_no_file_name(path: Path) -> None:
    assert path.name not in refusal(path, WHOLE[:100])


def test_missing_file_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        gguf.read(tmp_path / "none.gguf")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "missing"),
        (pair("llama.block_count", U32, number(0, 4)), "wrong"),
        (pair("llama.block_count", I32, struct.pack("<i", -1)), "wrong"),
        (pair("llama.block_count", F32, struct.pack("<f", 2)), "wrong"),
        (pair("llama.block_count", STRING, string(b"2")), "wrong"),
        (pair("llama.block_count", ARRAY, array(U8, b"\x02")), "wrong"),
        (pair("gemma.block_count", U32, number(2, 4)), "missing"),
    ],
)
def test_impossible_hyperparameter_is_rejected(path: Path, value: bytes | None, fault: str) -> None:
    file = read(path, File(pairs=[ARCHITECTURE, *([value] if value else [])]))

    with pytest.raises(ModelFileError, match=f"metadata llama.block_count is {fault}"):
        file.hyperparameter("block_count")


def test_a_hyperparameter_is_looked_up_by_the_architecture(path: Path) -> None:
    file = read(path, WHOLE)

    assert file.hyperparameter("block_count") == 2


@pytest.mark.parametrize(("kind", "tensor_type"), TENSOR_TYPES.items())
def test_a_row_of_one_block_of_every_tensor_type_is_measured_exactly(
    path: Path, kind: int, tensor_type: TensorType
) -> None:
    name, weights, size, _ = tensor_type
    tensors = [tensor("a", [weights], kind, 0)]

    assert read(path, File(tensors=tensors, data=bytes(size))).tensor_types == {name}
    assert "truncated" in refusal(path, File(tensors=tensors, data=bytes(size - 1)))


def metadata_of(path: Path, *pairs: bytes) -> dict[str, Any]:
    return dict(read(path, File(pairs=[ARCHITECTURE, *pairs])).metadata)


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
    st.lists(st.floats(allow_nan=False), max_size=5),
    st.lists(st.text(), max_size=5),
)
def test_lists_are_read_as_they_were_written(
    path: Path, integers: list[int], floats: list[float], texts: list[str]
) -> None:
    metadata = metadata_of(
        path,
        pair("integers", ARRAY, array(I64, *(struct.pack("<q", value) for value in integers))),
        pair("floats", ARRAY, array(F64, *(struct.pack("<d", value) for value in floats))),
        pair("texts", ARRAY, array(STRING, *(string(text.encode()) for text in texts))),
    )

    assert metadata["integers"] == integers
    assert metadata["floats"] == floats
    assert metadata["texts"] == texts


def test_excessive_count_is_rejected_before_memory_is_exhausted(tmp_path: Path) -> None:
    count = 50_000_000
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1)
    head += struct.pack("<Q", 1) + b"x" + struct.pack("<IIQ", 9, 0, count)
    path = tmp_path / "sparse.gguf"
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + count)
    with pytest.raises(ModelFileError, match="an array is longer"):
        gguf.read(path)
