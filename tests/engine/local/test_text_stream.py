"""Bytes of tokens become whole characters."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.engine.local.runtime import ScoredToken
from tenuto.engine.local.text_stream import PlacedTextStream, TextStream, token_text

EMOJI = "👩‍👩‍👧‍👦"


def push_all(pieces: list[bytes]) -> str:
    stream = TextStream()
    return "".join([stream.push(piece) for piece in pieces])


@pytest.mark.parametrize("text", [EMOJI, "é", "漢字", "a😀b"])
def test_character_is_emitted_with_its_last_byte(text: str) -> None:
    data = text.encode()

    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            assert push_all([data[:first], data[first:second], data[second:]]) == text


def test_partial_character_is_held_back() -> None:
    stream = TextStream()
    first, second, third, fourth = (bytes([byte]) for byte in "😀".encode())

    assert [stream.push(byte) for byte in (b"a" + first, second, third)] == ["a", "", ""]
    assert stream.push(fourth + b"b") == "😀b"


@given(st.text(), st.data())
def test_text_is_whole_for_any_chunks(text: str, data: st.DataObject) -> None:
    whole = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    edges = zip([0, *cuts], [*cuts, len(whole)], strict=True)

    assert push_all([whole[start:end] for start, end in edges]) == text


@given(st.lists(st.binary(max_size=6), max_size=6))
def test_invalid_bytes_are_replaced_equally_for_any_chunks(
    pieces: list[bytes],
) -> None:
    whole = b"".join(pieces)

    # A space ends a character that was never finished, on both sides.
    assert push_all([*pieces, b" "]) == (whole + b" ").decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xff", "\ufffd"),
        (b"a\x80b", "a\ufffdb"),
        (b"\xe2\x28", "\ufffd("),
        (b"\xc0\xaf", "\ufffd\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    ],
)
def test_invalid_byte_is_replaced_as_soon_as_it_is_certain(data: bytes, text: str) -> None:
    assert TextStream().push(data) == text


def placed_by(stream: PlacedTextStream, *tokens: bytes) -> tuple[str, list[tuple[bytes, int, int]]]:
    text, placed = stream.place([ScoredToken(token, -1.0) for token in tokens])
    return text, [(token.data, start, end) for token, start, end in placed]


def test_tokens_have_the_offsets_of_their_text() -> None:
    text, placed = placed_by(PlacedTextStream(), b" One", b",", b" two")
    assert text == " One, two"
    assert placed == [(b" One", 0, 4), (b",", 4, 5), (b" two", 5, 9)]


def test_tokens_of_one_character_share_its_offset() -> None:
    stream = PlacedTextStream()
    assert placed_by(stream, b"a", b"\xf0\x9f") == ("a", [(b"a", 0, 1)])
    assert placed_by(stream, b"\x98\x80!") == (
        "😀!",
        [(b"\xf0\x9f", 1, 2), (b"\x98\x80!", 1, 3)],
    )


def test_a_token_that_ends_inside_a_character_ends_with_it() -> None:
    stream = PlacedTextStream()
    assert placed_by(stream, b"ab\xc3") == ("ab", [(b"ab\xc3", 0, 3)])
    assert placed_by(stream, b"\xa9") == ("é", [(b"\xa9", 2, 3)])


@pytest.mark.parametrize(
    ("tokens", "text", "starts"),
    [
        ([b"Yes", b"."], " Yes.", [1, 4]),
        ([b" Yes", b"."], " Yes.", [0, 4]),
        ([b"\xf0\x9f", b"\x98\x80", b"."], " 😀.", [1, 1, 2]),
        ([b"\xe3\x80", b"\x80", b"."], "\u3000.", [0, 0, 1]),
    ],
)
def test_leading_space_shifts_the_offsets(
    tokens: list[bytes], text: str, starts: list[int]
) -> None:
    got, placed = placed_by(PlacedTextStream(spaced=True), *tokens)
    assert got == text
    assert [start for _, start, _ in placed] == starts


@given(st.text(max_size=12), st.lists(st.integers(0, 48)), st.lists(st.integers(0, 48)))
def test_token_offsets_cover_the_text_for_any_split(
    text: str, token_cuts: list[int], step_cuts: list[int]
) -> None:
    data = text.encode("utf-8", "replace")
    text = data.decode()
    edges = sorted({0, len(data), *(cut for cut in token_cuts if cut < len(data))})
    tokens = [data[a:b] for a, b in itertools.pairwise(edges)]
    stream = PlacedTextStream()
    got, placed = "", list[tuple[bytes, int, int]]()
    for a, b in itertools.pairwise(sorted({0, len(tokens), *step_cuts})):
        more, where = placed_by(stream, *tokens[a:b])
        got, placed = got + more, placed + where
    assert got == text
    assert [token for token, _, _ in placed] == tokens
    for token, start, end in placed:
        # A token holds its characters, and is held by them.
        assert token in text[start:end].encode()
        assert token.decode("utf-8", "ignore") in text[start:end]
        assert end - start <= len(token)


def test_partial_characters_are_spelled_as_bytes() -> None:
    assert token_text("é".encode()) == "é"
    assert token_text(b" \xc3") == r"bytes:\x20\xc3"
