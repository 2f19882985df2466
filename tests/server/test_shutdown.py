"""Responses to requests that are running when the server shuts down."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tenuto.engine.echo import EchoEngine
from tenuto.server.serve import build_server, listen
from tenuto.settings import ServerSettings, Settings
from tests.server.test_endpoint import SilentEngine
from tests.server.test_http import PLAIN, STREAMED, post, until_running

pytestmark = pytest.mark.anyio


class DeafEngine(SilentEngine):
    """An engine whose jobs wait for another process, and ignore that it is closed."""


@dataclass
class Running:
    """Run a server that handles this process's signals."""

    port: int
    serving: asyncio.Task[None]

    def signal(self, name: signal.Signals = signal.SIGTERM) -> None:
        os.kill(os.getpid(), name)

    async def ask(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        return reader, writer


@asynccontextmanager
async def running(engine: EchoEngine, grace_s: float) -> AsyncGenerator[Running]:
    settings = Settings(server=ServerSettings(port=0, shutdown_grace_s=grace_s))
    listener = listen(settings.server)
    port = listener.getsockname()[1]
    server = build_server(settings, engine)
    serving = asyncio.create_task(server.serve([listener]))
    async with asyncio.timeout(30):
        while not server.started:
            await asyncio.sleep(0.01)
    try:
        yield Running(port, serving)
    finally:
        server.should_exit = server.force_exit = True
        serving.cancel()
        await asyncio.wait([serving])


async def rest(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        return await reader.read()


async def test_stream_longer_than_the_grace_time_ends_with_an_error_event() -> None:
    async with running(DeafEngine(), 0.1) as server:
        reader, writer = await server.ask(post(STREAMED))
        async with asyncio.timeout(10):
            await reader.readuntil(b"\r\n\r\n")
        server.signal()
        answer = await rest(reader)
        writer.close()
        async with asyncio.timeout(10):
            await server.serving
    assert b"event: error\n" in answer
    assert b'"overloaded_error"' in answer
    assert b"shutting down" in answer
    assert answer.endswith(b"0\r\n\r\n")


async def test_plain_request_longer_than_the_grace_time_gets_a_status() -> None:
    engine = DeafEngine()
    async with running(engine, 0.1) as server:
        reader, writer = await server.ask(post(PLAIN))
        await until_running(engine)
        server.signal()
        answer = await rest(reader)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 529 ")
    assert b"retry-after: 1\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "overloaded_error"


async def test_request_with_an_incomplete_body_gets_a_status() -> None:
    async with running(EchoEngine(), 0.1) as server:
        reader, writer = await server.ask(post(PLAIN)[:-5])
        await asyncio.sleep(0.1)
        server.signal()
        await asyncio.sleep(0.3)
        writer.write(PLAIN[-5:])
        answer = await rest(reader)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 529 ")


async def test_partly_received_request_is_served_and_its_connection_closed() -> None:
    async with running(EchoEngine(), 5) as server:
        data = post(PLAIN, close=False)
        reader, writer = await server.ask(data[:20])
        await asyncio.sleep(0.1)
        server.signal()
        await asyncio.sleep(0.3)
        writer.write(data[20:])
        answer = await rest(reader)
        writer.close()
        async with asyncio.timeout(10):
            await server.serving
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close\r\n" in answer.lower()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signal_drains_the_running_response(name: signal.Signals) -> None:
    class Slow(EchoEngine):
        async def generate(self, job):  # type: ignore[no-untyped-def]
            async for piece in super().generate(job):
                yield piece
                await asyncio.sleep(0.1)

    engine = Slow()
    async with running(engine, 10) as server:
        reader, writer = await server.ask(post(STREAMED))
        await until_running(engine)
        server.signal(name)
        answer = await rest(reader)
        writer.close()
        async with asyncio.timeout(10):
            await server.serving
    assert b'"stop_reason":"stop_sequence"' in answer


async def test_a_second_signal_ends_the_grace_time() -> None:
    engine = DeafEngine()
    async with running(engine, 600) as server:
        reader, writer = await server.ask(post(STREAMED))
        await until_running(engine)
        server.signal()
        await asyncio.sleep(0.3)
        assert not reader.at_eof()
        server.signal()
        answer = await rest(reader)
        writer.close()
        async with asyncio.timeout(10):
            await server.serving
    assert b"event: error\n" in answer


async def test_client_that_does_not_read_does_not_block_the_shutdown() -> None:
    class Flood(EchoEngine):
        async def generate(self, job):  # type: ignore[no-untyped-def]
            async for piece in super().generate(job):
                while True:
                    yield type(piece)("x" * 10_000, 1)
                    await asyncio.sleep(0)

    engine = Flood()
    async with running(engine, 0.1) as server:
        _, writer = await server.ask(post(STREAMED))
        await until_running(engine)
        await asyncio.sleep(0.3)
        server.signal()
        async with asyncio.timeout(10):
            await server.serving
        writer.close()
