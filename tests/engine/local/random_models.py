"""Small models of other architectures, with random weights and the built-in vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tenuto.engine.local import gguf as files
from tenuto.engine.local.model_file import built_in_model

np = pytest.importorskip("numpy")
gguf = pytest.importorskip("gguf")

LAYERS: Final = 4
_WIDTH, _INNER, _CONTEXT = 128, 256, 2048
_HEADS, _KV_HEADS, _HEAD = 4, 2, 32


class _Writer:
    """A GGUF file of one architecture."""

    def __init__(self, path: Path, architecture: str) -> None:
        self.file: Any = gguf.GGUFWriter(path, architecture)
        self.draw = np.random.default_rng(3)
        known = files.read(built_in_model()).metadata
        file = self.file
        file.add_context_length(_CONTEXT)
        file.add_embedding_length(_WIDTH)
        file.add_block_count(LAYERS)
        file.add_feed_forward_length(_INNER)
        file.add_layer_norm_rms_eps(1e-6)
        file.add_tokenizer_model("gpt2")
        file.add_tokenizer_pre(known["tokenizer.ggml.pre"])
        file.add_token_list(list(known["tokenizer.ggml.tokens"]))
        file.add_token_merges(list(known["tokenizer.ggml.merges"]))
        file.add_token_types(list(known["tokenizer.ggml.token_type"]))
        file.add_bos_token_id(0)
        file.add_eos_token_id(1)
        self.random("token_embd.weight", len(known["tokenizer.ggml.tokens"]), _WIDTH, spread=1.0)

    def random(self, name: str, *shape: int, spread: float = 0.08) -> None:
        self.file.add_tensor(name, self.draw.normal(0, spread, shape).astype(np.float32))

    def scale(self, *names: str, width: int = _WIDTH, by: float = 1.0) -> None:
        for name in names:
            self.file.add_tensor(name, np.full(width, by, np.float32))

    def attention(self, block: str) -> None:
        self.random(f"{block}.attn_q.weight", _HEADS * _HEAD, _WIDTH, spread=0.2)
        self.random(f"{block}.attn_k.weight", _KV_HEADS * _HEAD, _WIDTH, spread=0.2)
        self.random(f"{block}.attn_v.weight", _KV_HEADS * _HEAD, _WIDTH, spread=0.3)
        self.random(f"{block}.attn_output.weight", _WIDTH, _HEADS * _HEAD, spread=0.3)

    def feed_forward(self, block: str) -> None:
        self.scale(f"{block}.ffn_norm.weight")
        self.random(f"{block}.ffn_gate.weight", _INNER, _WIDTH)
        self.random(f"{block}.ffn_up.weight", _INNER, _WIDTH)
        self.random(f"{block}.ffn_down.weight", _WIDTH, _INNER)


def _attentive(writer: _Writer) -> None:
    writer.file.add_head_count(_HEADS)
    writer.file.add_head_count_kv(_KV_HEADS)
    writer.file.add_key_length(_HEAD)
    writer.file.add_value_length(_HEAD)


def _llama(writer: _Writer) -> None:
    _attentive(writer)
    writer.file.add_rope_dimension_count(_HEAD)
    writer.scale("output_norm.weight")
    for block in _blocks():
        writer.scale(f"{block}.attn_norm.weight")
        writer.attention(block)
        writer.feed_forward(block)


def _gemma2(writer: _Writer) -> None:
    _attentive(writer)
    writer.file.add_sliding_window(64)
    writer.scale("output_norm.weight")
    for block in _blocks():
        writer.scale(f"{block}.attn_norm.weight", by=3.0)
        # Against embeddings, which this architecture multiplies.
        writer.scale(f"{block}.post_attention_norm.weight", by=12.0)
        writer.scale(f"{block}.post_ffw_norm.weight", by=4.0)
        writer.attention(block)
        writer.feed_forward(block)


def _mamba(writer: _Writer) -> None:
    inner, states, rank, kernel = 256, 16, 8, 4
    writer.file.add_head_count(0)
    writer.file.add_ssm_conv_kernel(kernel)
    writer.file.add_ssm_inner_size(inner)
    writer.file.add_ssm_state_size(states)
    writer.file.add_ssm_time_step_rank(rank)
    writer.scale("output_norm.weight")
    for block in _blocks():
        writer.scale(f"{block}.attn_norm.weight")
        writer.random(f"{block}.ssm_in.weight", 2 * inner, _WIDTH, spread=0.2)
        writer.random(f"{block}.ssm_conv1d.weight", inner, kernel, spread=0.3)
        writer.random(f"{block}.ssm_conv1d.bias", inner)
        writer.random(f"{block}.ssm_x.weight", rank + 2 * states, inner, spread=0.3)
        writer.random(f"{block}.ssm_dt.weight", inner, rank, spread=0.3)
        writer.random(f"{block}.ssm_dt.bias", inner)
        # Small, so that first tokens are not forgotten.
        decay = -0.003 * np.abs(writer.draw.normal(0, 1, (inner, states)))
        writer.file.add_tensor(f"{block}.ssm_a", decay.astype(np.float32))
        writer.random(f"{block}.ssm_d", inner)
        writer.random(f"{block}.ssm_out.weight", _WIDTH, inner, spread=0.3)


def _lfm2(writer: _Writer) -> None:
    kernel = 3
    writer.file.add_head_count(_HEADS)
    writer.file.add_head_count_kv([0, _KV_HEADS] * (LAYERS // 2))
    writer.file.add_uint32("lfm2.shortconv.l_cache", kernel)
    writer.file.add_rope_freq_base(10_000.0)
    writer.scale("token_embd_norm.weight")
    for layer, block in enumerate(_blocks()):
        writer.scale(f"{block}.attn_norm.weight", by=3.0)
        writer.feed_forward(block)
        if layer % 2:
            writer.attention(block)
            names = (f"{block}.attn_q_norm.weight", f"{block}.attn_k_norm.weight")
            writer.scale(*names, width=_HEAD)
        else:
            writer.random(f"{block}.shortconv.in_proj.weight", 3 * _WIDTH, _WIDTH)
            writer.random(f"{block}.shortconv.conv.weight", _WIDTH, kernel, spread=0.5)
            writer.random(f"{block}.shortconv.out_proj.weight", _WIDTH, _WIDTH)


def _blocks() -> list[str]:
    return [f"blk.{layer}" for layer in range(LAYERS)]


_ARCHITECTURES: Final[dict[str, Callable[[_Writer], None]]] = {
    "llama": _llama,  # attention
    "gemma2": _gemma2,  # attention, in half of the layers within a sliding window
    "mamba": _mamba,  # recurrent states
    "lfm2": _lfm2,  # both
}
ARCHITECTURES: Final = tuple(_ARCHITECTURES)


def random_model(folder: Path, architecture: str) -> Path:
    """Write a model."""
    path = folder / f"{architecture}.gguf"
    writer = _Writer(path, architecture)
    _ARCHITECTURES[architecture](writer)
    writer.file.write_header_to_file()
    writer.file.write_kv_data_to_file()
    writer.file.write_tensors_to_file()
    writer.file.close()
    return path
