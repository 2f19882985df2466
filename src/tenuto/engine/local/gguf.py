"""Checks a GGUF file before anyone loads it. See `split` for models in several files.

A runtime that is given a damaged file may take its whole process down, or read beyond the file's
end. So the header, all metadata and the place of every tensor are checked here first, in Python,
against the file's real size. Source: the GGUF specification, versions 2 and 3.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_ARCHITECTURE: Final = "general.architecture"
_TYPE: Final = "general.type"
_TOKENIZER: Final = "tokenizer.ggml."

# Metadata types, by their number in the file.
_SCALARS: Final = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_STRING: Final = 8
_ARRAY: Final = 9

# Tensor types, by their number: (name, weights in a block, bytes of a block).
TENSOR_TYPES: Final = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}

# Types that the format had once: (name, remedy).
_AGAIN: Final = "convert the model again, or download another quantisation"
_REPACKED: Final = "choose {}, which is repacked when it is loaded"
_REMOVED_TYPES: Final = {
    4: ("Q4_2", _AGAIN),
    5: ("Q4_3", _AGAIN),
    31: ("Q4_0_4_4", _REPACKED.format("Q4_0")),
    32: ("Q4_0_4_8", _REPACKED.format("Q4_0")),
    33: ("Q4_0_8_8", _REPACKED.format("Q4_0")),
    36: ("IQ4_NL_4_4", _REPACKED.format("IQ4_NL")),
    37: ("IQ4_NL_4_8", _REPACKED.format("IQ4_NL")),
    38: ("IQ4_NL_8_8", _REPACKED.format("IQ4_NL")),
}

# No real file comes near these; a damaged one must not make us allocate.
_MOST_ENTRIES: Final = 1_000_000
_MOST_DIMENSIONS: Final = 4
_DEEPEST_ARRAY: Final = 3
_LONGEST_ARRAY: Final = 4_000_000


class ModelFileError(ValueError):
    """A file or folder without a model, or with a damaged one. The message does not name it."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies.

    Attributes:
        name: For example `blk.0.attn_q.weight`.
        type: For example `Q8_0`.
        start: Its first byte in the file.
        length: Its length in bytes.
    """

    name: str
    type: str
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Gguf:
    """What a GGUF file says of itself.

    Attributes:
        metadata: Its key-value pairs.
        tensors: Its tensors, in the order of the header.
    """

    metadata: Mapping[str, Any]
    tensors: tuple[Tensor, ...]

    @property
    def tensor_types(self) -> frozenset[str]:
        """The names of the tensor types in it, for example `{"F32", "Q8_0"}`."""
        return frozenset(tensor.type for tensor in self.tensors)

    @property
    def architecture(self) -> str:
        """For example `llama`."""
        return str(self.metadata[_ARCHITECTURE])

    def token_id(self, name: str) -> int | None:
        """A token that the file names, such as `bos` or `eos`; None if it is not in the vocabulary.

        Some files write -1, or the largest number that there is, where they have none.
        """
        value = self.metadata.get(f"{_TOKENIZER}{name}_token_id")
        return value if is_token(value, self.metadata) else None

    def stray_token_ids(self) -> dict[str, object]:
        """The entries of the metadata that name a token, and one that is not in the vocabulary."""
        return {
            key: value
            for key, value in self.metadata.items()
            if key.startswith(_TOKENIZER)
            and key.endswith("_token_id")
            and not is_token(value, self.metadata)
        }

    def hyperparameter(self, name: str) -> int:
        """A positive integer of the architecture, for example `block_count`.

        Raises:
            ModelFileError: It is missing or no positive integer.
        """
        key = f"{self.architecture}.{name}"
        value = self.metadata.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ModelFileError(f"metadata {key} is {'missing' if value is None else 'wrong'}")
        return value


def read(path: Path) -> Gguf:
    """Reads and checks everything but the weights themselves.

    Raises:
        ModelFileError: The file is no GGUF file, or what it says does not agree with its size.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return _Reader(file, size).read()


def is_token(value: object, metadata: Mapping[str, Any]) -> bool:
    """Return whether a value of the metadata is the number of a token of the vocabulary."""
    count = len(metadata.get(f"{_TOKENIZER}tokens", ()))
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count


def _is_later_part(metadata: Mapping[str, Any]) -> bool:
    """Return whether a header is that of a split model's second or later file."""
    count, number = metadata.get("split.count"), metadata.get("split.no")
    return isinstance(count, int) and isinstance(number, int) and count > 1 and number > 0


def _is_first_of_several(metadata: Mapping[str, Any]) -> bool:
    count = metadata.get("split.count")
    return isinstance(count, int) and count > 1 and metadata.get("split.no", 0) == 0


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def read(self) -> Gguf:
        if self._file.read(4) != _MAGIC:
            raise ModelFileError("not a GGUF file (it does not begin with GGUF)")
        self._check_version(self._bytes(4))
        tensors, entries = self._number(10), self._number(10)
        if max(tensors, entries) > _MOST_ENTRIES:
            raise ModelFileError("the header is damaged: it counts more entries than any model has")
        metadata: dict[str, Any] = {}
        for _ in range(entries):
            key = self._string()
            metadata[key] = self._value(self._number(4), 0)
        if not _is_later_part(metadata) and not isinstance(metadata.get(_ARCHITECTURE), str):
            # An importance matrix, for example, has none.
            kind = metadata.get(_TYPE)
            other = f": not a model that completes text, but of the type {kind}" if kind else ""
            raise ModelFileError(f"metadata {_ARCHITECTURE} is missing{other}")
        relative = [self._tensor() for _ in range(tensors)]
        return Gguf(metadata, self._place(relative, metadata))

    def _check_version(self, data: bytes) -> None:
        (version,) = _SCALARS[4].unpack(data)
        if version in _VERSIONS:
            return
        if data[:3] == bytes(3) and data[3]:
            raise ModelFileError(
                "the file is big-endian, and only little-endian files can be run; download that "
                "form of the model, or convert it with gguf-py's gguf_convert_endian"
            )
        remedy = "convert or download the model again" if version < 2 else "update Tenuto"
        raise ModelFileError(f"GGUF version {version} is not supported, only 2 and 3; {remedy}")

    def _bytes(self, count: int) -> bytes:
        if count > self._size - self._file.tell():
            raise ModelFileError("the file is truncated: it ends within its header")
        return self._file.read(count)

    def _number(self, kind: int) -> Any:
        scalar = _SCALARS[kind]
        return scalar.unpack(self._bytes(scalar.size))[0]

    def _string(self, errors: str = "replace") -> str:
        return self._bytes(self._number(10)).decode("utf-8", errors)

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _SCALARS:
            return self._number(kind)
        if kind == _STRING:
            # Some real files hold tokens that are not valid UTF-8, and their bytes count. What is
            # a text by itself, as a name or a template, must be one.
            return self._string("surrogateescape" if depth else "replace")
        if kind != _ARRAY or depth == _DEEPEST_ARRAY:
            raise ModelFileError(f"the header is damaged: metadata type {kind}")
        inner, count = self._number(4), self._number(10)
        if count > _LONGEST_ARRAY:
            raise ModelFileError("the header is damaged: an array is longer than any model has")
        if inner in _SCALARS:
            scalar = _SCALARS[inner]
            data = self._bytes(count * scalar.size)
            return list(struct.unpack(f"<{count}{scalar.format[1:]}", data))
        return [self._value(inner, depth + 1) for _ in range(count)]

    def _tensor(self) -> Tensor:
        """The next tensor of the header; `start` counts from where the weights begin."""
        name = self._string()
        dimensions = self._number(4)
        if not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise ModelFileError(f"tensor {name!r} has {dimensions} dimensions")
        shape = [self._number(10) for _ in range(dimensions)]
        kind, offset = self._number(4), self._number(10)
        if kind in _REMOVED_TYPES:
            removed, remedy = _REMOVED_TYPES[kind]
            raise ModelFileError(
                f"tensor {name!r} has the unknown type {kind}: {removed}, which llama.cpp has "
                f"removed; {remedy}"
            )
        if kind not in TENSOR_TYPES:
            raise ModelFileError(
                f"tensor {name!r} has the unknown type {kind}: the file is damaged, or newer than "
                "this version; update Tenuto, or choose another quantisation"
            )
        type_name, block, block_bytes = TENSOR_TYPES[kind]
        if shape[0] % block:
            raise ModelFileError(
                f"tensor {name!r} of type {type_name} has rows that are no multiple of {block}"
            )
        return Tensor(name, type_name, offset, math.prod(shape) // block * block_bytes)

    def _place(self, tensors: list[Tensor], metadata: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """Check where the tensors lie, and return them with their places in the file."""
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise ModelFileError(f"metadata general.alignment is {alignment}, no power of two")
        if not tensors:
            if _is_first_of_several(metadata):
                return ()
            other = ", only a vocabulary" if f"{_TOKENIZER}tokens" in metadata else ""
            raise ModelFileError(
                f"the file holds no tensors{other}: not a model that completes text"
            )
        start = -(-self._file.tell() // alignment) * alignment
        if any(tensor.start % alignment for tensor in tensors):
            raise ModelFileError("the header is damaged: a tensor is not aligned")
        placed = tuple(replace(tensor, start=start + tensor.start) for tensor in tensors)
        end = max(tensor.start + tensor.length for tensor in placed)
        if end > self._size:
            raise ModelFileError(f"the file is truncated: {self._size} bytes of at least {end}")
        return placed
