"""Metadata of a model: a GGUF file, or a folder in OpenVINO's format; the model in the package."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from tenuto.core.refusal import ModelError
from tenuto.engine.local import gguf, ir, links, split
from tenuto.engine.local.gguf import Gguf, ModelFileError, problem

BUILT_IN: Final = "tenuto-mini"

_NO_PRE: Final = (
    "metadata tokenizer.ggml.pre is missing, so text is split by a default rule: answers may be "
    "worse; download the model again, or convert it again"
)

# Other contents of GGUF files, by `general.type` and by architecture.
_KINDS: Final = {
    "adapter": "an adapter (LoRA), which changes another model",
    "imatrix": "an importance matrix, which serves to quantise a model",
    "mmproj": "a projector, which lets another model see or hear",
}
_PROJECTORS: Final = frozenset({"clip", "mmproj"})
_EMBEDDINGS: Final = frozenset(
    {"bert", "distilbert", "roberta", "xlm-roberta", "mpnet", "deberta-v2", "nomic_bert", "new"}
    | {"modern-bert", "modernbert", "nomic-bert", "nomic-bert-moe", "neo-bert", "eurobert"}
    | {"jina-bert-v2", "jina-bert-v3", "gemma-embedding", "llama-embed"}
)
_OTHERS: Final = {
    "t5": "an encoder with a decoder",
    "t5encoder": "an encoder",
    "whisper": "a model that writes down speech",
    "wavtokenizer-dec": "a model that makes sound",
    **dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), "a diffusion model"),
    **dict.fromkeys(("flux", "sd1", "sdxl", "sd3", "wan", "ltxv"), "a model that makes pictures"),
}


def built_in_model() -> Path:
    """Return the path of the built-in model."""
    return Path(__file__).parents[2] / "builtin" / f"{BUILT_IN}.gguf"


def read(path: Path) -> Gguf:
    """Read and check everything but the weights; see `split.read` and `ir.read` for the errors."""
    return ir.read(path) if path.is_dir() else split.read(path)


def name(path: Path) -> str:
    """Return a model's name: that of its folder, or of its file without the ending."""
    found = ir.folder_name(path) if path.is_dir() else split.model_name(path)
    # File names may hold any bytes, and responses are text.
    return found.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def checked_name(path: Path) -> str:
    """Check a model, and return its name.

    Raises:
        ModelError: The model is missing or invalid, or does not complete text.
    """
    try:
        if path.is_dir() and not ir.is_ir(path):
            raise ModelError(
                f"{path}: is a folder without a model; name a GGUF file, or a folder that holds "
                f"{ir.MODEL}.xml"
            )
        if reason := not_text(read(path)):
            raise ModelError(f"{path}: {reason}")
    except (ModelFileError, OSError) as error:
        raise ModelError(f"{path}: {problem(path, error)}") from None
    return name(path)


def readable(path: Path) -> AbstractContextManager[Path]:
    """Return a model's path in a form that every runtime can open; see `links.readable`.

    Raises:
        ModelFileError: The file is not a GGUF file, or a later part of a split model.
        OSError: It cannot be read.
    """
    if path.is_dir():
        return links.readable([path])
    files = split.files(path, gguf.read(path))
    return links.readable(files if files[1:] else [links.named(path)])


def warnings(file: Gguf) -> list[str]:
    """Return a sentence for each defect of a model that does not keep it from running."""
    count = len(file.tokens)
    found = [
        f"metadata {key} is {value!r}, and the vocabulary has {count} tokens: it counts as missing"
        for key, value in file.stray_token_ids().items()
    ]
    splits = file.tokenizer == "gpt2" and file.format == "gguf"
    return found + ([_NO_PRE] if splits and not file.metadata.get("tokenizer.ggml.pre") else [])


def not_text(file: Gguf) -> str:
    """Return the reason why a model cannot complete text, in one line; empty if it may do so."""
    metadata, architecture = file.metadata, file.architecture
    kind = metadata.get("general.type", "model")
    pooling = metadata.get(f"{architecture}.pooling_type", 0)
    bidirectional = metadata.get(f"{architecture}.attention.causal") is False
    if architecture in _PROJECTORS:
        what = _KINDS["mmproj"]
    elif kind != "model":
        what = _KINDS.get(str(kind), f"a file of type {kind!r}")
    elif architecture in _OTHERS:
        what = f"{_OTHERS[architecture]} ({architecture})"
    elif architecture in _EMBEDDINGS or pooling or bidirectional:
        what = f"an embedding model ({architecture})"
    elif file.tokenizer in ("", "no_vocab"):
        what = f"a model without a vocabulary ({architecture})"
    else:
        return ""
    return f"not a model that completes text: it is {what}"
