"""Spans of requests, and of the tries of engines and upstreams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from tenuto.core.job import Finish, Piece, Usage
from tenuto.core.refusal import failed, overloaded
from tenuto.engine.base import Engine
from tenuto.engine.echo import EchoEngine
from tenuto.operations.records import RequestRecord
from tenuto.server.app import create_app, recorder_of
from tenuto.server.auth import hash_key
from tenuto.settings import ServerSettings, Settings
from tests.operations.tracing.memory import Memory, attributes, parent_id, span_id, trace_id
from tests.server.test_endpoint import BODY, HEADERS, ScriptedEngine, SilentEngine

pytestmark = pytest.mark.anyio

SETTINGS = Settings()


@dataclass
class Records:
    """An observer that keeps the records."""

    all: list[RequestRecord] = field(default_factory=list)

    def ended(self, record: RequestRecord) -> None:
        self.all.append(record)


@asynccontextmanager
async def client_of(
    engine: Engine, memory: Memory, settings: Settings = SETTINGS, records: Records | None = None
) -> AsyncGenerator[httpx2.AsyncClient]:
    recorder = recorder_of(settings, memory.tracing)
    if records is not None:
        recorder.observers = [*recorder.observers, records]
    transport = httpx2.ASGITransport(create_app(settings, engine, recorder=recorder))
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://localhost", headers=HEADERS
    ) as client:
        yield client


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.mark.parametrize("as_stream", [False, True])
async def test_completion_has_a_server_span_and_one_of_the_engine(
    memory: Memory, as_stream: bool
) -> None:
    key = "sk-planted-key"
    settings = Settings(server=ServerSettings(api_keys=(hash_key(key),)))
    body = BODY | {
        "stream": as_stream,
        "temperature": 0.5,
        "top_p": 0.25,
        "top_k": 7,
        "metadata": {"user_id": "planted-user"},
        "stop_sequences": ["planted-stop"],
        "prompt": "\n\nHuman: planted-prompt two three\n\nAssistant:",
    }
    async with client_of(EchoEngine(), memory, settings) as client:
        response = await client.post(
            "/v1/complete?planted-query", json=body, headers={"x-api-key": key}
        )
    assert response.status_code == 200
    server, engine = memory.spans
    assert (server.name, server.kind) == ("POST /v1/complete", SpanKind.SERVER)
    assert server.parent is None
    assert attributes(server) == {
        "http.request.method": "POST",
        "http.route": "/v1/complete",
        "http.response.status_code": 200,
        "url.path": "/v1/complete",
        "url.scheme": "http",
        "tenuto.request.id": response.headers["request-id"],
        "tenuto.outcome": "stop_sequence",
        # The name of a key without one: the beginning of its hash.
        "tenuto.key": hash_key(key)[:15],
        "gen_ai.request.model": "claude-2.1",
        "gen_ai.response.model": "echo",
    }
    assert server.status.status_code is StatusCode.UNSET
    assert (engine.name, engine.kind) == ("text_completion claude-2.1", SpanKind.INTERNAL)
    assert parent_id(engine) == span_id(server)
    assert trace_id(engine) == trace_id(server)
    found = attributes(engine)
    if as_stream:
        assert 0 < found.pop("gen_ai.response.time_to_first_chunk") < 30
        assert found.pop("gen_ai.request.stream") is True
    assert found == {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "tenuto",
        "gen_ai.request.model": "claude-2.1",
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.25,
        "gen_ai.request.top_k": 7.0,
        "gen_ai.response.model": "echo",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.output_tokens": 3,
        "tenuto.outcome": "stop_sequence",
    }
    assert server.resource.attributes["service.name"] == "tenuto"
    assert server.resource.attributes["service.version"] == "1.2.3"
    texts = "".join(span.to_json() for span in memory.spans)
    assert "planted" not in texts
    assert key not in texts


async def test_finish_reasons_of_a_limit_and_of_a_stop_sequence_differ(memory: Memory) -> None:
    async with client_of(EchoEngine(), memory) as client:
        await client.post("/v1/complete", json=BODY | {"max_tokens_to_sample": 2})
        await client.post("/v1/complete", json=BODY | {"stop_sequences": [" two"]})
    ends = [
        (
            attributes(span)["gen_ai.response.finish_reasons"],
            attributes(span)["tenuto.outcome"],
            attributes(span)["gen_ai.usage.output_tokens"],
        )
        for span in memory.of(SpanKind.INTERNAL)
    ]
    assert ends == [(("length",), "max_tokens", 2), (("stop",), "stop_sequence", 2)]


@pytest.mark.parametrize("accepted", [False, True])
async def test_error_of_the_engine_is_named_without_its_message(
    memory: Memory, accepted: bool
) -> None:
    script = (Piece(""), Piece(" text", 1), failed("planted")) if accepted else (overloaded(),)
    async with client_of(ScriptedEngine(*script), memory) as client:
        await client.post("/v1/complete", json=BODY | {"stream": True})
    name = "api_error" if accepted else "overloaded_error"
    for span in memory.spans:
        assert attributes(span)["error.type"] == attributes(span)["tenuto.outcome"] == name
        assert span.status.status_code is StatusCode.ERROR
        assert "planted" not in span.to_json()


async def test_status_of_a_refused_request_is_not_an_error(memory: Memory) -> None:
    async with client_of(EchoEngine(), memory) as client:
        await client.post("/v1/complete", json={"planted": 1})
        await client.get("/v1/planted-path")
        await client.get("/v1/models/any")
        await client.request("PLANTED", "/v1/complete")
    assert [
        (
            span.name,
            attributes(span)["http.response.status_code"],
            attributes(span).get("error.type"),
        )
        for span in memory.spans
    ] == [
        ("POST /v1/complete", 400, "invalid_request_error"),
        ("GET", 404, "not_found_error"),
        ("GET /v1/models/{model_id}", 200, None),
        ("HTTP /v1/complete", 405, "invalid_request_error"),
    ]
    for span in memory.spans:
        assert span.status.status_code is StatusCode.UNSET
    assert "planted" not in "".join(span.to_json() for span in memory.spans).lower()


async def test_probes_and_scrapes_have_no_spans(memory: Memory) -> None:
    async with client_of(EchoEngine(), memory) as client:
        for path in ("/health", "/ready", "/metrics"):
            assert (await client.get(path)).status_code == 200
    assert not memory.spans


async def test_span_ends_with_the_last_byte_of_a_stream(memory: Memory) -> None:
    done: list[tuple[int, int]] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            done.append((len(memory.spans), len(memory.of(SpanKind.SERVER))))

    await call(EchoEngine(), memory, send)
    # The engine's span has ended before the last event, the server's has not.
    assert done[0] == (0, 0)
    assert done[-1] == (1, 0)
    assert len(memory.spans) == 2


async def test_client_that_leaves_ends_both_spans_without_an_error(memory: Memory) -> None:
    begun = asyncio.Event()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            begun.set()

    engine = SilentEngine()
    await call(engine, memory, send, begun)
    assert engine.health().running == 0
    assert [attributes(span)["tenuto.outcome"] for span in memory.spans] == ["left", "left"]
    for span in memory.spans:
        assert "error.type" not in attributes(span)
        assert span.status.status_code is StatusCode.UNSET


async def test_sums_of_tokens_equal_those_of_the_records(memory: Memory) -> None:
    records = Records()
    script = (Piece("", usage=Usage(11, 4, 0)), Piece(" a b", 2, usage=Usage(11, 4, 2)))
    end = Piece("", finish=Finish.END)
    async with client_of(EchoEngine(), memory, records=records) as client:
        for words in range(1, 20):
            prompt = f"\n\nHuman: {'word ' * words}\n\nAssistant:"
            for extra in (
                {},
                {"stream": True},
                {"max_tokens_to_sample": 3},
                {"max_tokens_to_sample": 0},
            ):
                await client.post("/v1/complete", json=BODY | {"prompt": prompt} | extra)
    async with client_of(ScriptedEngine(*script, end), memory, records=records) as client:
        await client.post("/v1/complete", json=BODY)
    async with client_of(ScriptedEngine(*script, failed("x")), memory, records=records) as client:
        await client.post("/v1/complete", json=BODY | {"stream": True})
    usages = [record.usage for record in records.all if record.usage is not None]
    for name, counts in (
        ("input_tokens", [usage.input_tokens for usage in usages]),
        ("cache_read.input_tokens", [usage.cached_tokens for usage in usages]),
        ("output_tokens", [usage.output_tokens for usage in usages]),
    ):
        of_spans = [attributes(span).get(f"gen_ai.usage.{name}", 0) for span in memory.spans]
        assert sum(of_spans) == sum(filter(None, counts)) > 0


async def call(
    engine: Engine, memory: Memory, send: Any, leave: asyncio.Event | None = None
) -> None:
    """Send a streamed request, and leave at an event."""
    app = create_app(SETTINGS, engine, recorder=recorder_of(SETTINGS, memory.tracing))
    await run_app(app, send, leave)


async def run_app(app: Any, send: Any, leave: asyncio.Event | None) -> None:
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/complete",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"localhost"), (b"anthropic-version", b"2023-06-01")],
    }
    messages = [{"type": "http.request", "body": json.dumps(BODY | {"stream": True}).encode()}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await (leave or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async with asyncio.timeout(20):
        await app(scope, receive, send)
