"""Responses in every form, cut anywhere, without a socket."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.job import Finish, Job, Piece
from tenuto.engine.upstream import objects
from tenuto.engine.upstream.connection import UpstreamResponse
from tenuto.engine.upstream.error_responses import error_of_response
from tenuto.engine.upstream.errors import ErrorPolicy, Fault, UpstreamError
from tenuto.engine.upstream.kinds.messages import MessagesUpstream
from tenuto.engine.upstream.kinds.openai import OpenAIUpstream
from tenuto.engine.upstream.kinds.tenuto import TenutoUpstream
from tenuto.engine.upstream.pieces import PieceReader
from tenuto.engine.upstream.reading import UpstreamRequest
from tenuto.prompt.turns import human_turn, parse_prompt
from tenuto.slices import finish
from tenuto.wire.errors import status_of
from tests.engine.upstream.transcripts import TRANSCRIPTS, Kind, Transcript

PROMPT = parse_prompt(human_turn("Hi"))
HEL, LO = {"choices": [{"delta": {"content": "Hel"}}]}, {"choices": [{"delta": {"content": "lo"}}]}
STOP = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


@dataclass
class Played:
    """A response that returns scripted parts."""

    parts: Sequence[bytes]
    policy: ErrorPolicy = field(default_factory=ErrorPolicy)
    complete: bool = False
    taken: int = field(default=0)

    async def read(self) -> bytes:
        self.taken += 1
        return self.parts[self.taken - 1] if self.taken <= len(self.parts) else b""


def request_for(kind: Kind, *, chat: bool = True, streamed: bool = True) -> UpstreamRequest:
    job = Job(PROMPT, 50, model="any", stream=streamed)
    match kind:
        case "messages":
            return finish(MessagesUpstream().request_for(job))
        case "openai":
            return finish(OpenAIUpstream(base_url="", chat=chat).request_for(job))
        case "tenuto":
            return finish(TenutoUpstream(base_url="").request_for(job))


async def pieces_of(
    response: UpstreamResponse, request: UpstreamRequest
) -> AsyncGenerator[Piece, None]:
    with PieceReader(response, request) as reader:
        while read := await reader.read():
            for piece in read:
                yield piece


def pieces(request: UpstreamRequest, *parts: bytes) -> list[Piece]:
    async def read() -> list[Piece]:
        answer = cast(UpstreamResponse, Played([part for part in parts if part]))
        return [piece async for piece in pieces_of(answer, request)]

    return asyncio.run(read())


def outcome(
    transcript: Transcript, *parts: bytes
) -> tuple[str, Finish | None, int | None, int | None]:
    request = request_for(transcript.kind, chat=transcript.chat, streamed=transcript.streamed)
    read = pieces(request, *parts)
    usage = read[-1].usage
    assert read[0].accepted is not None
    assert [piece.finish for piece in read[:-1]] == [None] * (len(read) - 1)
    "".join(piece.text for piece in read).encode()  # No half of a character.
    return (
        "".join(piece.text for piece in read),
        read[-1].finish,
        usage.input_tokens if usage else None,
        usage.output_tokens if usage else None,
    )


def expected(transcript: Transcript) -> tuple[str | None, Finish, int | None, int | None]:
    finish = Finish.LENGTH if transcript.reason == "max_tokens" else Finish.END
    return (transcript.text, finish, *transcript.usage)


WELL = [one for one in TRANSCRIPTS if one.text is not None]
ERRORS = [one for one in TRANSCRIPTS if one.text is None]


@pytest.mark.parametrize("transcript", WELL, ids=lambda one: one.name)
def test_recorded_response_is_read_whole_and_byte_by_byte(transcript: Transcript) -> None:
    body = transcript.body
    assert outcome(transcript, body) == expected(transcript)
    assert outcome(transcript, *(body[i : i + 1] for i in range(len(body)))) == expected(transcript)


@given(st.sampled_from(WELL), st.lists(st.integers(0, 3000), max_size=6))
def test_recorded_response_is_read_in_any_chunks(transcript: Transcript, cuts: list[int]) -> None:
    body = transcript.body
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    parts = [body[a:b] for a, b in itertools.pairwise(edges)]
    assert outcome(transcript, *parts) == expected(transcript)


@given(st.sampled_from([one for one in WELL if one.streamed]), st.integers(0, 3000))
def test_truncated_stream_is_an_error_or_complete(transcript: Transcript, at: int) -> None:
    text = transcript.text
    assert text is not None
    try:
        read, finish, _, _ = outcome(transcript, transcript.body[:at])
    except UpstreamError:
        return
    # Whatever is given as whole is whole.
    assert (read, finish) == (text, expected(transcript)[1])


@pytest.mark.parametrize("transcript", ERRORS, ids=lambda one: one.name)
def test_recorded_error_is_raised(transcript: Transcript) -> None:
    if transcript.status == 200:
        with pytest.raises(UpstreamError):
            outcome(transcript, transcript.body)
    else:
        status = status_of(error_of_response(transcript.status, transcript.body).kind)
        assert status == (400 if transcript.status < 500 else 500)


def sse(*values: object, end: str = "\n\n", space: str = " ") -> bytes:
    texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return "".join(f"data:{space}{text}{end}" for text in texts).encode()


def text_of(*parts: bytes, kind: Kind = "openai", streamed: bool = True) -> str:
    return "".join(piece.text for piece in pieces(request_for(kind, streamed=streamed), *parts))


@pytest.mark.parametrize("reason", ["", None, "null", 0, False, [], {}])
def test_empty_finish_reason_counts_as_absent(reason: object) -> None:
    first = {"choices": [{"delta": {"content": "Hel"}, "finish_reason": reason}]}
    assert text_of(sse(first, LO, STOP)) == " Hello"
    assert text_of(sse(first, LO, "[DONE]")) == " Hello"
    with pytest.raises(UpstreamError, match="incomplete"):
        text_of(sse(first, LO))
    message = {"choices": [{"message": {"content": "Hello"}, "finish_reason": reason}]}
    assert text_of(json.dumps(message).encode(), streamed=False) == " Hello"


EMPTY: list[dict[str, Any]] = [
    {"choices": []},
    {"choices": None},
    {},
    {"choices": [None]},
    {"choices": [{"delta": None}]},
    {"choices": [{"delta": {"content": None}}]},
    {"choices": [{"delta": {"content": []}}]},
    {"choices": [{"delta": {}}], "usage": None, "error": None, "id": None, "model": None},
    {"choices": [{"delta": {"content": ""}}], "error": {}, "usage": {}, "model": ""},
    {"choices": [{"delta": {"content": ""}}], "error": {"message": "", "code": None}},
]


@pytest.mark.parametrize("empty", EMPTY, ids=str)
def test_empty_field_counts_as_absent(empty: dict[str, Any]) -> None:
    assert text_of(sse(empty, HEL, empty, LO, empty, STOP, empty, "[DONE]")) == " Hello"


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "thinking", "thinking": [{"type": "text", "text": "no"}]}, {"text": "Hello"}],
        [{"type": "text", "text": "Hel"}, "lo", {"type": "image_url"}, None, 5],
        {"type": "text", "text": "Hello"},
    ],
    ids=str,
)
def test_text_of_content_parts_is_joined(content: object) -> None:
    assert text_of(sse({"choices": [{"delta": {"content": content}}]}, STOP)) == " Hello"
    body = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
    assert text_of(json.dumps(body).encode(), streamed=False) == " Hello"


@given(st.text(), st.lists(st.integers(0, 60), max_size=5))
def test_surrogate_pair_split_over_chunks_is_joined(text: str, cuts: list[int]) -> None:
    units = text.encode("utf-16-le", "surrogatepass")
    edges = sorted({0, len(units), *(2 * cut for cut in cuts if 2 * cut < len(units))})
    parts = [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in itertools.pairwise(edges)]
    chunks = [{"completion": part, "stop_reason": None} for part in parts]
    end = {"completion": "", "stop_reason": "max_tokens"}
    body = "".join(f"event: completion\ndata: {json.dumps(one)}\n\n" for one in [*chunks, end])
    assert text_of(body.encode(), kind="tenuto") == text
    whole = json.dumps({"type": "completion", "completion": text, "stop_reason": "max_tokens"})
    assert text_of(whole.encode(), kind="tenuto", streamed=False) == text


def test_lone_surrogate_is_replaced() -> None:
    for half in ("\ud83d", "\ude00"):
        first = {"choices": [{"delta": {"content": f"a{half}"}}]}
        assert text_of(sse(first, LO, STOP)) == " a\ufffdlo"
        assert text_of(sse(first, STOP)) == " a\ufffd"
        named = STOP | {"model": f"m{half}"}
        (begun, *_) = pieces(request_for("openai"), sse(HEL | {"model": f"m{half}"}, named))
        assert begun.accepted is not None
        assert begun.accepted.model == "m\ufffd"


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + sse(HEL, LO, STOP),
        b": hi\n\n: hi\n\n" + sse(HEL, LO, STOP),
        b"retry: 5\nid: 7\n\n" + sse(HEL, LO, STOP),
        sse(HEL, LO, STOP, end="\r\n\r\n", space=""),
        sse(HEL, LO, STOP, end="\r\r"),
        sse(HEL, LO, STOP, end="\n")[:-1],
        sse(HEL, LO, STOP)[:-1],
        sse(HEL, LO, STOP)[:-2],
        sse(HEL, LO, "[DONE]")[:-2],
        sse(HEL, LO, "[DONE] "),
        sse(HEL, "null", LO, "", STOP),
        sse(HEL).rstrip() + b"\n" + sse(LO, STOP),
        b"\n\n  " + json.dumps(HEL).encode() + json.dumps(LO).encode() + json.dumps(STOP).encode(),
        b'\xef\xbb\xbf{"choices": [{"message": {"content": "Hello"}}]}',
        b"\n" * 500 + b'{"choices": [{"message": {"content": "Hello"}}]}',
        b'{"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}data: [DONE]',
        b'{"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}\n<html>',
    ],
)
def test_every_form_of_a_stream_is_read(body: bytes) -> None:
    assert text_of(body) == " Hello"
    assert text_of(*(body[i : i + 1] for i in range(len(body)))) == " Hello"
    assert text_of(body, streamed=False) == " Hello"


def test_truncated_last_event_is_ignored() -> None:
    with pytest.raises(UpstreamError, match="incomplete"):
        text_of(sse(HEL, LO, STOP)[:-5])


START = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 3}}}
DELTA = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hello"}}
REASON = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": None}


def test_messages_events_without_names_are_read() -> None:
    assert text_of(sse(START, DELTA, REASON), kind="messages") == " Hello"
    assert text_of(sse(DELTA, REASON), kind="messages") == " Hello"
    named = b"event: message\n" + sse(START) + b"event: message\n" + sse(DELTA)
    assert text_of(named + sse(REASON), kind="messages") == " Hello"


@pytest.mark.parametrize("reason", [None, ""])
def test_message_stop_without_a_reason_completes_the_message(reason: str | None) -> None:
    unsaid = {"type": "message_delta", "delta": {"stop_reason": reason}}
    stop = {"type": "message_stop"}
    assert text_of(sse(START, DELTA, unsaid, stop), kind="messages") == " Hello"
    with pytest.raises(UpstreamError, match="incomplete"):
        text_of(sse(START, DELTA, {"type": "content_block_stop"}), kind="messages")
    with pytest.raises(UpstreamError, match="incomplete"):
        text_of(sse(START, DELTA, unsaid), kind="messages")


@pytest.mark.parametrize("content", [None, [], [{"type": "text", "text": None}], ""])
def test_message_without_text_is_an_empty_completion(content: object) -> None:
    message = {"type": "message", "content": content, "stop_reason": "end_turn"}
    assert text_of(json.dumps(message).encode(), kind="messages", streamed=False) == ""


@pytest.mark.parametrize("kind", ["messages", "openai", "tenuto"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"{nope",
        b"<html>no</html>",
        b"Internal Server Error",
        b"data: [DONE]\n\n",
        b'{"object": "list", "data": []}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"choices": 1e999999}\n\n',
        b'{"id": ' + b"9" * 5000 + b"}",
        b"\xff\xfe\x00",
    ],
    ids=lambda body: str(body[:20]),
)
def test_invalid_response_is_an_error(kind: Kind, body: bytes) -> None:
    for streamed in (False, True):
        with pytest.raises(UpstreamError, match="invalid response") as caught:
            text_of(body, kind=kind, streamed=streamed)
        assert (status_of(caught.value.kind), caught.value.fault) == (500, Fault.UPSTREAM)


@pytest.mark.parametrize("kind", ["messages", "openai", "tenuto"])
@pytest.mark.parametrize(
    ("error_body", "status"),
    [
        ({"error": {"message": "x", "code": 429}}, 429),
        ({"error": {"message": "x", "code": "429"}}, 429),
        ({"error": {"message": "x", "code": 400}}, 400),
        ({"error": {"message": "x", "code": 502}}, 500),
        ({"error": {"message": "x", "code": 503}}, 529),
        ({"error": {"message": "x", "status": 408}}, 504),
        ({"error": {"message": "x", "type": "overloaded_error"}}, 529),
        ({"error": {"message": "x", "code": 402}}, 500),
        ({"error": {"message": "x", "code": 401}}, 500),
        ({"error": {"message": "x", "code": 302}}, 500),
        ({"error": {"message": "x", "type": "rate_limit_error"}}, 429),
        ({"error": "x"}, 500),
        ({"error": ["x"]}, 500),
        ([{"error": {"message": "x", "code": 429}}], 429),
        ({"object": "error", "message": "x", "code": 429}, 429),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "x"}}, 400),
    ],
    ids=str,
)
def test_error_body_with_status_200_is_an_error(
    kind: Kind, error_body: object, status: int
) -> None:
    body = json.dumps(error_body).encode()
    for streamed, form in [
        (False, body),
        (True, body),
        (True, sse(error_body)),
        (False, sse(error_body)),
    ]:
        with pytest.raises(UpstreamError) as caught:
            text_of(form, kind=kind, streamed=streamed)
        assert status_of(caught.value.kind) == status


def test_error_in_a_stream_follows_the_text_before_it() -> None:
    seen: list[str] = []

    async def read() -> None:
        nonlocal seen
        body = sse(HEL, {"error": {"message": "x", "code": 503}})
        async for piece in pieces_of(cast(UpstreamResponse, Played([body])), request_for("openai")):
            seen += [piece.text]

    with pytest.raises(UpstreamError, match="Overloaded"):
        asyncio.run(read())
    assert "".join(seen) == " Hel"


@pytest.mark.parametrize("reason", ["error", "abort"])
def test_finish_reason_of_a_failure_is_an_error(reason: str) -> None:
    with pytest.raises(UpstreamError, match="incomplete"):
        text_of(sse(HEL, {"choices": [{"delta": {}, "finish_reason": reason}]}))


@pytest.mark.parametrize("reason", ["length", "LENGTH", "max_tokens", "model_length"])
def test_length_reasons_become_max_tokens(reason: str) -> None:
    end = {"choices": [{"delta": {}, "finish_reason": reason}]}
    assert pieces(request_for("openai"), sse(HEL, end))[-1].finish is Finish.LENGTH


USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


@pytest.mark.parametrize(
    "parts",
    [
        [sse(HEL, STOP | {"usage": USAGE})],
        [sse(HEL, STOP, {"choices": [], "usage": USAGE}, "[DONE]")],
        [sse(HEL, STOP), sse({"choices": [], "usage": USAGE})],
        [sse(HEL, STOP), sse({"usage": USAGE})[:9], sse({"usage": USAGE})[9:]],
        [
            sse(
                HEL | {"usage": {"prompt_tokens": 3, "completion_tokens": 1}},
                STOP | {"usage": USAGE},
            )
        ],
    ],
)
def test_usage_is_read_from_any_chunk(parts: list[bytes]) -> None:
    usage = pieces(request_for("openai"), *parts)[-1].usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (3, 2)


@pytest.mark.parametrize("count", [True, -1, 1.5, "3", 10**40, None, [], float("inf")])
def test_invalid_token_count_is_unknown(count: object) -> None:
    read = pieces(request_for("openai"), sse(HEL, STOP | {"usage": {"prompt_tokens": count}}))
    assert read[-1].usage is not None
    assert read[-1].usage.input_tokens is None


def test_response_size_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenuto.engine.upstream.objects.MAX_BYTES", 10_000)
    monkeypatch.setattr("tenuto.engine.upstream.pieces.MAX_BYTES", 10_000)
    part = b"x" * 1000
    long = {"choices": [{"delta": {"content": "x" * 1000}}]}
    for parts in (
        [b"data: ", *[part] * 50],
        [b'{"', *[part] * 50],
        [b" " * 70_000, b"data: ", *[part] * 50],
        [sse(long)] * 50,
    ):
        answer = Played(parts)

        async def read(answer: Played = answer) -> None:
            async for _ in pieces_of(cast(UpstreamResponse, answer), request_for("openai")):
                pass

        with pytest.raises(UpstreamError, match="response is too large"):
            asyncio.run(read())
        assert answer.taken < 20


def test_total_size_of_responses_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_MAX_HELD", 300_000)

    async def hold(answers: int) -> list[BaseException | None]:
        go_on = asyncio.Event()

        class Held(Played):
            async def read(self) -> bytes:
                if self.taken == 1:
                    await go_on.wait()
                return await super().read()

        async def read() -> None:
            body = [b"data: " + b" " * 100_000, sse(HEL, STOP)[6:]]
            async for _ in pieces_of(cast(UpstreamResponse, Held(body)), request_for("openai")):
                pass

        tasks = [asyncio.ensure_future(read()) for _ in range(answers)]
        for _ in range(5):
            await asyncio.sleep(0)
        go_on.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    for _ in range(2):  # What is over is given back.
        assert asyncio.run(hold(2)) == [None, None]
        refused = [error for error in asyncio.run(hold(5)) if error is not None]
        assert [type(error) for error in refused] == [UpstreamError] * 3
        assert asyncio.run(hold(0)) == []
