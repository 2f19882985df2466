"""Model files made for tests: the built-in one, with other metadata."""

from __future__ import annotations

import struct
from pathlib import Path

from tenuto.engine.local import gguf
from tenuto.engine.local.model_file import built_in_model

_ALIGNMENT = 32
_HEAD_BYTES = 24  # magic, version, and the numbers of tensors and of pairs
_STRING = 8

# Bytes of a value, by the number of its type.
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

# A block of 32 weights: a scale of 1.0 in half precision, and whole numbers.
_Q8_ONES = struct.pack("<H32b", 0x3C00, *[1] * 32)
_Q8_MINUS_ONES = struct.pack("<H32b", 0x3C00, *[-1] * 32)
_LLAMA_CPPS_END = 11


def with_template(path: Path, template: str, model: Path | None = None) -> Path:
    """Write a model, by default the built-in one, with a chat template, in Jinja, to a path."""
    text = template.encode()
    # So long that the pair is a whole number of blocks; the comment changes nothing.
    key = "tokenizer.chat_template"
    missing = -(_pair_bytes(key) + 8 + len(text) + len(b"{##}")) % _ALIGNMENT
    text += b"{#" + b" " * missing + b"#}"
    value = struct.pack("<Q", len(text)) + text
    whole = (model or built_in_model()).read_bytes()
    path.write_bytes(with_pair(whole, key, _STRING, value))
    return path


def without_end(path: Path) -> bytes:
    """A model like this one for which all tokens are equally likely, and none ends a text."""
    weights = bytearray(path.read_bytes())
    file = gguf.read(path)
    vocabulary = len(file.metadata["tokenizer.ggml.tokens"])
    for tensor in file.tensors:
        name = tensor.name
        if name in ("token_embd.weight", "output.weight"):
            assert tensor.type == "Q8_0"
            # Every token is the same vector. llama.cpp takes one for the end if none is named;
            # that one is the opposite, and is never chosen.
            row = tensor.length // vocabulary // len(_Q8_ONES)
            data = _Q8_ONES * row * vocabulary
            at = _LLAMA_CPPS_END * row * len(_Q8_ONES)
            data = data[:at] + _Q8_MINUS_ONES * row + data[at + row * len(_Q8_ONES) :]
        elif name == "output_norm.weight":
            data = struct.pack("<f", 1.0) * (tensor.length // 4)
        elif name.endswith(("attn_output.weight", "ffn_down.weight")):
            # No layer adds anything.
            data = bytes(tensor.length)
        else:
            continue
        weights[tensor.start : tensor.start + tensor.length] = data
    end = b"tokenizer.ggml.eos_token_id"
    return bytes(weights.replace(end, end[:-2] + b"__"))


def with_context(whole: bytes, tokens: int) -> bytes:
    """Return a GGUF file with another `context_length`."""
    key = b"llama.context_length"
    value = whole.index(key) + len(key) + 4
    return whole[:value] + struct.pack("<I", tokens) + whole[value + 4 :]


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
