"""The usual events of a stream, recognised without their JSON: the outcome is that of the JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.job import Finish
from tenuto.engine.upstream.errors import UpstreamError
from tenuto.engine.upstream.template import EventTemplate
from tests.engine.upstream.test_reading import pieces, request_for

END = b'event: message_stop\ndata: {"type": "message_stop"}\n\n'


def delta(text: str, *, dumped: str | None = None, **other: Any) -> bytes:
    """Return a `content_block_delta`. `dumped` is the text as it stands in the JSON."""
    value = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "?"}, **other}
    body = json.dumps(value).replace('"?"', dumped or json.dumps(text, ensure_ascii=False))
    return f"event: content_block_delta\ndata: {body}\n\n".encode("utf-8", "surrogatepass")


def outcome(*parts: bytes) -> tuple[str, int, Finish | None] | str:
    """Return the text, the count of its events, and the end, or the error."""
    try:
        read = pieces(request_for("messages"), *parts)
    except UpstreamError as error:
        return str(error)
    tokens = sum(piece.tokens for piece in read)
    return "".join(piece.text for piece in read), tokens, read[-1].finish


# Texts that stand elsewhere in the event, too, or end the JSON string.
AWKWARD = st.sampled_from(
    ["text", "delta", "type", "", " ", '"', "\\", '", "text": "', "\n", "\u2028", "\0"]
)
TEXT = AWKWARD | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
EVENT = st.one_of(
    TEXT.map(delta),
    TEXT.map(lambda text: delta(text, dumped=json.dumps(text))),
    TEXT.map(lambda text: delta(text, dumped=f'"{text}"')),
    TEXT.map(lambda text: delta(text, index=1)),
    st.sampled_from(["\\ud83d", "\\ude00", "\\q", '"}, "x": {"y": "']).map(
        lambda text: delta("", dumped=f'"{text}"')
    ),
    st.just(b'event: ping\ndata: {"type": "ping"}\n\n'),
    st.just(b": comment\n\n"),
)


@given(st.lists(EVENT, max_size=8), st.booleans())
def test_outcome_is_that_of_parsing_each_event(events: list[bytes], together: bool) -> None:
    parts = [b"".join(events) + END] if together else [*events, END]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventTemplate, "text_in", lambda self, block: None)
        expected = outcome(*parts)
    assert outcome(*parts) == expected


BLOCK = '{"text": "%s", "type": "text"}'


def texts_in(block: str) -> list[str] | None:
    return [json.loads(block)["text"]]


def test_event_with_another_text_is_recognised() -> None:
    template = EventTemplate()
    assert template.text_in(BLOCK % "one") is None
    template.learn(BLOCK % "one", "one", texts_in)
    assert template.text_in(BLOCK % " two") == " two"
    assert template.text_in(BLOCK % r"\u00e9\n\"") == 'é\n"'


@pytest.mark.parametrize(
    "other",
    [
        '{"text": "two", "type": "other"}',
        '{"text": "two", "type": "text"} ',
        '{"text": "',
        BLOCK % 'two", "text": "three',
        BLOCK % r"\ud800",
        BLOCK % "two\ndata: ",
    ],
)
def test_other_event_is_not_recognised(other: str) -> None:
    template = EventTemplate()
    template.learn(BLOCK % "one", "one", texts_in)
    assert template.text_in(other) is None


def test_event_that_depends_on_its_text_elsewhere_is_not_learned() -> None:
    template = EventTemplate()
    # The text stands before its own place, and with escapes there.
    template.learn(r'{"name": "one", "text": "\u006fne"}', "one", texts_in)
    assert template.text_in(r'{"name": "two", "text": "\u006fne"}') is None
    template.learn(BLOCK % "one", "one", lambda block: None)
    assert template.text_in(BLOCK % "two") is None


def test_attempts_are_bounded() -> None:
    template, attempts = EventTemplate(), list[str]()

    def differs(block: str) -> list[str] | None:
        attempts.append(block)
        return None

    for _ in range(100):
        template.learn(BLOCK % "one", "one", differs)
    assert len(attempts) < 10
