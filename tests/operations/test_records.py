"""Every request leaves one record with every observer."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from tenuto.core.events import End
from tenuto.core.job import Accepted, Piece
from tenuto.core.refusal import Kind, failed
from tenuto.engine.echo import EchoEngine
from tenuto.operations.records import Delivery, RequestRecord
from tenuto.server.app import create_app
from tenuto.server.auth import hash_key
from tenuto.server.client_address import TrustedProxies
from tenuto.server.recorder import Recorder
from tenuto.settings import ServerSettings, Settings
from tests.server.test_endpoint import BODY, HEADERS, ScriptedEngine, SilentEngine, asgi_app_call

pytestmark = pytest.mark.anyio


class Kept:
    """An observer that keeps all records."""

    def __init__(self) -> None:
        self.records: list[RequestRecord] = []

    def ended(self, record: RequestRecord) -> None:
        self.records.append(record)


class Broken:
    """An observer with a bug."""

    def ended(self, record: RequestRecord) -> None:
        raise ZeroDivisionError


def client_of(engine: EchoEngine, *observers: Kept | Broken, **server: Any) -> httpx2.AsyncClient:
    recorder = Recorder(TrustedProxies(()), observers)
    app = create_app(Settings(server=ServerSettings(**server)), engine, recorder=recorder)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=HEADERS)


async def test_completion_is_recorded_with_every_known_field() -> None:
    kept, before = Kept(), time.time()
    accepted = Accepted(model="m-2", upstream="east")
    engine = ScriptedEngine(Piece("", accepted=accepted), Piece(" a\n\nHuman:", 1))
    async with client_of(engine, kept, api_keys=("sk-secret",)) as client:
        headers = {"x-api-key": "sk-secret"}
        response = await client.post("/v1/complete?x=1", json=BODY, headers=headers)
    (record,) = kept.records
    assert record.id == response.headers["request-id"]
    assert (record.method, record.path, record.route) == ("POST", "/v1/complete", "/v1/complete")
    assert (record.status, record.outcome, record.stream) == (200, End.STOP, False)
    assert (record.requested_model, record.served_model) == ("claude-2.1", "m-2")
    assert (record.upstream, record.caller) == ("east", hash_key("sk-secret"))
    assert record.usage is not None
    assert record.usage.time_to_first_token_ms is not None
    assert before <= record.begun <= time.time()
    assert record.first_token_seconds is not None
    first_ms = record.usage.time_to_first_token_ms
    assert first_ms / 1000 <= record.first_token_seconds <= record.seconds
    assert "sk-secret" not in repr(record)
    assert "one two" not in repr(record)


@pytest.mark.parametrize(
    ("method", "path", "route", "outcome"),
    [
        ("GET", "/v1/models/a/b", "/v1/models/{model_id}", Delivery.COMPLETE),
        ("HEAD", "/health", "/health", Delivery.COMPLETE),
        ("GET", "/v1/complete", "/v1/complete", Kind.METHOD_NOT_ALLOWED),
        ("POST", "/v1/models/x", "/v1/models/{model_id}", Kind.METHOD_NOT_ALLOWED),
        ("GET", "/v1/models?limit=0", "/v1/models", Kind.INVALID),
        ("GET", "/nowhere", None, Kind.NOT_FOUND),
        ("POST", "/", None, Kind.NOT_FOUND),
        ("POST", "/v1/complete", "/v1/complete", Kind.INVALID),
    ],
)
async def test_other_requests_are_recorded_with_their_route(
    method: str, path: str, route: str | None, outcome: object
) -> None:
    kept = Kept()
    async with client_of(EchoEngine(), kept) as client:
        await client.request(method, path)
    (record,) = kept.records
    assert (record.route, record.outcome) == (route, outcome)


async def test_request_rejected_before_its_route_is_recorded() -> None:
    kept = Kept()
    async with client_of(EchoEngine(), kept) as client:
        await client.get("/v1/models", headers={"host": "evil.example"})
    assert [(record.status, record.outcome) for record in kept.records] == [(403, Kind.FORBIDDEN)]


@pytest.mark.parametrize("stream", [True, False])
async def test_first_token_of_a_response_that_breaks_later_is_recorded(stream: bool) -> None:
    kept = Kept()
    async with client_of(ScriptedEngine(Piece(" a", 1), failed("It broke.")), kept) as client:
        await client.post("/v1/complete", json=BODY | {"stream": stream})
    (record,) = kept.records
    assert record.first_token_seconds is not None
    assert 0 < record.first_token_seconds <= record.seconds


async def test_request_without_a_token_has_no_time_to_its_first() -> None:
    kept = Kept()
    async with client_of(ScriptedEngine(failed("It broke.")), kept) as client:
        await client.post("/v1/complete", json=BODY)
        await client.get("/health")
    assert [record.first_token_seconds for record in kept.records] == [None, None]


@pytest.mark.parametrize("stream", [True, False])
async def test_broken_response_is_recorded_with_the_kind_of_its_error(stream: bool) -> None:
    kept = Kept()
    async with client_of(ScriptedEngine(Piece(" a", 1), failed("It broke.")), kept) as client:
        await client.post("/v1/complete", json=BODY | {"stream": stream})
    assert [record.outcome for record in kept.records] == [Kind.FAILED]


async def test_a_disconnect_is_recorded() -> None:
    kept, gone, engine = Kept(), asyncio.Event(), SilentEngine()
    app = create_app(Settings(), engine, recorder=Recorder(TrustedProxies(()), [kept]))
    call = asyncio.create_task(asgi_app_call(app, BODY, gone, []))
    async with asyncio.timeout(5):
        while not engine.health().running:
            await asyncio.sleep(0)
        gone.set()
        await call
    assert [record.outcome for record in kept.records] == [Delivery.DISCONNECTED]


async def test_internal_error_truncates_the_response_and_is_recorded() -> None:
    kept, sent = Kept(), list[Any]()

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 2:
            raise ZeroDivisionError

    app = create_app(Settings(), EchoEngine(), recorder=Recorder(TrustedProxies(()), [kept]))
    with suppress(ZeroDivisionError):
        await asgi_app_call(app, BODY, asyncio.Event(), sent, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert len(kept.records) == 1


async def test_failing_observer_affects_neither_response_nor_other_observers() -> None:
    kept = Kept()
    async with client_of(EchoEngine(), Broken(), kept) as client:
        assert (await client.post("/v1/complete", json=BODY)).status_code == 200
    assert [record.status for record in kept.records] == [200]
