"""Bytes of tokens, from the vocabulary of a model.

A library's detokeniser takes tens of microseconds for each token; a table takes less than one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tenuto.engine.local.gguf import BYTE, NORMAL, USER_DEFINED, Gguf, ModelFileError

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def token_bytes(file: Gguf) -> list[bytes]:
    """Return the bytes of all tokens, by id; none for control tokens.

    Raises:
        ModelFileError: The vocabulary is missing or damaged, or its tokenizer is neither `gpt2`
            (byte-level BPE) nor `llama` (SentencePiece).
    """
    decode = _DECODERS.get(file.tokenizer)
    if decode is None:
        raise ModelFileError(f"tokenizer {file.tokenizer!r} is not supported, only gpt2 and llama")
    tokens, types = file.tokens, file.token_types
    if not tokens or len(types) != len(tokens):
        raise ModelFileError(f"the vocabulary is damaged: {len(tokens)} tokens, {len(types)} types")
    return [
        decode(token) if kind in (NORMAL, BYTE) else _raw(token) if kind == USER_DEFINED else b""
        for token, kind in zip(tokens, types, strict=True)
    ]


def is_text(token: str) -> bool:
    """Return whether a token was valid UTF-8; other bytes are kept as surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in token)


def spellings(file: Gguf, wanted: Mapping[int, str]) -> dict[int, list[int]]:
    """Spell the texts of some tokens (id -> text) with the longest ordinary tokens that fit."""
    pieces: dict[str, int] = {}
    for token, text in file.tokens_of_type(NORMAL).items():
        if text and token not in wanted:
            pieces.setdefault(text, token)
    single = {
        int(byte[1], 16): token
        for token, text in file.tokens_of_type(BYTE).items()
        if (byte := _BYTE_TOKEN.fullmatch(text))
    }
    write = _to_alphabet if file.tokenizer == "gpt2" else _to_sentencepiece
    return {token: _spell(write(text), pieces, single) for token, text in wanted.items()}


def _spell(text: str, pieces: Mapping[str, int], single: Mapping[int, int]) -> list[int]:
    ids = []
    at = 0
    while at < len(text):
        end = next((end for end in range(len(text), at, -1) if text[at:end] in pieces), at + 1)
        if text[at:end] in pieces:
            ids.append(pieces[text[at:end]])
        else:
            # A tokenizer, too, spells a character that it lacks as bytes.
            ids += [single[byte] for byte in _raw(text[at:end]) if byte in single]
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


def _raw(token: str) -> bytes:
    return token.encode("utf-8", "surrogateescape")


def _to_alphabet(text: str) -> str:
    return "".join(_LETTERS[byte] for byte in _raw(text))


def _from_alphabet(token: str) -> bytes:
    try:
        return bytes(_ALPHABET[character] for character in token)
    except KeyError:
        return _raw(token)


def _to_sentencepiece(text: str) -> str:
    return text.replace(" ", "\u2581")


def _from_sentencepiece(token: str) -> bytes:
    byte = _BYTE_TOKEN.fullmatch(token)
    if byte:
        return bytes([int(byte[1], 16)])
    return token.replace("\u2581", " ").encode("utf-8", "surrogateescape")


_DECODERS: Final = {"gpt2": _from_alphabet, "llama": _from_sentencepiece}
