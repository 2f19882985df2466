"""Properties of a model that OpenVINO does not report, from the metadata of its file."""

from __future__ import annotations

from typing import Final

from tenuto.engine.local import split
from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.ir import IrModel
from tenuto.engine.local.runtime import UNKNOWN_ID, CannotLoad
from tenuto.engine.local.vocabulary import UnknownVocabulary, is_text, token_bytes

# Tokens in a block of the KV cache on the CPU, and the bytes that its 8-bit form adds to a head
# for scale and zero point. Both as measured with the cache size that the pipeline reports.
BLOCK_TOKENS: Final = 32
_HEAD_EXTRA_BYTES: Final = 12

# How models that chat end a turn: Llama 3, ChatML, Gemma, Phi, and others after them.
_TURN_ENDS: Final = frozenset(
    {"<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<end_of_turn>", "<|end|>", "<|endoftext|>"}
    | {"<|end_of_text|>", "<|eot|>"}
)


def check(file: Gguf) -> None:
    """Check what the library does not, or with words that do not help.

    Raises:
        CannotLoad: It cannot read this model.
    """
    if split.is_split(file):
        raise CannotLoad(
            "OpenVINO does not read models in several files; set `runtime` to `llamacpp` or "
            "`auto`, or join them with llama.cpp's gguf-split --merge"
        )
    if UNKNOWN_ID in file.stray_token_ids():
        raise CannotLoad(
            f"OpenVINO does not read a file whose {UNKNOWN_ID} is not in the vocabulary; set "
            "`runtime` to `llamacpp` or `auto`"
        )


def token_table(file: Gguf) -> list[bytes]:
    """Return the bytes of all tokens, by their number.

    Raises:
        CannotLoad: The file has no vocabulary, or one of an unknown kind.
    """
    metadata = file.metadata
    try:
        return token_bytes(
            metadata["tokenizer.ggml.model"],
            metadata["tokenizer.ggml.tokens"],
            metadata.get("tokenizer.ggml.token_type", ()),
        )
    except KeyError as error:
        raise CannotLoad(f"the file has no vocabulary: metadata {error} is missing") from None
    except UnknownVocabulary as error:
        raise CannotLoad(str(error)) from None


def texts_of(file: Gguf, kind: int) -> list[str]:
    """Return the texts of the tokens of a type, without those that are not UTF-8."""
    texts = file.metadata["tokenizer.ggml.tokens"]
    types = file.metadata.get("tokenizer.ggml.token_type", ())
    pairs = zip(texts, types, strict=False)
    return [text for text, its in pairs if its == kind and text and is_text(text)]


def adds_bos(file: Gguf) -> bool:
    """Return whether texts begin with a token that the library's tokenizer leaves out."""
    # Files of SentencePiece models leave the entry out, and mean yes.
    by_default = file.metadata.get("tokenizer.ggml.model") == "llama"
    said = file.metadata.get("tokenizer.ggml.add_bos_token")
    return said if isinstance(said, bool) else by_default


def end_tokens(file: Gguf) -> set[int]:
    """Return the tokens that end a text or a turn."""
    listed = map(file.token_id, ("eos", "eot", "eom"))
    ends = {token for token in listed if token is not None}
    if "tokenizer.chat_template" in file.metadata:
        # Many files name only the one that ends a text, though the model ends its turns.
        texts = enumerate(file.metadata.get("tokenizer.ggml.tokens", ()))
        ends |= {token for token, text in texts if text in _TURN_ENDS}
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
