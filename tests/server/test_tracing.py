"""Spans of requests, and of the tries of engines and upstreams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from tenuto.core.job import Finish, Piece, Usage
from tenuto.core.refusal import failed, overloaded
from tenuto.engine.base import Engine
from tenuto.engine.echo import EchoEngine
from tenuto.engine.upstream.kinds.messages import MessagesUpstream
from tenuto.engine.upstream.kinds.openai import OpenAIUpstream
from tenuto.engine.upstream.kinds.tenuto import TenutoUpstream
from tenuto.engine.upstream.route import RouteSettings
from tenuto.operations.records import RequestRecord
from tenuto.server.app import create_app, recorder_of
from tenuto.server.auth import hash_key
from tenuto.settings import ServerSettings, Settings
from tests.engine.upstream import claude
from tests.engine.upstream.callers import caller_of
from tests.engine.upstream.scripted import (
    HANG,
    RESET,
    ScriptedServer,
    scripted_server,
    stream,
    whole,
)
from tests.operations.tracing.memory import Memory, attributes, parent_id, span_id, trace_id
from tests.server.test_endpoint import BODY, HEADERS, ScriptedEngine, SilentEngine

pytestmark = pytest.mark.anyio

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
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


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as started:
        yield started


@pytest.fixture
async def backup() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as started:
        yield started


def port_of(server: ScriptedServer) -> int:
    return int(server.url.rpartition(":")[2])


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


@pytest.mark.parametrize("latest", [False, True])
async def test_variable_chooses_the_conventions(latest: bool) -> None:
    chosen = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"} if latest else {}
    memory = Memory(chosen)
    async with client_of(EchoEngine(), memory) as client:
        await client.post("/v1/complete", json=BODY | {"top_k": 7})
    span = memory.one(SpanKind.INTERNAL)
    assert type(attributes(span)["gen_ai.request.top_k"]) is (int if latest else float)
    assert span.instrumentation_scope is not None
    schema = span.instrumentation_scope.schema_url
    assert schema == ("" if latest else "https://opentelemetry.io/schemas/1.41.0")


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


async def test_request_joins_the_trace_of_its_caller(memory: Memory) -> None:
    headers = {"traceparent": PARENT, "tracestate": "vendor=value"}
    async with client_of(EchoEngine(), memory) as client:
        await client.post("/v1/complete", json=BODY, headers=headers)
    server, engine = memory.spans
    assert trace_id(server) == trace_id(engine) == TRACE
    assert server.parent is not None
    assert server.parent.is_remote
    assert parent_id(server) == 0x00F067AA0BA902B7
    assert server.context is not None
    assert server.context.trace_state.to_header() == "vendor=value"


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", "nonsense")],
        [("traceparent", PARENT.upper())],
        [("traceparent", PARENT.replace("00-", "ff-", 1))],
        [("traceparent", f"00-{'0' * 32}-00f067aa0ba902b7-01")],
        [("traceparent", f"00-{TRACE}-{'0' * 16}-01")],
        [("traceparent", PARENT + "-more")],
        [("traceparent", PARENT), ("traceparent", PARENT)],
        [("traceparent", PARENT + "x" * 10_000)],
        [("traceparent", "\xff" * 55)],
        [("tracestate", "vendor=value")],
    ],
    ids=range(10),
)
async def test_malformed_context_begins_a_new_trace(
    memory: Memory, headers: list[tuple[str, str]]
) -> None:
    encoded = [(name.encode(), text.encode("latin-1")) for name, text in headers]
    async with client_of(EchoEngine(), memory) as client:
        response = await client.post("/v1/complete", json=BODY, headers=encoded)
    assert response.status_code == 200
    server = memory.one(SpanKind.SERVER)
    assert trace_id(server) != TRACE
    assert server.parent is None
    assert server.context is not None
    assert not server.context.trace_state


@pytest.mark.parametrize("state", ["=,;nonsense", "a=1," * 200])
async def test_malformed_state_is_left_out_of_the_trace(memory: Memory, state: str) -> None:
    headers = {"traceparent": PARENT, "tracestate": state}
    async with client_of(EchoEngine(), memory) as client:
        await client.post("/v1/complete", json=BODY, headers=headers)
    assert trace_id(memory.one(SpanKind.SERVER)) == TRACE


async def test_trace_that_its_caller_does_not_sample_is_passed_on_without_spans(
    memory: Memory, upstream: ScriptedServer
) -> None:
    upstream.answers(claude.message("Hi"))
    headers = {"traceparent": PARENT[:-2] + "00", "tracestate": "vendor=value"}
    routes = {"main": MessagesUpstream(base_url=upstream.url)}
    async with caller_of(routes, tracing=memory.tracing) as caller:
        caller.client.headers.update(headers)
        assert (await caller.complete()).status == 200
    assert not memory.spans
    sent = upstream.requests[0].headers
    assert sent["traceparent"].startswith(f"00-{TRACE}-")
    assert sent["traceparent"].endswith("-00")
    assert sent["tracestate"] == "vendor=value"


@pytest.mark.parametrize("as_stream", [False, True])
async def test_upstream_gets_the_context_of_its_span_and_no_baggage(
    memory: Memory, upstream: ScriptedServer, as_stream: bool
) -> None:
    upstream.answers(claude.answer("Hi", as_stream=as_stream))
    routes = {"main": MessagesUpstream(base_url=upstream.url, api_key="sk-planted-upstream")}
    async with caller_of(routes, tracing=memory.tracing) as caller:
        headers = {"traceparent": PARENT, "tracestate": "vendor=value", "baggage": "user=planted"}
        caller.client.headers.update(headers)
        seen = await caller.complete(stream=as_stream)
    assert seen.status == 200
    server, client = memory.spans
    assert (client.name, client.kind) == ("text_completion claude-2.1", SpanKind.CLIENT)
    assert parent_id(client) == span_id(server)
    (request,) = upstream.requests
    assert (
        request.headers["traceparent"]
        == f"00-{TRACE}-{span_id(client):016x}-03"[:-2] + (request.headers["traceparent"][-2:])
    )
    assert int(request.headers["traceparent"][-2:], 16) & 1
    assert request.headers["tracestate"] == "vendor=value"
    assert "baggage" not in request.headers
    found = attributes(client)
    assert found["gen_ai.provider.name"] == "anthropic"
    assert (found["server.address"], found["server.port"]) == ("127.0.0.1", port_of(upstream))
    assert found["gen_ai.response.model"] == "claude-haiku-4-5-20251001"
    assert found["gen_ai.response.finish_reasons"] == ("stop",)
    assert found["gen_ai.usage.input_tokens"] == 9
    assert found["gen_ai.usage.output_tokens"] == 3
    assert found["tenuto.upstream"] == "main"
    assert "http.request.resend_count" not in found
    assert attributes(server)["tenuto.upstream"] == "main"
    assert "planted" not in "".join(span.to_json() for span in memory.spans)


async def test_each_try_of_a_fallback_has_a_span(
    memory: Memory, upstream: ScriptedServer, backup: ScriptedServer
) -> None:
    upstream.answers(whole({"error": {"message": "planted-words"}}, 503, retry_after="0.01"))
    backup.answers(claude.message("From the backup"))
    routes = {
        "main": OpenAIUpstream(base_url=upstream.url, model="other"),
        "backup": MessagesUpstream(base_url=backup.url),
    }
    route = RouteSettings(("*",), ("main", "backup"), max_retries=1)
    async with caller_of(routes, route, tracing=memory.tracing) as caller:
        assert (await caller.complete()).status == 200
    server, *tries = memory.spans
    assert [parent_id(span) for span in tries] == [span_id(server)] * 3
    facts = [
        (
            attributes(span)["tenuto.upstream"],
            attributes(span)["gen_ai.provider.name"],
            attributes(span)["gen_ai.request.model"],
            attributes(span).get("http.request.resend_count"),
            attributes(span).get("error.type"),
            span.status.status_code,
        )
        for span in tries
    ]
    error, unset = StatusCode.ERROR, StatusCode.UNSET
    assert facts == [
        ("main", "openai", "other", None, "overloaded_error", error),
        ("main", "openai", "other", 1, "overloaded_error", error),
        ("backup", "anthropic", "claude-2.1", None, None, unset),
    ]
    parents = [
        request.headers["traceparent"].split("-")[2]
        for request in (*upstream.requests, *backup.requests)
    ]
    assert parents == [f"{span_id(span):016x}" for span in tries]
    assert all(a.end_time <= b.start_time for a, b in pairwise(tries))  # type: ignore[operator]
    assert attributes(server)["tenuto.outcome"] == "stop_sequence"
    assert server.status.status_code is unset
    assert "planted" not in "".join(span.to_json() for span in memory.spans)


async def test_request_that_is_sent_again_with_fewer_tokens_has_a_second_span(
    memory: Memory, upstream: ScriptedServer
) -> None:
    words = "max_tokens: 50 > 20, which is the maximum allowed"
    refused = {"type": "error", "error": {"type": "invalid_request_error", "message": words}}
    upstream.answers(whole(refused, 400), claude.message("Hi"))
    routes = {"main": MessagesUpstream(base_url=upstream.url)}
    async with caller_of(routes, tracing=memory.tracing) as caller:
        assert (await caller.complete()).status == 200
    first, second = memory.of(SpanKind.CLIENT)
    assert attributes(first)["error.type"] == "invalid_request_error"
    assert attributes(second)["http.request.resend_count"] == 1
    assert "error.type" not in attributes(second)
    contexts = {request.headers["traceparent"] for request in upstream.requests}
    assert len(contexts) == 2


async def test_slow_first_byte_is_a_timeout_in_its_span(
    memory: Memory, upstream: ScriptedServer, backup: ScriptedServer
) -> None:
    upstream.answers([HANG])
    backup.answers(claude.message("Hi"))
    routes = {
        "main": MessagesUpstream(base_url=upstream.url),
        "backup": MessagesUpstream(base_url=backup.url),
    }
    route = RouteSettings(("*",), ("main", "backup"), max_retries=0, first_byte_timeout_s=0.05)
    async with caller_of(routes, route, tracing=memory.tracing) as caller:
        assert (await caller.complete()).status == 200
    errors = [attributes(span).get("error.type") for span in memory.of(SpanKind.CLIENT)]
    assert errors == ["timeout_error", None]


async def test_upstream_that_breaks_off_is_an_error_of_both_spans(
    memory: Memory, upstream: ScriptedServer
) -> None:
    upstream.answers(stream(claude.START + claude.delta("Half"), RESET))
    routes = {"main": MessagesUpstream(base_url=upstream.url)}
    async with caller_of(routes, tracing=memory.tracing) as caller:
        seen = await caller.complete(stream=True)
    assert (seen.status, seen.final["type"]) == (200, "error")
    for span in memory.spans:
        assert attributes(span)["error.type"] == "api_error"
        assert span.status.status_code is StatusCode.ERROR
        assert not span.status.description
        assert not span.events


async def test_all_upstreams_that_fail_are_in_the_trace(
    memory: Memory, upstream: ScriptedServer
) -> None:
    upstream.answers(whole({}, 529))
    routes = {
        "gone": TenutoUpstream(base_url="http://127.0.0.1:9"),
        "full": MessagesUpstream(base_url=upstream.url),
    }
    route = RouteSettings(("*",), ("gone", "full"), max_retries=0)
    async with caller_of(routes, route, tracing=memory.tracing) as caller:
        assert (await caller.complete()).status == 529
    server, *tries = memory.spans
    errors = [attributes(span)["error.type"] for span in tries]
    assert errors == ["api_error", "overloaded_error"]
    assert [attributes(span)["gen_ai.provider.name"] for span in tries] == ["tenuto", "anthropic"]
    assert attributes(server)["error.type"] == "overloaded_error"
    assert attributes(server)["http.response.status_code"] == 529


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


async def test_client_that_leaves_an_upstream_ends_its_span(
    memory: Memory, upstream: ScriptedServer
) -> None:
    upstream.answers(stream(claude.START + claude.delta("Half"), HANG))
    routes = {"main": MessagesUpstream(base_url=upstream.url)}
    async with caller_of(routes, tracing=memory.tracing) as caller:
        app = caller.client._transport.app  # type: ignore[attr-defined]
        begun = asyncio.Event()

        async def send(message: Any) -> None:
            if b"Half" in message.get("body", b""):
                begun.set()

        await run_app(app, send, begun)
    assert [attributes(span)["tenuto.outcome"] for span in memory.spans] == ["left", "left"]


async def test_sums_of_tokens_equal_those_of_the_records(
    memory: Memory, upstream: ScriptedServer
) -> None:
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
