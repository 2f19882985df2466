"""The trace of a request: that of its caller, or a new one."""

from __future__ import annotations

import pytest
from opentelemetry.trace import SpanKind

from tenuto.engine.echo import EchoEngine
from tests.operations.tracing.memory import Memory, attributes, parent_id, trace_id
from tests.server.test_endpoint import BODY
from tests.server.test_tracing import client_of

pytestmark = pytest.mark.anyio

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def memory() -> Memory:
    return Memory()


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
