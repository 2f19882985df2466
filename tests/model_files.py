"""Model files made for tests: the built-in one, with other metadata."""

from __future__ import annotations

import struct
from pathlib import Path

from tenuto.engine.local.engine import built_in_model

_ALIGNMENT = 32
_HEAD_BYTES = 24  # magic, version, and the numbers of tensors and of pairs
_STRING = 8


def with_template(path: Path, template: str) -> Path:
    """Writes the built-in model with a chat template, in Jinja, to a path."""
    text = template.encode()
    # So long that the pair is a whole number of blocks; the comment changes nothing.
    key = "tokenizer.chat_template"
    missing = -(_pair_bytes(key) + 8 + len(text) + len(b"{##}")) % _ALIGNMENT
    text += b"{#" + b" " * missing + b"#}"
    value = struct.pack("<Q", len(text)) + text
    path.write_bytes(with_pair(built_in_model().read_bytes(), key, _STRING, value))
    return path


def with_pair(whole: bytes, key: str, kind: int, value: bytes) -> bytes:
    """A GGUF file with one more pair of metadata, of a type of the format's.

    Weights must stay aligned, so a second pair takes up the space that is left of a block.
    """
    pairs = [struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + value]
    left = -len(pairs[0]) % _ALIGNMENT
    if left:
        filling = "filling"
        length = (left - _pair_bytes(filling) - 8) % _ALIGNMENT
        text = struct.pack("<Q", length) + b" " * length
        pairs.append(struct.pack("<Q", len(filling)) + filling.encode())
        pairs.append(struct.pack("<I", _STRING) + text)
    tensors, count = struct.unpack_from("<QQ", whole, 8)
    head = whole[:8] + struct.pack("<QQ", tensors, count + (2 if left else 1))
    return head + b"".join(pairs) + whole[_HEAD_BYTES:]


def _pair_bytes(key: str) -> int:
    """The bytes of a pair before its value."""
    return 8 + len(key) + 4
