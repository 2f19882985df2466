"""Models in OpenVINO's own format, made for tests from GGUF files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tenuto.engine.local import gguf
from tenuto.engine.local.gguf import CONTROL, USER_DEFINED
from tenuto.engine.local.runtimes.openvino import library as openvino_library

# What the converter writes beside the networks, and what it is called in GGUF.
_CONFIG = {
    "max_position_embeddings": "context_length",
    "num_hidden_layers": "block_count",
    "hidden_size": "embedding_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
}


def as_folder(model: Path, folder: Path) -> Path:
    """Convert a GGUF file with the runtime."""
    _, genai = openvino_library.load()

    folder.mkdir(parents=True)
    # The library writes beside the file.
    link = folder / "model.gguf"
    link.symlink_to(model.resolve())
    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = 2
    genai.ContinuousBatchingPipeline(str(link), scheduler, "CPU", {"enable_save_ov_model": True})
    genai.Tokenizer(link, enable_save_ov_model=True)
    link.unlink()

    file = gguf.read(model)
    config: dict[str, Any] = {
        name: file.metadata[f"{file.architecture}.{key}"]
        for name, key in _CONFIG.items()
        if f"{file.architecture}.{key}" in file.metadata
    }
    config |= {"model_type": file.architecture, "vocab_size": len(_texts(file))}
    config["eos_token_id"] = file.metadata.get("tokenizer.ggml.eos_token_id")
    write(folder, "config.json", config)
    write(folder, "tokenizer.json", _tokenizer(file))
    bos = _texts(file)[file.metadata["tokenizer.ggml.bos_token_id"]]
    write(folder, "tokenizer_config.json", {"bos_token": bos, "add_bos_token": True})
    return folder


def write(folder: Path, name: str, value: object) -> None:
    """Write one of a folder's JSON files."""
    (folder / name).write_text(json.dumps(value))


def _texts(file: gguf.Gguf) -> list[str]:
    texts: list[str] = file.metadata["tokenizer.ggml.tokens"]
    return texts


def _tokenizer(file: gguf.Gguf) -> dict[str, Any]:
    types = file.metadata["tokenizer.ggml.token_type"]
    added = [
        {"id": index, "content": text, "special": kind == CONTROL}
        for index, (text, kind) in enumerate(zip(_texts(file), types, strict=True))
        if kind in (CONTROL, USER_DEFINED)
    ]
    return {
        "model": {"type": "BPE", "vocab": {text: index for index, text in enumerate(_texts(file))}},
        "added_tokens": added,
        "decoder": {"type": "ByteLevel"},
    }
