"""Properties of a model that llama.cpp does not report, from the metadata of its file."""

from __future__ import annotations

from collections.abc import Sequence

from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.runtime import CannotLoad
from tenuto.engine.local.vocabulary import CONTROL, UnknownVocabulary, token_bytes


def longest_token(file: Gguf) -> int:
    """Return the bytes of the longest token.

    Raises:
        CannotLoad: The file has no vocabulary.
    """
    tokens: Sequence[str] = file.metadata.get("tokenizer.ggml.tokens", ())
    if not tokens:
        raise CannotLoad("the file has no vocabulary")
    model = file.metadata.get("tokenizer.ggml.model", "")
    try:
        table = token_bytes(model, tokens, file.metadata.get("tokenizer.ggml.token_type", ()))
    except UnknownVocabulary:
        # As the file spells them, they are hardly shorter than what they stand for.
        table = [token.encode("utf-8", "surrogateescape") for token in tokens]
    return max(map(len, table))


def control_tokens(file: Gguf) -> dict[int, bytes]:
    """Return the names of the tokens that print nothing."""
    tokens: Sequence[str] = file.metadata.get("tokenizer.ggml.tokens", ())
    types: Sequence[int] = file.metadata.get("tokenizer.ggml.token_type", ())
    pairs = enumerate(zip(tokens, types, strict=False))
    return {
        token: name.encode("utf-8", "surrogateescape")
        for token, (name, kind) in pairs
        if kind == CONTROL
    }


def cell_bytes(file: Gguf) -> int:
    """Return the bytes that a token takes in the cache, whose numbers have 16 bits; at least 1."""

    def most(name: str, default: int) -> int:
        # Some architectures have a number for each layer.
        value = file.metadata.get(f"{file.architecture}.attention.{name}", default)
        return max(value) if isinstance(value, list) else int(value)

    heads = most("head_count", 0)
    width = file.hyperparameter("embedding_length") // max(heads, 1)
    widths = most("key_length", width) + most("value_length", width)
    return max(1, file.hyperparameter("block_count") * most("head_count_kv", heads) * widths * 2)
