"""Read the header of a GGUF file, and check it. See `split` for models in several files.

A library that loads a damaged file may end the whole process, or read beyond the file's end. So
the header, all metadata and the position of every tensor are checked in Python first, against the
file's real size. Source: the GGUF specification, versions 2 and 3.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, Literal, TypeAlias

from tenuto.engine.local.tensor_types import REMOVED_TYPES, TENSOR_TYPES

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_ARCHITECTURE: Final = "general.architecture"
_TOKENIZER: Final = "tokenizer.ggml."

Format: TypeAlias = Literal["gguf", "ir"]

# Metadata types, by their number in the file.
_SCALAR_TYPES: Final = (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12)
_SCALARS: Final = {
    number: struct.Struct(f"<{code}")
    for number, code in zip(_SCALAR_TYPES, "BbHhIif?Qqd", strict=True)
}
_STRING: Final = 8
_ARRAY: Final = 9

# Token types of the specification.
NORMAL: Final = 1
UNKNOWN: Final = 2
CONTROL: Final = 3
USER_DEFINED: Final = 4
UNUSED: Final = 5
BYTE: Final = 6

# Far above real files: a damaged header must not cause large allocations.
_MAX_ENTRIES: Final = 1_000_000
_MAX_DIMENSIONS: Final = 4
_MAX_ARRAY_DEPTH: Final = 3
_MAX_ARRAY_LENGTH: Final = 4_000_000
_TRUNCATED: Final = "the file is truncated: it ends within its header"


class ModelFileError(ValueError):
    """Invalid model file or folder. The message does not contain its path."""


def problem(path: Path, error: Exception) -> str:
    """Return the reason why a model cannot be read, in one line, without its path."""
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return f"is a link to {path.readlink()}, and there is no such file there"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor, for example of the type `Q8_0`; start and length in bytes of its file."""

    name: str
    type: str
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Gguf:
    """Metadata of a GGUF file, and its tensors in the order of the header."""

    format: ClassVar[Format] = "gguf"

    metadata: Mapping[str, Any]
    tensors: tuple[Tensor, ...]

    @property
    def tensor_types(self) -> frozenset[str]:
        """Names of the tensor types, for example `{"F32", "Q8_0"}`."""
        return frozenset(tensor.type for tensor in self.tensors)

    @property
    def weight_bytes(self) -> int:
        """Size of all tensors in bytes; 0 for OpenVINO's folders, which list none."""
        return sum(tensor.length for tensor in self.tensors)

    @property
    def architecture(self) -> str:
        """For example `llama`."""
        return str(self.metadata[_ARCHITECTURE])

    @property
    def tokenizer(self) -> str:
        """Kind of the tokenizer, for example `gpt2`; empty if missing."""
        return str(self.metadata.get(f"{_TOKENIZER}model", ""))

    @property
    def tokens(self) -> Sequence[str]:
        """Texts of the tokens, by id; empty without a vocabulary."""
        tokens: Sequence[str] = self.metadata.get(f"{_TOKENIZER}tokens", ())
        return tokens

    @property
    def token_types(self) -> Sequence[int]:
        """Types of the tokens, by id; all normal where the file lists none."""
        types: Sequence[int] = self.metadata.get(f"{_TOKENIZER}token_type", ())
        return types or [NORMAL] * len(self.tokens)

    def tokens_of_type(self, wanted: int) -> dict[int, str]:
        """Return the tokens of a type: id -> text."""
        pairs = enumerate(zip(self.tokens, self.token_types, strict=False))
        return {token: text for token, (text, kind) in pairs if kind == wanted}

    def token_id(self, name: str) -> int | None:
        """Return a special token, such as `bos` or `eos`; None if it is not in the vocabulary.

        Files without one may have -1, or the largest number of the type.
        """
        value = self.metadata.get(f"{_TOKENIZER}{name}_token_id")
        return value if self._is_token(value) else None

    def stray_token_ids(self) -> dict[str, object]:
        """Return the metadata entries for special tokens that are not in the vocabulary."""
        return {
            key: value
            for key, value in self.metadata.items()
            if key.startswith(_TOKENIZER)
            and key.endswith("_token_id")
            and not self._is_token(value)
        }

    def _is_token(self, value: object) -> bool:
        return type(value) is int and 0 <= value < len(self.tokens)

    def hyperparameter(self, name: str) -> int:
        """Return a positive integer of the architecture, for example `block_count`.

        Raises:
            ModelFileError: It is missing or invalid.
        """
        key = f"{self.architecture}.{name}"
        value = self.metadata.get(key)
        if type(value) is not int or value < 1:
            raise ModelFileError(f"metadata {key} is {'missing' if value is None else 'wrong'}")
        return value


def read(path: Path) -> Gguf:
    """Read and check everything but the weights.

    Raises:
        ModelFileError: The file is not a GGUF file, or its header does not agree with its size.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return _Reader(file, size).read()


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def read(self) -> Gguf:
        if self._file.read(4) != _MAGIC:
            raise ModelFileError("not a GGUF file (it does not begin with GGUF)")
        self._check_version(self._bytes(4))
        tensors, entries = self._number(10), self._number(10)
        if max(tensors, entries) > _MAX_ENTRIES:
            raise ModelFileError("the header is damaged: it counts more entries than any model has")
        metadata: dict[str, Any] = {}
        for _ in range(entries):
            key = self._string()
            metadata[key] = self._value(self._number(4), 0)
        count = metadata.get("split.count")
        # Number of the file in a split model; None if the model is whole.
        part = metadata.get("split.no", 0) if isinstance(count, int) and count > 1 else None
        if part in (None, 0) and not isinstance(metadata.get(_ARCHITECTURE), str):
            # For example an importance matrix.
            kind = metadata.get("general.type")
            other = f": not a model that completes text, but of the type {kind}" if kind else ""
            raise ModelFileError(f"metadata {_ARCHITECTURE} is missing{other}")
        relative = [self._tensor() for _ in range(tensors)]
        return Gguf(metadata, self._place(relative, metadata, may_be_empty=part == 0))

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
            raise ModelFileError(_TRUNCATED)
        return self._file.read(count)

    def _number(self, kind: int) -> Any:
        scalar = _SCALARS[kind]
        return scalar.unpack(self._bytes(scalar.size))[0]

    def _string(self) -> str:
        return self._bytes(self._number(10)).decode("utf-8", "replace")

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _SCALARS:
            return self._number(kind)
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY or depth == _MAX_ARRAY_DEPTH:
            raise ModelFileError(f"the header is damaged: metadata type {kind}")
        inner, count = self._number(4), self._number(10)
        if count > _MAX_ARRAY_LENGTH:
            raise ModelFileError("the header is damaged: an array is longer than any model has")
        if inner in _SCALARS:
            scalar = _SCALARS[inner]
            data = self._bytes(count * scalar.size)
            return list(struct.unpack(f"<{count}{scalar.format[1:]}", data))
        if inner == _STRING:
            return self._strings(count)
        return [self._value(inner, depth + 1) for _ in range(count)]

    def _strings(self, count: int) -> list[str]:
        read, unpack, limit = self._file.read, _SCALARS[10].unpack, self._size
        position, strings = self._file.tell(), list[str]()
        for _ in range(count):
            length = unpack(read(8))[0] if position + 8 <= limit else limit
            position += 8 + length
            if position > limit:
                raise ModelFileError(_TRUNCATED)
            # Tokens may be other bytes than UTF-8; single strings, such as templates, are text.
            strings.append(read(length).decode("utf-8", "surrogateescape"))
        return strings

    def _tensor(self) -> Tensor:
        """Read the next tensor of the header; its `start` is relative to the weights."""
        name = self._string()
        dimensions = self._number(4)
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise ModelFileError(f"tensor {name!r} has {dimensions} dimensions")
        shape = [self._number(10) for _ in range(dimensions)]
        kind, offset = self._number(4), self._number(10)
        if kind in REMOVED_TYPES:
            removed, repacked = REMOVED_TYPES[kind]
            again = "convert the model again, or download another quantisation"
            choice = f"choose {repacked}, which is repacked when it is loaded"
            raise ModelFileError(
                f"tensor {name!r} has the unknown type {kind}: {removed}, which llama.cpp has "
                f"removed; {choice if repacked else again}"
            )
        if kind not in TENSOR_TYPES:
            raise ModelFileError(
                f"tensor {name!r} has the unknown type {kind}: the file is damaged, or newer than "
                "this version; update Tenuto, or choose another quantisation"
            )
        form = TENSOR_TYPES[kind]
        if shape[0] % form.block:
            raise ModelFileError(
                f"tensor {name!r} of type {form.name} has rows that are not a multiple of "
                f"{form.block}"
            )
        return Tensor(name, form.name, offset, math.prod(shape) // form.block * form.block_bytes)

    def _place(
        self, tensors: list[Tensor], metadata: Mapping[str, Any], *, may_be_empty: bool
    ) -> tuple[Tensor, ...]:
        """Check the positions of the tensors, and return them relative to the file's start."""
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise ModelFileError(
                f"metadata general.alignment is {alignment}, and must be a power of two"
            )
        if not tensors:
            if may_be_empty:
                return ()
            other = ", only a vocabulary" if f"{_TOKENIZER}tokens" in metadata else ""
            raise ModelFileError(f"the file has no tensors{other}: not a model that completes text")
        start = -(-self._file.tell() // alignment) * alignment
        if any(tensor.start % alignment for tensor in tensors):
            raise ModelFileError("the header is damaged: a tensor is not aligned")
        placed = tuple(replace(tensor, start=start + tensor.start) for tensor in tensors)
        end = max(tensor.start + tensor.length for tensor in placed)
        if end > self._size:
            raise ModelFileError(f"the file is truncated: {self._size} bytes of at least {end}")
        return placed
