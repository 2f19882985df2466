"""Token ids become bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.engine.local.gguf import Gguf, ModelFileError
from tenuto.engine.local.vocabulary import token_bytes

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)


def bytes_of(model: str, tokens: list[str], types: list[int]) -> list[bytes]:
    metadata = {"model": model, "tokens": tokens, "token_type": types}
    return token_bytes(Gguf({f"tokenizer.ggml.{key}": metadata[key] for key in metadata}, ()))


def gpt2_alphabet() -> dict[int, str]:
    """Byte -> character, written the way GPT-2's own encoder does: gaps are filled in order."""
    alphabet: dict[int, str] = {}
    for byte in range(256):
        plain = "!" <= chr(byte) <= "~" or "¡" <= chr(byte) <= "¬" or "®" <= chr(byte) <= "ÿ"
        moved = sum(character >= "Ā" for character in alphabet.values())
        alphabet[byte] = chr(byte) if plain else chr(256 + moved)
    return alphabet


def test_byte_level_tokens_are_read() -> None:
    tokens = ["Hello", "Ġworld", "Ċ", "ĊĊ", "Ã©", "ðŁĺĢ", "č"]

    assert bytes_of("gpt2", tokens, []) == [
        b"Hello",
        b" world",
        b"\n",
        b"\n\n",
        "é".encode(),
        "😀".encode(),
        b"\r",
    ]


@given(st.binary())
def test_any_bytes_can_be_a_byte_level_token(data: bytes) -> None:
    alphabet = gpt2_alphabet()
    token = "".join(alphabet[byte] for byte in data)

    assert bytes_of("gpt2", [token], [NORMAL]) == [data]


def test_a_token_outside_the_byte_alphabet_is_its_own_text() -> None:
    assert bytes_of("gpt2", ["a b", "漢"], []) == [b"a b", "漢".encode()]


def test_sentencepiece_tokens_are_read() -> None:
    tokens = ["▁Hello", "wor", "▁▁", "é", "<0x0A>", "<0xf0>", "<0x9F>"]
    types = [NORMAL, NORMAL, NORMAL, NORMAL, BYTE, BYTE, BYTE]

    assert bytes_of("llama", tokens, types) == [
        b" Hello",
        b"wor",
        b"  ",
        "é".encode(),
        b"\n",
        b"\xf0",
        b"\x9f",
    ]


def test_every_byte_token_of_sentencepiece_is_its_byte() -> None:
    tokens = [f"<0x{byte:02X}>" for byte in range(256)]

    assert b"".join(bytes_of("llama", tokens, [BYTE] * 256)) == bytes(range(256))


@pytest.mark.parametrize("model", ["gpt2", "llama"])
@pytest.mark.parametrize("kind", [UNKNOWN, CONTROL, UNUSED])
def test_tokens_that_control_the_model_print_nothing(model: str, kind: int) -> None:
    assert bytes_of(model, ["<|end|>", "a"], [kind, NORMAL]) == [b"", b"a"]


@pytest.mark.parametrize("model", ["gpt2", "llama"])
def test_user_defined_tokens_print_their_text(model: str) -> None:
    assert bytes_of(model, ["<tool call>"], [USER_DEFINED]) == [b"<tool call>"]


@pytest.mark.parametrize("model", ["gpt2", "llama"])
def test_token_of_invalid_utf8_keeps_its_bytes(model: str) -> None:
    broken = b"\xe2\x82".decode("utf-8", "surrogateescape")

    assert bytes_of(model, [broken], [USER_DEFINED]) == [b"\xe2\x82"]


@pytest.mark.parametrize("model", ["bert", "t5", "rwkv", "", "GPT2"])
def test_unsupported_tokenizer_is_rejected_by_name(model: str) -> None:
    with pytest.raises(ModelFileError, match=f"tokenizer '{model}' is not supported"):
        bytes_of(model, ["a"], [])


def test_wrong_number_of_token_types_is_rejected() -> None:
    with pytest.raises(ModelFileError):
        bytes_of("gpt2", ["a", "b"], [NORMAL])
