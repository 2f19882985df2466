"""Properties of a model that llama.cpp does not report, from the metadata of its file."""

from __future__ import annotations

from tenuto.engine.local.gguf import CONTROL, Gguf
from tenuto.engine.local.runtime import CannotLoad
from tenuto.engine.local.vocabulary import UnknownVocabulary, token_bytes


def longest_token(file: Gguf) -> int:
    """Return the bytes of the longest token.

    Raises:
        CannotLoad: The file has no vocabulary.
    """
    if not file.tokens:
        raise CannotLoad("the file has no vocabulary: metadata tokenizer.ggml.tokens is missing")
    try:
        table = token_bytes(file.tokenizer, file.tokens, file.token_types)
    except UnknownVocabulary:
        # Spellings in the file are hardly shorter than the bytes that they stand for.
        table = [token.encode("utf-8", "surrogateescape") for token in file.tokens]
    return max(map(len, table))


def control_tokens(file: Gguf) -> dict[int, bytes]:
    """Return the names of the control tokens, by id."""
    names = file.tokens_of_type(CONTROL)
    return {token: name.encode("utf-8", "surrogateescape") for token, name in names.items()}
