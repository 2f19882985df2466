"""A limit that a server is given: what it refuses, and when it is released."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from tenuto.core.job import Caller, Finish, Piece, Request
from tenuto.core.refusal import Kind, Refusal, failed
from tenuto.engine.echo import EchoEngine
from tenuto.server.app import create_app
from tenuto.server.auth import hash_key
from tenuto.server.shutdown import Shutdown
from tenuto.settings import ServerSettings, Settings
from tests.server.test_endpoint import (
    BODY,
    HEADERS,
    ScriptedEngine,
    SilentEngine,
    asgi_app_call,
    assert_error,
)

pytestmark = pytest.mark.anyio


class OneAtATime:
    """A limit of one request of a key in flight."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.released: list[str] = []

    @asynccontextmanager
    async def lease(self, caller: Caller, request: Request) -> AsyncIterator[None]:
        assert request.job.max_tokens
        if caller.id in self.held:
            raise Refusal(Kind.RATE_LIMITED, "One request at a time.", retry_after=2.5)
        self.held.append(caller.id)
        try:
            yield
        finally:
            self.held.remove(caller.id)
            self.released.append(caller.id)


class Full:
    """A limit that refuses every request."""

    @asynccontextmanager
    async def lease(self, caller: Caller, request: Request) -> AsyncIterator[None]:
        raise Refusal(Kind.RATE_LIMITED, "Full.")
        yield


def client_of(engine: EchoEngine, *limits: OneAtATime | Full) -> httpx2.AsyncClient:
    settings = Settings(server=ServerSettings(api_keys=("a", "b")))
    app = create_app(settings, engine, admissions=list(limits))
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    headers = HEADERS | {"x-api-key": "a"}
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("script", "status"),
    [
        ([Piece(" a", 1), Piece("", finish=Finish.END)], 200),
        ([Piece(" a", 1), Piece("", finish=Finish.LENGTH)], 200),
        ([Piece(" a END b", 1), Piece(" c", 1)], 200),
        ([Piece(""), Piece(" a", 1), failed("It broke.")], None),
        ([failed("It broke.")], 500),
        ([ZeroDivisionError()], 500),
        ([Piece(""), ZeroDivisionError()], None),
    ],
    ids=["turn", "length", "stop", "broken", "refused", "bug", "late bug"],
)
async def test_lease_is_released_once_at_every_end(
    script: list[Piece | Exception], status: int | None, stream: bool
) -> None:
    limit = OneAtATime()
    async with client_of(ScriptedEngine(*script), limit) as client:
        body = BODY | {"stream": stream, "stop_sequences": [" END"]}
        response = await client.post("/v1/complete", json=body)
    assert response.status_code == (status or (200 if stream else 500))
    assert (limit.held, limit.released) == ([], [hash_key("a")])


async def test_rejected_request_is_429_and_does_not_reach_the_engine() -> None:
    engine, first = ScriptedEngine(Piece("")), OneAtATime()
    async with client_of(engine, first, Full()) as client:
        response = await client.post("/v1/complete", json=BODY)
    assert_error(response, 429, "rate_limit_error", "Full.")
    assert engine.jobs == []
    assert first.released == [hash_key("a")]


async def test_limit_counts_each_key_separately() -> None:
    limit, engine = OneAtATime(), EchoEngine()
    limit.held.append(hash_key("a"))
    async with client_of(engine, limit) as client:
        refused = await client.post("/v1/complete", json=BODY)
        other = await client.post("/v1/complete", json=BODY, headers={"x-api-key": "b"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "3")
    assert other.status_code == 200
    assert limit.released == [hash_key("b")]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("end", ["disconnect", "shutdown"])
async def test_a_lease_is_released_at_a_disconnect_and_at_a_shutdown(
    end: str, stream: bool
) -> None:
    limit, engine, gone, sent = OneAtATime(), SilentEngine(), asyncio.Event(), list[Any]()
    shutdown = Shutdown()
    app = create_app(Settings(), engine, admissions=[limit], shutdown=shutdown)
    call = asyncio.create_task(asgi_app_call(app, BODY | {"stream": stream}, gone, sent))
    async with asyncio.timeout(5):
        while not engine.health().running:
            await asyncio.sleep(0)
        assert limit.held == [""]
        if end == "disconnect":
            gone.set()
        else:
            await shutdown.end_answers()
        await call
    assert (limit.held, limit.released, engine.health().running) == ([], [""], 0)
