"""Mutated responses of upstreams: each ends in a completion or in a clear error.

The answers are those of `tests/engine/upstream/transcripts.py`, as servers of the field write them.
Most are changed in their JSON, in their events or in their bytes, and sent with another status,
other headers or another form of transfer. The application runs in this process; the upstream is a
server on loopback that answers every request with the bytes at hand.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import random
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from tenuto.engine import registry
from tenuto.engine.upstream.kinds.messages import MessagesUpstream
from tenuto.engine.upstream.kinds.openai import OpenAIUpstream
from tenuto.engine.upstream.kinds.tenuto import TenutoUpstream
from tenuto.engine.upstream.route import RouteSettings
from tenuto.server.app import create_app
from tenuto.settings import EngineSettings, Settings
from tenuto.settings.upstreams import Upstream
from tests.engine.upstream.callers import seen
from tests.engine.upstream.transcripts import TRANSCRIPTS, Transcript

_SECONDS: Final = 10.0
_KEY: Final = "sk-planted-0123456789"
_PROMPT: Final = "\n\nHuman: Hi\n\nAssistant:"
_ODD: Final[tuple[Any, ...]] = (
    *(None, "", [], {}, 0, -1, 1e308, 2**70, True, "null", "\ud83d", "\ude00", "\0", "a" * 50_000),
    *(
        [[]],
        [None],
        {"text": None},
        {"type": "text", "text": "x"},
        "stop",
        "429",
        429,
        "\n\nHuman:",
    ),
)
_STATUSES: Final = (
    *(200, 200, 200, 201, 204, 206, 301, 304, 307, 400, 401, 402, 403, 404, 405, 408, 409, 413),
    *(418, 422, 429, 451, 499, 500, 502, 503, 504, 529, 599),
)
_TYPES: Final = (
    *("application/json", "text/event-stream", "text/event-stream; charset=utf-8", "text/html"),
    *("application/x-ndjson", "", "text/plain; charset=utf-16"),
)
_HEADERS: Final = (
    *(("retry-after", "1"), ("retry-after", "soon"), ("retry-after", "-5"), ("location", "//x")),
    *(("content-encoding", "gzip"), ("content-encoding", "br"), ("content-encoding", "identity")),
    *(("request-id", "é"), ("x-should-retry", "maybe"), ("retry-after", "9" * 400)),
)


@dataclass
class Answer:
    """A response of an upstream: status, headers, body, and chunking."""

    transcript: Transcript
    changed: bool
    data: bytes


def make(transcript: Transcript, chance: random.Random) -> Answer:
    """Return a transcript as bytes of HTTP, changed or not."""
    body, status, headers = transcript.body, transcript.status, dict(transcript.headers)
    headers.setdefault("content-type", _TYPES[transcript.streamed])
    changed = chance.random() < 0.95
    cut = None
    if changed:
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            body = _mutate(body, chance)
        if chance.random() < 0.15:
            status = chance.choice(_STATUSES)
        if chance.random() < 0.15:
            headers["content-type"] = chance.choice(_TYPES)
        if chance.random() < 0.15:
            name, value = chance.choice(_HEADERS)
            headers[name] = value
            if value == "gzip" and chance.random() < 0.7:
                body = gzip.compress(body)
        if chance.random() < 0.1:
            cut = chance.random()
    return Answer(transcript, changed, _sent(status, headers, body, cut, chance))


def _sent(
    status: int, headers: dict[str, str], body: bytes, cut: float | None, chance: random.Random
) -> bytes:
    match chance.randrange(3):
        case 0:
            headers["content-length"] = str(len(body))
        case 1:
            headers["transfer-encoding"] = "chunked"
            size = chance.choice((1, 7, 100, 5000)) if len(body) < 5000 else 5000
            parts = [body[at : at + size] for at in range(0, len(body), size)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        case _:
            pass  # The end of the connection is the end of the body.
    lines = [
        f"HTTP/1.1 {status} X",
        "connection: close",
        *(f"{k}: {v}" for k, v in headers.items()),
    ]
    data = "\r\n".join([*lines, "", ""]).encode() + body
    return data if cut is None else data[: int(len(data) * cut)]


def _mutate(body: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.6:
        return _mutate_json(body, chance)
    data = bytearray(body)
    at = chance.randrange(len(data) + 1)
    match chance.randrange(9):
        case 0:
            del data[at:]
        case 1:
            del data[at : at + chance.randrange(1, 40)]
        case 2:
            data[at:at] = chance.randbytes(chance.randrange(1, 9))
        case 3:
            data[at:at] = data[at : at + chance.randrange(1, 200)]
        case 4:
            return body.replace(b"\n", chance.choice((b"\r\n", b"\r", b"\n\n", b"")))
        case 5:
            return chance.choice((b"\xef\xbb\xbf", b": ping\n\n", b"\n\n", b"event: x\n")) + body
        case 6:
            return body + chance.choice((b"data: [DONE]\n\n", b"{}", b"\n\n\n", b"data: {}\n\n"))
        case 7:
            return body.replace(b"data: ", chance.choice((b"data:", b"data", b"DATA: ")))
        case _:
            blocks = body.split(b"\n\n")
            chance.shuffle(blocks)
            return b"\n\n".join(blocks[: chance.randrange(len(blocks) + 1)])
    return bytes(data)


def _mutate_json(body: bytes, chance: random.Random) -> bytes:
    """Change one value in one of the JSON texts of a body."""
    lines = body.split(b"\n")
    places = [at for at, line in enumerate(lines) if b"{" in line]
    if not places:
        return body
    at = chance.choice(places)
    start = lines[at].index(b"{")
    try:
        value = json.loads(lines[at][start:])
    except ValueError:
        return body
    inner = [*_places(value)]
    if not inner:
        return body
    holder, key = chance.choice(inner)
    if isinstance(holder, dict) and chance.random() < 0.25:
        del holder[key]
    else:
        # A copy: a further change of this answer must not change the list.
        holder[key] = json.loads(json.dumps(chance.choice(_ODD)))
    lines[at] = lines[at][:start] + json.dumps(value).encode()
    return b"\n".join(lines)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, below in inner:
        yield value, key
        if isinstance(below, dict | list):
            yield from _places(below)


class _Bugs(logging.Handler):
    """Collect log records of bugs: with a traceback, or at error level."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info or "unexpected" in text or _KEY in text:
            self.lines.append(text)


class _Upstream:
    """Answer each request with the current bytes, and close."""

    def __init__(self) -> None:
        self.data = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
            await reader.readexactly(length)
            writer.write(self.data)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def _settings(url: str) -> Settings:
    # No answer may shut out the next one.
    common: dict[str, Any] = {"base_url": url, "api_key": _KEY, "breaker_failures": 10**9}
    upstreams: dict[str, Upstream] = {
        "messages": MessagesUpstream(**common),
        "openai": OpenAIUpstream(**common),
        "chat": OpenAIUpstream(**common, chat=True),
        "tenuto": TenutoUpstream(**common),
    }
    routes = tuple(RouteSettings((name,), (name,), max_retries=0) for name in upstreams)
    return Settings(engine=EngineSettings("routes", upstreams=upstreams, routes=routes))


@asynccontextmanager
async def _caller(upstream: _Upstream) -> AsyncGenerator[httpx2.AsyncClient, None]:
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    settings = _settings(f"http://{host}:{port}")
    engine = registry.create(settings.engine)
    transport = httpx2.ASGITransport(create_app(settings, engine))
    headers = {"anthropic-version": "2023-06-01"}
    try:
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as client:
            yield client
    finally:
        await engine.aclose()
        server.close()


def check(answer: Answer, response: httpx2.Response) -> str:
    """Return how a request ended.

    Raises:
        AssertionError: It ended in silence, in a bug, or otherwise than an unchanged answer says.
    """
    assert _KEY not in response.text, "the upstream's key reached the caller"
    known = answer.transcript
    answered = seen(response)
    text, final = answered.text, answered.final
    json.dumps(final, ensure_ascii=False).encode()
    text.encode()
    if "error" in final:
        error = final["error"]
        assert error["type"], error
        assert error["message"].strip(), error
        assert error["message"] != "Internal server error", "a bug"
        end = f"{error['type']}"
    else:
        assert response.status_code == 200, response.status_code
        assert final["stop_reason"], "the stream ended without a reason"
        end = "completion"
    if not answer.changed:
        assert (end == "completion") == (known.text is not None), end
        assert known.text is None or text == known.text, text
    return end


async def fuzz(count: int, seed: int) -> Counter[str]:
    """Send a number of requests, and count the outcomes.

    Raises:
        AssertionError: One ended wrongly; its number is in a note.
    """
    ends: Counter[str] = Counter()
    bugs, upstream = _Bugs(), _Upstream()
    logger = logging.getLogger("tenuto")
    logger.addHandler(bugs)
    try:
        async with _caller(upstream) as client:
            for number in range(count):
                chance = random.Random(f"{seed}/{number}")
                transcript = chance.choice(TRANSCRIPTS)
                answer = make(transcript, chance)
                upstream.data = answer.data
                model = "chat" if transcript.chat else transcript.kind
                body = {"model": model, "prompt": _PROMPT, "max_tokens_to_sample": 50}
                if transcript.streamed:
                    body["stream"] = True
                try:
                    async with asyncio.timeout(_SECONDS):
                        response = await client.post("/v1/complete", json=body)
                    ends[check(answer, response)] += 1
                    assert not bugs.lines, bugs.lines
                except BaseException as error:
                    error.add_note(f"answer {seed}/{number}, {transcript.name}: {answer.data!r}")
                    raise
    finally:
        logger.removeHandler(bugs)
    return ends


def main(count: int, seed: int) -> None:
    """Send many answers, and print how the requests ended.

    Raises:
        AssertionError: See `fuzz`.
    """
    print(f"{count:,} answers of upstreams: {dict(asyncio.run(fuzz(count, seed)))}")
