"""Running jobs of a routing engine that is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from random import Random

import pytest

from tenuto.core.job import Job, Piece
from tenuto.core.refusal import Kind
from tenuto.engine.echo import EchoEngine
from tenuto.engine.upstream.breaker import Breaker
from tenuto.engine.upstream.errors import UpstreamError
from tenuto.engine.upstream.kinds.messages import MessagesUpstream
from tenuto.engine.upstream.route import RouteSettings
from tenuto.engine.upstream.routing import RoutingEngine
from tenuto.engine.upstream.table import Upstream
from tenuto.prompt.turns import parse_prompt
from tests.engine.upstream import claude
from tests.engine.upstream.callers import HI, caller_of
from tests.engine.upstream.scripted import HANG, Script, ScriptedServer, stream
from tests.refusals import refused

pytestmark = pytest.mark.anyio

SOON_S = 2.0
SHUTTING_DOWN = "The engine is shutting down."


async def until(condition: object) -> None:
    async with asyncio.timeout(5):
        while not (condition() if callable(condition) else condition):
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("script", "streamed"),
    [
        pytest.param([HANG], True, id="before the head"),
        pytest.param(stream(HANG), True, id="before the first event"),
        pytest.param(stream(claude.START + claude.delta("Hel"), HANG), True, id="mid-stream"),
        pytest.param([HANG], False, id="plain"),
        pytest.param([b"HTTP/1.1 500 X\r\ncontent-length: 9\r\n\r\nab", HANG], True, id="an error"),
    ],
)
async def test_close_ends_running_responses_with_an_error(
    server: ScriptedServer, script: Script, streamed: bool
) -> None:
    server.answers(script)
    async with caller_of({"far": MessagesUpstream(base_url=server.url)}) as caller:
        response_task = asyncio.create_task(
            caller.complete(model="claude-haiku-4-5", stream=streamed)
        )
        await until(lambda: server.requests)
        await asyncio.sleep(0.05)  # Until what the script has is read.
        async with asyncio.timeout(SOON_S):
            await caller.engine.aclose()
            seen = await response_task
        assert seen.final["error"] == {"type": "api_error", "message": SHUTTING_DOWN}
        assert len(server.requests) == 1
        assert caller.engine.health().running == 0


async def test_job_after_close_is_rejected(server: ScriptedServer) -> None:
    server.answers(claude.message("Hi"))
    async with caller_of({"far": MessagesUpstream(base_url=server.url)}) as caller:
        assert (await caller.complete(model="claude-haiku-4-5")).text == " Hi"
        await caller.engine.aclose()
        seen = await caller.complete(model="claude-haiku-4-5")
        assert (seen.status, seen.final["error"]["message"]) == (500, SHUTTING_DOWN)
        assert len(server.requests) == 1


async def test_paused_reader_gets_the_shutdown_error_at_its_next_read(
    server: ScriptedServer,
) -> None:
    server.answers(stream(claude.START, claude.delta("Hel"), HANG))
    async with caller_of({"far": MessagesUpstream(base_url=server.url)}) as caller:
        job = Job(parse_prompt(HI), 5, model="claude-haiku-4-5")
        async with aclosing(caller.engine.generate(job)) as pieces:
            await anext(pieces)
            await caller.engine.aclose()
            with refused(Kind.FAILED, match="shutting down"):
                [piece async for piece in pieces]


async def test_close_ends_the_backoff_between_attempts() -> None:
    class Busy(EchoEngine):
        tries = 0

        async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
            self.tries += 1
            raise UpstreamError("wait", 529, retry_after=9)
            yield Piece("")

    busy = Busy()
    upstream = Upstream(busy, Breaker(5, 10.0, asyncio.get_running_loop().time))
    engine = RoutingEngine({"a": upstream}, [RouteSettings(("*",), ("a",))], Random(1))
    job = Job(parse_prompt(HI), 5)
    response_task = asyncio.ensure_future(anext(engine.generate(job)))
    await until(lambda: busy.tries)
    await asyncio.sleep(0)
    async with asyncio.timeout(SOON_S):
        await engine.aclose()
        with refused(Kind.FAILED, match="shutting down"):
            await response_task
    assert busy.tries == 1
