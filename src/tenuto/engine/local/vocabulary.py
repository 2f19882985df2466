"""Token ids -> bytes -> whole characters.

A runtime's own detokeniser costs tens of microseconds a token, more than a small model itself.
A table made once from the vocabulary costs well under one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

# Token types of the GGUF specification that print something; control tokens and the like do not.
NORMAL: Final = 1
UNKNOWN: Final = 2
CONTROL: Final = 3
USER_DEFINED: Final = 4
_BYTE: Final = 6

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class UnknownVocabulary(ValueError):
    """The tokenizer is of a kind that cannot be read."""


def token_bytes(model: str, tokens: Sequence[str], types: Sequence[int]) -> list[bytes]:
    """The bytes of every token, by id. Control tokens have none.

    Args:
        model: `tokenizer.ggml.model` of the file: `gpt2` (byte-level BPE) or `llama`
            (SentencePiece).
        tokens: The vocabulary, in the order of the ids.
        types: The type of each token; may be empty, then all are normal.

    Raises:
        UnknownVocabulary: The model is another, or the types are not as many as the tokens.
    """
    if model == "gpt2":
        decode = _byte_level
    elif model == "llama":
        decode = _sentencepiece
    else:
        raise UnknownVocabulary(f"tokenizer {model!r} is not supported, only gpt2 and llama")
    kinds = types or [NORMAL] * len(tokens)
    if len(kinds) != len(tokens):
        raise UnknownVocabulary(
            f"the vocabulary is damaged: {len(tokens)} tokens, {len(kinds)} types"
        )
    return [
        decode(token)
        if kind in (NORMAL, _BYTE)
        else token.encode("utf-8", "surrogateescape")
        if kind == USER_DEFINED
        else b""
        for token, kind in zip(tokens, kinds, strict=True)
    ]


def is_text(token: str) -> bool:
    """Whether a token's text is one; bytes that are not UTF-8 are kept as halves of characters."""
    return not any("\ud800" <= character <= "\udfff" for character in token)


def spellings(
    model: str, tokens: Sequence[str], types: Sequence[int], wanted: Mapping[int, str]
) -> dict[int, list[int]]:
    """Spell the texts of some tokens with ordinary ones, the longest that fit.

    Args:
        model: `tokenizer.ggml.model` of the file.
        tokens: The vocabulary.
        types: The type of each token; may be empty, then all are normal.
        wanted: Id -> text. These tokens are not used themselves.
    """
    pieces: dict[str, int] = {}
    single: dict[int, int] = {}
    for token, (text, kind) in enumerate(
        zip(tokens, types or [NORMAL] * len(tokens), strict=False)
    ):
        if kind == NORMAL and text and token not in wanted:
            pieces.setdefault(text, token)
        elif kind == _BYTE and (byte := _BYTE_TOKEN.fullmatch(text)):
            single[int(byte[1], 16)] = token
    write = _in_alphabet if model == "gpt2" else _with_marks
    return {token: _spell(write(text), pieces, single) for token, text in wanted.items()}


def _in_alphabet(text: str) -> str:
    return "".join(_LETTERS[byte] for byte in text.encode("utf-8", "surrogateescape"))


def _with_marks(text: str) -> str:
    return text.replace(" ", "\u2581")


def _spell(text: str, pieces: Mapping[str, int], single: Mapping[int, int]) -> list[int]:
    ids = []
    at = 0
    while at < len(text):
        end = next((end for end in range(len(text), at, -1) if text[at:end] in pieces), at + 1)
        if text[at:end] in pieces:
            ids.append(pieces[text[at:end]])
        else:
            # As a tokenizer does with a character that it lacks.
            data = text[at:end].encode("utf-8", "surrogateescape")
            ids += [single[byte] for byte in data if byte in single]
        at = end
    return ids


def _byte_alphabet() -> dict[str, int]:
    # GPT-2 writes each byte as a printable character: those that are printable in Latin-1 as
    # themselves, the others as the characters from U+0100 on, in order.
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    alphabet.update({chr(0x100 + index): byte for index, byte in enumerate(others)})
    return alphabet


_ALPHABET: Final = _byte_alphabet()
_LETTERS: Final = {byte: letter for letter, byte in _ALPHABET.items()}


def _byte_level(token: str) -> bytes:
    try:
        return bytes(_ALPHABET[character] for character in token)
    except KeyError:
        return token.encode("utf-8", "surrogateescape")


def _sentencepiece(token: str) -> bytes:
    byte = _BYTE_TOKEN.fullmatch(token)
    if byte:
        return bytes([int(byte[1], 16)])
    return token.replace("\u2581", " ").encode("utf-8", "surrogateescape")
