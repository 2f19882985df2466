"""Server-sent events: the exact bytes, and that any reader gets back what was written."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.wire.errors import InternalError, InvalidRequest, Overloaded
from tenuto.wire.events import CompletionEvent, ErrorEvent, Event, Ping
from tenuto.wire.response import Completion
from tenuto.wire.sse import EventEncoder, decode

ID = "compl_01QqWwEeRrTtYyUuIiOoPpAa"

# What languages and protocols break lines with, quote with, or treat as special.
awkward = st.text(st.sampled_from("\n\r\t\0\x0b\x0c\x1c\x7f\\\"'/:<& aé漢😀\ufeff"), max_size=8)
texts = awkward | st.text()
completions = (
    st.builds(CompletionEvent, texts)
    | st.builds(CompletionEvent, texts, st.just("max_tokens"))
    | st.builds(CompletionEvent, texts, st.just("stop_sequence"), texts)
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
    assert encoder().encode(CompletionEvent(" One\n“two” \\ \t")) == (
        b"event: completion\n"
        b'data: {"type":"completion","id":"compl_01QqWwEeRrTtYyUuIiOoPpAa",'
        b'"completion":" One\\n\xe2\x80\x9ctwo\xe2\x80\x9d \\\\ \\t","stop_reason":null,'
        b'"model":"claude-2.1","stop":null,"log_id":"compl_01QqWwEeRrTtYyUuIiOoPpAa"}\n'
        b"\n"
    )


def test_golden_bytes_of_the_last_event_after_a_stop_sequence() -> None:
    assert encoder().encode(CompletionEvent("", "stop_sequence", "\n\nHuman:")) == (
        b"event: completion\n"
        b'data: {"type":"completion","id":"compl_01QqWwEeRrTtYyUuIiOoPpAa",'
        b'"completion":"","stop_reason":"stop_sequence",'
        b'"model":"claude-2.1","stop":"\\n\\nHuman:",'
        b'"log_id":"compl_01QqWwEeRrTtYyUuIiOoPpAa"}\n'
        b"\n"
    )


def test_golden_bytes_of_the_last_event_when_the_tokens_ran_out() -> None:
    assert encoder().encode(CompletionEvent("", "max_tokens")) == (
        b"event: completion\n"
        b'data: {"type":"completion","id":"compl_01QqWwEeRrTtYyUuIiOoPpAa",'
        b'"completion":"","stop_reason":"max_tokens",'
        b'"model":"claude-2.1","stop":null,"log_id":"compl_01QqWwEeRrTtYyUuIiOoPpAa"}\n'
        b"\n"
    )


def test_golden_bytes_of_a_ping() -> None:
    assert encoder().encode(Ping()) == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_golden_bytes_of_an_error() -> None:
    assert encoder().encode(ErrorEvent(Overloaded("Overloaded")), "req_01AAbb") == (
        b"event: error\n"
        b'data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},'
        b'"request_id":"req_01AAbb"}\n'
        b"\n"
    )


def test_an_error_of_several_lines_stays_on_one() -> None:
    event = ErrorEvent(InvalidRequest('prompt must start with "\n\nHuman:" turn'))

    assert encoder().encode(event) == (
        b"event: error\n"
        b'data: {"type":"error","error":{"type":"invalid_request_error",'
        b'"message":"prompt must start with \\"\\n\\nHuman:\\" turn"}}\n'
        b"\n"
    )


def test_an_event_has_the_fields_of_a_whole_answer_in_the_same_order() -> None:
    whole = Completion(ID, " Seven.", "stop_sequence", "\n\nHuman:", "claude-2.1")
    ((_, data),) = read(encoder().encode(CompletionEvent(" Seven.", "stop_sequence", "\n\nHuman:")))

    assert data == json.dumps(whole.body(), separators=(",", ":"))


@given(st.lists(completions | st.just(Ping()), max_size=4), texts, texts)
def test_any_reader_gets_back_what_was_written(
    events: list[Event], completion_id: str, model: str
) -> None:
    write = encoder(completion_id, model)
    stream = b"".join(map(write.encode, events))

    pairs = list(read(stream))
    assert [decode(name, data) for name, data in pairs] == events
    assert read_as_httpx(stream) == pairs
    for name, data in pairs:
        body = json.loads(data)
        assert body["type"] == name
        if name == "completion":
            assert (body["id"], body["log_id"]) == (completion_id, completion_id)
            assert body["model"] == model


@given(texts)
def test_an_error_arrives_with_its_type_and_words(message: str) -> None:
    stream = encoder().encode(ErrorEvent(Overloaded(message)), "req_01")

    ((name, data),) = read(stream)
    event = decode(name, data)

    assert isinstance(event, ErrorEvent)
    assert type(event.error) is Overloaded
    assert event.error.message == message
    assert json.loads(data)["request_id"] == "req_01"


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_a_client_that_breaks_lines_as_unicode_does_reads_every_event(separator: str) -> None:
    stream = encoder().encode(CompletionEvent(f"one{separator}two"))

    # str.splitlines, on which many clients' line readers are built, knows more line ends than
    # the standard does.
    _, line, blank = stream.decode().splitlines()

    assert json.loads(line.removeprefix("data: "))["completion"] == f"one{separator}two"
    assert blank == ""


@pytest.mark.parametrize("name", ["message", "", "message_start", "Completion"])
def test_an_event_of_another_name_is_skipped_whatever_it_holds(name: str) -> None:
    assert decode(name, "not JSON") is None


def test_a_ping_of_the_first_servers_is_a_ping() -> None:
    assert decode("ping", "{}") == Ping()


def test_an_event_without_the_later_fields_is_understood() -> None:
    assert decode("completion", '{"completion":" One","stop_reason":null}') == CompletionEvent(
        " One"
    )


def test_an_error_event_without_an_outer_type_is_understood() -> None:
    event = decode("error", '{"error":{"type":"overloaded_error","message":"Overloaded"}}')

    assert isinstance(event, ErrorEvent)
    assert type(event.error) is Overloaded


def test_an_error_event_that_says_nothing_is_still_an_error() -> None:
    event = decode("error", "{}")

    assert isinstance(event, ErrorEvent)
    assert type(event.error) is InternalError


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("completion", ""),
        ("completion", "{"),
        ("completion", "[]"),
        ("completion", "{}"),
        ("completion", '{"completion":null}'),
        ("error", "Overloaded"),
        ("error", "null"),
    ],
)
def test_an_event_that_does_not_hold_what_it_should_is_a_value_error(name: str, data: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decode(name, data)
