"""Export a trained network as one GGUF file for llama.cpp and OpenVINO GenAI.

    python -m training.export RUN_DIRECTORY OUT.gguf --type q8_0

Input: `checkpoint.pt` and `tokenizer.json` in the run directory. Output: the GGUF file. Its
metadata describes the model, and not the machine that made it.
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, LlamaFileType, TokenType
from torch import Tensor

from training.checkpoint import read_model
from training.model import Config, Llama
from training.tokenizer import END_ID

NAME = "tenuto-mini"

TYPES: dict[str, tuple[GGMLQuantizationType, LlamaFileType]] = {
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
}

# The names of the weights of a layer: of this package, and of GGUF.
LAYER_NAMES = {
    "attention_norm": "attn_norm",
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "output": "attn_output",
    "ffn_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


def describe(writer: gguf.GGUFWriter, config: Config, file_type: LlamaFileType) -> None:
    """Write the name and the shape of the model."""
    writer.add_type("model")
    writer.add_name(NAME)
    writer.add_description("The small built-in model of Tenuto, trained on generated text.")
    writer.add_license("Apache-2.0")
    writer.add_languages(["en"])
    writer.add_file_type(file_type)
    # The engine serves no longer context than this.
    writer.add_context_length(config.context)
    writer.add_vocab_size(config.vocabulary)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.ffn)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_rope_dimension_count(config.width // config.heads)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_layer_norm_rms_eps(config.epsilon)


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer_file: Path, vocabulary: int) -> None:
    """Write tokens, merges, and the token that begins and ends a document."""
    model = json.loads(tokenizer_file.read_text(encoding="utf-8"))["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    if sorted(model["vocab"].values()) != list(range(vocabulary)):
        raise ValueError(f"{tokenizer_file} must have the {vocabulary} tokens of the checkpoint")
    # The library stores a merge as a pair; GGUF stores both halves with a blank between.
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    types = [TokenType.NORMAL] * vocabulary
    types[END_ID] = TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")  # see training.tokenizer.splitting
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    # One token is beginning and end, because in training it separates the documents.
    writer.add_bos_token_id(END_ID)
    writer.add_eos_token_id(END_ID)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def add_weights(writer: gguf.GGUFWriter, model: Llama, kind: GGMLQuantizationType) -> None:
    """Write all weights: matrices as `kind`, norms in float32."""

    def add(name: str, weight: Tensor) -> None:
        values = weight.detach().float().numpy().astype(np.float32)
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    # No output.weight: without it, the engines use the embedding as output matrix.
    add("token_embd.weight", model.embedding.weight)
    add("output_norm.weight", model.norm.weight)
    for number, block in enumerate(model.blocks):
        for name, gguf_name in LAYER_NAMES.items():
            add(f"blk.{number}.{gguf_name}.weight", block.get_parameter(f"{name}.weight"))


def export(run: Path, out: Path, type_name: str = "q8_0") -> None:
    """Write the GGUF file."""
    model = read_model(run)
    kind, file_type = TYPES[type_name]
    out.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(out, "llama")
    describe(writer, model.config, file_type)
    add_tokenizer(writer, run / "tokenizer.json", model.config.vocabulary)
    add_weights(writer, model, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Write the trained network as a GGUF file.")
    parser.add_argument("run", type=Path, help="directory with checkpoint.pt and tokenizer.json")
    parser.add_argument("out", type=Path, help="the GGUF file to write")
    parser.add_argument("--type", choices=TYPES, default="q8_0")
    options = parser.parse_args(arguments)
    export(options.run, options.out, options.type)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
