"""A model file of the shape of Qwen2.5-0.5B, with random weights: as slow as a real one.

Its vocabulary is as large as the real one, and made so that prompts of an exact number of tokens
can be written: all words of four letters up to some are one token each, with their space. Tokens
that would end a text have weights of 0, so that the others outweigh them and every completion is
as long as was asked for.
"""

from __future__ import annotations

import itertools
import string
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType

WIDTH: Final = 896
LAYERS: Final = 24
HEADS: Final = 14
KV_HEADS: Final = 2
HEAD: Final = 64
INNER: Final = 4864
CONTEXT: Final = 32768
VOCABULARY: Final = 151_936
_WORDS: Final = 151_643  # the rest are special tokens

# Numbers that share a scale, and their spread in weights.
_GROUP: Final = 32
_SPREAD: Final = 0.02

# GPT-2's alphabet: bytes that cannot be printed are these, from 256 on.
_PRINTABLE: Final = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_SPACE: Final = "Ġ"


def model_file(quantisation: str) -> Path:
    """The file, `Q8_0` or `Q4_0`: that of an earlier run, or else written now (0.4 GB)."""
    folder = Path(tempfile.gettempdir()) / "tenuto-benchmarks"
    folder.mkdir(exist_ok=True)
    path = folder / f"qwen2.5-0.5b-random-{quantisation.lower()}.gguf"
    if not path.exists():
        partial = path.with_suffix(".partial")
        _write(partial, quantisation)
        partial.rename(path)
    return path


def words() -> list[str]:
    """Words that are one token each, if a space precedes them."""
    return ["".join(letters) for letters in itertools.islice(_four_letters(), 100_000)]


def _four_letters() -> Iterator[tuple[str, ...]]:
    return itertools.product(string.ascii_lowercase, repeat=4)


def _vocabulary() -> tuple[list[str], list[str], list[TokenType]]:
    """Tokens, merges and the types of the tokens."""
    others = (chr(256 + number) for number in itertools.count())
    printable = set(_PRINTABLE)
    tokens = [chr(byte) if byte in printable else next(others) for byte in range(256)]
    merges = []
    for letters in itertools.count(1):
        for word in itertools.product(string.ascii_lowercase, repeat=letters):
            if len(tokens) == _WORDS:
                break
            before = _SPACE + "".join(word[:-1])
            merges.append(f"{before} {word[-1]}")
            tokens.append(before + word[-1])
        if len(tokens) == _WORDS:
            break
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    names += [f"<|unused{number}|>" for number in range(VOCABULARY - _WORDS - len(names))]
    kinds = [TokenType.NORMAL] * len(tokens) + [TokenType.CONTROL] * len(names)
    return [*tokens, *names], merges, kinds


def _write(path: Path, quantisation: str) -> None:
    writer = GGUFWriter(path, "qwen2")
    writer.add_name("Random")
    writer.add_file_type(LlamaFileType[f"MOSTLY_{quantisation}"])
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    tokens, merges, kinds = _vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_merges(merges)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(_WORDS)
    writer.add_eos_token_id(_WORDS)
    writer.add_add_bos_token(False)
    _add_tensors(writer, GGMLQuantizationType[quantisation])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tensors(writer: GGUFWriter, kind: GGMLQuantizationType) -> None:
    draw = np.random.default_rng(1)

    def matrix(name: str, rows: int, columns: int, of: GGMLQuantizationType = kind) -> Any:
        data = _random(draw, rows, columns, of)
        writer.add_tensor(f"{name}.weight", data, raw_dtype=of)
        return data

    def vector(name: str, values: Sequence[float] | Any) -> None:
        writer.add_tensor(name, np.asarray(values, dtype=np.float32))

    # Input and output share it. The usual converters keep it in 8 bits in every mixture.
    embedding = matrix("token_embd", VOCABULARY, WIDTH, GGMLQuantizationType.Q8_0)
    embedding[_WORDS:] = 0
    vector("output_norm.weight", np.ones(WIDTH))
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        vector(f"{block}.attn_norm.weight", np.ones(WIDTH))
        for name, rows in (("q", WIDTH), ("k", KV_HEADS * HEAD), ("v", KV_HEADS * HEAD)):
            matrix(f"{block}.attn_{name}", rows, WIDTH)
            vector(f"{block}.attn_{name}.bias", draw.normal(0, _SPREAD, rows))
        matrix(f"{block}.attn_output", WIDTH, WIDTH)
        vector(f"{block}.ffn_norm.weight", np.ones(WIDTH))
        matrix(f"{block}.ffn_gate", INNER, WIDTH)
        matrix(f"{block}.ffn_up", INNER, WIDTH)
        matrix(f"{block}.ffn_down", WIDTH, INNER)


def _random(draw: np.random.Generator, rows: int, columns: int, kind: GGMLQuantizationType) -> Any:
    """A matrix of random numbers in a form of the format: groups of a scale and whole numbers."""
    wide = kind is GGMLQuantizationType.Q8_0
    # Whole numbers that are equally likely spread by their range / sqrt(12).
    scale = np.float16(_SPREAD * 12**0.5 / (256 if wide else 16))
    groups = rows * columns // _GROUP
    data = np.empty((groups, 2 + (_GROUP if wide else _GROUP // 2)), dtype=np.uint8)
    data[:, :2] = np.frombuffer(scale.tobytes(), dtype=np.uint8)
    data[:, 2:] = draw.integers(0, 256, size=(groups, data.shape[1] - 2), dtype=np.uint8)
    return data.reshape(rows, -1)
