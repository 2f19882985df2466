"""Models for tests with the built-in one's weights and other vocabularies."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tenuto.engine.local import gguf
from tenuto.engine.local.model_file import built_in_model
from tests.split_files import pair, put_together, take_apart

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6

_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9


def with_metadata(path: Path, changes: Mapping[str, Any]) -> Path:
    """Write the built-in model with other metadata; None removes an entry, bytes are raw.

    A text becomes a string, a number an unsigned one of 32 bits, a list an array. A pair of a type
    of the format's and bytes is taken as it is.
    """
    whole = take_apart(built_in_model().read_bytes())
    kept = [each for each in whole.pairs if _key(each) not in changes]
    added = [pair(key, *_coded(value)) for key, value in changes.items() if value is not None]
    path.write_bytes(put_together((*kept, *added), whole.tensors))
    return path


def bpe(path: Path, special: Sequence[tuple[str, int]], **metadata: Any) -> Path:
    """Write a model of byte-level BPE in which the last tokens are these, each of a type."""
    file = gguf.read(built_in_model())
    tokens = list(file.metadata["tokenizer.ggml.tokens"])
    types = list(file.metadata["tokenizer.ggml.token_type"])
    merges = list(file.metadata["tokenizer.ggml.merges"])
    if special:
        # Each of the last tokens is made by the merge in its place, and no other merge uses it.
        tokens[-len(special) :] = [text for text, _ in special]
        types[-len(special) :] = [kind for _, kind in special]
        del merges[-len(special) :]
    changes = {
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": merges,
    }
    return with_metadata(path, changes | _named(metadata))


def sentencepiece(path: Path, special: Sequence[tuple[str, int]], **metadata: Any) -> Path:
    """Write a model of SentencePiece's kind in which the last tokens are these."""
    size = len(gguf.read(built_in_model()).metadata["tokenizer.ggml.tokens"])
    pieces: dict[str, float] = {}
    for rank, piece in enumerate(_pieces()):
        pieces.setdefault(piece, -float(rank))
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * len(pieces)]
    scores = [0.0] * 259 + list(pieces.values())
    filling = size - len(tokens) - len(special)
    tokens += [f"<filling_{number}>" for number in range(filling)]
    types += [5] * filling
    tokens += [text for text, _ in special]
    types += [kind for _, kind in special]
    scores += [0.0] * (size - len(scores))
    changes = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.scores": [float(score) for score in scores],
        "tokenizer.ggml.merges": None,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    return with_metadata(path, changes | _named(metadata))


def _pieces() -> Iterable[str]:
    """Pieces in the order in which they are merged, each the sum of two before it."""
    words = "the that this you are not and for with have say only answer system user hello human"
    for text in (*words.split(), "".join(map(chr, range(0x21, 0x7F)))):
        for word in (text, "\u2581" + text):
            yield from (word[:end] for end in range(2, len(word) + 1) if len(text) < 20)
    yield from ("<s", "</", "/s", "s>", "<|", "|>", "im", "_end", "end", "_e", "nd", "\u2581<")
    yield from ("\u2581", *map(chr, range(0x21, 0x7F)), *"éüßäö€", "\u2581\u2581")


def _named(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """`chat_template` is `tokenizer.chat_template`, all others are of `tokenizer.ggml`."""
    return {
        f"tokenizer.{'' if name == 'chat_template' else 'ggml.'}{name}": value
        for name, value in metadata.items()
    }


def _key(raw: bytes) -> str:
    (length,) = struct.unpack_from("<Q", raw)
    return raw[8 : 8 + length].decode()


def _coded(value: Any) -> tuple[int, bytes]:
    match value:
        case (int() as kind, bytes() as data):
            return kind, data
        case bool():
            return _BOOL, bytes([value])
        case int():
            return _U32, struct.pack("<I", value)
        case str():
            return _STRING, _text(value)
        case list():
            kind, items = _items(value)
            return _ARRAY, struct.pack("<IQ", kind, len(value)) + items
        case _:
            raise TypeError(value)


def _items(values: list[Any]) -> tuple[int, bytes]:
    if isinstance(values[0], str):
        return _STRING, b"".join(map(_text, values))
    if isinstance(values[0], float):
        return _F32, struct.pack(f"<{len(values)}f", *values)
    return _I32, struct.pack(f"<{len(values)}i", *values)


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    return struct.pack("<Q", len(data)) + data
