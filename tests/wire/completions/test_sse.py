"""Server-sent events: the exact bytes, and that any reader gets back what was written."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.events import Completed, End, Ended, Text
from tenuto.core.refusal import Kind, invalid, overloaded
from tenuto.core.text import well_formed
from tenuto.wire.completions.response import Completion, stop_fields
from tenuto.wire.completions.sse import EventEncoder
from tenuto.wire.errors import refusal_of

ID = "compl_01QqWwEeRrTtYyUuIiOoPpAa"

# What languages and protocols break lines with, quote with, or treat as special.
awkward = st.text(st.sampled_from("\n\r\t\0\x0b\x0c\x1c\x7f\\\"'/:<& aé漢😀\ufeff"), max_size=8)
texts = awkward | st.text()
endings = st.sampled_from([Ended(End.TURN), Ended(End.LENGTH)]) | st.builds(
    Ended, st.just(End.STOP), texts
)


def encoder(completion_id: str = ID, model: str = "claude-2.1") -> EventEncoder:
    return EventEncoder(completion_id, model)


def read(stream: bytes) -> Iterator[tuple[str, str]]:
    """The algorithm of the HTML standard, as far as it concerns `event` and `data`."""
    name, data = "message", list[str]()
    for line in stream.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            yield name, "\n".join(data)
        if not line:
            name, data = "message", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)


def read_as_httpx(stream: bytes) -> list[tuple[str, str]]:
    request = httpx2.Request("POST", "http://localhost/v1/complete")
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    response = httpx2.Response(200, headers=headers, content=stream, request=request)
    return [(event.event, event.data) for event in httpx2.EventSource(response)]


def test_golden_bytes_of_a_piece_of_text() -> None:
    assert encoder().text(Text(" One\n“two” \\ \t")) == (
        b"event: completion\n"
        b'data: {"type":"completion","id":"compl_01QqWwEeRrTtYyUuIiOoPpAa",'
        b'"completion":" One\\n\xe2\x80\x9ctwo\xe2\x80\x9d \\\\ \\t","stop_reason":null,'
        b'"model":"claude-2.1","stop":null,"log_id":"compl_01QqWwEeRrTtYyUuIiOoPpAa"}\n'
        b"\n"
    )


def test_golden_bytes_of_the_last_event_after_a_stop_sequence() -> None:
    assert encoder().end(Ended(End.TURN)) == (
        b"event: completion\n"
        b'data: {"type":"completion","id":"compl_01QqWwEeRrTtYyUuIiOoPpAa",'
        b'"completion":"","stop_reason":"stop_sequence",'
        b'"model":"claude-2.1","stop":"\\n\\nHuman:",'
        b'"log_id":"compl_01QqWwEeRrTtYyUuIiOoPpAa"}\n'
        b"\n"
    )


def test_golden_bytes_of_the_last_event_when_the_tokens_ran_out() -> None:
    assert encoder().end(Ended(End.LENGTH)) == (
        b"event: completion\n"
        b'data: {"type":"completion","id":"compl_01QqWwEeRrTtYyUuIiOoPpAa",'
        b'"completion":"","stop_reason":"max_tokens",'
        b'"model":"claude-2.1","stop":null,"log_id":"compl_01QqWwEeRrTtYyUuIiOoPpAa"}\n'
        b"\n"
    )


def test_golden_bytes_of_a_ping() -> None:
    assert encoder().ping() == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_golden_bytes_of_an_error() -> None:
    assert encoder().error(overloaded("Overloaded"), "req_01AAbb") == (
        b"event: error\n"
        b'data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},'
        b'"request_id":"req_01AAbb"}\n'
        b"\n"
    )


def test_multi_line_error_is_encoded_on_one_line() -> None:
    refusal = invalid('prompt must start with "\n\nHuman:" turn')

    assert encoder().error(refusal) == (
        b"event: error\n"
        b'data: {"type":"error","error":{"type":"invalid_request_error",'
        b'"message":"prompt must start with \\"\\n\\nHuman:\\" turn"}}\n'
        b"\n"
    )


def test_event_has_the_fields_of_a_plain_response_in_order() -> None:
    whole = Completion(ID, "claude-2.1", Completed("", Ended(End.TURN)))
    ((_, data),) = read(encoder().end(Ended(End.TURN)))

    assert data == json.dumps(whole.body(), separators=(",", ":"))


@given(st.lists(texts, max_size=4), endings, texts, texts)
def test_written_stream_is_read_back(
    written: list[str], ended: Ended, completion_id: str, model: str
) -> None:
    write = encoder(completion_id, model)
    stream = b"".join(
        [*(write.text(Text(text)) for text in written), write.ping(), write.end(ended)]
    )

    pairs = list(read(stream))
    assert read_as_httpx(stream) == pairs
    assert [name for name, _ in pairs] == [*["completion"] * len(written), "ping", "completion"]
    bodies = [json.loads(data) for name, data in pairs if name == "completion"]
    assert [body["completion"] for body in bodies] == [*map(well_formed, written), ""]
    reason, stop = stop_fields(ended)
    assert [body["stop_reason"] for body in bodies] == [*[None] * len(written), reason]
    assert bodies[-1]["stop"] == (None if stop is None else well_formed(stop))
    for body in bodies:
        assert body["type"] == "completion"
        assert (body["id"], body["log_id"]) == (completion_id, completion_id)
        assert body["model"] == well_formed(model)


@given(texts)
def test_error_keeps_its_type_and_message(message: str) -> None:
    ((name, data),) = read(encoder().error(overloaded(message), "req_01"))
    refusal = refusal_of(None, json.loads(data))
    assert (name, refusal.kind, refusal.message) == ("error", Kind.OVERLOADED, well_formed(message))
    assert json.loads(data)["request_id"] == "req_01"


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_client_that_splits_unicode_lines_reads_every_event(separator: str) -> None:
    stream = encoder().text(Text(f"one{separator}two"))

    # str.splitlines, on which many clients' line readers are built, knows more line ends than
    # the standard does.
    _, line, blank = stream.decode().splitlines()

    assert json.loads(line.removeprefix("data: "))["completion"] == f"one{separator}two"
    assert blank == ""
