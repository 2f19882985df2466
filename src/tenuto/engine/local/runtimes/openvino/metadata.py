"""Properties of a model that OpenVINO does not report, from the metadata of its file."""

from __future__ import annotations

from typing import Final

from tenuto.engine.local import split
from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.ir import IrModel
from tenuto.engine.local.vocabulary import is_text

# Tokens in a block of the KV cache on the CPU, and bytes for scale and zero point of a head in
# 8 bits. Both as measured with the cache size that the pipeline reports.
BLOCK_TOKENS: Final = 32
_HEAD_EXTRA_BYTES: Final = 12

# Turn ends of chat models: Llama 3, ChatML, Gemma, Phi, and later ones.
_TURN_ENDS: Final = frozenset(
    {"<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<end_of_turn>", "<|end|>", "<|endoftext|>"}
    | {"<|end_of_text|>", "<|eot|>"}
)

_UNKNOWN_ID: Final = "tokenizer.ggml.unknown_token_id"


def unreadable_feature(file: Gguf) -> str:
    """Return a feature with which the library ends the process or fails without a reason; or ""."""
    if split.is_split(file):
        return "models in several files"
    if _UNKNOWN_ID in file.stray_token_ids():
        return f"a file whose {_UNKNOWN_ID} is not in the vocabulary"
    return ""


def texts_of(file: Gguf, kind: int) -> list[str]:
    """Return the texts of the tokens of a type that are valid UTF-8."""
    return [text for text in file.tokens_of_type(kind).values() if text and is_text(text)]


def adds_bos(file: Gguf) -> bool:
    """Return whether texts begin with a token that the library's tokenizer leaves out."""
    adds = file.metadata.get("tokenizer.ggml.add_bos_token")
    # Files of SentencePiece models without the entry imply it.
    return adds if isinstance(adds, bool) else file.tokenizer == "llama"


def end_tokens(file: Gguf) -> set[int]:
    """Return the tokens that end a text or a turn."""
    listed = map(file.token_id, ("eos", "eot", "eom"))
    ends = {token for token in listed if token is not None}
    if "tokenizer.chat_template" in file.metadata:
        # Many files list only the end of a text, though the model also ends turns.
        ends |= {token for token, text in enumerate(file.tokens) if text in _TURN_ENDS}
    return ends | file.ends if isinstance(file, IrModel) else ends


def block_bytes(file: Gguf) -> int:
    """Return the bytes of a block of the KV cache."""
    heads = file.hyperparameter("attention.head_count")
    kv_heads = file.metadata.get(f"{file.architecture}.attention.head_count_kv", heads)
    head = file.metadata.get(
        f"{file.architecture}.attention.key_length",
        file.hyperparameter("embedding_length") // heads,
    )
    layers = file.hyperparameter("block_count")
    size: int = BLOCK_TOKENS * layers * kv_heads * 2 * (head + _HEAD_EXTRA_BYTES)
    return size
