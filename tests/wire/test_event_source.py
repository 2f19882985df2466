"""Reading server-sent events: each case whole, cut at every byte, and byte by byte."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.wire import event_source
from tenuto.wire.event_source import EventSource, EventTooLong, ServerSentEvent

CASES: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "one event": (b'event: ping\ndata: {"type": "ping"}\n\n', [("ping", '{"type": "ping"}')]),
    "two events": (b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n", [("a", "1"), ("b", "2")]),
    "CRLF": (b"event: a\r\ndata: 1\r\n\r\nevent: b\r\ndata: 2\r\n\r\n", [("a", "1"), ("b", "2")]),
    "CR": (b"event: a\rdata: 1\r\revent: b\rdata: 2\r\r", [("a", "1"), ("b", "2")]),
    "line ends mixed": (
        b"event: a\r\ndata: 1\n\revent: b\rdata: 2\r\n\n",
        [("a", "1"), ("b", "2")],
    ),
    "byte order mark": (b"\xef\xbb\xbfevent: a\ndata: 1\n\n", [("a", "1")]),
    "byte order mark later": (b"event: a\ndata: \xef\xbb\xbf\n\n", [("a", "\ufeff")]),
    "comments": (b": hello\n\n:\nevent: a\n: in between\ndata: 1\n\n: bye\n\n", [("a", "1")]),
    "no name": (b"data: [DONE]\n\n", [("", "[DONE]")]),
    "no blank after the colon": (b"event:a\ndata:1\n\n", [("a", "1")]),
    "two blanks": (b"event: a\ndata:  1\n\n", [("a", " 1")]),
    "several lines of data": (b"data: 1\nevent: a\ndata: 2\ndata\n\n", [("a", "1\n2\n")]),
    "two lines of data": (b"data: first\ndata: second\n\n", [("", "first\nsecond")]),
    "a comment before data": (b": a comment\ndata: 1\n\n", [("", "1")]),
    "another field before data": (b"retry: 1000\ndata: 1\n\n", [("", "1")]),
    "other fields": (b"id: 7\nretry: 10\nevent: a\nfoo: bar\ndata: 1\n\n", [("a", "1")]),
    "the last name counts": (b"event: a\nevent: b\ndata: 1\n\n", [("b", "1")]),
    "colons in data": (b"data: a: b\n\n", [("", "a: b")]),
    "blank lines": (
        b"\n\n\nevent: a\ndata: 1\n\n\n\nevent: b\ndata: 2\n\n",
        [("a", "1"), ("b", "2")],
    ),
    "a character of four bytes": ("data: 😀é\n\n".encode(), [("", "😀é")]),
    "other line separators": ("data: a\u2028b\x0b\x85\n\n".encode(), [("", "a\u2028b\x0b\x85")]),
    "no UTF-8": (b"data: \xff\xc3\n\ndata: 1\n\n", [("", "\ufffd\ufffd"), ("", "1")]),
    "no end": (b"event: a\ndata: 1\n\nevent: b\ndata: 2\n", [("a", "1")]),
    "nothing": (b"", []),
}


def read(*parts: bytes) -> list[tuple[str, str]]:
    source = EventSource()
    return [tuple(event) for part in parts for event in source.push(part)]  # type: ignore[misc]


@pytest.mark.parametrize("case", CASES)
def test_event_is_parsed_in_any_chunks(case: str) -> None:
    data, events = CASES[case]
    assert read(data) == events
    for cut in range(len(data) + 1):
        assert read(data[:cut], data[cut:]) == events, cut
    assert read(*(data[at : at + 1] for at in range(len(data)))) == events


def test_event_is_returned_as_soon_as_it_is_complete() -> None:
    source = EventSource()
    assert source.push(b"event: a\ndata: 1\r") == []
    assert source.push(b"\n\r") == [ServerSentEvent("a", "1")]
    assert source.push(b"\n") == []


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1).map(
                str.strip
            ),
            st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), min_size=1),
        )
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 400)),
)
def test_written_events_are_read_back(
    events: list[tuple[str, list[str]]], end: str, cuts: list[int]
) -> None:
    written = "".join(
        f"event: {name}{end}" + "".join(f"data: {line}{end}" for line in lines) + end
        for name, lines in events
    ).encode()
    edges = sorted({0, len(written), *(cut for cut in cuts if cut < len(written))})
    parts = [written[a:b] for a, b in itertools.pairwise(edges)]
    assert read(*parts) == [(name, "\n".join(lines)) for name, lines in events]


def test_endless_event_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_source, "MAX_EVENT_BYTES", 1000)
    source = EventSource()
    source.push(b"data: " + b"x" * 900)
    with pytest.raises(ValueError, match="longer than 1000 bytes"):
        source.push(b"x" * 900)


@pytest.mark.parametrize("rest", [b"", b"\n", b"\r\n", b"\r"])
def test_unterminated_last_event_is_returned_by_end(rest: bytes) -> None:
    source = EventSource()
    assert source.push(b"data: 1\n\nevent: a\ndata: 2" + rest) == [ServerSentEvent("", "1")]
    assert source.held
    assert source.end() == ServerSentEvent("a", "2")
    assert source.end() is None


def test_terminated_stream_leaves_no_held_bytes() -> None:
    source = EventSource()
    source.push(b"\xef\xbb\xbfdata: 1\n\n")
    assert (source.held, source.end()) == (0, None)
    assert EventSource().end() is None


def test_maximum_event_size_is_configurable() -> None:
    source = EventSource(100)
    with pytest.raises(EventTooLong, match="longer than 100 bytes"):
        source.push(b"data: " + b"x" * 100)
