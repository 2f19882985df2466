"""Splits GGUF files as llama.cpp's `gguf-split` does, for tests.

The rules are those of `tools/gguf-split/gguf-split.cpp`: the first file holds all metadata, every
file its number, the number of files and that of all tensors, and tensors follow in their order.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from pathlib import Path

from tests.model_files import SIZES

_ALIGNMENT = 32
_STRING, _ARRAY = 8, 9
_U16, _I32 = 2, 5


@dataclass(frozen=True)
class RawTensor:
    """A tensor as its bytes: the description without its offset, and the weights, padded."""

    description: bytes
    data: bytes


@dataclass(frozen=True)
class RawFile:
    """A GGUF file as its bytes: key-value pairs, and tensors."""

    pairs: tuple[bytes, ...]
    tensors: tuple[RawTensor, ...]


def take_apart(whole: bytes) -> RawFile:
    """Cut a sound GGUF file with the usual alignment into its pairs and tensors."""
    tensors, pairs = struct.unpack_from("<QQ", whole, 8)
    at = 24
    cut = []
    for _ in range(pairs):
        end = _value_end(whole, _string_end(whole, at))
        cut.append(whole[at:end])
        at = end
    described = []
    for _ in range(tensors):
        start, at = at, _string_end(whole, at)
        (dimensions,) = struct.unpack_from("<I", whole, at)
        at += 4 + 8 * dimensions + 4
        (offset,) = struct.unpack_from("<Q", whole, at)
        described.append((whole[start:at], offset))
        at += 8
    base = -(-at // _ALIGNMENT) * _ALIGNMENT
    ends = {offset: end for (_, offset), (_, end) in itertools.pairwise(described)}
    return RawFile(
        tuple(cut),
        tuple(
            RawTensor(text, whole[base + offset : base + ends.get(offset, len(whole))])
            for text, offset in described
        ),
    )


def put_together(pairs: tuple[bytes, ...], tensors: tuple[RawTensor, ...]) -> bytes:
    """Make a GGUF file."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs)
    weights = b""
    for tensor in tensors:
        head += tensor.description + struct.pack("<Q", len(weights))
        weights += tensor.data + bytes(-len(tensor.data) % _ALIGNMENT)
    return head + bytes(-len(head) % _ALIGNMENT) + weights


def split(
    model: Path,
    folder: Path,
    name: str = "m",
    *,
    max_tensors: int = 128,
    max_size: int | None = None,
    no_tensor_first_split: bool = False,
) -> list[Path]:
    """Split a model, with the options of `gguf-split`; `max_size` is in bytes."""
    whole = take_apart(model.read_bytes())
    groups: list[list[RawTensor]] = [[], []] if no_tensor_first_split else [[]]
    size = 0
    for number, tensor in enumerate(whole.tensors):
        padded = len(tensor.data) + -len(tensor.data) % _ALIGNMENT
        full = number > 0 and number % max_tensors == 0
        if full if max_size is None else size + padded > max_size:
            groups.append([])
            size = 0
        size += padded
        groups[-1].append(tensor)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, group in enumerate(groups):
        keys = split_keys(number, len(groups), len(whole.tensors))
        path = folder / f"{name}-{number + 1:05}-of-{len(groups):05}.gguf"
        pairs = (*whole.pairs, *keys) if number == 0 else keys
        path.write_bytes(put_together(pairs, tuple(group)))
        paths.append(path)
    return paths


def split_keys(number: int, count: int, tensors: int) -> tuple[bytes, ...]:
    """The three pairs that every file of a split model has."""
    return (
        pair("split.no", _U16, struct.pack("<H", number)),
        pair("split.count", _U16, struct.pack("<H", count)),
        pair("split.tensors.count", _I32, struct.pack("<i", tensors)),
    )


def pair(key: str, kind: int, value: bytes) -> bytes:
    """A key-value pair as its bytes."""
    return struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + value


def _string_end(whole: bytes, at: int) -> int:
    (length,) = struct.unpack_from("<Q", whole, at)
    return at + 8 + int(length)


def _value_end(whole: bytes, at: int) -> int:
    """Return the end of a value whose type is at a position."""
    (kind,) = struct.unpack_from("<I", whole, at)
    at += 4
    if kind == _STRING:
        return _string_end(whole, at)
    if kind != _ARRAY:
        return at + SIZES[kind]
    inner, count = struct.unpack_from("<IQ", whole, at)
    at += 12
    if inner in SIZES:
        return at + SIZES[inner] * int(count)
    for _ in range(count):
        at = _string_end(whole, at)
    return at
