"""Model files with random weights in the shapes of known models: as slow as real ones.

Embeddings outweigh the layers, and the output's rows are the embeddings' in another order, so that
at temperature 0 each word is followed by a fixed other one (`Vocabulary.successors`): every
completion is as long as requested, does not repeat itself, and its text is known.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFWriter, LlamaFileType, TokenType

from benchmarks.engine.blocks import has_more_bits, mixed, random_matrix
from benchmarks.engine.shapes import SHAPES, Shape
from benchmarks.engine.vocabulary import Vocabulary

QUANTISATIONS: Final = ("Q8_0", "Q4_0", "Q4_K_M")

# The forms of most matrices, of some (`has_more_bits`), and of embedding and output: the usual
# converters keep these in 6 or 8 bits in every mixture.
_FORMS: Final = {
    "Q8_0": (Kind.Q8_0, Kind.Q8_0, Kind.Q8_0),
    "Q4_0": (Kind.Q4_0, Kind.Q4_0, Kind.Q8_0),
    "Q4_K_M": (Kind.Q4_K, Kind.Q6_K, Kind.Q6_K),
}
_SPREAD: Final = 0.02
_EMBEDDING_SPREAD: Final = 1.0
_OUTPUT_NORM: Final = 0.03
# Part of the file names: another one for files that are not like those of before.
_VERSION: Final = 2


def model_file(shape: str, quantisation: str) -> Path:
    """Return the file of an earlier run, or write it (0.2 to 0.8 GB)."""
    folder = Path(tempfile.gettempdir()) / "tenuto-benchmarks"
    folder.mkdir(exist_ok=True)
    path = folder / f"{shape}-random-{_VERSION}-{quantisation}.gguf"
    if not path.exists():
        partial = path.with_suffix(".partial")
        _Writer(partial, SHAPES[shape], quantisation).write()
        partial.rename(path)
    return path


class _Writer:
    def __init__(self, path: Path, shape: Shape, quantisation: str) -> None:
        self._file = GGUFWriter(path, shape.architecture)
        self._shape = shape
        self._quantisation = quantisation
        self._draw = np.random.default_rng(1)

    def write(self) -> None:
        self._add_metadata()
        self._add_embeddings()
        for layer in range(self._shape.layers):
            self._add_layer(layer)
        self._file.write_header_to_file()
        self._file.write_kv_data_to_file()
        self._file.write_tensors_to_file()
        self._file.close()

    def _add_metadata(self) -> None:
        file, shape = self._file, self._shape
        file.add_name("Random")
        file.add_file_type(LlamaFileType[f"MOSTLY_{self._quantisation}"])
        file.add_context_length(shape.context)
        file.add_embedding_length(shape.width)
        file.add_block_count(shape.layers)
        file.add_feed_forward_length(shape.inner)
        file.add_head_count(shape.heads)
        file.add_head_count_kv(shape.kv_heads_by_layer)
        file.add_layer_norm_rms_eps(1e-6)
        file.add_rope_freq_base(1_000_000.0)
        file.add_rope_dimension_count(shape.head)
        file.add_key_length(shape.head)
        file.add_value_length(shape.head)
        if shape.window:
            file.add_sliding_window(shape.window)
        if shape.kernel:
            file.add_uint32(f"{shape.architecture}.shortconv.l_cache", shape.kernel)
        vocabulary = Vocabulary(shape.vocabulary)
        texts = vocabulary.texts
        file.add_tokenizer_model("gpt2")
        file.add_tokenizer_pre("qwen2")
        file.add_token_list(vocabulary.tokens)
        file.add_token_merges(vocabulary.merges)
        file.add_token_types(
            [TokenType.NORMAL] * texts + [TokenType.CONTROL] * (shape.vocabulary - texts)
        )
        file.add_bos_token_id(texts)
        file.add_eos_token_id(texts)
        file.add_add_bos_token(False)

    def _add_embeddings(self) -> None:
        shape = self._shape
        vocabulary = Vocabulary(shape.vocabulary)
        kind = mixed(_FORMS[self._quantisation][2], shape.width)
        embedding = random_matrix(
            self._draw, shape.vocabulary, shape.width, kind, _EMBEDDING_SPREAD
        )
        embedding[vocabulary.texts :] = 0
        output = embedding.copy()
        cycle = np.array(vocabulary.successors)
        output[np.roll(cycle, -1)] = embedding[cycle]
        self._file.add_tensor("token_embd.weight", embedding, raw_dtype=kind)
        self._file.add_tensor("output.weight", output, raw_dtype=kind)
        name = "token_embd_norm" if shape.architecture == "lfm2" else "output_norm"
        self._vector(f"{name}.weight", np.full(shape.width, _OUTPUT_NORM))

    def _add_layer(self, layer: int) -> None:
        shape = self._shape
        block = f"blk.{layer}"
        more = has_more_bits(layer, shape.layers)
        self._vector(f"{block}.attn_norm.weight", np.ones(shape.width))
        if shape.kernel and layer not in shape.attentive:
            self._matrix(f"{block}.shortconv.in_proj", 3 * shape.width, shape.width)
            kernel = self._draw.normal(0, 0.5, (shape.width, shape.kernel))
            self._vector(f"{block}.shortconv.conv.weight", kernel)
            self._matrix(f"{block}.shortconv.out_proj", shape.width, shape.width)
        else:
            self._add_attention(block, more=more)
        self._vector(f"{block}.ffn_norm.weight", np.ones(shape.width))
        self._matrix(f"{block}.ffn_gate", shape.inner, shape.width)
        self._matrix(f"{block}.ffn_up", shape.inner, shape.width)
        self._matrix(f"{block}.ffn_down", shape.width, shape.inner, more=more)
        if shape.post_norms:
            self._vector(f"{block}.post_attention_norm.weight", np.ones(shape.width))
            self._vector(f"{block}.post_ffw_norm.weight", np.ones(shape.width))

    def _add_attention(self, block: str, *, more: bool) -> None:
        shape = self._shape
        width, key_width = shape.heads * shape.head, shape.kv_heads * shape.head
        for name, rows in (("q", width), ("k", key_width), ("v", key_width)):
            self._matrix(f"{block}.attn_{name}", rows, shape.width, more=more and name == "v")
            if shape.biases:
                self._vector(f"{block}.attn_{name}.bias", self._draw.normal(0, _SPREAD, rows))
        if shape.head_norms:
            self._vector(f"{block}.attn_q_norm.weight", np.ones(shape.head))
            self._vector(f"{block}.attn_k_norm.weight", np.ones(shape.head))
        self._matrix(f"{block}.attn_output", shape.width, width)

    def _matrix(self, name: str, rows: int, columns: int, *, more: bool = False) -> None:
        kind = mixed(_FORMS[self._quantisation][more], columns)
        data = random_matrix(self._draw, rows, columns, kind, _SPREAD)
        self._file.add_tensor(f"{name}.weight", data, raw_dtype=kind)

    def _vector(self, name: str, values: Any) -> None:
        self._file.add_tensor(name, np.asarray(values, dtype=np.float32))
